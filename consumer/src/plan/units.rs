//! Recipe `unit_slip`: a change gave plain numbers units, and one of them got another unit than the others meant.
//!
//! What the numbers meant follows from the change itself: `2000` became `2s`, `800` became `800ms`, so a number was a
//! millisecond; then `300000` is not `300ms`.

use super::Found;
use super::place::last;
use super::restore::written_before;
use super::revert::{distinct, short};
use crate::candidate::{Draft, FileEdit, Kind, Mechanism, Origin, Proposal};
use crate::context::{ConfigFile, Context};
use crate::settings::{self, Setting};

/// Settings that must have got units together: from fewer nobody can tell which one slipped.
const LEAST: usize = 3;
/// Units with their milliseconds, the largest first.
const UNITS: [(&str, f64); 4] = [("h", 3_600_000.0), ("m", 60_000.0), ("s", 1000.0), ("ms", 1.0)];

/// A number that got a unit.
struct Named<'a> {
    file: &'a ConfigFile,
    setting: &'a Setting,
    before: f64,
    unit: &'static str,
    /// Milliseconds that one of the number became.
    factor: f64,
}

pub(super) fn slip(context: &Context) -> Found {
    for change in distinct(&context.request.recent_changes) {
        let Ok(commit) = context.mirror.resolve(&change.sha) else { continue };
        let named = named(context, &commit);
        if let Some((slipped, factor)) = odd_one(&named) {
            return draft(context, &commit, &named, slipped, factor);
        }
    }
    Err("no recent change gave numbers units that contradict each other".into())
}

fn named<'a>(context: &'a Context, commit: &str) -> Vec<Named<'a>> {
    let mut found = Vec::new();
    for file in &context.configs {
        for (setting, before) in written_before(context, file, commit) {
            let (Ok(before), Some((value, unit, factor))) = (before.parse::<f64>(), duration(&setting.value)) else {
                continue;
            };
            if before > 0.0 {
                found.push(Named { file, setting, before, unit, factor: value * factor / before });
            }
        }
    }
    found
}

/// A duration with its unit and the unit's milliseconds.
fn duration(text: &str) -> Option<(f64, &'static str, f64)> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let (unit, factor) = UNITS.into_iter().find(|(unit, _)| *unit == &text[digits.len()..])?;
    Some((digits.parse().ok()?, unit, factor))
}

/// The only one that differs from all others, and what a number means to the others.
fn odd_one<'a, 'b>(named: &'b [Named<'a>]) -> Option<(&'b Named<'a>, f64)> {
    let same = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-9;
    let of = |factor: f64| named.iter().filter(|one| same(one.factor, factor)).count();
    let usual = named.iter().map(|one| one.factor).find(|factor| of(*factor) + 1 == named.len())?;
    let odd = named.iter().find(|one| !same(one.factor, usual))?;
    (named.len() > LEAST).then_some((odd, usual))
}

