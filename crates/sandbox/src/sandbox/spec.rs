//! What the caller and the first process of a sandbox say to each other: the order, twice (once for each of the two
//! stages of that process), and then one JSON document a line back.

use std::ffi::OsString;
use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};

use super::{Isolation, Limit, Limits};

/// The order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Spec {
    /// Empty: only set up and report.
    pub(crate) argv: Vec<OsString>,
    pub(crate) dir: OsString,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) writable: Vec<OsString>,
    pub(crate) readable: Vec<OsString>,
    pub(crate) hidden: Vec<OsString>,
    /// A folder for `HOME` and `TMPDIR` where `/tmp` cannot be made private.
    pub(crate) scratch: OsString,
    /// As whom to run, when we are root and the folders could be given away.
    pub(crate) user: Option<(u32, u32)>,
    /// Why not, when not.
    pub(crate) not_user: Option<String>,
    pub(crate) require: Vec<super::Aspect>,
    pub(crate) limits: Limits,
}

/// What comes back.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Report {
    /// What one stage isolated.
    Isolation(Isolation),
    /// The set-up failed; nothing was run.
    Failed(String),
    /// Something that had to be isolated was not; nothing was run.
    Demanded(String),
    /// The program could not be started.
    NotStarted(String),
    /// The program ended, and perhaps a limit was met that the kernel enforces by itself.
    Ended { exit: Option<i32>, signal: Option<i32>, met: Option<Limit> },
}

/// Largest order that is read; arguments and environment of a process are bounded by the kernel far below.
const LARGEST: u32 = 16 << 20;

impl Spec {
    pub(crate) fn send(&self, to: &mut impl Write) -> io::Result<()> {
        let text = serde_json::to_vec(self).map_err(io::Error::other)?;
        let length = u32::try_from(text.len()).ok().filter(|length| *length <= LARGEST);
        let length = length.ok_or_else(|| io::Error::other("the order is too large"))?;
        to.write_all(&length.to_le_bytes())?;
        to.write_all(&text)
    }

    pub(crate) fn receive(from: &mut impl Read) -> io::Result<Self> {
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length);
        if length > LARGEST {
            return Err(io::Error::other("the order is too large"));
        }
        let mut text = vec![0; length as usize];
        from.read_exact(&mut text)?;
        serde_json::from_slice(&text).map_err(io::Error::other)
    }
}

impl Report {
    pub(crate) fn send(&self, to: &mut impl Write) -> io::Result<()> {
        let mut text = serde_json::to_vec(self).map_err(io::Error::other)?;
        text.push(b'\n');
        to.write_all(&text)
    }
}
