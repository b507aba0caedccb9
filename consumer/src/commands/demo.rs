//! `backtrail-consumer demo`: the repair of the demo shop, from the patch request in a queue to a signed bundle.
//!
//! `backtrail demo --patch` runs it behind the replay of the shop's telemetry. Everything is the real thing but the
//! people: an owner is invented, with a key of her own, so that the gate can be shown.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use backtrail_sandbox::Limits;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::now;
use crate::approval::{Approvers, Consent, Subject};
use crate::candidate::Stage;
use crate::cli::{Demo, Exit, Failure, Out};
use crate::evidence::{Bundle, Signer};
use crate::history;
use crate::intake::{Spool, take_in};
use crate::journal::Chain;
use crate::ownership;
use crate::retry::Retry;
use crate::state::{State, Tried};
use crate::step::{Effect, Step};
use crate::store::Store;
use crate::work::{BUNDLES, Settings, Worked, Worker, owners_of};
use crate::workshop::Workshop;

/// Who approves in the demo.
const OWNER: &str = "olga@example.com";
/// Most requests of the queue.
const BATCH: usize = 64;

/// Runs the command.
pub(crate) fn run(args: &Demo, out: &mut Out) -> Result<Exit, Failure> {
    let history = args.shop.join("history");
    if !history.is_dir() {
        let hint = "run it in the repository of backtrail, or name the folder with --shop";
        return Err(Failure::usage(format!("{} is not the demo shop", args.shop.display()), hint));
    }
    let dir = &args.data.data_dir;
    fresh(dir)?;
    let repository = fs::canonicalize(dir)?.join("shop");
    history::make(&history, &repository)?;
    let ownership = owned(&args.shop, dir, &repository)?;
    let (owner, approvers) = people(dir)?;
    let mut store = Store::open(dir)?;
    let mut spool = Spool::open(&args.spool)?;
    let taken = take_in(&mut spool, &mut store, &backtrail_redact::Redactor::new(), BATCH, now())?;
    if taken == 0 {
        return Err(anyhow::anyhow!("there is no patch request in {}", args.spool.display()).into());
    }
    let mut worker = worker(dir, &ownership)?;
    work(&mut worker, &mut store)?;
    let rows = store.remediations(1)?;
    let row = rows.first().context("the request began no remediation")?;
    let chain = store.chain(&row.id)?;
    tell(&chain, &store, out)?;
    if chain.remediation.state != State::Verified {
        return Ok(Exit::Problem);
    }
    let tried = chain.remediation.proposed().context("no candidate is verified")?;
    let approval = {
        let known = ownership::read(&ownership)?;
        let owners = owners_of(&chain.remediation, &tried.candidate, &known);
        let subject = Subject { remediation: &row.id, candidate: &tried.candidate, owners: &owners };
        let signed = Consent::new(&row.id, &tried.candidate, OWNER, now()).sign(&owner);
        approvers.accept(&signed, subject, now()).context("the approval does not count")?
    };
    store.transact(|tx| {
        let lease = tx.seize(&chain.remediation.request.event_id, now())?;
        tx.append(&lease, &row.id, &Step::Approved { approval: approval.clone() }, now())
    })?;
    work(&mut worker, &mut store)?;
    sealed(&store, &row.id, out)
}

/// An empty folder; one that an earlier demo left is emptied.
fn fresh(dir: &Path) -> anyhow::Result<()> {
    let mark = dir.join("demo");
    if mark.is_file() {
        fs::remove_dir_all(dir).with_context(|| format!("cannot clear {}", dir.display()))?;
    }
    let taken = fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some());
    ensure!(!taken, "{} holds something else than an earlier demo", dir.display());
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    fs::write(&mark, "made by backtrail-consumer demo\n").with_context(|| format!("cannot write {}", mark.display()))
}

/// The shop's `ownership.yaml` with the repository that was made.
fn owned(shop: &Path, dir: &Path, repository: &Path) -> anyhow::Result<PathBuf> {
    let file = shop.join("ownership.yaml");
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let text = text.replace("repository: shop.git", &format!("repository: {}", repository.display()));
    let owners = "history/01-first-version/files/CODEOWNERS";
    fs::copy(shop.join(owners), dir.join("CODEOWNERS")).context("cannot copy CODEOWNERS")?;
    let path = dir.join("ownership.yaml");
    fs::write(&path, text.replace(owners, "CODEOWNERS")).context("cannot write ownership.yaml")?;
    Ok(path)
}

/// An owner of payments with her key, and `approvers.yaml` that knows her.
fn people(dir: &Path) -> anyhow::Result<(Signer, Approvers)> {
    let signer = Signer::make(&dir.join("olga.key"))?;
    let key = signer.public().to_pem().replace('\n', "\n      ");
    let text = format!("approvers:\n  {OWNER}:\n    teams: [\"@shop/payments\"]\n    key: |\n      {key}\n");
    let path = dir.join("approvers.yaml");
    fs::write(&path, text).context("cannot write approvers.yaml")?;
    Ok((signer, Approvers::read(&path)?))
}

