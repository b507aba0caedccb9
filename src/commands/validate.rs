//! `backtrail validate`: every problem at once. Nothing is bound and nothing written.

use std::path::PathBuf;

use backtrail_pipeline::config::render::{render, texts};
use backtrail_pipeline::config::{self, Problem};

use crate::COMPONENTS;
use crate::cli::{Exit, Failure, Out, Validate};

/// Runs the command.
pub(crate) fn run(args: &Validate, out: &mut Out) -> Result<Exit, Failure> {
    let path = args.file.clone().or_else(|| args.config.clone()).unwrap_or_else(|| PathBuf::from("pipeline.yaml"));
    let checked = config::load(&path, &COMPONENTS, &args.set.set);
    let problems: &[Problem] = checked.as_ref().err().map_or(&[], Vec::as_slice);
    if args.json {
        out.json(&serde_json::json!({ "problems": problems }))?;
    } else if let Ok(config) = &checked {
        let (nodes, pipelines) = (config.graph.nodes.len(), config.service.pipelines.len());
        let name = path.display();
        out.line(&format!("{name}: no problems; {pipelines} pipelines, {nodes} nodes, digest {}", config.digest))?;
    } else {
        out.text(&render(problems, &texts(problems), out.paint().is_coloured()))?;
    }
    Ok(if problems.is_empty() { Exit::Ok } else { Exit::Problem })
}
