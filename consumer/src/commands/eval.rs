//! `backtrail-consumer eval`: services with a seeded defect, and whether the patches that are verified cure it.
//!
//! A case is a folder (see `consumer/cases/README.md`): a history, the patch request that telemetry would give, and a
//! hidden test of behaviour. The hidden test never takes part in the work: it judges afterwards.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use backtrail_sandbox::git::{Mirror, Worktree};
use backtrail_sandbox::suites::Suite;
use backtrail_sandbox::{Limits, Sandbox, TreePath};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::now;
use crate::candidate::{Candidate, Stage};
use crate::cli::{Eval, Exit, Failure, Out};
use crate::event::enveloped;
use crate::evidence::Signer;
use crate::history;
use crate::retry::Retry;
use crate::settings::{self, Format};
use crate::state::{Remediation, State};
use crate::store::Store;
use crate::work::{Settings, Worker};
use crate::workshop::Workshop;

/// Most bytes of a flags file.
const MOST_FLAGS: u64 = 1 << 20;
/// Most attempts on one case: nothing in it comes and goes.
const ATTEMPTS: u32 = 1;

#[derive(Deserialize)]
struct Case {
    id: String,
    language: String,
    class: String,
    service: String,
    #[serde(default)]
    path_prefix: String,
    hidden: Vec<String>,
}

/// How a case ended.
#[derive(Serialize)]
struct Outcome {
    id: String,
    language: String,
    class: String,
    /// The remediation's state.
    state: State,
    /// Why it ended, or what was left out.
    reason: String,
    /// Candidates that are verified, the proposed one first.
    verified: Vec<Judged>,
    /// Candidates that were refused, each with its reasons.
    refused: Vec<String>,
}

#[derive(Serialize)]
struct Judged {
    candidate: String,
    tier: u8,
    title: String,
    /// Whether the hidden test passes with it, its flag switched on.
    cures: bool,
    /// Whether the hidden test could tell: a flag that is in no flags file of the repository cannot be switched on.
    tried: bool,
    /// What the hidden test said, when it fails.
    #[serde(skip_serializing_if = "String::is_empty")]
    said: String,
}

/// Runs the command. A verified patch that does not cure is a problem that was found.
pub(crate) fn run(args: &Eval, out: &mut Out) -> Result<Exit, Failure> {
    let mut folders: Vec<PathBuf> = fs::read_dir(&args.patches)
        .with_context(|| format!("cannot read {}", args.patches.display()))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.join("case.yaml").is_file())
        .filter(|path| args.only.is_empty() || args.only.iter().any(|only| path.ends_with(only)))
        .collect();
    folders.sort();
    if folders.is_empty() {
        return Err(Failure::usage(format!("{} holds no cases", args.patches.display()), "a case has a case.yaml"));
    }
    let mut outcomes = Vec::new();
    for folder in &folders {
        let outcome = case(folder, args).with_context(|| format!("case {}", folder.display()))?;
        if !args.json {
            print(&outcome, out)?;
            out.finish()?;
        }
        outcomes.push(outcome);
    }
    let cured = outcomes.iter().filter(|one| one.verified.first().is_some_and(|first| first.cures)).count();
    let wrong = outcomes.iter().filter(|one| one.verified.iter().any(|one| one.tried && !one.cures)).count();
    if args.json {
        out.json(&serde_json::json!({ "cases": outcomes, "cured": cured, "wrong": wrong }))?;
    } else {
        out.line(&format!(
            "{} cases: {cured} get a verified patch that cures, {wrong} a verified one that does not",
            outcomes.len()
        ))?;
    }
    Ok(if wrong == 0 { Exit::Ok } else { Exit::Problem })
}

fn print(outcome: &Outcome, out: &mut Out) -> std::io::Result<()> {
    out.line(&format!("{:<34} {:<24} {}", outcome.id, outcome.class, outcome.state.name()))?;
    if outcome.verified.is_empty() {
        out.line(&format!("    {}", outcome.reason))?;
    }
    for refused in outcome.refused.iter().filter(|_| !outcome.verified.is_empty()) {
        out.line(&format!("    refused  {}", refused.chars().take(300).collect::<String>()))?;
    }
    for judged in &outcome.verified {
        let cures = match (judged.tried, judged.cures) {
            (false, _) => "?    ",
            (true, true) => "cures",
            (true, false) => "WRONG",
        };
        out.line(&format!("    {cures}  {}  tier {}  {}", judged.candidate, judged.tier, judged.title))?;
        if !judged.said.is_empty() {
            let last = judged.said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
            out.line(&format!("           {last}"))?;
        }
    }
    Ok(())
}

