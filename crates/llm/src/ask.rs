//! One question from end to end.

use std::fmt;

use backtrail_model::patch_request::PatchRequest;
use backtrail_redact::Redactor;

use crate::answer;
use crate::edits::{Candidate, Ground, SourceFile, SyntaxError};
use crate::error::LlmError;
use crate::prompt::{Limits, Prompt, Snippet};
use crate::provider::Provider;
use crate::refusal::Refusal;
use crate::transcript::{Transcript, sha256};
use crate::transport;

/// What is asked about, and what an answer is checked against.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// What is to be repaired.
    pub request: &'a PatchRequest,
    /// The lines that the model sees, the most important first.
    pub snippets: &'a [Snippet],
    /// The files that may be edited, whole.
    pub files: &'a [SourceFile],
    /// Finds what may not leave; the owner's denied values are in it.
    pub redactor: &'a Redactor,
    /// Parses a text as the language of its path.
    pub syntax: &'a dyn Fn(&str, &str) -> Vec<SyntaxError>,
    /// Whether a path exists in the repository.
    pub exists: &'a dyn Fn(&str) -> bool,
    /// Bounds.
    pub limits: Limits,
}

/// How large it is.
impl fmt::Debug for Question<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Question")
            .field("request", &self.request.id)
            .field("snippets", &self.snippets)
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

/// What came of a question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// Candidates whose every edit was checked, in the model's order.
    pub candidates: Vec<Candidate>,
    /// What was not taken, and why.
    pub refusals: Vec<Refusal>,
    /// The evidence.
    pub transcript: Transcript,
}

/// Asks a model for a repair.
pub fn ask(provider: &Provider, question: &Question<'_>) -> Result<Outcome, LlmError> {
    let Question { request, snippets, files, redactor, limits, .. } = *question;
    let prompt = Prompt::build(request, snippets, redactor, &limits)?;
    let body = provider.dialect.body(&provider.model, &prompt, limits.answer_tokens);
    // The last look: parts were looked at before they were put together, the whole is looked at before it leaves.
    let text = str::from_utf8(&body).map_err(|_| LlmError::Config("the question is no text".into()))?;
    if let Some(found) = redactor.find_certain(text).first() {
        return Err(LlmError::WouldLeak(found.kind));
    }
    let reply = transport::post(provider, &body, redactor)?;
    let transcript = Transcript {
        model: provider.model.clone(),
        dialect: provider.dialect.name(),
        prompt_sha256: sha256(&body),
        answer_sha256: sha256(&reply.bytes),
        prompt_tokens: prompt.tokens,
        attempts: reply.attempts,
        cut: prompt.cut.clone(),
        replaced: prompt.replaced.clone(),
    };
    let answer = match provider.dialect.text(&reply.bytes).and_then(|text| answer::parse(&text)) {
        Ok(answer) => answer,
        Err(cause) => return Err(LlmError::Answer { cause, transcript: Box::new(transcript) }),
    };
    let ground = Ground {
        files,
        prefix: request.target.as_ref().map_or("", |target| &target.path_prefix),
        max_files: request.budget.max_files,
        max_file_bytes: limits.max_file_bytes,
        redactor,
        hidden: &prompt.hidden,
        syntax: question.syntax,
        exists: question.exists,
    };
    let (mut candidates, mut refusals) = (Vec::new(), Vec::new());
    for (index, proposal) in answer.candidates.iter().enumerate() {
        match ground.apply(index + 1, proposal) {
            Ok(candidate) => candidates.push(candidate),
            Err(refused) => refusals.extend(refused),
        }
    }
    Ok(Outcome { candidates, refusals, transcript })
}
