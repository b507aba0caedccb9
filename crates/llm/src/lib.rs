//! Asks a language model behind a URL for edits that repair a suspect, and believes nothing that it says.
//!
//! One question, one answer: [`ask`] builds a prompt from a patch request and snippets of code ([`Prompt`]), sends it to
//! a [`Provider`], reads the [`answer`], and applies its search/replace edits to the given files in memory ([`edits`]).
//! What comes back are candidates whose every edit was checked, and a typed [`Refusal`] for each one that was not taken.
//!
//! What holds whatever the model, the network and the telemetry do:
//! - Secrets and personal data are replaced before a prompt is put together, and the finished bytes are looked at once
//!   more; a secret never leaves and never comes back.
//! - Telemetry and code stand in the prompt as data between marks that they cannot forge; instructions come from
//!   here alone.
//! - An answer is bounded in bytes, time, depth and counts. It changes only files that the caller gave, and adds only
//!   test files; it never runs anything.
//! - No file is written and no command is started here: the caller gets text.

pub mod answer;
mod ask;
mod dialect;
pub mod edits;
mod error;
mod path;
mod prompt;
mod provider;
mod refusal;
mod schema;
mod transcript;
mod transport;

pub use ask::{Outcome, Question, ask};
pub use dialect::Dialect;
pub use edits::{Candidate, ChangedFile, NewFile, SourceFile, SyntaxError};
pub use error::LlmError;
pub use prompt::{Limits, Prompt, Snippet};
pub use provider::{Provider, Secret};
pub use refusal::{Cause, Part, Protected, Refusal};
pub use transcript::Transcript;
