//! Properties of the recipes that compute a number, whatever the load and however the file is written: the value stays
//! within its bounds, asks nobody for more than before, and nothing but the value changes in the file.

use std::path::Path;

use backtrail_model::patch_request::EdgeLoad;
use backtrail_sandbox::git::Mirror;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use super::load::{Storm, is_saturated};
use super::needs::{Needs, overrun};
use super::{Found, deadline, pool, retries, timeout};
use crate::candidate::Draft;
use crate::context::{ConfigFile, Context};
use crate::settings::{Format, read};
use crate::triage::Mapping;

/// What the suspect's code reads.
const CODE: &str = "def charge(config):\n    return config['max_retries'], config['max_attempts'], config['retry_budget'], \\\n        config['timeout_ms'], config['timeout'], config['pool_size']\n";
const CASES: u32 = 300;

/// A service whose requests and settings can be replaced.
struct Bench {
    context: Context,
    _dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let first = dir.path().join("history/01-first");
        let write = |name: &str, text: &str| {
            let path = first.join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, text).expect("written");
        };
        write("COMMIT", "Author: Ana <ana@shop.example>\nDate: 2026-05-04T10:00:00+00:00\n\nFirst\n");
        write("files/pay.py", CODE);
        let repository = dir.path().join("repository");
        let commits = crate::history::make(&dir.path().join("history"), &repository).expect("a repository");
        let (commit, repository) = (commits[0].1.clone(), repository.display().to_string());
        let mut request = crate::event::tests::request("i", 1, "pay");
        request["code_context"]["functions"] = serde_json::json!(["charge"]);
        let request = serde_json::from_value(request).expect("a request");
        let mapping = Mapping {
            repository: repository.clone(),
            commit: commit.clone(),
            team: String::new(),
            path_prefix: String::new(),
            default_branch: String::new(),
            files: vec!["pay.py".into()],
            functions: vec!["charge".into()],
        };
        let mirror = Mirror::of(&repository, Path::new(&dir.path().join("mirrors"))).expect("mirrored");
        let context = Context::read(&request, &mapping, mirror, commit).expect("readable");
        Self { context, _dir: dir }
    }

    /// Runs a recipe on many loads and files, and looks at what it drafts. Gives how often it drafted something.
    fn run(
        self,
        recipe: fn(&Context) -> Found,
        keys: &'static [&'static str],
        values: impl Strategy<Value = String>,
        holds: impl Fn(&Context, f64, f64) -> Result<(), TestCaseError>,
    ) -> u32 {
        let context = std::cell::RefCell::new(self.context);
        let drafted = std::cell::Cell::new(0);
        let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
        let strategy = (edges(), file(keys, values));
        let outcome = runner.run(&strategy, |(load, (config, value))| {
            let mut context = context.borrow_mut();
            context.request.telemetry_summary.load = load;
            context.configs = vec![config];
            if let Ok(drafts) = recipe(&context) {
                drafted.set(drafted.get() + 1);
                let new = only_the_value_changed(&context.configs[0], &drafts, &value)?;
                holds(&context, number(&value), number(&new))?;
            }
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("{error}"));
        drafted.get()
    }
}

/// Milliseconds of a duration, or a plain number.
fn number(value: &str) -> f64 {
    let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = if value.ends_with('s') && !value.ends_with("ms") { 1000.0 } else { 1.0 };
    digits.parse::<f64>().expect("a number") * factor
}

fn edges() -> impl Strategy<Value = Vec<EdgeLoad>> {
    let edge = |from: &'static str, to: &'static str| {
        let counts = (1..5000_u64, 1.0..6.0_f64, 0.0..1.0_f64, 0.0..1.0_f64);
        (counts, 1.0..20_000.0_f64, 1.0..20_000.0_f64, 0.0..600.0_f64).prop_map(
            move |((requests, repeats, served, errors), p95_ms, served_p95_ms, quiet_p95_ms)| {
                let calls = (requests as f64 * repeats) as u64;
                EdgeLoad {
                    from: from.into(),
                    to: to.into(),
                    seconds: 60.0,
                    requests,
                    calls,
                    errors: (calls as f64 * errors) as u64,
                    served: (calls as f64 * served) as u64,
                    p95_ms,
                    served_p95_ms,
                    quiet_p95_ms,
                }
            },
        )
    };
    (edge("web", "pay"), edge("pay", "bank"), any::<bool>(), any::<bool>()).prop_map(|(comes, mut goes, calm, once)| {
        // Otherwise next to no callee would have room, and every one would be asked again.
        if calm {
            (goes.served, goes.errors, goes.served_p95_ms) = (goes.calls, 0, goes.quiet_p95_ms);
        }
        if once {
            goes.calls = goes.requests;
            goes.served = goes.served.min(goes.calls);
        }
        vec![comes, goes]
    })
}

