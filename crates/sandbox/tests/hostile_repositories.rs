//! Repositories that try to write outside, run something, or break what reads them.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use backtrail_sandbox::git::{CheckoutLimits, Mirror, Skipped, Worktree};
use backtrail_sandbox::{Error, TreePath};

use crate::support::{Origin, picture};

fn why(skipped: &[Skipped], path: impl AsRef<[u8]>) -> &str {
    let path = TreePath::raw(path.as_ref());
    let found = skipped.iter().find(|skipped| skipped.path == path);
    &found.unwrap_or_else(|| panic!("'{path}' must be reported as skipped: {skipped:?}")).why
}

#[test]
fn links_out_of_the_tree_are_reported_and_not_made() {
    let origin = Origin::new();
    let outside = origin.place().join("outside");
    fs::create_dir(&outside).expect("a folder");
    fs::write(outside.join("secret"), "s").expect("a file");
    origin.write("deep/file", "x");
    symlink(&outside, origin.dir().join("absolute-folder")).expect("a link");
    symlink(outside.join("secret"), origin.dir().join("absolute-file")).expect("a link");
    symlink("../outside", origin.dir().join("relative-folder")).expect("a link");
    symlink("../../outside/secret", origin.dir().join("deep/relative-file")).expect("a link");
    symlink("deep/../../outside", origin.dir().join("through-a-folder")).expect("a link");
    symlink("deep/file", origin.dir().join("inside")).expect("a link");
    symlink("../deep", origin.dir().join("deep/itself")).expect("a link");
    let commit = origin.commit("links");
    let before = picture(&outside);
    let checkout = origin.checkout(&commit, "tree");
    for path in ["absolute-folder", "absolute-file", "relative-folder", "deep/relative-file", "through-a-folder"] {
        assert!(why(&checkout.skipped, path).contains("symbolic link"), "{path}");
        assert!(fs::symlink_metadata(checkout.worktree.path().join(path)).is_err(), "{path} must not be there");
    }
    assert_eq!(checkout.skipped.len(), 5, "{:?}", checkout.skipped);
    assert_eq!(fs::read_to_string(checkout.worktree.path().join("inside")).expect("a link that stays inside"), "x");
    assert_eq!(checkout.worktree.tree_hash().expect("a hash"), origin.git(&["rev-parse", "HEAD^{tree}"]));
    assert_eq!(picture(&outside), before);
}

#[test]
fn a_file_below_a_link_of_the_same_tree_is_not_written_through_it() {
    let origin = Origin::new();
    let outside = origin.place().join("outside");
    fs::create_dir(&outside).expect("a folder");
    let (link, inner) = (origin.blob(b"in-tree"), origin.blob(b"owned"));
    let folder = origin.tree(&[("100644", "file", &inner)]);
    // Twice the same name: first a link, then a folder. git itself never makes such a tree.
    let tree = origin.tree(&[("120000", "a", &link), ("40000", "a", &folder), ("40000", "in-tree", &folder)]);
    let commit = origin.commit_tree(&tree);
    let checkout = origin.checkout(&commit, "tree");
    assert!(why(&checkout.skipped, "a/file").contains("not a folder"), "{:?}", checkout.skipped);
    assert_eq!(picture(&outside), []);
}

#[test]
fn entries_that_would_be_git_folders_are_reported_and_not_made() {
    let origin = Origin::new();
    let hook = origin.blob(b"#!/bin/sh\ntouch /tmp/owned\n");
    let config = origin.blob(b"[core]\n\tfsmonitor = touch owned\n");
    let hooks = origin.tree(&[("100755", "post-checkout", &hook)]);
    let dot_git = origin.tree(&[("100644", "config", &config), ("40000", "hooks", &hooks)]);
    let up = origin.tree(&[("100644", "escaped", &config)]);
    let tree = origin.tree(&[
        ("40000", "..", &up),
        ("40000", ".GIT", &dot_git),
        ("40000", ".git", &dot_git),
        ("100644", "fine", &config),
        ("40000", "git~1", &dot_git),
    ]);
    let commit = origin.commit_tree(&tree);
    let checkout = origin.checkout(&commit, "tree");
    for path in ["../escaped", ".GIT/config", ".git/config", ".git/hooks/post-checkout", "git~1/hooks/post-checkout"] {
        assert!(!why(&checkout.skipped, path).is_empty());
    }
    let there: Vec<_> = picture(checkout.worktree.path()).into_iter().map(|(path, _)| path).collect();
    assert_eq!(there, [checkout.worktree.path().join("fine")]);
    assert!(!origin.place().join("escaped").exists());
    checkout.worktree.tree_hash().expect("what is left has a hash");
}

