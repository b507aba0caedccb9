//! The one effect so far: the evidence of an ended remediation becomes a file.

use std::io::ErrorKind;
use std::path::Path;

use backtrail_model::time::UnixNano;

use super::{BUNDLES, Worker};
use crate::crash;
use crate::error::{During, Error};
use crate::evidence::Bundle;
use crate::journal::{Chain, digest};
use crate::step::{Effect, Step};
use crate::store::{Lease, Store};

impl Worker {
    /// Sees to it that the evidence is there, once.
    pub(super) fn seal(
        &self,
        store: &mut Store,
        lease: &Lease,
        id: &str,
        chain: &Chain,
        now: UnixNano,
    ) -> Result<(), Error> {
        if chain.remediation.sealed.is_some() {
            return Ok(());
        }
        let folder = store.dir().join(BUNDLES);
        if let Some(effect) = &chain.remediation.open
            && is_there(&folder, effect)?
        {
            let step = Step::Happened { effect: effect.clone(), observed: true };
            return store.transact(|tx| tx.append(lease, id, &step, now)).map(drop);
        }
        let artifact = |digest: &str| store.artifact(digest);
        let bytes = Bundle::seal(chain, &lease.body, &self.signer, artifact)?
            .map_err(|invalid| Error::IllegalStep(format!("sealing {id}: {invalid}")))?;
        let effect = Effect::Seal { file: format!("{id}.json"), digest: digest(&bytes) };
        if chain.remediation.open.as_ref() != Some(&effect) {
            let step = Step::Intended { effect: effect.clone() };
            store.transact(|tx| tx.append(lease, id, &step, now))?;
        }
        write(&folder, &effect, &bytes)?;
        crash::point();
        let step = Step::Happened { effect, observed: false };
        store.transact(|tx| tx.append(lease, id, &step, now)).map(drop)
    }
}

/// Whether the file is what was intended.
pub(super) fn is_there(folder: &Path, effect: &Effect) -> Result<bool, Error> {
    let Effect::Seal { file, digest: wanted } = effect;
    let path = folder.join(file);
    match std::fs::read(&path) {
        Ok(bytes) => Ok(digest(&bytes) == *wanted),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(source) => Err(Error::Io { action: "read", path, source }),
    }
}

fn write(folder: &Path, effect: &Effect, bytes: &[u8]) -> Result<(), Error> {
    let Effect::Seal { file, .. } = effect;
    std::fs::create_dir_all(folder).during("create", folder)?;
    Ok(backtrail_spool::write_atomically(&folder.join(file), bytes, true)?)
}
