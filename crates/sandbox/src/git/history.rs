//! Who changed what, when and with which words.

use super::{Mirror, object_name};
use crate::error::Error;
use crate::tree_path::TreePath;

/// One commit, as far as a reader of history cares.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Change {
    /// Full name of the commit.
    pub commit: String,
    /// The author's name.
    pub author: String,
    /// The author's address.
    pub mail: String,
    /// When it was authored, RFC 3339.
    pub date: String,
    /// First line of the message.
    pub subject: String,
}

/// One line with the commit that wrote it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct BlameLine {
    /// Line number in the asked commit, from 1.
    pub line: u32,
    /// The commit that wrote it.
    pub commit: String,
    /// Its author.
    pub author: String,
    /// The author's address.
    pub mail: String,
    /// When, in seconds since 1970.
    pub time: i64,
    /// First line of its message.
    pub subject: String,
    /// The line.
    pub text: String,
}

const FIELDS: usize = 5;
const FORMAT: &str = "--format=%H%x00%an%x00%ae%x00%aI%x00%s";

impl Mirror {
    /// The newest `limit` commits up to `commit`; of one file if `path` is given, of one range of its lines if `lines`
    /// (first and last, from 1) is.
    pub fn log(
        &self,
        commit: &str,
        path: Option<&TreePath>,
        lines: Option<(u32, u32)>,
        limit: u32,
    ) -> Result<Vec<Change>, Error> {
        use std::os::unix::ffi::{OsStrExt, OsStringExt};
        let mut args: Vec<std::ffi::OsString> =
            ["log", "-z", FORMAT, "--no-patch", "--no-ext-diff", "--no-textconv", "--no-color"]
                .map(Into::into)
                .to_vec();
        args.push(format!("--max-count={limit}").into());
        if let (Some(path), Some((from, to))) = (path, lines) {
            let mut range = format!("-L{},{}:", from.max(1), to.max(from).max(1)).into_bytes();
            range.extend_from_slice(TreePath::checked(path.as_bytes())?.as_bytes());
            args.push(std::ffi::OsString::from_vec(range));
        }
        args.extend(["--end-of-options".into(), object_name(commit)?.into(), "--".into()]);
        if let (Some(path), None) = (path, lines) {
            args.push(std::ffi::OsStr::from_bytes(path.as_bytes()).to_owned());
        }
        let out = self.git.run(&args)?;
        let text = String::from_utf8_lossy(&out).into_owned();
        let fields: Vec<&str> = text.trim_end_matches('\0').split('\0').collect();
        let changes = fields.chunks_exact(FIELDS).map(|fields| Change {
            commit: fields[0].trim_start().to_owned(),
            author: fields[1].to_owned(),
            mail: fields[2].to_owned(),
            date: fields[3].to_owned(),
            subject: fields[4].trim_end().to_owned(),
        });
        Ok(changes.collect())
    }

    /// Who wrote the lines `from` to `to` (from 1, both included) of a file at a commit.
    pub fn blame(&self, commit: &str, path: &TreePath, from: u32, to: u32) -> Result<Vec<BlameLine>, Error> {
        use std::os::unix::ffi::OsStrExt;
        let range = format!("-L{},{}", from.max(1), to.max(from).max(1));
        let args = ["blame", "--line-porcelain", "--no-textconv", &range, object_name(commit)?, "--"];
        let mut args = args.map(std::ffi::OsString::from).to_vec();
        args.push(std::ffi::OsStr::from_bytes(path.as_bytes()).to_owned());
        Ok(blame_lines(&self.git.run(&args)?))
    }
}

fn blame_lines(out: &[u8]) -> Vec<BlameLine> {
    let mut lines = Vec::new();
    let mut open: Option<BlameLine> = None;
    for raw in out.split(|byte| *byte == b'\n') {
        let text = String::from_utf8_lossy(raw);
        let Some(line) = &mut open else {
            let mut words = text.split(' ');
            if let (Some(commit), Some(_), Some(Ok(line))) = (words.next(), words.next(), words.next().map(str::parse))
            {
                let (author, mail, subject) = (String::new(), String::new(), String::new());
                let commit = commit.to_owned();
                open = Some(BlameLine { line, commit, author, mail, time: 0, subject, text: String::new() });
            }
            continue;
        };
        match text.split_once(' ') {
            _ if text.starts_with('\t') => {
                text[1..].clone_into(&mut line.text);
                lines.extend(open.take());
            }
            Some(("author", name)) => name.clone_into(&mut line.author),
            Some(("author-mail", mail)) => mail.trim_matches(['<', '>']).clone_into(&mut line.mail),
            Some(("author-time", time)) => line.time = time.parse().unwrap_or(0),
            Some(("summary", subject)) => subject.clone_into(&mut line.subject),
            _ => {}
        }
    }
    lines
}