fn draft(context: &Context, commit: &str, named: &[Named<'_>], slipped: &Named<'_>, factor: f64) -> Found {
    let (setting, file) = (slipped.setting, slipped.file);
    if !context.code_mentions(last(setting)) {
        return Err(format!("no code of the service reads {}", setting.name()));
    }
    let millis = slipped.before * factor;
    let known = |unit: &str| named.iter().any(|one| one.unit == unit);
    let fits = UNITS.into_iter().find(|(unit, of)| known(unit) && (millis / of).fract().abs() < 1e-9);
    let Some((unit, of)) = fits else { return Err(format!("{} cannot be written in a known unit", setting.name())) };
    let value = format!("{}{unit}", millis / of);
    let text = settings::set(file.format, &file.text, &setting.keys, &value)
        .map_err(|why| format!("{} cannot be changed: {why}", setting.name()))?;
    let others = named.iter().filter(|one| !std::ptr::eq(*one, slipped));
    let others: Vec<String> =
        others.map(|one| format!("{} from {} to {}", one.setting.name(), one.before, one.setting.value)).collect();
    let log = context.mirror.log(commit, None, None, 1).unwrap_or_default();
    let proposal = Proposal {
        recipe: "unit_slip".into(),
        tier: 1,
        kind: Kind::Config,
        origin: Origin::Recipe,
        title: format!("Set {} to {value}", setting.name()),
        why: vec![
            format!("{} gave numbers units: {}", short(commit), others.join(", ")),
            format!(
                "and {}:{} {} from {} to {}",
                file.path,
                setting.line,
                setting.name(),
                slipped.before,
                setting.value
            ),
        ],
        computation: vec![
            format!("to the others one of a number is {factor} ms, here it became {} ms", slipped.factor),
            format!("{} * {factor} ms = {value}", slipped.before),
        ],
        mechanism: Mechanism {
            metric: "calls_per_request".into(),
            now: String::new(),
            claim: "as before the change".into(),
        },
        risk: "the value was meant to change with its unit".into(),
        undo: format!("set it to {} again", setting.value),
        authors: log.first().map(|log| format!("{} <{}>", log.author, log.mail)).into_iter().collect(),
        flag: String::new(),
        tests: Vec::new(),
    };
    let edits = vec![FileEdit { path: file.path.clone(), content: Some(text.into_bytes()) }];
    Ok(vec![Draft { proposal, edits }])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::settings::{Format, read};

    #[test]
    fn the_one_that_contradicts_all_others_is_found() {
        let text = "a: 2s\nb: 800ms\nc: 1s\nttl: 300ms\n";
        let settings = read(Format::Yaml, text).expect("readable");
        let file = ConfigFile { path: "c.yaml".into(), format: Format::Yaml, text: text.into(), settings };
        let with = |before: &[f64]| -> Option<(String, f64)> {
            let named: Vec<Named<'_>> = file
                .settings
                .iter()
                .zip(before)
                .map(|(setting, before)| {
                    let (value, unit, factor) = duration(&setting.value).expect("a duration");
                    Named { file: &file, setting, before: *before, unit, factor: value * factor / before }
                })
                .collect();
            odd_one(&named).map(|(odd, factor)| (odd.setting.name(), factor))
        };
        assert_eq!(with(&[2000.0, 800.0, 1000.0, 300_000.0]), Some(("ttl".into(), 1.0)));
        assert_eq!(with(&[2000.0, 800.0, 1000.0, 300.0]), None, "they agree");
        assert_eq!(with(&[2.0, 800.0, 1.0, 300.0]), None, "two against two");
        assert_eq!(with(&[2000.0, 800.0, 1_000_000.0]), None, "too few to tell");
    }

    proptest! {
        /// Whatever the numbers meant: the one that slipped is found, and gets the duration that its number had.
        #[test]
        fn the_slip_is_found_and_its_duration_restored(
            numbers in proptest::collection::vec(1..5000_u32, 4..9),
            odd in any::<prop::sample::Index>(),
            seconds in any::<bool>(),
        ) {
            let meant = if seconds { "s" } else { "ms" };
            let odd = odd.index(numbers.len());
            let line = |(n, number): (usize, &u32)| {
                let unit = if n != odd { meant } else if seconds { "ms" } else { "s" };
                format!("k{n}: {number}{unit}\n")
            };
            let text: String = numbers.iter().enumerate().map(line).collect();
            let settings = read(Format::Yaml, &text).expect("readable");
            let file = ConfigFile { path: "c.yaml".into(), format: Format::Yaml, text, settings };
            let named: Vec<Named<'_>> = file.settings.iter().zip(&numbers).map(|(setting, before)| {
                let (value, unit, factor) = duration(&setting.value).expect("a duration");
                let before = f64::from(*before);
                Named { file: &file, setting, before, unit, factor: value * factor / before }
            }).collect();
            let (found, factor) = odd_one(&named).expect("one contradicts the others");
            prop_assert_eq!(found.setting.name(), format!("k{odd}"));
            let wanted = if seconds { 1000.0 } else { 1.0 };
            prop_assert!((factor - wanted).abs() < 1e-9);
        }
    }
}
