//! Evidence: what was decided and why, signed, in one file that anybody can check without this program running.
//!
//! The decision is an in-toto statement in a DSSE envelope, signed with ed25519. Its subjects are the request and the
//! journal, by their SHA-256; both lie beside it in the [`bundle`].

mod bundle;
mod dsse;
pub mod extract;
mod key;

pub use bundle::{Artifact, Bundle, Decision, Invalid, MOST_BUNDLE_BYTES, Verified};
pub use dsse::{Envelope, PAYLOAD_TYPE, Signature};
pub use key::{KEY_FILE, PUBLIC_FILE, PublicKey, Signer};
