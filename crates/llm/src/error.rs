//! Why there is no answer, by what the caller can do about it. No message holds a key, a secret or a foreign text that
//! was not looked at.

use std::time::Duration;

use backtrail_redact::Kind;

use crate::answer::Unreadable;
use crate::transcript::Transcript;

/// There is no answer that could be looked at.
#[derive(Debug, thiserror::Error)]
pub enum LlmError {
    /// The provider cannot be used as it is configured.
    #[error("{0}")]
    Config(String),
    /// The facts alone are more than the prompt may hold.
    #[error("the facts need about {needed} tokens and the prompt may have {limit}; raise 'prompt_tokens'")]
    PromptTooLarge {
        /// What they need.
        needed: u64,
        /// What the prompt may have.
        limit: u64,
    },
    /// The finished question held a secret after all; nothing was sent.
    #[error("the question holds a {} and was not sent", .0.name())]
    WouldLeak(Kind),
    /// Nobody answers, or the connection broke.
    #[error("the model cannot be reached: {0}")]
    Unreachable(String),
    /// The time is up.
    #[error("the model did not answer within {0:?}")]
    TimedOut(Duration),
    /// The reply is longer than it may be.
    #[error("the model's reply is longer than {0} bytes")]
    TooLong(u64),
    /// The reply is compressed although that was not asked for.
    #[error("the model's reply is encoded, and only plain replies are read")]
    Encoded,
    /// The server points elsewhere. Nobody follows: the question and the key are for this host.
    #[error("the model's server redirects (status {0}), which is not followed; configure the final url")]
    Redirected(u16),
    /// The server has no time, twice or for long.
    #[error("the model's server is busy (status {status}){}", wish(*.wait))]
    Busy {
        /// Its status.
        status: u16,
        /// The wait that it asked for and that was too long.
        wait: Option<Duration>,
    },
    /// The server refuses the question.
    #[error("the model's server refuses the question (status {status}){}", remark(.says))]
    Refused {
        /// Its status.
        status: u16,
        /// What it says, without secrets and cut.
        says: String,
    },
    /// The answer is not what was asked for. The digests are kept as evidence.
    #[error("the model's answer is refused: {cause}")]
    Answer {
        /// What is wrong.
        cause: Unreadable,
        /// What was asked and answered, as digests.
        transcript: Box<Transcript>,
    },
}

fn wish(wait: Option<Duration>) -> String {
    wait.map(|wait| format!(" and asks to wait {wait:?}")).unwrap_or_default()
}

fn remark(says: &str) -> String {
    if says.is_empty() { String::new() } else { format!(": {says}") }
}
