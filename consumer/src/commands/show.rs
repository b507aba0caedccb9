//! `backtrail-consumer show`: a remediation with its journal.

use serde_json::json;

use super::{existing, one};
use crate::candidate::Candidate;
use crate::cli::{Exit, Failure, Out, Show};
use crate::evidence::PUBLIC_FILE;
use crate::journal::Chain;
use crate::state::Remediation;
use crate::step::Effect;
use crate::store::Store;
use crate::work::BUNDLES;

/// Runs the command.
pub(crate) fn run(args: &Show, out: &mut Out) -> Result<Exit, Failure> {
    let store = existing(&args.data)?;
    let row = one(&store, &args.id)?;
    let chain = store.chain(&row.id)?;
    let error = store.last_error(&row.event_id)?;
    let bundle = bundle(&store, &chain.remediation);
    let key = std::fs::read_to_string(store.dir().join(PUBLIC_FILE)).unwrap_or_default();
    if args.json {
        out.json(&json!({ "id": row.id, "remediation": chain.remediation, "journal": chain.entries,
            "bundle": bundle, "waits_because": error, "public_key": key }))?;
    } else {
        print(&row.id, &chain, bundle.as_deref(), &error, &key, out)?;
    }
    Ok(Exit::Ok)
}

fn bundle(store: &Store, remediation: &Remediation) -> Option<String> {
    let Effect::Seal { file, .. } = remediation.sealed.as_ref()?;
    Some(store.dir().join(BUNDLES).join(file).display().to_string())
}

fn print(id: &str, chain: &Chain, bundle: Option<&str>, error: &str, key: &str, out: &mut Out) -> std::io::Result<()> {
    let remediation = &chain.remediation;
    let request = &remediation.request;
    out.line(&format!("{id} is {}", remediation.state.name()))?;
    if let Some(reason) = &remediation.reason {
        out.line(&format!("  reason    {reason}"))?;
    }
    if !error.is_empty() {
        out.line(&format!("  waits     {error}"))?;
    }
    out.line(&format!("  service   {}", request.service))?;
    out.line(&format!("  incident  {}, revision {}", request.incident, request.revision))?;
    out.line(&format!("  event     {}", request.event_id))?;
    if let Some(mapping) = &remediation.mapping {
        out.line(&format!("  code      {} at {}", mapping.repository, mapping.commit))?;
        out.line(&format!("  files     {}", mapping.files.join(", ")))?;
        out.line(&format!("  functions {}", mapping.functions.join(", ")))?;
    }
    for tried in &remediation.candidates {
        candidate(&tried.candidate, out)?;
    }
    out.line("  journal")?;
    for entry in &chain.entries {
        out.line(&format!("    {}  {}  {}", entry.seq, entry.at_unix_nano, entry.step.name()))?;
    }
    if let Some(bundle) = bundle {
        out.line(&format!("  bundle    {bundle}"))?;
    }
    for line in key.lines() {
        out.line(&format!("  {line}"))?;
    }
    Ok(())
}

fn candidate(candidate: &Candidate, out: &mut Out) -> std::io::Result<()> {
    let (proposal, impact) = (&candidate.proposal, &candidate.impact);
    out.line(&format!("  candidate {}, tier {}: {}", candidate.id, proposal.tier, proposal.title))?;
    let lists = [
        ("changes", &impact.functions),
        ("callers", &impact.callers),
        ("routes", &impact.endpoints),
        ("objectives", &impact.slos),
        ("traffic", &impact.traffic),
        ("not known", &impact.unknown),
    ];
    for (what, lines) in lists {
        for line in lines {
            out.line(&format!("    {what:<10} {line}"))?;
        }
    }
    Ok(())
}
