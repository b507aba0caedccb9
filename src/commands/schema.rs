//! `backtrail schema`: JSON Schema of the configuration, and the reference pages made from the same structs.

use anyhow::Context;
use backtrail_exporters::schemas;
use backtrail_pipeline::config::reference;
use backtrail_pipeline::config::schema::schema;
use clap::CommandFactory;

use super::publish;
use crate::COMPONENTS;
use crate::cli::{Cli, Exit, Failure, Out, Schema};

/// Runs the command.
pub(crate) fn run(args: &Schema, out: &mut Out) -> Result<Exit, Failure> {
    let Some(folder) = &args.docs else {
        out.json_pretty(&schema(&COMPONENTS))?;
        return Ok(Exit::Ok);
    };
    for (name, content) in pages()? {
        let path = folder.join(&name);
        publish(&path, content.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
        out.line(&path.display().to_string())?;
    }
    Ok(Exit::Ok)
}

/// Every generated page: path below the folder, and content.
fn pages() -> Result<Vec<(String, String)>, Failure> {
    let mut pages =
        vec![("pipeline.schema.json".to_owned(), serde_json::to_string_pretty(&schema(&COMPONENTS))? + "\n")];
    pages.extend(reference::pages(&COMPONENTS).into_iter().map(|page| (page.path, page.text)));
    pages.push(("cli.md".to_owned(), command_line()));
    pages.push(("outputs/tables.md".to_owned(), schemas::tables()));
    for (name, schema) in schemas::documents() {
        pages.push((format!("outputs/{name}.schema.json"), serde_json::to_string_pretty(&schema)? + "\n"));
    }
    let ownership = schemars::schema_for!(backtrail_model::ownership::File);
    pages.push(("inputs/ownership.v1.schema.json".to_owned(), serde_json::to_string_pretty(&ownership)? + "\n"));
    Ok(pages)
}

/// The help of every command as one page.
fn command_line() -> String {
    let mut page = String::from("# Command line\n\nGenerated from the arguments of the binary; do not edit.\n");
    // A terminal's width must not show in a committed page.
    let mut root = Cli::command().term_width(100);
    root.build();
    page.push_str(&section(&mut root, true));
    for command in root.get_subcommands_mut() {
        page.push_str(&section(command, false));
    }
    page
}

fn section(command: &mut clap::Command, root: bool) -> String {
    let name = if root { "backtrail".to_owned() } else { format!("backtrail {}", command.get_name()) };
    let help = command.render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    format!("\n## {name}\n\n```text\n{}\n```\n", lines.join("\n").trim())
}
