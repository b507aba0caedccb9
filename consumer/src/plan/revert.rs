//! Recipe `revert`: takes back the recent change that is the likeliest cause. Three things must hold: it changed what the
//! suspect function means, it took away what the failure lacks (see [`super::needs`]), and later changes do not stand in the way.

use std::collections::BTreeSet;

use backtrail_code::{Language, changed_functions, is_trivial, parse};
use backtrail_model::patch_request::RecentChange;
use backtrail_policy::{FileKind, kind_of};
use backtrail_sandbox::git::Revert;

use super::Found;
use super::loops::{calls, for_each};
use super::needs::{Lines, Needs, keeps};
use crate::candidate::{Draft, FileEdit, Kind, Mechanism, Origin, Proposal};
use crate::context::{Context, Suspect};

/// Most changes that are looked at.
const MOST_CHANGES: usize = 20;

pub(super) fn revert(context: &Context) -> Found {
    let mut why_not = Vec::new();
    let mut found: Vec<(usize, Draft)> = Vec::new();
    for change in distinct(&context.request.recent_changes) {
        match consider(context, change) {
            Ok(draft) => found.push(draft),
            Err(why) => why_not.push(format!("{}: {why}", short(&change.sha))),
        }
    }
    if found.is_empty() {
        let none = "telemetry names no recent change".to_owned();
        return Err(if why_not.is_empty() { none } else { why_not.join("; ") });
    }
    // What took most away first; of equals the newest, which the request names first.
    found.sort_by_key(|(taken, _)| std::cmp::Reverse(*taken));
    Ok(found.into_iter().map(|(_, draft)| draft).collect())
}

/// The changes, one a commit, as the request orders them.
pub(super) fn distinct(changes: &[RecentChange]) -> Vec<&RecentChange> {
    let mut seen = BTreeSet::new();
    changes.iter().filter(|change| !change.sha.is_empty() && seen.insert(&change.sha)).take(MOST_CHANGES).collect()
}

fn consider(context: &Context, change: &RecentChange) -> Result<(usize, Draft), String> {
    let said = |error: backtrail_sandbox::Error| error.to_string();
    let commit = context.mirror.resolve(&change.sha).map_err(said)?;
    let parents = context.mirror.parents(&commit).map_err(said)?;
    let parent = parents.first().ok_or("it is the first commit: there is nothing before it")?;
    if !is_ancestor(context, &commit) {
        return Err("it is not part of what is deployed".into());
    }
    let diff = context.mirror.diff(parent, &commit).map_err(said)?;
    let touched = touched(context, parent, &commit)?;
    let needs = Needs::of(&context.request);
    let mut taken = needs.taken_by(&lines(&String::from_utf8_lossy(&diff.patch)));
    taken.extend(kept(context, &needs, parent, &commit));
    taken.extend(looped(context, &needs, parent, &commit));
    if taken.is_empty() {
        return Err(format!("it changed {touched}, but it took nothing away that the failure lacks"));
    }
    let edits = match context.mirror.revert_tree(&commit, &context.commit).map_err(said)? {
        Revert::Clean { edits, .. } if edits.is_empty() => return Err("it is taken back already".into()),
        Revert::Clean { edits, .. } => edits,
        Revert::Conflict { paths } => {
            let paths: Vec<String> = paths.iter().map(ToString::to_string).collect();
            return Err(format!("later changes of {} stand in the way", paths.join(", ")));
        }
    };
    let edits: Vec<FileEdit> = edits
        .into_iter()
        .map(|edit| {
            let path = String::from_utf8(edit.path.as_bytes().to_vec()).map_err(|_| "a path is no text".to_owned())?;
            Ok(FileEdit { path, content: edit.after })
        })
        .collect::<Result<_, String>>()?;
    let log = context.mirror.log(&commit, None, None, 1).map_err(said)?;
    let (subject, author) = log
        .first()
        .map_or_else(Default::default, |log| (log.subject.clone(), format!("{} <{}>", log.author, log.mail)));
    let proposal = Proposal {
        recipe: "revert".into(),
        tier: 0,
        kind: Kind::Revert,
        origin: Origin::Recipe,
        title: format!("Revert \"{subject}\""),
        why: std::iter::once(format!("{} changed {touched}", short(&commit))).chain(taken.iter().cloned()).collect(),
        computation: Vec::new(),
        mechanism: mechanism(context),
        risk: "what the change was made for is gone until it comes back mended".into(),
        undo: "revert the revert".into(),
        authors: vec![author],
        flag: String::new(),
        tests: Vec::new(),
    };
    Ok((taken.len(), Draft { proposal, edits }))
}