fn worker(dir: &Path, ownership: &Path) -> Result<Worker, Failure> {
    let limits = Limits { wall: Duration::from_mins(5), ..Limits::default() };
    let workshop = Workshop::open(dir, super::run::sandbox()?, backtrail_policy::Policy::shipped(), limits)?;
    let settings = Settings {
        ownership: ownership.to_owned(),
        max_age: None,
        lease: Duration::from_mins(1),
        retry: Retry { budget: 1, ..Retry::default() },
    };
    let signer = Signer::of_folder(dir)?;
    Ok(Worker::new(settings, signer, StdRng::from_os_rng()).with_workshop(workshop))
}

fn work(worker: &mut Worker, store: &mut Store) -> anyhow::Result<()> {
    while let Some(worked) = worker.work(store, now())? {
        if let Worked::Failed(error) = worked {
            anyhow::bail!("the work failed: {error}");
        }
    }
    Ok(())
}

/// What was found, planned and proved.
fn tell(chain: &Chain, store: &Store, out: &mut Out) -> anyhow::Result<()> {
    let remediation = &chain.remediation;
    for entry in &chain.entries {
        match &entry.step {
            Step::ContextReady { context } => {
                out.line("")?;
                out.line(&format!("THE CODE at {}", &context.commit[..12]))?;
                for (name, list) in [
                    ("suspect", &context.suspects),
                    ("called by", &context.callers),
                    ("reached by", &context.endpoints),
                ] {
                    for one in list.iter().take(4) {
                        out.line(&format!("  {name:<10} {one}"))?;
                    }
                }
                out.line("")?;
                out.line("CANDIDATES, least risk first")?;
            }
            Step::Planned { left_out, .. } => {
                for tried in &remediation.candidates {
                    candidate(tried, store, out)?;
                }
                for one in left_out {
                    out.line(&format!("  no {}: {}", one.recipe, one.why))?;
                }
            }
            _ => {}
        }
    }
    if let Some(reason) = &remediation.reason {
        out.line("")?;
        out.line(&format!("{}: {reason}", remediation.state.name()))?;
    }
    Ok(())
}

fn candidate(tried: &Tried, store: &Store, out: &mut Out) -> anyhow::Result<()> {
    let proposal = &tried.candidate.proposal;
    out.line("")?;
    out.line(&format!("  {}  tier {}  {}", tried.candidate.id, proposal.tier, proposal.title))?;
    for line in proposal.why.iter().chain(&proposal.computation) {
        out.line(&format!("      {line}"))?;
    }
    let mechanism = &proposal.mechanism;
    let now = if mechanism.now.is_empty() { String::new() } else { format!(" (now {})", mechanism.now) };
    out.line(&format!("      judged by {}{now}: {}", mechanism.metric, mechanism.claim))?;
    match &tried.stage {
        Stage::Verified { proof } => {
            out.line(&format!(
                "      verified: {} tests passed before, {} after",
                proof.before.passed, proof.after.passed
            ))?;
            if !proof.added.is_empty() {
                let (added, times) = (proof.added.len(), proof.repeats);
                out.line(&format!(
                    "      {added} tests added: they fail before, and pass {times} times of {times} after"
                ))?;
            }
            out.line(&format!("      kept apart: {}", proof.isolated.join(", ")))?;
            if !proof.not_isolated.is_empty() {
                out.line(&format!("      NOT kept apart: {}", proof.not_isolated.join(", ")))?;
            }
        }
        Stage::Refused { by, why } => out.line(&format!("      refused by {by}: {}", why.join("; ")))?,
        stage => out.line(&format!("      {stage:?}"))?,
    }
    if let Some(patch) = store.artifact(&tried.candidate.diff)? {
        for line in String::from_utf8_lossy(&patch).lines().filter(|line| !line.starts_with("index ")).take(60) {
            out.line(&format!("      | {line}"))?;
        }
    }
    Ok(())
}

/// The bundle, verified, and verified again with one byte changed.
fn sealed(store: &Store, id: &str, out: &mut Out) -> Result<Exit, Failure> {
    let chain = store.chain(id)?;
    let Some(Effect::Seal { file, .. }) = &chain.remediation.sealed else {
        return Err(anyhow::anyhow!("no evidence was written").into());
    };
    let path = store.dir().join(BUNDLES).join(file);
    let mut bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let key = Signer::of_folder(store.dir())?.public();
    let verified = Bundle::verify(&bytes, Some(&key)).context("the bundle")?;
    out.line("")?;
    out.line("EVIDENCE")?;
    out.line(&format!("  {} is {}: {}", id, verified.decision.state.name(), verified.decision.reason))?;
    out.line(&format!("  signed bundle {}: valid", path.display()))?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let Err(invalid) = Bundle::verify(&bytes, Some(&key)) else {
        return Err(anyhow::anyhow!("a changed bundle is valid").into());
    };
    out.line(&format!("  with byte {middle} changed: {invalid}"))?;
    let (dir, public) = (store.dir().display(), store.dir().join(crate::evidence::PUBLIC_FILE));
    out.line("")?;
    out.line("NEXT")?;
    out.line(&format!("  backtrail-consumer show {id} --data-dir {dir}"))?;
    out.line(&format!("  backtrail-consumer verify {} --key {}", path.display(), public.display()))?;
    Ok(Exit::Ok)
}
