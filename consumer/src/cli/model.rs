//! Arguments about a language model.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::args::parse_duration;

/// Which model is asked, and what never leaves.
#[derive(Args, Debug, Default)]
pub(crate) struct ModelArgs {
    /// Ask a language model after the recipes: its URL; https, or http on this machine
    #[arg(long, value_name = "URL", requires = "llm_model")]
    pub(crate) llm_url: Option<String>,
    /// The model's name
    #[arg(long, value_name = "NAME", requires = "llm_url")]
    pub(crate) llm_model: Option<String>,
    /// How it is spoken to
    #[arg(long, value_enum, default_value_t, value_name = "DIALECT")]
    pub(crate) llm_dialect: Dialect,
    /// A file with its key, readable by its owner only; else the environment's `BACKTRAIL_LLM_KEY`
    #[arg(long, value_name = "FILE", requires = "llm_url")]
    pub(crate) llm_key_file: Option<PathBuf>,
    /// How long an answer may take, a second attempt included
    #[arg(long, default_value = "60s", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) llm_timeout: Duration,
    /// Values that are never sent or written, one a line; secrets of a known shape never are
    #[arg(long, value_name = "FILE")]
    pub(crate) deny_values: Option<PathBuf>,
}

/// How a model is spoken to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub(crate) enum Dialect {
    /// Chat completions, which most servers speak.
    #[default]
    Openai,
    /// Messages of Anthropic.
    Anthropic,
}
