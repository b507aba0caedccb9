//! What a language model proposes: asked after the recipes, believed in nothing. Its candidates are drafts as those of a
//! recipe are; they are tried after the recipes' of the same tier, and meet the same policy and the same tests.
//!
//! A model that is slow, silent, broken or hostile costs its time limit and a reason in the journal, nothing more.

use std::collections::{BTreeMap, BTreeSet};

use backtrail_code::{Language, parse, snippets};
use backtrail_llm::{
    Candidate, Limits, LlmError, NewFile, Outcome, Provider, Question, Snippet, SourceFile, SyntaxError, Transcript,
    ask,
};
use backtrail_model::patch_request::{PatchRequest, Target};
use backtrail_policy::{FileKind, kind_of};
use backtrail_redact::Redactor;

use crate::candidate::{Draft, FileEdit, Kind, LeftOut, Mechanism, Origin, Proposal};
use crate::context::Context;

/// The name in the journal.
const RECIPE: &str = "llm";
/// Most bytes of code that are shown.
const SHOWN: usize = 48 << 10;
/// Most configuration files that are shown and may be edited, and most bytes of one.
const MOST_CONFIGS: usize = 8;
const MOST_CONFIG_BYTES: usize = 16 << 10;
/// Most lines of a file that is suspected as a whole.
const MOST_LINES: usize = 400;
/// Most reasons in the journal, and most letters of a text there.
const MOST_REASONS: usize = 60;
const MOST_LETTERS: usize = 600;
const MOST_TITLE: usize = 100;

/// A model that is asked for repairs.
#[derive(Clone, Debug)]
pub struct Model {
    /// Where it is.
    pub provider: Provider,
    /// Bounds of a question.
    pub limits: Limits,
}

/// What a model came to.
pub(crate) struct Ideas {
    drafts: Vec<Draft>,
    left_out: Vec<LeftOut>,
}

impl Model {
    /// A model with the usual bounds of a question.
    pub fn new(provider: Provider) -> Self {
        Self { provider, limits: Limits::default() }
    }

    /// Asks it. What goes wrong is a reason, never an error: the recipes do not depend on it.
    pub(crate) fn ask(&self, context: &Context, redactor: &Redactor) -> Ideas {
        let request = bound(context);
        let shown = shown(context);
        let files = files(context);
        let known = match context.mirror.tree(&context.commit) {
            Ok(entries) => entries.iter().map(|entry| entry.path.to_string()).collect::<BTreeSet<_>>(),
            Err(error) => return Ideas::none(&error.to_string()),
        };
        let question = Question {
            request: &request,
            snippets: &shown,
            files: &files,
            redactor,
            syntax: &syntax,
            exists: &|path| known.contains(path),
            limits: self.limits,
        };
        match ask(&self.provider, &question) {
            Ok(outcome) => Ideas::of(outcome, &request),
            Err(error) => Ideas::none(&told(&error)),
        }
    }
}

impl Ideas {
    fn none(why: &str) -> Self {
        Self { drafts: Vec::new(), left_out: vec![left_out(why)] }
    }

    fn of(outcome: Outcome, request: &PatchRequest) -> Self {
        let evidence = evidence(&outcome.transcript);
        let mut reasons: Vec<LeftOut> =
            outcome.refusals.iter().take(MOST_REASONS).map(|refusal| left_out(&refusal.to_string())).collect();
        if outcome.candidates.is_empty() {
            let what = if reasons.is_empty() { "it proposes nothing" } else { "nothing of what it proposes is taken" };
            reasons.push(left_out(&format!("{what}; {evidence}")));
        }
        let model = &outcome.transcript.model;
        let drafts = outcome.candidates.into_iter().map(|candidate| draft(candidate, model, &evidence, request));
        Self { drafts: drafts.collect(), left_out: reasons }
    }

