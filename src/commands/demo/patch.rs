//! `backtrail demo --patch`: the incident of the demo shop, from its telemetry to a signed patch.
//!
//! The verdict is made here; the repair is the other binary's, `backtrail-consumer`, which lies beside this one. Started by
//! cargo from a checkout, this builds it if it is not there.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use super::super::incident;
use super::super::load;
use crate::cli::{Exit, Failure, Out, Progress};

const CONSUMER: &str = "backtrail-consumer";

pub(super) fn run(data_dir: &Path, out: &mut Out) -> Result<Exit, Failure> {
    let root = root()?;
    let consumer = consumer(&root)?;
    let shop = root.join("demo/shop");
    let data = data_dir.with_file_name("demo-shop");
    let (queue, work) = (data.join("patch_queue"), data.join("consumer"));
    forget(&data).with_context(|| format!("cannot clear {}", data.display()))?;
    let file = shop.join("pipeline.yaml");
    let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let name = file.display().to_string();
    let plain = load::text(&name, &text, &[])?;
    let mut set = incident::replace_receivers(&plain, &shop.join("recording"), "max");
    let path = |path: &Path| serde_json::json!(path);
    set.push(("processors.verdict.changes.file".to_owned(), path(&shop.join("recording/changes.yaml"))));
    set.push(("processors.verdict.ownership.file".to_owned(), path(&shop.join("ownership.yaml"))));
    set.push(("service.data_dir".to_owned(), path(&data)));
    out.text("The recorded incident of the demo shop (demo/shop) goes through its pipeline.\n\n")?;
    out.finish()?;
    let progress = Progress::spinner("loading");
    let replayed = incident::replay(load::text(&name, &text, &set)?, &progress)?;
    drop(progress);
    let Some(found) = replayed.verdicts.last() else {
        return Err(Failure::from(anyhow::anyhow!("the pipeline gave no verdict")).hint("please report it"));
    };
    out.text(&replayed.face(found, out.paint()))?;
    out.text("\n")?;
    out.finish()?;
    // Ends as the consumer ends: what it found is on the same terminal.
    let status = Command::new(&consumer)
        .arg("demo")
        .arg("--shop")
        .arg(&shop)
        .arg("--spool")
        .arg(&queue)
        .arg("--data-dir")
        .arg(&work)
        .status()
        .with_context(|| format!("cannot start {}", consumer.display()))?;
    Ok(if status.success() { Exit::Ok } else { Exit::Problem })
}

/// The checkout: the shop's repository and recording are files of it.
fn root() -> Result<PathBuf, Failure> {
    let candidates = [std::env::current_dir().ok(), std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from)];
    let found = candidates.into_iter().flatten().find(|dir| dir.join("demo/shop/pipeline.yaml").is_file());
    found.ok_or_else(|| Failure::usage("demo/shop is not here", "run it in a checkout of backtrail"))
}

fn consumer(root: &Path) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("the own binary is not found")?;
    let beside = own.with_file_name(CONSUMER);
    // Cargo sets this for what it runs. What it built long ago is brought up to date by it as well.
    if let Some(cargo) = std::env::var_os("CARGO") {
        let folder = own.parent().and_then(Path::file_name).unwrap_or_default();
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--locked", "-p", CONSUMER, "--bin", CONSUMER]).current_dir(root);
        if folder == "release" {
            build.arg("--release");
        }
        let status = build.status().context("cargo does not start")?;
        ensure!(status.success(), "{CONSUMER} was not built");
    }
    ensure!(beside.is_file(), "{CONSUMER} is not beside {}", own.display());
    Ok(beside)
}

/// Removes what an earlier demo left; the folder's name says that it is the demo's.
fn forget(data: &Path) -> std::io::Result<()> {
    if data.exists() { std::fs::remove_dir_all(data) } else { Ok(()) }
}
