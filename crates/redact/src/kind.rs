//! What can be found.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How often each kind was replaced.
pub type Counts = BTreeMap<Kind, u64>;

/// A kind of secret or of personal data.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A value that the owner named ([`crate::Redactor::with_denied`]).
    Denied,
    /// A PEM or PGP block with a private key.
    PrivateKey,
    /// Identifier of an AWS access key.
    AwsAccessKey,
    /// The secret half of an AWS access key.
    AwsSecretKey,
    /// Google API key, OAuth client secret or access token.
    GcpKey,
    /// Azure account key, shared access signature or client secret.
    AzureKey,
    /// GitHub token.
    GithubToken,
    /// GitLab token.
    GitlabToken,
    /// Slack token or webhook.
    SlackToken,
    /// Stripe key.
    StripeKey,
    /// npm token.
    NpmToken,
    /// `PyPI` token.
    PypiToken,
    /// Token of another vendor whose shape is public.
    VendorToken,
    /// JSON web token.
    Jwt,
    /// Credentials of an `Authorization` header.
    Authorization,
    /// Password in the user part of a URL.
    UrlPassword,
    /// Value that is assigned to a name such as `password` or `api_key`.
    Assigned,
    /// Text in which findings lie so dense that it was taken out as a whole.
    Dense,
    /// Mail address.
    Email,
    /// Payment card number.
    PaymentCard,
    /// International bank account number.
    Iban,
    /// US social security number.
    Ssn,
    /// Phone number in international form.
    Phone,
    /// Public IP address.
    IpAddress,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 24] = [
        Self::Denied,
        Self::PrivateKey,
        Self::AwsAccessKey,
        Self::AwsSecretKey,
        Self::GcpKey,
        Self::AzureKey,
        Self::GithubToken,
        Self::GitlabToken,
        Self::SlackToken,
        Self::StripeKey,
        Self::NpmToken,
        Self::PypiToken,
        Self::VendorToken,
        Self::Jwt,
        Self::Authorization,
        Self::UrlPassword,
        Self::Assigned,
        Self::Dense,
        Self::Email,
        Self::PaymentCard,
        Self::Iban,
        Self::Ssn,
        Self::Phone,
        Self::IpAddress,
    ];

    /// The name in placeholders and documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::PrivateKey => "private_key",
            Self::AwsAccessKey => "aws_access_key",
            Self::AwsSecretKey => "aws_secret_key",
            Self::GcpKey => "gcp_key",
            Self::AzureKey => "azure_key",
            Self::GithubToken => "github_token",
            Self::GitlabToken => "gitlab_token",
            Self::SlackToken => "slack_token",
            Self::StripeKey => "stripe_key",
            Self::NpmToken => "npm_token",
            Self::PypiToken => "pypi_token",
            Self::VendorToken => "vendor_token",
            Self::Jwt => "jwt",
            Self::Authorization => "authorization",
            Self::UrlPassword => "url_password",
            Self::Assigned => "assigned",
            Self::Dense => "dense",
            Self::Email => "email",
            Self::PaymentCard => "payment_card",
            Self::Iban => "iban",
            Self::Ssn => "ssn",
            Self::Phone => "phone",
            Self::IpAddress => "ip_address",
        }
    }

    /// Whether it opens a door; everything else is personal data.
    pub const fn is_secret(self) -> bool {
        !matches!(self, Self::Email | Self::PaymentCard | Self::Iban | Self::Ssn | Self::Phone | Self::IpAddress)
    }
}
