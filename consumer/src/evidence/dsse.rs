//! DSSE envelopes. Source: "DSSE: Dead Simple Signing Envelope", version 1.0.2, secure-systems-lab/dsse.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::key::{PublicKey, Signer};

/// The type of payload that an in-toto statement is.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// A signed payload.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// What the payload is.
    #[serde(rename = "payloadType")]
    pub payload_type: String,
    /// The payload, base64.
    pub payload: String,
    /// The signatures; this program makes and wants exactly one.
    pub signatures: Vec<Signature>,
}

/// A signature.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// Whose key, see [`PublicKey::id`].
    pub keyid: String,
    /// The signature, base64.
    pub sig: String,
}

impl Envelope {
    /// The pre-authentication encoding, which is what is signed: `"DSSEv1" SP length(type) SP type SP length(payload) SP payload`, lengths in bytes and
    /// decimal, so that neither type nor payload can be read as the other. The example of the specification:
    ///
    /// ```
    /// # use backtrail_consumer::evidence::Envelope;
    /// let signed = Envelope::signed_bytes("http://example.com/HelloWorld", b"hello world");
    /// assert_eq!(signed, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    /// ```
    pub fn signed_bytes(payload_type: &str, payload: &[u8]) -> Vec<u8> {
        let mut bytes = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
        bytes.extend_from_slice(payload);
        bytes
    }

    /// Signs an in-toto statement.
    pub fn sign(payload: &[u8], signer: &Signer) -> Self {
        Self::sign_as(PAYLOAD_TYPE, payload, signer)
    }

    /// Signs a payload of a type.
    pub fn sign_as(payload_type: &str, payload: &[u8], signer: &Signer) -> Self {
        let sig = STANDARD.encode(signer.sign(&Self::signed_bytes(payload_type, payload)));
        let signatures = vec![Signature { keyid: signer.public().id(), sig }];
        Self { payload_type: payload_type.into(), payload: STANDARD.encode(payload), signatures }
    }

    /// The payload of an in-toto statement, if `key` signed it and nobody else did.
    pub fn open(&self, key: &PublicKey) -> Result<Vec<u8>, String> {
        self.open_as(PAYLOAD_TYPE, key)
    }

    /// The payload, whoever signed it: what it claims, and no more.
    pub fn peek(&self, payload_type: &str) -> Result<Vec<u8>, String> {
        if self.payload_type != payload_type {
            return Err(format!("the payload is of type '{}' and not {payload_type}", self.payload_type));
        }
        STANDARD.decode(&self.payload).map_err(|error| format!("the payload is no base64: {error}"))
    }

    /// The payload, if it is of this type and `key` signed it and nobody else did.
    pub fn open_as(&self, payload_type: &str, key: &PublicKey) -> Result<Vec<u8>, String> {
        let payload = self.peek(payload_type)?;
        let [signature] = self.signatures.as_slice() else {
            return Err(format!("there are {} signatures and not one", self.signatures.len()));
        };
        if signature.keyid != key.id() {
            return Err(format!("it is signed by key {} and not by {}", signature.keyid, key.id()));
        }
        let sig = STANDARD.decode(&signature.sig).map_err(|error| format!("the signature is no base64: {error}"))?;
        if key.verifies(&Self::signed_bytes(&self.payload_type, &payload), &sig) {
            Ok(payload)
        } else {
            Err("the signature does not fit the statement".into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_that_signed_opens_an_envelope_and_only_as_it_was() {
        let (one, two) = (Signer::from_seed([1; 32]), Signer::from_seed([2; 32]));
        let envelope = Envelope::sign(b"{}", &one);
        assert_eq!(envelope.open(&one.public()), Ok(b"{}".to_vec()));
        assert!(envelope.open(&two.public()).expect_err("foreign").contains("signed by key"));
        let mut forged = Envelope::sign(b"{}", &two);
        forged.signatures[0].keyid = one.public().id();
        assert!(forged.open(&one.public()).expect_err("forged").contains("does not fit"));
        let mut other = envelope.clone();
        other.payload = STANDARD.encode("{ }");
        assert!(other.open(&one.public()).expect_err("changed").contains("does not fit"));
        let mut twice = envelope;
        twice.signatures.push(twice.signatures[0].clone());
        assert!(twice.open(&one.public()).is_err());
    }
}