/// A file with the setting among others, in any format, with comments, quotes and line ends of either kind.
fn file(
    keys: &'static [&'static str],
    values: impl Strategy<Value = String>,
) -> impl Strategy<Value = (ConfigFile, String)> {
    (proptest::sample::select(keys), values, 0..6_u8, any::<bool>(), any::<bool>()).prop_map(
        |(key, value, format, crlf, quoted)| {
            let written = if quoted { format!("\"{value}\"") } else { value.clone() };
            let plain = value.parse::<f64>().is_ok();
            let toml = if plain { value.clone() } else { format!("\"{value}\"") };
            let (format, path, text) = match format {
                0 => (
                    Format::Yaml,
                    "c.yaml",
                    format!("# one\nbank:\n  {key}: {written}   # two\n  url: \"http://b\"\nlast: 7\n"),
                ),
                1 => (
                    Format::Json,
                    "c.json",
                    format!("{{ \"bank\": {{\"{key}\" : {toml}, \"n\":7 }},\n\t\"z\": [1, 2] }}\n"),
                ),
                2 => (Format::Toml, "c.toml", format!("# one\n[bank]\n{key} = {toml} # two\nn=7\n")),
                3 => (Format::Properties, "c.properties", format!("! one\nbank.{key} = {value}\nn: 7\n")),
                4 => (Format::Ini, "c.ini", format!("; one\n[bank]\n{key} = {value}\nn: 7\n")),
                _ => (Format::Env, ".env", format!("# one\nexport {}={written} # two\nN=7\n", key.to_uppercase())),
            };
            let text = if crlf { text.replace('\n', "\r\n") } else { text };
            let settings = read(format, &text).expect("readable");
            (ConfigFile { path: path.into(), format, text, settings }, value)
        },
    )
}

/// The new value, if it is the one thing that differs.
fn only_the_value_changed(config: &ConfigFile, drafts: &[Draft], value: &str) -> Result<String, TestCaseError> {
    let [draft] = drafts else { return Err(TestCaseError::fail("several drafts")) };
    let [edit] = draft.edits.as_slice() else { return Err(TestCaseError::fail("several files")) };
    let after = String::from_utf8(edit.content.clone().unwrap_or_default()).expect("text");
    let now = read(config.format, &after).expect("still readable");
    prop_assert_eq!(now.len(), config.settings.len());
    let differ: Vec<_> = config.settings.iter().zip(&now).filter(|(old, new)| old.value != new.value).collect();
    let [(old, new)] = differ.as_slice() else { return Err(TestCaseError::fail("not one setting differs")) };
    prop_assert_eq!((&old.keys, old.value.as_str()), (&new.keys, value));
    // Putting the old value back where the new one stands gives every byte of before.
    let back = after.match_indices(new.value.as_str()).any(|(at, _)| {
        let mut text = after.clone();
        text.replace_range(at..at + new.value.len(), value);
        text == config.text
    });
    prop_assert!(back, "{after:?} from {:?}", config.text);
    Ok(new.value.clone())
}

fn goes(context: &Context) -> &EdgeLoad {
    &context.request.telemetry_summary.load[1]
}

fn counts() -> impl Strategy<Value = String> {
    (0..12_u32).prop_map(|count| count.to_string())
}

#[test]
fn retry_count_only_falls_and_lets_the_storm_end() {
    let drafted = Bench::new().run(retries::count, &["max_retries", "max_attempts"], counts(), |context, old, new| {
        let storm = Storm::of(&context.request).expect("repeats");
        let attempts = context.configs[0].text.to_lowercase().contains("max_attempts");
        // No attempt at all is how a limit is switched off.
        prop_assert!(new < old || attempts && old == 0.0, "{old} -> {new}");
        let of_one = if attempts { new } else { new + 1.0 };
        prop_assert!((1.0..=3.0).contains(&of_one), "{of_one} attempts");
        if let Some(u) = storm.utilization.filter(|u| *u < 1.0) {
            prop_assert!(u * of_one < 1.0 + 1e-9, "{u} * {of_one}");
        }
        Ok(())
    });
    assert!(drafted > CASES / 20, "{drafted} drafts");
}

