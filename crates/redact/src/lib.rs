//! Finds secrets and personal data in text, and replaces them before the text leaves the house.
//!
//! Telemetry, source code and configuration go to a language model, into evidence and into pull requests. A
//! [`Redactor`] looks for the shapes of credentials (private keys, vendors' tokens, headers, passwords in URLs, values
//! that are assigned to a name such as `api_key`), for personal data (mail addresses, payment cards, bank accounts,
//! phone numbers) and for the values that its owner denies by name; percent-encoded and base64 text is looked into.
//!
//! Two ways out: [`Redactor::replace`] puts a typed placeholder in place of each value, for good, and [`Tokens`] numbers
//! personal data so that an answer can be given its values back. A secret never comes back.
//!
//! What it cannot do: tell a password that is a plain word from any other word, follow a secret that is put together
//! from parts, or look into compressed text. The values that matter belong into [`Redactor::with_denied`].

mod assignment;
mod denied;
mod encoded;
mod judge;
mod kind;
mod personal;
mod placeholder;
mod redactor;
mod shapes;
mod tokens;

pub use denied::DeniedError;
pub use kind::{Counts, Kind};
pub use redactor::{Found, Redactor, find, replace};
pub use tokens::Tokens;
