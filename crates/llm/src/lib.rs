//! Asks a language model behind a URL for edits, and believes nothing it says.