fn mechanism(context: &Context) -> Mechanism {
    let storm = super::load::Storm::of(&context.request);
    let (metric, now, claim) = match storm {
        Some(storm) => ("attempts_per_request", format!("{:.2}", storm.attempts), "falls, from the first request on"),
        None => ("error_rate", String::new(), "not above that of the concurrent baseline, and falls"),
    };
    Mechanism { metric: metric.into(), now, claim: claim.into() }
}

/// What the change did to the suspect: the functions whose meaning it changed, or the configuration that the suspect reads.
fn touched(context: &Context, parent: &str, commit: &str) -> Result<String, String> {
    let mut names = BTreeSet::new();
    for suspect in &context.suspects {
        if changed(context, suspect, parent, commit) {
            let name = suspect.function.as_ref().map_or(suspect.path.as_str(), |(name, _)| name.as_str());
            names.insert(name.to_owned());
        }
    }
    if names.is_empty() {
        return Err("it did not change what the suspect does".into());
    }
    Ok(names.into_iter().collect::<Vec<_>>().join(", "))
}

/// Whether the suspect's code means something else since the commit.
fn changed(context: &Context, suspect: &Suspect, parent: &str, commit: &str) -> bool {
    let Some(language) = Language::of_path(&suspect.path) else { return false };
    let at = |commit: &str| parse(language, context.text_at(commit, &suspect.path)?).ok();
    let (Some(before), Some(after)) = (at(parent), at(commit)) else { return false };
    match &suspect.function {
        None => !is_trivial(&before, &after),
        Some((name, _)) => {
            let changes = changed_functions(&before, &after);
            changes.changed.iter().chain(&changes.added).any(|changed| changed == name)
        }
    }
}

/// How a suspect function came to keep what it takes, where something ran out.
fn kept(context: &Context, needs: &Needs, parent: &str, commit: &str) -> Vec<String> {
    let mut found = Vec::new();
    for suspect in context.suspects.iter().filter(|_| needs.pool) {
        let (Some(language), Some((name, _))) = (Language::of_path(&suspect.path), &suspect.function) else { continue };
        let at = |commit: &str| {
            let parsed = parse(language, context.text_at(commit, &suspect.path)?).ok()?;
            let place = parsed.functions().iter().position(|function| function.qualified == *name)?;
            Some(parsed.text_of_function(place).to_owned())
        };
        if let (Some(before), Some(after)) = (at(parent), at(commit)) {
            found.extend(keeps(&before, &after).map(|how| format!("{how} in {name}")));
        }
    }
    found
}

/// How a suspect function came to call for each thing what it called once for all.
fn looped(context: &Context, needs: &Needs, parent: &str, commit: &str) -> Vec<String> {
    let mut found = Vec::new();
    for suspect in context.suspects.iter().filter(|_| needs.fewer_calls) {
        let (Some(language), Some((name, _))) = (Language::of_path(&suspect.path), &suspect.function) else { continue };
        let at = |commit: &str| {
            let parsed = parse(language, context.text_at(commit, &suspect.path)?).ok()?;
            let place = parsed.functions().iter().position(|function| function.qualified == *name)?;
            Some(calls(&parsed, parsed.node_of(place)?))
        };
        if let (Some(before), Some(after)) = (at(parent), at(commit)) {
            let into = for_each(&before, &after);
            found.extend(into.map(|call| format!("it calls {call} for each thing in {name}")));
        }
    }
    found
}

fn is_ancestor(context: &Context, commit: &str) -> bool {
    let log = context.mirror.log(&context.commit, None, None, 10_000).unwrap_or_default();
    log.iter().any(|one| one.commit == commit)
}

/// The lines of a patch, without those of tests and prose.
fn lines(patch: &str) -> Lines {
    let (mut lines, mut counts) = (Lines::default(), false);
    for line in patch.lines() {
        if let Some(names) = line.strip_prefix("diff --git ") {
            let path = names.rsplit(" b/").next().unwrap_or_default();
            counts = matches!(kind_of(path), FileKind::Source | FileKind::Config);
        } else if line.starts_with("+++ ") || line.starts_with("--- ") {
        } else if let Some(added) = line.strip_prefix('+').filter(|_| counts) {
            lines.added.push(added.to_owned());
        } else if let Some(removed) = line.strip_prefix('-').filter(|_| counts) {
            lines.removed.push(removed.to_owned());
        }
    }
    lines
}

pub(super) fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}
