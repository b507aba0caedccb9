//! Who owns what: read from files, named with the suspects, and a border for patches.

use std::path::{Path, PathBuf};

use backtrail_model::change::ChangedFile;

use super::*;

const OWNERSHIP: &str = "
services:
  stock: { team: '@shop/stock', repository: shop/mono, path_prefix: services/stock, codeowners: CODEOWNERS }
  bank: { team: '@shop/bank', repository: shop/mono, path_prefix: services/bank, default_branch: trunk }
";
const CODEOWNERS: &str = "* @shop/all\n/services/stock/ @shop/stock @ann\n/services/stock/sql/ @shop/data\n";

fn write(dir: &Path, ownership: &str) -> PathBuf {
    let file = dir.join("ownership.yaml");
    std::fs::write(&file, ownership).expect("writable");
    std::fs::write(dir.join("CODEOWNERS"), CODEOWNERS).expect("writable");
    file
}

fn config(file: PathBuf) -> Config {
    Config { ownership: Owners { file: Some(file), codeowners: None }, ..Config::default() }
}

/// A commit of stock's that also touches what others own.
fn wide() -> Vec<Change> {
    let of = |path: &str| ChangedFile { path: path.to_owned(), lines: vec![[3, 9]] };
    let files = ["services/stock/a.rs", "services/stock/sql/b.sql", "services/bank/c.rs"].map(of).to_vec();
    changes().into_iter().map(|change| Change { files: files.clone(), ..change }).collect()
}

#[test]
fn suspects_have_owners_and_what_others_hold_is_left_out_of_a_request() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut line = Line::new(1, &anomaly_trigger::Config::default(), &config(write(dir.path(), OWNERSHIP)));
    line.cx.shared().changes.post(wide());
    let data = line.outage(Fault::Slow);
    let last = verdicts(&data).pop().expect("a verdict");
    let owner = |kind: &str, commit: &str| {
        let suspect = last.of_kind(kind).find(|suspect| suspect.entity.commit == commit).expect("a suspect");
        last.owner_of(&suspect.entity).expect("an owner")
    };
    let stock = owner("service", "");
    assert_eq!((&*stock.team, &*stock.repository), ("@shop/stock", "shop/mono"));
    assert_eq!(
        (&stock.paths[..], &stock.owners[..]),
        (&["services/stock".to_owned()][..], &["@shop/stock".to_owned(), "@ann".to_owned()][..])
    );
    let commit = owner("change", "guilty");
    assert_eq!((commit.paths.len(), &*commit.team, &*commit.outside), (3, "@shop/stock", ""));

    let request = requests(&data).pop().expect("a request");
    let target = request.target.as_ref().expect("a target");
    assert_eq!(
        (&*target.repository, &*target.path_prefix, &*target.team),
        ("shop/mono", "services/stock", "@shop/stock")
    );
    assert_eq!(target.owners, ["@ann", "@shop/stock"]);
    let kept: Vec<&str> = request.recent_changes.iter().map(|change| &*change.file).collect();
    assert!(!kept.is_empty() && kept.iter().all(|file| *file == "services/stock/a.rs"), "{kept:?}");
    let why = |file: &str| {
        target.left_out.iter().find(|left| left.what == format!("{file} in guilty")).map(|left| &*left.why)
    };
    assert_eq!(why("services/stock/sql/b.sql"), Some("it belongs to @shop/data"));
    assert_eq!(why("services/bank/c.rs"), Some("it lies outside of services/stock"));
}

#[test]
fn nobody_is_asked_for_a_patch_of_what_nobody_owns() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = write(dir.path(), "services:\n  bank: { team: '@shop/bank', repository: shop/mono }\n");
    let mut line = Line::new(1, &anomaly_trigger::Config::default(), &config(file));
    let data = line.outage(Fault::Slow);
    assert!(requests(&data).is_empty());
    let last = verdicts(&data).pop().expect("a verdict");
    assert!(last.limits.iter().any(|limit| limit.contains("no owner of stock")), "{:?}", last.limits);
    assert!(last.next_actions.iter().all(|next| !next.action.contains("patch of stock")), "{:?}", last.next_actions);
    assert!(line.judge.0[1].cx.stats().notes()["unowned_suspects"] > 0);
}