    /// Puts its drafts among those of the recipes: each behind the last one of its tier.
    pub(crate) fn join(self, context: &Context, drafts: &mut Vec<Draft>, reasons: &mut Vec<LeftOut>) {
        reasons.extend(self.left_out);
        for draft in self.drafts {
            if let Some(same) = drafts.iter().find(|other| other.edits == draft.edits) {
                reasons.push(left_out(&format!("it is the change of {}", same.proposal.recipe)));
            } else if let Some(foreign) = draft.edits.iter().find(|edit| !context.is_owned(&edit.path)) {
                reasons.push(left_out(&format!("{} is outside of what the owner holds", foreign.path)));
            } else {
                let place = drafts.iter().position(|other| other.proposal.tier > draft.proposal.tier);
                drafts.insert(place.unwrap_or(drafts.len()), draft);
            }
        }
    }
}

fn left_out(why: &str) -> LeftOut {
    LeftOut { recipe: RECIPE.to_owned(), why: few(why, MOST_LETTERS) }
}

fn few(text: &str, most: usize) -> String {
    if text.chars().count() <= most { text.to_owned() } else { text.chars().take(most).chain(['…']).collect() }
}

/// An error, with the digests of what was asked and answered where there are some.
fn told(error: &LlmError) -> String {
    match error {
        LlmError::Answer { transcript, .. } => format!("{error}; {}", evidence(transcript)),
        other => other.to_string(),
    }
}

fn evidence(transcript: &Transcript) -> String {
    let replaced: u64 = transcript.replaced.values().sum();
    format!(
        "asked {} ({}): question sha256 {}, answer sha256 {}, {replaced} values replaced before it was sent",
        transcript.model, transcript.dialect, transcript.prompt_sha256, transcript.answer_sha256
    )
}

/// The request, held to what `ownership.yaml` says: the folder in the request is a claim of whoever sent it.
fn bound(context: &Context) -> PatchRequest {
    let mapping = &context.mapping;
    let target = Target {
        repository: mapping.repository.clone(),
        path_prefix: mapping.path_prefix.clone(),
        default_branch: mapping.default_branch.clone(),
        team: mapping.team.clone(),
        owners: Vec::new(),
        left_out: Vec::new(),
    };
    PatchRequest { target: Some(target), ..context.request.clone() }
}

/// What the model sees: the suspects and what is around them, then configuration.
fn shown(context: &Context) -> Vec<Snippet> {
    let index = &context.index;
    let scores: Vec<_> = context
        .suspects
        .iter()
        .enumerate()
        .filter_map(|(rank, suspect)| Some((context.id_of(suspect)?, 1.0 / (rank + 1) as f64)))
        .collect();
    // The pieces carry line numbers for people; an edit must find the lines as they stand.
    let mut shown: Vec<Snippet> = snippets(index, &scores, SHOWN)
        .pieces
        .iter()
        .filter_map(|piece| Some(lines(&piece.path, index.text(&piece.path)?, piece.start_line, piece.end_line)))
        .collect();
    for suspect in context.suspects.iter().filter(|suspect| suspect.function.is_none()) {
        if let Some(parsed) = context.sources.get(&suspect.path) {
            shown.push(lines(&suspect.path, parsed.text(), 1, MOST_LINES as u32));
        }
    }
    shown.extend(configs(context).map(|(path, text)| lines(path, text, 1, u32::MAX)));
    shown
}

fn lines(path: &str, text: &str, start: u32, end: u32) -> Snippet {
    let taken: Vec<&str> =
        text.split_inclusive('\n').skip(start as usize - 1).take((end - start) as usize + 1).collect();
    let end = start + (taken.len() as u32).saturating_sub(1);
    Snippet { path: path.to_owned(), start, end, text: taken.concat() }
}

