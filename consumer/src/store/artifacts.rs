//! Artifacts: what journal entries name by digest and do not hold themselves, such as diffs and reports of tests.

use rusqlite::OptionalExtension;

use super::{Store, Tx};
use crate::error::Error;
use crate::journal::digest;

/// Most bytes of an artifact.
pub const MOST_ARTIFACT: usize = 4 << 20;

impl Store {
    /// An artifact by its digest, if it is kept and is what its digest says.
    pub fn artifact(&self, wanted: &str) -> Result<Option<Vec<u8>>, Error> {
        let mut query = self.db.prepare_cached("SELECT body FROM artifact WHERE digest = ?1")?;
        let body: Option<Vec<u8>> = query.query_row([wanted], |row| row.get(0)).optional()?;
        Ok(body.filter(|body| digest(body) == wanted))
    }
}

impl Tx<'_> {
    /// Keeps an artifact of a remediation and gives its digest: SHA-256, hex. The same bytes are kept once.
    pub fn keep(&self, remediation: &str, body: &[u8]) -> Result<String, Error> {
        if body.len() > MOST_ARTIFACT {
            return Err(Error::ArtifactTooLarge { found: body.len(), most: MOST_ARTIFACT });
        }
        let digest = digest(body);
        let sql = "INSERT OR IGNORE INTO artifact VALUES (?1, ?2, ?3)";
        self.0.prepare_cached(sql)?.execute((&digest, remediation, body))?;
        Ok(digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_is_kept_once_and_only_as_it_was() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut store = Store::open(dir.path()).expect("opens");
        let kept = store.transact(|tx| tx.keep("r", b"diff")).expect("kept");
        assert_eq!(store.transact(|tx| tx.keep("q", b"diff")).expect("kept"), kept);
        assert_eq!(store.artifact(&kept).expect("readable").as_deref(), Some(&b"diff"[..]));
        assert_eq!(store.artifact("other").expect("readable"), None);
        store.db.execute("UPDATE artifact SET body = x'00'", []).expect("writable");
        assert_eq!(store.artifact(&kept).expect("readable"), None, "changed behind our back");
        let large = store.transact(|tx| tx.keep("r", &vec![0; MOST_ARTIFACT + 1]));
        assert!(matches!(large, Err(Error::ArtifactTooLarge { .. })));
    }
}
