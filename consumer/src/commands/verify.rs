//! `backtrail-consumer verify`: a bundle of evidence, checked offline.

use anyhow::Context;

use super::read_at_most;
use crate::cli::{Exit, Failure, Out, Verify};
use crate::evidence::{MOST_BUNDLE_BYTES, PublicKey, extract};

/// Runs the command.
pub(crate) fn run(args: &Verify, out: &mut Out) -> Result<Exit, Failure> {
    let key = args.key.as_ref().map(|path| {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        PublicKey::from_pem(&text).with_context(|| format!("{} is no ed25519 public key in PEM", path.display()))
    });
    let key = key.transpose()?;
    let bytes = read_at_most(&args.bundle, MOST_BUNDLE_BYTES)?;
    if bytes.len() as u64 > MOST_BUNDLE_BYTES {
        return Err(anyhow::anyhow!("{} is larger than any bundle", args.bundle.display()).into());
    }
    let (verified, parts) =
        extract::parts(&bytes, key.as_ref()).with_context(|| format!("{}", args.bundle.display()))?;
    if let Some(to) = &args.extract {
        extract::write(&parts, to)?;
    }
    if args.json {
        out.json(&verified)?;
        return Ok(Exit::Ok);
    }
    let decision = &verified.decision;
    out.line(&format!("valid: {} is {}", decision.remediation, decision.state.name()))?;
    out.line(&format!("  reason    {}", decision.reason))?;
    out.line(&format!("  incident  {}, revision {}", decision.incident, decision.revision))?;
    out.line(&format!("  service   {}", decision.service))?;
    out.line(&format!("  journal   {} entries, head {}", decision.entries, decision.head))?;
    let by = if verified.key_was_given { "the key that was given" } else { "the bundle's own; pin it with --key" };
    out.line(&format!("  key       {} ({by})", verified.key))?;
    if let Some(to) = &args.extract {
        out.line(&format!("  files     {} in {}", parts.len(), to.display()))?;
    }
    Ok(Exit::Ok)
}
