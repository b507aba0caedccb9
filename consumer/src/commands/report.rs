//! `backtrail-consumer report`: a remediation told from its journal, as text, as a trace, and all of them as numbers.

use std::path::Path;

use serde_json::json;

use super::{existing, one};
use crate::cli::{Exit, Failure, Format, Out, Report as Args};
use crate::report::{Case, Median, Report, Share, Totals, trace};

/// Runs the command.
pub(crate) fn run(args: &Args, out: &mut Out) -> Result<Exit, Failure> {
    let store = existing(&args.data)?;
    let Some(id) = &args.id else {
        let totals = Totals::of(&store)?;
        let text = if args.json { json!(totals).to_string() + "\n" } else { lines(&totals) };
        return write(args.out.as_deref(), &text, out);
    };
    let row = one(&store, id)?;
    let case = Case::read(&store, &row.id)?;
    let text = if args.trace {
        trace::of(&case).to_string() + "\n"
    } else if args.json {
        json!(Report::of(&case)).to_string() + "\n"
    } else {
        let report = Report::of(&case);
        match args.format {
            Format::Markdown => report.markdown(),
            Format::Html => report.html(),
        }
    };
    write(args.out.as_deref(), &text, out)
}

fn write(file: Option<&Path>, text: &str, out: &mut Out) -> Result<Exit, Failure> {
    match file {
        Some(file) => {
            backtrail_spool::write_atomically(&std::path::absolute(file)?, text.as_bytes(), true)
                .map_err(crate::Error::from)?;
            out.line(&format!("written to {}", file.display()))?;
        }
        // Control characters were replaced where the text was made.
        None => out.bytes(text.as_bytes())?,
    }
    Ok(Exit::Ok)
}

fn lines(totals: &Totals) -> String {
    let states: Vec<_> = totals.by_state.iter().map(|(state, n)| format!("{n} {state}")).collect();
    let median = |median: &Median, unit: &str| match median.median {
        Some(value) => format!("median {value:.1}{unit} of {}", median.of),
        None => "none".into(),
    };
    let share = |share: &Share| match share.rate {
        Some(rate) => format!("{} of {} ({:.1} %)", share.count, totals.entered_tests, rate * 100.0),
        None => "no candidate entered the tests".into(),
    };
    let mut text = format!(
        "remediations: {} ({})\ntime to plan: {}\ntime to proof: {}\ntime to approval: {}\n\
         patch size without tests: {}\nfalse suggestions: {}\n",
        totals.remediations,
        if states.is_empty() { "none".into() } else { states.join(", ") },
        median(&totals.seconds_to_plan, " s"),
        median(&totals.seconds_to_proof, " s"),
        median(&totals.seconds_to_approval, " s"),
        median(&totals.patch_lines_without_tests, " lines"),
        share(&totals.false_suggestion_rate),
    );
    for (by, one) in &totals.false_suggestions {
        text += &format!("  by {by}: {}\n", share(one));
    }
    for (by, n) in &totals.refused_before_tests {
        text += &format!("refused before the tests by {by}: {n}\n");
    }
    if totals.tampered > 0 {
        text += &format!("TAMPERED journals, not counted: {} ('backtrail-consumer status')\n", totals.tampered);
    }
    if totals.older_left_out {
        text += "older remediations are left out\n";
    }
    text
}
