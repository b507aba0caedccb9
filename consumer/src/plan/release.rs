//! Recipe `release_first`: a recent change put a way out before the statement that gives a resource back. That one
//! statement returns to where it stood; the rest of the change stays.
//!
//! Only where the statement is one line that works wherever it stands: Go's `defer`.

use backtrail_code::{Language, parse};

use super::Found;
use super::needs::{Needs, keeps};
use super::revert::{distinct, short};
use crate::candidate::{Draft, FileEdit, Kind, Mechanism, Origin, Proposal};
use crate::context::{Context, Suspect};

/// Lines before the statement by which its place is known again.
const BEFORE: usize = 3;

pub(super) fn first(context: &Context) -> Found {
    if !Needs::of(&context.request).pool {
        return Err("telemetry does not speak of something that ran out".into());
    }
    let mut why_not = Vec::new();
    for suspect in context.suspects.iter().filter(|suspect| Language::of_path(&suspect.path) == Some(Language::Go)) {
        for change in distinct(&context.request.recent_changes) {
            let Ok(commit) = context.mirror.resolve(&change.sha) else { continue };
            match moved_back(context, suspect, &commit) {
                Ok(draft) => return Ok(vec![draft]),
                Err(why) => why_not.push(format!("{}: {why}", short(&commit))),
            }
        }
    }
    Err(if why_not.is_empty() {
        "no suspect function that a recent change could have altered".into()
    } else {
        why_not.join("; ")
    })
}

fn moved_back(context: &Context, suspect: &Suspect, commit: &str) -> Result<Draft, String> {
    let (name, _) = suspect.function.as_ref().ok_or("the function is not known")?;
    let parents = context.mirror.parents(commit).map_err(|error| error.to_string())?;
    let parent = parents.first().ok_or("there is nothing before it")?;
    let of = |commit: &str| function(&context.text_at(commit, &suspect.path)?, name);
    let (Some((_, before)), Some((_, after))) = (of(parent), of(commit)) else {
        return Err(format!("{name} was not there before or after it"));
    };
    let how = keeps(&before, &after).ok_or("it moved nothing that gives back")?;
    let text = context.text_at(&context.commit, &suspect.path).ok_or("the file is gone")?;
    let (start, now) = function(&text, name).ok_or("the function is gone")?;
    let mended = with_statement_back(&before, &now).ok_or("the place where it stood is not found again")?;
    if keeps(&before, &mended).is_some() {
        return Err("there would still be a way out before it".into());
    }
    let mut whole = text.clone();
    whole.replace_range(start..start + now.len(), &mended);
    let log = context.mirror.log(commit, None, None, 1).unwrap_or_default();
    let subject = log.first().map_or("", |log| log.subject.as_str());
    let proposal = Proposal {
        recipe: "release_first".into(),
        tier: 0,
        kind: Kind::Revert,
        origin: Origin::Recipe,
        title: format!("Give back in {name} before any way out, as before \"{subject}\""),
        why: vec![format!("{} changed {name}: {how}", short(commit))],
        computation: Vec::new(),
        mechanism: Mechanism {
            metric: "connections_in_use".into(),
            now: String::new(),
            claim: "falls back when requests end".into(),
        },
        risk: "low: the statement stands where it stood, and the rest of the change stays".into(),
        undo: "move the statement down again".into(),
        authors: log.first().map(|log| format!("{} <{}>", log.author, log.mail)).into_iter().collect(),
        flag: String::new(),
        tests: Vec::new(),
    };
    let edits = vec![FileEdit { path: suspect.path.clone(), content: Some(whole.into_bytes()) }];
    Ok(Draft { proposal, edits })
}

/// A function's text and where it begins in the file.
fn function(text: &str, name: &str) -> Option<(usize, String)> {
    let parsed = parse(Language::Go, text.to_owned()).ok()?;
    let place = parsed.functions().iter().position(|function| function.qualified == name)?;
    Some((parsed.functions()[place].bytes.start, parsed.text_of_function(place).to_owned()))
}

/// Moves the one `defer` statement that both versions have to where it stood before: behind the same lines.
fn with_statement_back(before: &str, now: &str) -> Option<String> {
    let old: Vec<&str> = before.lines().collect();
    let mut lines: Vec<&str> = now.lines().collect();
    let is_defer = |line: &&&str| line.trim_start().starts_with("defer ");
    let mut shared =
        old.iter().filter(is_defer).filter(|line| lines.iter().filter(|one| one.trim() == line.trim()).count() == 1);
    let (Some(statement), None) = (shared.next(), shared.next()) else { return None };
    let stood = old.iter().position(|line| line.trim() == statement.trim())?;
    let context: Vec<&str> = old[..stood].iter().rev().take(BEFORE).rev().map(|line| line.trim()).collect();
    let stands = lines.iter().position(|line| line.trim() == statement.trim())?;
    let trimmed: Vec<&str> = lines.iter().map(|line| line.trim()).collect();
    let mut places = (context.len()..=stands).filter(|&at| trimmed[at - context.len()..at] == context[..]);
    let (Some(place), None) = (places.next(), places.next()) else { return None };
    if context.len() < BEFORE || place == stands {
        return None;
    }
    let moved = lines.remove(stands);
    lines.insert(place, moved);
    let ending = if now.ends_with('\n') { "\n" } else { "" };
    Some(lines.join("\n") + ending)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE_IT: &str = "func get() error {\n\tr, err := ask()\n\tif err != nil {\n\t\treturn err\n\t}\n\tdefer r.Close()\n\tif r.Bad {\n\t\treturn errBad\n\t}\n\treturn nil\n}";
    const AFTER_IT: &str = "func get() error {\n\tr, err := ask()\n\tif err != nil {\n\t\treturn err\n\t}\n\tif r.None {\n\t\treturn errNone\n\t}\n\tdefer r.Close()\n\treturn nil\n}";

    #[test]
    fn the_statement_returns_to_its_place_and_the_rest_stays() {
        let mended = with_statement_back(BEFORE_IT, AFTER_IT).expect("found");
        let wanted =
            AFTER_IT.replace("\tdefer r.Close()\n", "").replace("\tif r.None", "\tdefer r.Close()\n\tif r.None");
        assert_eq!(mended, wanted);
        assert_eq!(keeps(BEFORE_IT, &mended), None);
    }

    #[test]
    fn where_the_place_is_not_clear_nothing_is_moved() {
        assert_eq!(with_statement_back(BEFORE_IT, BEFORE_IT), None, "it stands there already");
        let two = AFTER_IT.replace("\treturn nil", "\tdefer r.Close()\n\treturn nil");
        assert_eq!(with_statement_back(BEFORE_IT, &two), None, "two of them");
        assert!(with_statement_back(BEFORE_IT, &AFTER_IT.replace("ask()", "other()")).is_some());
        assert_eq!(
            with_statement_back(BEFORE_IT, &AFTER_IT.replace("\t\treturn err\n", "\t\treturn wrap(err)\n")),
            None
        );
    }
}
