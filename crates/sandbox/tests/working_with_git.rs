//! What the consumer asks of a repository that is as it should be.

use std::collections::BTreeMap;
use std::process::Command;

use backtrail_sandbox::git::{Mirror, Revert, Status};
use backtrail_sandbox::{Error, TreePath};
use proptest::prelude::*;

use crate::support::Origin;

#[test]
fn the_origin_is_asked_only_for_a_commit_that_is_missing() {
    let origin = Origin::new();
    origin.write("a", "1");
    let first = origin.commit("first");
    let mirror = origin.mirror();
    origin.write("a", "2");
    let second = origin.commit("second");
    assert_eq!(mirror.resolve(&second[..10]).expect("fetched"), second);
    let moved = origin.place().join("moved");
    std::fs::rename(origin.dir(), &moved).expect("moved away");
    assert_eq!(mirror.resolve(&first[..7]).expect("known"), first);
    assert_eq!(mirror.resolve("main").expect("known"), second);
    assert!(matches!(mirror.resolve("0123456789"), Err(Error::Git { .. })), "the origin is gone");
    std::fs::rename(&moved, origin.dir()).expect("moved back");
    assert!(matches!(mirror.resolve("0123456789"), Err(Error::Missing(_))));
    assert_eq!(mirror.parents(&second).expect("parents"), [first.as_str()]);
    assert_eq!(mirror.parents(&first).expect("parents"), [""; 0]);
    assert_eq!(mirror.branches().expect("branches"), [("main".to_owned(), second)]);
}

#[test]
fn many_at_once_make_one_mirror() {
    let origin = Origin::new();
    origin.write("a", "1");
    let commit = origin.commit("first");
    let (dir, cache) = (origin.dir(), origin.place().join("cache"));
    std::thread::scope(|scope| {
        let asks: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(|| {
                    Mirror::of(dir.to_str().expect("UTF-8"), &cache).and_then(|mirror| mirror.resolve(&commit))
                })
            })
            .collect();
        for ask in asks {
            assert_eq!(ask.join().expect("no panic").expect("resolved"), commit);
        }
    });
}

#[test]
fn history_says_who_changed_which_lines() {
    let origin = Origin::new();
    origin.write("src/a.py", "one\ntwo\nthree\nfour\n");
    let first = origin.commit("add a");
    origin.write("src/a.py", "one\ntwo\nTHREE\nfour\n");
    let second = origin.commit("shout\n\nbecause");
    origin.write("other", "x");
    let third = origin.commit("other");
    let (mirror, path) = (origin.mirror(), TreePath::from("src/a.py"));
    let commits = |lines, limit| -> Vec<String> {
        let log = mirror.log(&third, Some(&path), lines, limit).expect("a log");
        log.into_iter().map(|change| change.commit).collect()
    };
    assert_eq!(commits(None, 10), [second.as_str(), &first]);
    assert_eq!(commits(None, 1), [second.as_str()]);
    assert_eq!(commits(Some((3, 3)), 10), [second.as_str(), &first]);
    assert_eq!(commits(Some((1, 2)), 10), [first.as_str()]);
    let log = mirror.log(&third, None, None, 10).expect("a log");
    assert_eq!(log.len(), 3);
    assert_eq!(
        (log[1].subject.as_str(), log[1].author.as_str(), log[1].mail.as_str()),
        ("shout", "Ada", "ada@example.org")
    );
    assert_eq!(log[1].date, "2026-05-04T10:00:00+00:00");
    let blame = mirror.blame(&third, &path, 2, 3).expect("blame");
    assert_eq!(
        blame.iter().map(|line| (line.line, line.commit.as_str(), line.text.as_str())).collect::<Vec<_>>(),
        [(2, first.as_str(), "two"), (3, second.as_str(), "THREE")]
    );
    assert_eq!((blame[1].subject.as_str(), blame[1].time), ("shout", 1_777_888_800));
}

