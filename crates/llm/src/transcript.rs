//! What was asked and answered, as digests: evidence that holds no text and no key.

use backtrail_redact::Counts;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// A question and its answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Transcript {
    /// The model as it was asked for.
    pub model: String,
    /// How it was spoken to.
    pub dialect: &'static str,
    /// SHA-256 of the bytes that were sent, without headers.
    pub prompt_sha256: String,
    /// SHA-256 of the bytes that came back.
    pub answer_sha256: String,
    /// The estimate of the prompt's tokens.
    pub prompt_tokens: u64,
    /// Attempts that it took.
    pub attempts: u32,
    /// What the budget left out of the prompt.
    pub cut: Vec<String>,
    /// What was replaced before the prompt was put together.
    pub replaced: Counts,
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
