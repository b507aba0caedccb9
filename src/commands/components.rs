//! `backtrail components`: what a configuration may name.

use backtrail_pipeline::{Kind, Scope};
use serde_json::{Value, json};

use crate::COMPONENTS;
use crate::cli::{Components, Exit, Failure, Out};
use crate::render::WIDTH;
use crate::render::table::Table;
use crate::render::text::hanging;

/// Runs the command.
pub(crate) fn run(args: &Components, out: &mut Out) -> Result<Exit, Failure> {
    if args.json {
        out.json_pretty(&json!({
            "receivers": rows(COMPONENTS.receivers),
            "processors": rows(COMPONENTS.processors),
            "exporters": rows(COMPONENTS.exporters),
        }))?;
        return Ok(Exit::Ok);
    }
    out.text(&list("receivers", COMPONENTS.receivers, out))?;
    out.text(&list("processors", COMPONENTS.processors, out))?;
    out.text(&list("exporters", COMPONENTS.exporters, out))?;
    Ok(Exit::Ok)
}

fn rows<N: ?Sized>(kinds: &[Kind<N>]) -> Vec<Value> {
    let row = |kind: &Kind<N>| {
        json!({
            "name": kind.name,
            "aliases": kind.aliases,
            "summary": kind.summary,
            "scope": scope(kind.scope),
            "defaults": (kind.defaults)(),
        })
    };
    kinds.iter().map(row).collect()
}

fn list<N: ?Sized>(title: &str, kinds: &[Kind<N>], out: &Out) -> String {
    let mut table = Table::new(&["name", "scope"]);
    for kind in kinds {
        table.row(vec![format!("  {}", kind.name), scope(kind.scope).to_owned()]);
    }
    let mut text = out.paint().bold(title) + "\n";
    let lines = table.lines();
    let width = lines.iter().map(|line| line.chars().count()).max().unwrap_or_default();
    for (line, kind) in lines.iter().skip(1).zip(kinds) {
        text.push_str(&hanging(&format!("{line:width$}  "), kind.summary, WIDTH));
        text.push('\n');
    }
    text
}

const fn scope(scope: Scope) -> &'static str {
    match scope {
        Scope::Stateless => "stateless",
        Scope::Trace => "trace",
        Scope::Global => "global",
    }
}
