//! `backtrail replay --verdict ID`: a verdict made again of the inputs that its node kept.

use std::path::Path;

use anyhow::Context;
use backtrail_processors::verdict::capsule::{self, Capsule};

use crate::cli::{Exit, Failure, Out, Replay};
use crate::render::verdict;

/// Where `pipeline.yaml` keeps capsules.
const DEFAULT: &str = "./backtrail-data/capsules";
/// Most verdicts that are named to who asks for one that is not there.
const MOST_NAMED: usize = 5;

pub(super) fn replay(id: &str, args: &Replay, out: &mut Out) -> Result<Exit, Failure> {
    let dir = args.path.as_deref().unwrap_or_else(|| Path::new(DEFAULT));
    let path = capsule::path_of(dir, id);
    if !path.exists() {
        let message = format!("there is no capsule of verdict '{id}' in {}", dir.display());
        return Err(Failure::from(anyhow::Error::msg(message)).hint(known(dir)));
    }
    let hint = "the file was changed after it was written, or by another program; there is nothing to mend it from";
    let capsule = Capsule::read(&path).map_err(|error| Failure::from(error).hint(hint))?;
    let verdict = capsule.verdict();
    let document = serde_json::to_string(&verdict).context("a verdict is JSON")?;
    if args.json {
        out.text(&format!("{document}\n"))?;
    } else {
        out.text(&verdict::face(&verdict, &[], out.paint()))?;
    }
    if document == capsule.document() {
        if !args.json && !args.verdict_only {
            out.line("\nreplayed from its capsule: the same document, byte by byte")?;
        }
        return Ok(Exit::Ok);
    }
    let engine = env!("CARGO_PKG_VERSION");
    let message =
        format!("the document differs from the one that {} made; this is backtrail {engine}", capsule.engine());
    Err(Failure::from(anyhow::Error::msg(message)).hint("replay it with the version that made it"))
}

fn known(dir: &Path) -> String {
    match capsule::list(dir) {
        Ok(ids) if !ids.is_empty() => {
            format!("there are {}, the newest: {}", ids.len(), ids[..ids.len().min(MOST_NAMED)].join(", "))
        }
        _ => "switch them on with 'capsules: { enabled: true }' of the verdict processor, or name their folder"
            .to_owned(),
    }
}