#[test]
fn a_difference_names_renames_modes_and_counts() {
    let origin = Origin::new();
    origin.write("old.txt", "a\nb\nc\nd\ne\nf\n");
    origin.write("run.sh", "x\n");
    origin.write("image", b"\0\x01\x02");
    origin.write("gone", "g\n");
    let first = origin.commit("first");
    std::fs::rename(origin.dir().join("old.txt"), origin.dir().join("new.txt")).expect("renamed");
    origin.write("new.txt", "a\nb\nc\nd\ne\nF\n");
    std::fs::set_permissions(origin.dir().join("run.sh"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("mode");
    origin.write("image", b"\0\x01\x03");
    std::fs::remove_file(origin.dir().join("gone")).expect("removed");
    let second = origin.commit("second");
    let diff = origin.mirror().diff(&first, &second).expect("a difference");
    let short: Vec<_> = diff
        .files
        .iter()
        .map(|f| (f.status, f.old_path.to_string(), f.path.to_string(), f.added, f.removed, f.binary))
        .collect();
    let is = |status, old: &str, new: &str, added, removed, binary| {
        (status, old.to_owned(), new.to_owned(), added, removed, binary)
    };
    assert_eq!(
        short,
        [
            is(Status::Deleted, "gone", "gone", 0, 1, false),
            is(Status::Modified, "image", "image", 0, 0, true),
            is(Status::Renamed, "old.txt", "new.txt", 1, 1, false),
            is(Status::Modified, "run.sh", "run.sh", 0, 0, false),
        ]
    );
    assert_eq!((diff.files[3].old_mode.as_str(), diff.files[3].mode.as_str()), ("100644", "100755"));
}

#[test]
fn a_revert_takes_back_one_commit_or_names_the_conflict() {
    let origin = Origin::new();
    origin.write("a", "1\n2\n3\n4\n5\n6\n7\n8\n9\n");
    let first = origin.commit("first");
    origin.write("a", "1\nTWO\n3\n4\n5\n6\n7\n8\n9\n");
    origin.write("added", "x\n");
    let suspect = origin.commit("suspect");
    origin.write("a", "1\nTWO\n3\n4\n5\n6\n7\n8\nNINE\n");
    let tip = origin.commit("unrelated");
    let mirror = origin.mirror();
    let Revert::Clean { edits, tree } = mirror.revert_tree(&suspect, &tip).expect("computed") else {
        panic!("it is clean")
    };
    let short: Vec<_> = edits.iter().map(|edit| (edit.path.to_string(), edit.after.clone())).collect();
    assert_eq!(short, [("a".to_owned(), Some(b"1\n2\n3\n4\n5\n6\n7\n8\nNINE\n".to_vec())), ("added".to_owned(), None)]);
    let mut worktree = origin.checkout(&tip, "tree").worktree;
    for edit in edits {
        match edit.after {
            Some(content) => worktree.write_mode(&edit.path, &content, edit.executable).expect("writes"),
            None => worktree.remove(&edit.path).expect("removes"),
        }
    }
    assert_eq!(worktree.tree_hash().expect("a hash"), tree);
    origin.write("a", "1\ntwo again\n3\n4\n5\n6\n7\n8\nNINE\n");
    let later = origin.commit("later");
    let conflict = mirror.revert_tree(&suspect, &mirror.resolve(&later).expect("fetched")).expect("computed");
    assert_eq!(conflict, Revert::Conflict { paths: vec![TreePath::from("a")] });
    let Revert::Clean { edits, .. } = mirror.revert_tree(&first, &first).expect("computed") else {
        panic!("it is clean")
    };
    assert_eq!((edits.len(), edits[0].after.as_ref()), (1, None), "taking the root back leaves nothing");
}

#[test]
fn what_a_test_run_leaves_behind_is_in_no_difference() {
    let origin = Origin::new();
    origin.write("a", "a\n");
    let commit = origin.commit("first");
    let mut worktree = origin.checkout(&commit, "tree").worktree;
    std::fs::write(worktree.path().join("junk.log"), "x").expect("a file");
    assert_eq!(worktree.diff(&commit).expect("a difference").patch, b"");
    worktree.write(&TreePath::from("new/file"), b"n\n").expect("writes");
    let files: Vec<_> =
        worktree.diff(&commit).expect("a difference").files.iter().map(|file| file.path.to_string()).collect();
    assert_eq!(files, ["new/file"]);
}

/// What is done to a path: `None` removes it, `Some` writes it.
type Edits = BTreeMap<String, Option<(Vec<u8>, bool)>>;

fn edits() -> impl Strategy<Value = Edits> {
    let path = "(f[0-4]|d[0-2]/f[0-2]|e/[a-b]/f[0-1])";
    let line = prop_oneof!["[a-c]{0,3}\n", "[a-c]{0,3}\r\n", Just("\u{fc}\u{2603}\n".to_owned())];
    let text = (prop::collection::vec(line, 0..8), any::<bool>()).prop_map(|(lines, cut)| {
        let mut text = lines.concat().into_bytes();
        if cut {
            text.pop();
        }
        text
    });
    let content = prop_oneof![4 => text, 1 => prop::collection::vec(any::<u8>(), 0..40)];
    prop::collection::btree_map(path, prop::option::weighted(0.8, (content, any::<bool>())), 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn applying_a_difference_and_taking_it_back_is_the_identity(first in edits(), second in edits()) {
        let origin = Origin::new();
        for (path, content) in &first {
            if let Some((content, _)) = content {
                origin.write(path, content);
            }
        }
        let commit = origin.commit("first");
        let mut worktree = origin.checkout(&commit, "edited").worktree;
        let base = worktree.tree_hash().expect("a hash");
        prop_assert_eq!(&base, &origin.git(&["rev-parse", "HEAD^{tree}"]));
        for (path, content) in &second {
            let path = TreePath::from(path.as_str());
            match content {
                Some((content, executable)) => worktree.write_mode(&path, content, *executable).expect("writes"),
                None => worktree.remove(&path).expect("removes"),
            }
        }
        let edited = worktree.tree_hash().expect("a hash");
        let diff = worktree.diff(&commit).expect("a difference");

        let patch = origin.place().join("patch");
        std::fs::write(&patch, &diff.patch).expect("a file");
        if !diff.patch.is_empty() {
            let check = Command::new("git").args(["apply", "--check"]).arg(&patch).current_dir(origin.dir()).output().expect("git");
            prop_assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
            let mut fresh = origin.checkout(&commit, "fresh").worktree;
            fresh.check(&diff.patch).expect("it applies");
            prop_assert_eq!(fresh.apply(&diff.patch).expect("applied").tree, edited.clone());
            prop_assert_eq!(fresh.tree_hash().expect("a hash"), edited.clone());
            prop_assert_eq!(fresh.revert(&diff.patch).expect("taken back").tree, base.clone());
            prop_assert_eq!(fresh.tree_hash().expect("a hash"), base.clone());
            worktree.revert(&diff.patch).expect("taken back");
        }
        prop_assert_eq!(worktree.tree_hash().expect("a hash"), base);
    }
}
