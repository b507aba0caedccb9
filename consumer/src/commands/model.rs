//! The language model of the command line, with its key.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use backtrail_llm::{Dialect as Spoken, Provider, Secret};
use backtrail_redact::Redactor;

use crate::cli::{Dialect, Failure, ModelArgs};
use crate::plan::Model;
use crate::redaction;

/// The variable with the key.
const KEY: &str = "BACKTRAIL_LLM_KEY";
/// Most bytes of a key.
const MOST_KEY: u64 = 8 << 10;
/// Shorter keys are no secret that a text could be searched for.
const FEWEST_DENIED: usize = 8;

/// The model, if one is named, and what finds that which is not to be sent or written: the key is part of that.
pub(crate) fn of(args: &ModelArgs) -> Result<(Option<Model>, Redactor), Failure> {
    let key = key(args)?;
    let denied: Vec<&str> = Some(key.as_str()).filter(|key| key.len() >= FEWEST_DENIED).into_iter().collect();
    let redactor = redaction::with_denied(args.deny_values.as_deref(), &denied).map_err(Failure::config)?;
    let (Some(url), Some(name)) = (&args.llm_url, &args.llm_model) else { return Ok((None, redactor)) };
    let dialect = match args.llm_dialect {
        Dialect::Openai => Spoken::OpenAiChat,
        Dialect::Anthropic => Spoken::AnthropicMessages,
    };
    let mut provider = Provider::new(url, name, dialect, Secret::new(key));
    provider.timeout = args.llm_timeout;
    provider.max_retry_after = provider.max_retry_after.min(args.llm_timeout / 2);
    Ok((Some(Model::new(provider)), redactor))
}

/// The key; empty for a model that asks for none.
fn key(args: &ModelArgs) -> Result<String, Failure> {
    match &args.llm_key_file {
        Some(file) => of_file(file).map_err(|what| Failure::config(format!("{}: {what}", file.display()))),
        None if args.llm_url.is_some() => Ok(std::env::var(KEY).unwrap_or_default().trim().to_owned()),
        None => Ok(String::new()),
    }
}

fn of_file(path: &Path) -> Result<String, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mode = file.metadata().map_err(|error| error.to_string())?.mode();
    if mode & 0o077 != 0 {
        return Err(format!("the key can be read by others (mode {:04o}); run chmod 0600 on it", mode & 0o7777));
    }
    let mut text = String::new();
    file.take(MOST_KEY + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    let key = text.trim();
    if key.is_empty() || text.len() as u64 > MOST_KEY || key.contains(char::is_whitespace) {
        return Err("it must hold one key on one line".into());
    }
    Ok(key.to_owned())
}