/// The configuration that is shown, small files only: those that are suspected, then those that the code knows.
fn configs(context: &Context) -> impl Iterator<Item = (&str, &str)> {
    let suspected = |path: &str| context.suspects.iter().any(|suspect| suspect.path == path);
    let mut configs: Vec<_> = context.configs.iter().filter(|config| config.text.len() <= MOST_CONFIG_BYTES).collect();
    configs.sort_by_key(|config| (!suspected(&config.path), config.path.as_str()));
    configs.into_iter().take(MOST_CONFIGS).map(|config| (config.path.as_str(), config.text.as_str()))
}

/// What may be edited: the suspects' files and the configuration that is shown.
fn files(context: &Context) -> Vec<SourceFile> {
    let mut files: BTreeMap<&str, &str> = configs(context).collect();
    for suspect in &context.suspects {
        if let Some(parsed) = context.sources.get(&suspect.path) {
            files.insert(&suspect.path, parsed.text());
        }
    }
    files.into_iter().map(|(path, text)| SourceFile { path: path.into(), text: text.into() }).collect()
}

fn syntax(path: &str, text: &str) -> Vec<SyntaxError> {
    if let Some(language) = Language::of_path(path) {
        return match parse(language, text) {
            Ok(parsed) => {
                let error = |error: &backtrail_code::SyntaxError| SyntaxError {
                    line: error.line,
                    what: "it cannot be parsed here".into(),
                };
                parsed.errors().iter().map(error).collect()
            }
            Err(_) => vec![SyntaxError { line: 1, what: "it is no code that can be parsed".into() }],
        };
    }
    match crate::settings::Format::of_path(path).map(|format| crate::settings::read(format, text)) {
        Some(Err(_)) => vec![SyntaxError { line: 1, what: "it is no configuration that can be read".into() }],
        _ => Vec::new(),
    }
}

/// A candidate of the model as a draft.
fn draft(candidate: Candidate, model: &str, evidence: &str, request: &PatchRequest) -> Draft {
    let config_only = candidate.files.iter().all(|file| kind_of(&file.path) == FileKind::Config);
    let (tier, kind) = if config_only { (1, Kind::Config) } else { (2, Kind::Code) };
    let flag = match kind {
        Kind::Code => request.constraints.patch_must_be_guarded_by_flag.clone(),
        _ => String::new(),
    };
    let mut undo = "revert its commit".to_owned();
    if !flag.is_empty() {
        undo = format!("switch the flag {flag} off, then {undo}");
    }
    let line = |text: &str, most| few(&text.split_whitespace().collect::<Vec<_>>().join(" "), most);
    let proposal = Proposal {
        recipe: RECIPE.to_owned(),
        tier,
        kind,
        origin: Origin::Llm,
        title: line(&candidate.title, MOST_TITLE),
        why: vec![format!("{model} says: {}", line(&candidate.why, MOST_LETTERS)), evidence.to_owned()],
        computation: Vec::new(),
        mechanism: Mechanism {
            metric: "error_rate".into(),
            now: String::new(),
            claim: line(&candidate.mechanism, MOST_LETTERS),
        },
        risk: line(&candidate.risk, MOST_LETTERS),
        undo,
        authors: Vec::new(),
        flag,
        tests: candidate.tests.iter().flat_map(tests).collect(),
    };
    let edits = candidate
        .files
        .into_iter()
        .map(|file| (file.path, file.text))
        .chain(candidate.tests.into_iter().map(|test| (test.path, test.text)));
    let edits = edits.map(|(path, text)| FileEdit { path, content: Some(text.into_bytes()) });
    Draft { proposal, edits: edits.collect() }
}

fn tests(file: &NewFile) -> Vec<String> {
    let Some(parsed) = Language::of_path(&file.path).and_then(|language| parse(language, file.text.as_str()).ok())
    else {
        return Vec::new();
    };
    let tests = parsed.functions().iter().filter(|function| function.test.is_some());
    tests.map(|function| format!("{}::{}", file.path, function.qualified.replace('.', "::"))).collect()
}