#[test]
fn submodules_are_reported_and_never_asked_for() {
    let origin = Origin::new();
    let commit = origin.commit("first");
    origin.write(
        ".gitmodules",
        "[submodule \"../../hooks\"]\n\tpath = ../outside\n\turl = ext::sh -c touch% owned\n\tupdate = !touch owned\n\
         [submodule \"x\"]\n\tpath = sub\n\turl = -uhelp\n",
    );
    origin.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{commit},sub")]);
    origin.git(&["add", ".gitmodules"]);
    origin.git(&["commit", "--quiet", "-m", "submodules"]);
    let commit = origin.git(&["rev-parse", "HEAD"]);
    let checkout = origin.checkout(&commit, "tree");
    assert_eq!(why(&checkout.skipped, "sub"), "a submodule");
    assert!(!checkout.worktree.path().join("sub").exists());
    assert!(!origin.place().join("outside").exists());
    assert_eq!(checkout.worktree.tree_hash().expect("a hash"), origin.git(&["rev-parse", "HEAD^{tree}"]));
}

#[test]
fn hooks_filters_and_drivers_of_the_origin_never_run() {
    let origin = Origin::new();
    let mark = origin.place().join("owned");
    let touch = format!("touch {}", mark.display());
    origin.write(".gitattributes", "* filter=evil diff=evil merge=evil\n*.txt text eol=crlf ident\n");
    origin.write("a.txt", "$Id$\none\n");
    let first = origin.commit("first");
    origin.write("a.txt", "$Id$\ntwo\n");
    let second = origin.commit("second");
    for (key, value) in [
        ("filter.evil.smudge", touch.as_str()),
        ("filter.evil.clean", &touch),
        ("filter.evil.process", &touch),
        ("diff.evil.textconv", &touch),
        ("diff.evil.command", &touch),
        ("merge.evil.driver", &touch),
        ("core.fsmonitor", &touch),
        ("core.sshCommand", &touch),
        ("uploadpack.packObjectsHook", &touch),
        ("core.alternateRefsCommand", &touch),
        ("core.pager", &touch),
    ] {
        origin.git(&["config", key, value]);
    }
    let hooks = origin.dir().join(".git/hooks");
    fs::create_dir_all(&hooks).expect("a folder");
    for hook in
        ["post-checkout", "pre-commit", "post-index-change", "reference-transaction", "pre-receive", "post-upload-pack"]
    {
        fs::write(hooks.join(hook), format!("#!/bin/sh\n{touch}\n")).expect("a hook");
        fs::set_permissions(hooks.join(hook), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a hook");
    }
    let mut checkout = origin.checkout(&second, "tree");
    let path = TreePath::from("a.txt");
    assert_eq!(checkout.worktree.read(&path, 100).expect("raw content"), b"$Id$\ntwo\n");
    checkout.worktree.write(&path, b"$Id$\r\nthree\n").expect("writes");
    let diff = checkout.worktree.diff(&second).expect("a difference");
    checkout.worktree.revert(&diff.patch).expect("taken back");
    let mirror = origin.mirror();
    mirror.update().expect("fetched");
    mirror.diff(&first, &second).expect("a difference");
    mirror.blame(&second, &path, 1, 2).expect("blame");
    mirror.log(&second, Some(&path), None, 5).expect("a log");
    mirror.revert_tree(&second, &second).expect("a revert");
    assert!(!mark.exists(), "something of the origin's configuration ran");
    // The trap works: git in the origin itself steps into it.
    let _ =
        Command::new("git").args(["checkout", "--force", "HEAD~1"]).current_dir(origin.dir()).output().expect("git");
    assert!(mark.exists(), "the trap of this test is broken");
}

#[test]
fn names_that_are_no_text_are_laid_down_as_they_are() {
    let origin = Origin::new();
    let names: [&[u8]; 5] = [b"latin-\xe9", b"two\nlines", b"tab\tquote\"", b"-rf", "snow\u{2603}man".as_bytes()];
    for name in names {
        origin.write(name, name);
    }
    let commit = origin.commit("names");
    let mut checkout = origin.checkout(&commit, "tree");
    assert_eq!(checkout.skipped, []);
    for name in names {
        let path = TreePath::raw(name);
        assert_eq!(checkout.worktree.read(&path, 100).expect("there"), name);
        assert_eq!(origin.mirror().read(&commit, &path, 100).expect("there"), name);
        assert_eq!(origin.mirror().log(&commit, Some(&path), None, 9).expect("a log").len(), 1);
        checkout.worktree.write(&path, b"changed\n").expect("writes");
    }
    let base = checkout.worktree.base().to_owned();
    let diff = checkout.worktree.diff(&commit).expect("a difference");
    assert_eq!(diff.files.len(), names.len());
    checkout.worktree.revert(&diff.patch).expect("taken back");
    assert_eq!(checkout.worktree.tree_hash().expect("a hash"), base);
}

#[test]
fn a_huge_file_is_reported_and_too_many_bytes_are_refused() {
    let origin = Origin::new();
    origin.write("huge", vec![b'x'; 3000]);
    origin.write("small", "s");
    let commit = origin.commit("sizes");
    let mirror = origin.mirror();
    let checkout = |name: &str, file, total| {
        Worktree::checkout_within(&mirror, &commit, &origin.place().join(name), CheckoutLimits { file, total })
    };
    let skipping = checkout("skipping", 1000, 10_000).expect("a checkout");
    assert!(why(&skipping.skipped, "huge").contains("3000 bytes"));
    assert_eq!(skipping.worktree.tree_hash().expect("a hash"), skipping.worktree.base(), "a skipped file still counts");
    assert!(matches!(checkout("refused", 10_000, 2000), Err(Error::TooLarge { limit: 2000, .. })));
    assert!(matches!(mirror.read(&commit, &TreePath::from("huge"), 2999), Err(Error::TooLarge { .. })));
}

#[test]
fn too_many_files_are_refused() {
    let origin = Origin::new();
    for number in 0..6 {
        origin.write(format!("file-{number}"), "x");
    }
    let commit = origin.commit("many");
    let options = backtrail_sandbox::git::Options { files: 5, ..Default::default() };
    let mirror =
        Mirror::with(origin.dir().to_str().expect("UTF-8"), &origin.place().join("cache"), options).expect("a mirror");
    assert!(matches!(mirror.tree(&commit), Err(Error::TooLarge { limit: 5, .. })));
}

#[test]
fn words_that_are_options_reach_git_as_words() {
    let origin = Origin::new();
    origin.write("a", "a");
    let commit = origin.commit("first");
    let mirror = origin.mirror();
    for word in ["--output=/tmp/owned", "-x", "HEAD;id", "main..main", "@{-1}", "a b", "main:a"] {
        assert!(matches!(mirror.resolve(word), Err(Error::Refused { .. })), "{word}");
        assert!(matches!(mirror.tree(word), Err(Error::Refused { .. })), "{word}");
    }
    assert!(matches!(mirror.read(&commit, &TreePath::from("--help"), 10), Err(Error::Missing(_))));
    assert!(matches!(mirror.read(&commit, &TreePath::from(":(glob)*"), 10), Err(Error::Missing(_))));
}

#[test]
fn a_patch_cannot_leave_the_tree() {
    let origin = Origin::new();
    origin.write("a", "a\n");
    origin.write("folder/b", "b\n");
    let commit = origin.commit("first");
    let mut worktree = origin.checkout(&commit, "tree").worktree;
    let outside = origin.place().join("outside");
    fs::create_dir(&outside).expect("a folder");
    let new_file = |path: &str, mode: &str| {
        format!(
            "diff --git a/{path} b/{path}\nnew file mode {mode}\n--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+/etc/passwd\n"
        )
    };
    for patch in [
        new_file("../outside/x", "100644"),
        new_file(".git/config", "100644"),
        new_file("link", "120000"),
        new_file("/etc/owned", "100644"),
        "--- a/a\n+++ b/../outside/x\n@@ -1 +1 @@\n-a\n+b\n".to_owned(),
    ] {
        assert!(worktree.apply(patch.as_bytes()).is_err(), "{patch}");
    }
    assert_eq!(worktree.tree_hash().expect("a hash"), worktree.base(), "a refused patch leaves no trace");
    // A test run put a link where a folder was.
    fs::remove_dir_all(worktree.path().join("folder")).expect("removed");
    symlink(&outside, worktree.path().join("folder")).expect("a link");
    assert!(matches!(worktree.write(&TreePath::from("folder/b"), b"x"), Err(Error::Refused { .. })));
    assert!(matches!(worktree.write(&TreePath::from("folder/new/b"), b"x"), Err(Error::Refused { .. })));
    assert!(worktree.apply(new_file("folder/c", "100644").as_bytes()).is_err());
    assert_eq!(picture(&outside), []);
}
