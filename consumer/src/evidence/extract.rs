//! A bundle taken apart into files that other tools read: the patch for `git apply`, and each signed statement as a
//! Sigstore bundle (version 0.3, `dev.sigstore.bundle.v1`) for `cosign verify-blob-attestation`.

use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::bundle::{Bundle, Invalid, Verified};
use super::dsse::Envelope;
use super::key::{PUBLIC_FILE, PublicKey};
use crate::error::{During, Error};

/// The media type of a Sigstore bundle.
const SIGSTORE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// One file of a bundle.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// Where it goes below the folder: no part leads out of it.
    pub path: PathBuf,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// The files of a bundle, checked by [`Bundle::verify`] first.
pub fn parts(bytes: &[u8], trusted: Option<&PublicKey>) -> Result<(Verified, Vec<Part>), Invalid> {
    let (bundle, verified, key) = Bundle::opened(bytes, trusted)?;
    let mut parts = vec![
        part(PUBLIC_FILE, key.to_pem().into_bytes())?,
        part("request.json", bundle.request.into_bytes())?,
        part("journal.jsonl", bundle.journal.join("\n").into_bytes())?,
        part("decision.sigstore.json", sigstore(&bundle.decision, &key))?,
    ];
    for artifact in &bundle.artifacts {
        parts.push(part(&artifact.name, artifact.bytes().unwrap_or_default())?);
    }
    let patches = bundle.artifacts.iter().filter_map(|artifact| artifact.name.strip_suffix("/patch.diff"));
    for (candidate, result) in patches.zip(&bundle.test_results) {
        parts.push(part(&format!("{candidate}/test_result.sigstore.json"), sigstore(result, &key))?);
    }
    Ok((verified, parts))
}

/// Writes parts into a folder that is not there yet, or is empty.
pub fn write(parts: &[Part], to: &Path) -> Result<(), Error> {
    fs::create_dir_all(to).during("create", to)?;
    if fs::read_dir(to).during("read", to)?.next().is_some() {
        return Err(ErrorKind::DirectoryNotEmpty.into()).during("extract to", to);
    }
    for part in parts {
        let path = to.join(&part.path);
        let dir = path.parent().unwrap_or(to);
        fs::create_dir_all(dir).during("create", dir)?;
        fs::write(&path, &part.bytes).during("write", &path)?;
    }
    Ok(())
}

/// A part whose name stays below the folder. A bundle that somebody else signed may name anything.
fn part(name: &str, bytes: Vec<u8>) -> Result<Part, Invalid> {
    let path = PathBuf::from(name);
    if path.components().all(|component| matches!(component, Component::Normal(_))) && !name.is_empty() {
        return Ok(Part { path, bytes });
    }
    Err(Invalid::Part { what: name.to_owned(), why: "its name leads out of the folder".to_owned() })
}

/// The envelope as a Sigstore bundle that is verified by a key and not by a transparency log.
fn sigstore(envelope: &Envelope, key: &PublicKey) -> Vec<u8> {
    let signatures: Vec<_> = envelope.signatures.iter().map(|one| json!({ "sig": one.sig })).collect();
    let bundle = json!({
        "mediaType": SIGSTORE,
        "verificationMaterial": { "publicKey": { "hint": STANDARD.encode(key.id()) } },
        "dsseEnvelope": {
            "payload": envelope.payload,
            "payloadType": envelope.payload_type,
            "signatures": signatures,
        },
    });
    bundle.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_of_the_folder() {
        for name in ["../key", "/etc/key", "revert-0/../../key", ""] {
            assert!(part(name, Vec::new()).is_err(), "{name}");
        }
        assert!(part("revert-0/patch.diff", Vec::new()).is_ok());
    }

    #[test]
    fn a_folder_that_holds_something_is_left_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("mine"), "").expect("writable");
        let parts = [part("request.json", b"{}".to_vec()).expect("a name")];
        assert!(write(&parts, dir.path()).is_err());
        assert!(!dir.path().join("request.json").exists());
        write(&parts, &dir.path().join("new/folder")).expect("written");
        assert_eq!(fs::read(dir.path().join("new/folder/request.json")).expect("readable"), b"{}");
    }
}