#[test]
fn codeowners_alone_names_owners_and_forbids_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    write(dir.path(), OWNERSHIP);
    let owners = Owners { file: None, codeowners: Some(dir.path().join("CODEOWNERS")) };
    let data = run(1, Fault::Slow, &Config { ownership: owners, ..Config::default() });
    let last = verdicts(&data).pop().expect("a verdict");
    assert_eq!(last.owners[0].owners, ["@shop/all"]);
    let request = requests(&data).pop().expect("a request");
    assert_eq!(request.target, None);
}

#[test]
fn a_change_of_which_nobody_said_the_service_is_the_owners_of_its_files() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut line = Line::new(1, &anomaly_trigger::Config::default(), &config(write(dir.path(), OWNERSHIP)));
    let file = |path: &str| vec![ChangedFile { path: path.to_owned(), ..ChangedFile::default() }];
    line.cx.shared().changes.post([
        Change { files: file("services/stock/a.rs"), ..change(ChangeKind::Commit, "inside", "", 1047) },
        Change { files: file("services/bank/a.rs"), ..change(ChangeKind::Commit, "elsewhere", "", 1047) },
    ]);
    let last = verdicts(&line.outage(Fault::Slow)).pop().expect("a verdict");
    let place = |commit: &str| {
        let suspect = last.of_kind("change").find(|suspect| suspect.entity.commit == commit).expect("a suspect");
        (
            suspect.rank,
            suspect.entity.service.clone(),
            last.owner_of(&suspect.entity).expect("an owner").outside.clone(),
        )
    };
    let (inside, elsewhere) = (place("inside"), place("elsewhere"));
    assert!(inside.0 < elsewhere.0, "{inside:?} {elsewhere:?}");
    assert_eq!((&*inside.1, &*inside.2), ("stock", ""));
    assert_eq!((&*elsewhere.1, &*elsewhere.2), ("bank", "it lies outside of services/stock"));
}

#[test]
fn a_wrong_file_is_refused_with_its_line() {
    let dir = tempfile::tempdir().expect("a folder");
    for (text, place) in [
        ("services:\n  stock: { team: x, repository: y, path_prefix: ../z }\n", "ownership.yaml:2:49: path_prefix"),
        ("services:\n  stock: { team: x, repository: y, codeowners: gone }\n", "ownership.yaml:2:48: codeowners gone"),
        ("services:\n  stock: { team: x, repo: y }\n", "ownership.yaml:2:"),
    ] {
        let config = config(write(dir.path(), text));
        let error = config.build(&Context::for_test("verdict")).err().expect("no owners").to_string();
        assert!(error.contains("ownership.file") && error.contains(place), "{error}");
    }
}

#[test]
fn a_reload_reads_the_files_again_and_keeps_the_past() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = config(write(dir.path(), OWNERSHIP));
    let mut line = Line::new(1, &anomaly_trigger::Config::default(), &config);
    for slice in 1000..1050 {
        line.slice(slice, Fault::None);
    }
    write(dir.path(), &OWNERSHIP.replace("@shop/stock", "@shop/other"));
    assert_eq!(line.judge.0[1].reconfigure(&config), Reconfigured::Live);
    // A broken one changes nothing.
    write(dir.path(), "services: [\n");
    assert_eq!(line.judge.0[1].reconfigure(&config), Reconfigured::Live);
    assert_eq!(line.judge.0[1].cx.stats().notes()["reload_failed"], 1);
    let data: Vec<Data> = (1050..1060).flat_map(|slice| line.slice(slice, Fault::Slow)).collect();
    let last = verdicts(&data).pop().expect("a verdict");
    assert_eq!((&*last.owners[0].team, last.provenance.baseline_slices), ("@shop/other", 50));
    let asked = ask(&line, "web GET /cart", 10).expect("the new one answers");
    assert_eq!(asked.owners[0].team, "@shop/other");
}