fn case(folder: &Path, args: &Eval) -> anyhow::Result<Outcome> {
    let text = fs::read_to_string(folder.join("case.yaml")).context("cannot read case.yaml")?;
    let case: Case = serde_saphyr::from_str(&text).context("case.yaml")?;
    ensure!(!case.hidden.is_empty(), "it has no hidden test");
    let work = tempfile::tempdir()?;
    let repository = work.path().join("repository");
    let commits = history::make(&folder.join("history"), &repository)?;
    let request = fs::read_to_string(folder.join("request.json")).context("cannot read request.json")?;
    let mut request: Value = serde_json::from_str(&request).context("request.json")?;
    fill(&mut request, &commits);
    let event = enveloped(&serde_json::to_vec(&request)?).context("request.json")?;
    let ownership = work.path().join("ownership.yaml");
    let mut owner = serde_json::json!({ "team": "@team", "repository": repository });
    if !case.path_prefix.is_empty() {
        owner["path_prefix"] = Value::from(case.path_prefix.as_str());
    }
    let owners = serde_json::json!({ "services": { &case.service: owner } });
    fs::write(&ownership, serde_json::to_string(&owners)?)?;
    let data = work.path().join("data");
    let mut store = Store::open(&data)?;
    let id = crate::event::Event::parse(&event)?.id;
    store.transact(|tx| tx.insert(&id, &event, now()))?;
    let limits = Limits { wall: args.test_time, cpu: 2 * args.test_time, ..Limits::default() };
    let sandbox = super::run::sandbox().map_err(|_| anyhow::anyhow!("the own binary is not found"))?;
    let policy = backtrail_policy::Policy::shipped();
    let workshop = Workshop::open(&data, sandbox.clone(), policy, limits)?;
    let retry = Retry { budget: ATTEMPTS, ..Retry::default() };
    let settings = Settings { ownership, max_age: None, lease: std::time::Duration::from_mins(1), retry };
    let signer = Signer::of_folder(&data)?;
    let mut worker = Worker::new(settings, signer, StdRng::from_os_rng()).with_workshop(workshop);
    while let Some(worked) = worker.work(&mut store, now())? {
        if let crate::work::Worked::Failed(error) = worked {
            anyhow::bail!("the work failed: {error}");
        }
    }
    let rows = store.remediations(1)?;
    let row = rows.first().context("the request began no remediation")?;
    let remediation = store.chain(&row.id)?.remediation;
    let mirror = Mirror::of(&repository.display().to_string(), &data.join("mirrors"))?;
    let verified = judge(folder, &case, &store, &remediation, &mirror, &sandbox, limits)?;
    let reason = remediation.reason.clone().unwrap_or_default();
    let refused = remediation.candidates.iter().filter_map(|tried| match &tried.stage {
        Stage::Refused { by, why } => Some(format!("{} by {by}: {}", tried.candidate.id, why.join("; "))),
        _ => None,
    });
    let refused = refused.collect();
    let (id, language, class) = (case.id, case.language, case.class);
    Ok(Outcome { id, language, class, state: remediation.state, reason, verified, refused })
}

fn judge(
    folder: &Path,
    case: &Case,
    store: &Store,
    remediation: &Remediation,
    mirror: &Mirror,
    sandbox: &Sandbox,
    limits: Limits,
) -> anyhow::Result<Vec<Judged>> {
    let commit = remediation.commit.clone().unwrap_or_default();
    let mut judged = Vec::new();
    for tried in remediation.candidates.iter().filter(|tried| tried.is_verified()) {
        let patch = store.artifact(&tried.candidate.diff)?.context("the diff is gone")?;
        let tree = tempfile::tempdir()?;
        let mut worktree = Worktree::checkout(mirror, &commit, &tree.path().join("tree"))?.worktree;
        worktree.apply(&patch)?;
        let proposal = &tried.candidate.proposal;
        let on = proposal.flag.is_empty() || switch_on(&mut worktree, &tried.candidate)?;
        history::copy(&folder.join("hidden"), &worktree.path().join(".hidden"))?;
        let (results, _) = Suite::given(&case.hidden).run(sandbox, worktree.path(), None, limits)?;
        let said = results.failed.iter().chain(&results.errors).map(|(_, said)| said.as_str());
        let said = said.chain(results.could_not_run.as_deref()).collect::<Vec<_>>().join("\n");
        judged.push(Judged {
            candidate: tried.candidate.id.clone(),
            tier: tried.candidate.proposal.tier,
            title: tried.candidate.proposal.title.clone(),
            cures: results.green(),
            tried: on,
            said,
        });
    }
    Ok(judged)
}

/// Switches the flag of a candidate on in the flags file that it changed; false if there is none.
fn switch_on(worktree: &mut Worktree, candidate: &Candidate) -> anyhow::Result<bool> {
    let keys = ["flags", candidate.proposal.flag.as_str(), "defaultVariant"];
    for file in candidate.files.iter().filter(|file| Format::of_path(file) == Some(Format::Json)) {
        let path = TreePath::checked(file.as_bytes())?;
        let text = String::from_utf8(worktree.read(&path, MOST_FLAGS)?)?;
        if let Ok(on) = settings::set(Format::Json, &text, &keys, "on") {
            worktree.write(&path, on.as_bytes())?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// Puts hashes where the request names commits by their number: `@02`.
fn fill(value: &mut Value, commits: &[(String, String)]) {
    match value {
        Value::String(text) => {
            let named = text.strip_prefix('@').and_then(|number| commits.iter().find(|(one, _)| one == number));
            if let Some((_, hash)) = named {
                text.clone_from(hash);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| fill(value, commits)),
        Value::Object(fields) => fields.values_mut().for_each(|value| fill(value, commits)),
        _ => {}
    }
}