#[test]
fn retry_budget_stays_within_what_the_callee_can_bear() {
    let values = proptest::sample::select(vec!["0", "0.05", "0.2", "0.5", "1", "3"]).prop_map(str::to_owned);
    let drafted = Bench::new().run(retries::budget, &["retry_budget"], values, |context, old, new| {
        prop_assert!((0.01..=0.1).contains(&new) && (new < old || old == 0.0), "{old} -> {new}");
        if let Some(u) = Storm::of(&context.request).expect("repeats").utilization {
            prop_assert!(u * (1.0 + new) < 1.0, "{u} * (1 + {new})");
        }
        Ok(())
    });
    assert!(drafted > CASES / 20, "{drafted} drafts");
}

fn durations() -> impl Strategy<Value = String> {
    prop_oneof![(1..30_000_u32).prop_map(|n| format!("{n}ms")), (1..30_u32).prop_map(|n| format!("{n}s"))]
}

#[test]
fn a_timeout_only_falls_and_fits_between_a_usual_call_and_the_deadline() {
    let drafted = Bench::new().run(timeout::within_deadline, &["timeout"], durations(), |context, old, new| {
        let caller = overrun(&context.request).expect("gives up");
        let (goes, attempts) = (goes(context), goes(context).calls as f64 / goes(context).requests as f64);
        prop_assert!(new < old && new * attempts.max(1.0) <= 0.8 * caller.p95_ms + 1e-9, "{old} -> {new}");
        prop_assert!(new >= 1.5 * goes.quiet_p95_ms - 1.0, "{new} leaves no room for {}", goes.quiet_p95_ms);
        Ok(())
    });
    assert!(drafted > CASES / 50, "{drafted} drafts");
}

#[test]
fn a_timeout_that_is_none_gets_one_that_fits() {
    let values = proptest::sample::select(vec!["0ms", "0s"]).prop_map(str::to_owned);
    let drafted = Bench::new().run(deadline::unset, &["timeout"], values, |context, _, new| {
        let caller = overrun(&context.request).expect("gives up");
        prop_assert!(new > goes(context).quiet_p95_ms && new <= 0.8 * caller.p95_ms, "{new}");
        Ok(())
    });
    assert!(drafted > CASES / 50, "{drafted} drafts");
}

#[test]
fn a_pool_grows_to_what_is_in_flight_and_only_where_the_callee_has_room() {
    let values = (1..60_u32).prop_map(|size| size.to_string());
    let drafted = Bench::new().run(pool::size, &["pool_size"], values, |context, old, new| {
        let (comes, goes) = (&context.request.telemetry_summary.load[0], goes(context));
        let rate = comes.calls.max(goes.calls) as f64 / goes.seconds;
        let in_flight = rate * goes.served_p95_ms.max(1.0) / 1000.0;
        prop_assert!(!is_saturated(goes) && new > old && new <= 16.0 * old, "{old} -> {new}");
        prop_assert!(new >= in_flight && new <= (1.5 * in_flight).ceil(), "{new} for {in_flight}");
        Ok(())
    });
    assert!(drafted > CASES / 50, "{drafted} drafts");
}

proptest! {
    /// What puts a setting back never does so in both directions: the earlier value is the one that hurts less.
    #[test]
    fn no_setting_is_worse_in_both_directions(
        name in proptest::sample::select(vec![
            "max_retries", "retry_budget", "timeout_ms", "pool.size", "retry_delay_ms", "cache.ttl", "max_attempts",
        ]),
        before in 0.0..10_000.0_f64,
        after in 0.0..10_000.0_f64,
        needs in any::<(bool, bool, bool, bool)>(),
    ) {
        let (retries, time, pool, load) = needs;
        let needs = Needs { retries, time, pool, load, ..Needs::default() };
        prop_assert!(!(needs.is_worse(name, before, after) && needs.is_worse(name, after, before)));
        prop_assert!(!needs.is_worse(name, before, before));
    }
}
