//! The key that decisions are signed with: ed25519, made on the first start, kept in a file that only its owner reads.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use rand::TryRngCore;

use crate::error::{During, Error};
use crate::journal::{digest, hex};

/// The secret: 64 hex digits.
pub const KEY_FILE: &str = "signing.key";
/// The public key as PEM (`SubjectPublicKeyInfo`), for others.
pub const PUBLIC_FILE: &str = "signing.pub";

/// What stands before the 32 bytes of an ed25519 key in DER (RFC 8410, section 4): SEQUENCE { SEQUENCE { OID 1.3.101.112 },
/// BIT STRING }.
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Others than the owner.
const OTHERS: u32 = 0o077;

/// Signs.
pub struct Signer(SigningKey);

impl Signer {
    /// The key of a folder; makes one if there is none. Two that start at once get the same.
    pub fn of_folder(dir: &Path) -> Result<Self, Error> {
        let path = dir.join(KEY_FILE);
        if !path.exists() {
            make(dir, &path)?;
        }
        let signer = Self::read(&path)?;
        let public = dir.join(PUBLIC_FILE);
        let pem = signer.public().to_pem();
        if fs::read_to_string(&public).ok().as_ref() != Some(&pem) {
            backtrail_spool::write_atomically(&public, pem.as_bytes(), true)?;
        }
        Ok(signer)
    }

    /// A key from its secret.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&seed))
    }

    /// Makes a key in a file that is not there.
    pub fn make(path: &Path) -> Result<Self, Error> {
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        make(dir, path)?;
        Self::read(path)
    }

    /// Reads the key of a file that only its owner may read.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let wrong = |what: &str| Error::Key { path: path.to_owned(), what: what.to_owned() };
        let mut file = File::open(path).during("open", path)?;
        let mode = file.metadata().during("inspect", path)?.permissions().mode();
        if mode & OTHERS != 0 {
            return Err(wrong(&format!("others may use this key (mode {:03o}); chmod 600 it", mode & 0o777)));
        }
        let mut text = String::new();
        (&mut file).take(1024).read_to_string(&mut text).during("read", path)?;
        let digits = text.trim();
        let byte = |n: usize| digits.get(2 * n..2 * n + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        let seed: Option<Vec<u8>> = (0..32).map(byte).collect();
        let seed = seed.and_then(|seed| seed.try_into().ok()).filter(|_| digits.len() == 64);
        seed.map(Self::from_seed).ok_or_else(|| wrong("this is no key: 64 hex digits are expected"))
    }

    /// The other half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Signs bytes. The same bytes get the same signature.
    pub fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        self.0.sign(bytes).to_bytes()
    }
}

/// Writes a new key under another name and links it: there is never half a key, and never two.
fn make(dir: &Path, path: &Path) -> Result<(), Error> {
    let mut seed = [0; 32];
    rand::rngs::OsRng.try_fill_bytes(&mut seed).map_err(|error| Error::Key {
        path: path.to_owned(),
        what: format!("the system gives no randomness: {error}"),
    })?;
    let draft = dir.join(format!("{KEY_FILE}.{}.tmp", std::process::id()));
    let _ = fs::remove_file(&draft);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).during("create", &draft)?;
    file.write_all(format!("{}\n", hex(&seed)).as_bytes()).during("write", &draft)?;
    file.sync_all().during("sync", &draft)?;
    match fs::hard_link(&draft, path) {
        // Another process was faster: its key is the key.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        linked => linked.during("create", path)?,
    }
    fs::remove_file(&draft).during("remove", &draft)?;
    File::open(dir).and_then(|dir| dir.sync_all()).during("sync", dir)
}

/// Checks signatures.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// `SubjectPublicKeyInfo`, DER.
    pub fn to_der(&self) -> Vec<u8> {
        [&SPKI[..], self.0.as_bytes()].concat()
    }

    /// `SubjectPublicKeyInfo`, PEM.
    pub fn to_pem(&self) -> String {
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(self.to_der()))
    }

    /// Reads DER.
    pub fn from_der(der: &[u8]) -> Option<Self> {
        let key: [u8; 32] = der.strip_prefix(&SPKI)?.try_into().ok()?;
        VerifyingKey::from_bytes(&key).ok().map(Self)
    }

    /// Reads PEM.
    pub fn from_pem(pem: &str) -> Option<Self> {
        let body = pem.trim().strip_prefix("-----BEGIN PUBLIC KEY-----")?.strip_suffix("-----END PUBLIC KEY-----")?;
        Self::from_der(&STANDARD.decode(body.split_whitespace().collect::<String>()).ok()?)
    }

    /// Names the key: SHA-256 of its DER, hex.
    pub fn id(&self) -> String {
        digest(&self.to_der())
    }

    /// Whether `signature` is this key's for `bytes`. Strict: of the encodings of one signature only the canonical one.
    pub fn verifies(&self, bytes: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature).is_ok_and(|signature| self.0.verify_strict(bytes, &signature).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_keeps_its_key_and_only_the_owner_reads_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = Signer::of_folder(dir.path()).expect("made").public();
        let mode = fs::metadata(dir.path().join(KEY_FILE)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(Signer::of_folder(dir.path()).expect("read").public(), first);
        let pem = fs::read_to_string(dir.path().join(PUBLIC_FILE)).expect("there");
        assert_eq!(PublicKey::from_pem(&pem), Some(first.clone()));
        let elsewhere = tempfile::tempdir().expect("a directory");
        assert_ne!(Signer::of_folder(elsewhere.path()).expect("made").public(), first);
        assert_eq!(fs::read_dir(dir.path()).expect("readable").count(), 2, "no draft is left");
    }

    #[test]
    fn a_key_that_others_read_or_that_is_none_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        Signer::of_folder(dir.path()).expect("made");
        let path = dir.path().join(KEY_FILE);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("changed");
        let error = Signer::of_folder(dir.path()).map(drop).expect_err("refused").to_string();
        assert!(error.contains("chmod 600"), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("changed");
        fs::write(&path, "12").expect("writable");
        assert!(matches!(Signer::of_folder(dir.path()), Err(Error::Key { .. })));
    }

    /// RFC 8032, section 7.1, test 2.
    #[test]
    fn signatures_are_those_of_the_rfc() {
        let bytes = |text: &str| -> Vec<u8> {
            (0..text.len() / 2).map(|n| u8::from_str_radix(&text[2 * n..2 * n + 2], 16).expect("hex")).collect()
        };
        let seed = bytes("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
        let signer = Signer::from_seed(seed.try_into().expect("32 bytes"));
        assert_eq!(
            hex(&signer.sign(&[0x72])),
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        );
    }
}
