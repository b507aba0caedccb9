//! The two ways to speak to a model: what a question looks like on the wire, and where the answer is in the reply.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::answer::Unreadable;
use crate::prompt::Prompt;
use crate::schema;

/// A protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
pub enum Dialect {
    /// `POST /chat/completions`, spoken by `OpenAI`, vLLM, Ollama, llama.cpp and most others.
    #[serde(rename = "openai_chat")]
    OpenAiChat,
    /// `POST /v1/messages` of Anthropic.
    #[serde(rename = "anthropic_messages")]
    AnthropicMessages,
}

impl Dialect {
    /// The name in configuration and evidence.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenAiChat => "openai_chat",
            Self::AnthropicMessages => "anthropic_messages",
        }
    }

    /// What is missing behind a base URL.
    pub(crate) fn path(self, base: &str) -> &'static str {
        match self {
            Self::OpenAiChat if base.ends_with("/chat/completions") => "",
            Self::OpenAiChat => "/chat/completions",
            Self::AnthropicMessages if base.ends_with("/messages") => "",
            Self::AnthropicMessages if base.ends_with("/v1") => "/messages",
            Self::AnthropicMessages => "/v1/messages",
        }
    }

    /// The header that carries the key, and its value.
    pub(crate) fn authentication(self, key: &str) -> (&'static str, String) {
        match self {
            Self::OpenAiChat => ("authorization", format!("Bearer {key}")),
            Self::AnthropicMessages => ("x-api-key", key.to_owned()),
        }
    }

    /// The body of a question.
    pub(crate) fn body(self, model: &str, prompt: &Prompt, answer_tokens: u32) -> Vec<u8> {
        let body = match self {
            // No temperature and no limit of tokens: newer models refuse the one and rename the other. The reply is
            // bounded in bytes and time in any case.
            Self::OpenAiChat => json!({
                "model": model,
                "stream": false,
                "messages": [
                    { "role": "system", "content": prompt.system },
                    { "role": "user", "content": prompt.user },
                ],
                "response_format": {
                    "type": "json_schema",
                    "json_schema": { "name": schema::NAME, "strict": true, "schema": schema::answer() },
                },
            }),
            Self::AnthropicMessages => json!({
                "model": model,
                "stream": false,
                "max_tokens": answer_tokens,
                "system": prompt.system,
                "messages": [{ "role": "user", "content": prompt.user }],
                "tools": [{
                    "name": schema::NAME,
                    "description": "Hands in the candidates.",
                    "input_schema": schema::answer(),
                }],
                "tool_choice": { "type": "tool", "name": schema::NAME },
            }),
        };
        body.to_string().into_bytes()
    }

    /// The text of the answer within a reply.
    pub(crate) fn text(self, reply: &[u8]) -> Result<String, Unreadable> {
        match self {
            Self::OpenAiChat => openai(reply),
            Self::AnthropicMessages => anthropic(reply),
        }
    }

    /// What a reply says about its failure, if it says it in the usual place.
    pub(crate) fn complaint(reply: &[u8]) -> Option<String> {
        let value: Value = serde_json::from_slice(reply).ok()?;
        let error = value.get("error")?;
        error.get("message").unwrap_or(error).as_str().map(str::to_owned)
    }
}

fn envelope<'a, T: Deserialize<'a>>(reply: &'a [u8]) -> Result<T, Unreadable> {
    if reply.iter().all(u8::is_ascii_whitespace) {
        return Err(Unreadable::Envelope("it is empty".into()));
    }
    // serde_json names what it found instead, so only the place is passed on: the text is not to be trusted.
    let place = |error: serde_json::Error| {
        Unreadable::Envelope(format!("line {}, column {} does not fit", error.line(), error.column()))
    };
    serde_json::from_slice(reply).map_err(place)
}

#[derive(Deserialize)]
struct Completion {
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    message: Message,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
}

fn openai(reply: &[u8]) -> Result<String, Unreadable> {
    let completion: Completion = envelope(reply)?;
    let choice =
        completion.choices.into_iter().next().ok_or_else(|| Unreadable::Envelope("it has no choice".into()))?;
    if choice.message.refusal.is_some_and(|text| !text.is_empty()) {
        return Err(Unreadable::Declined);
    }
    match choice.finish_reason.as_deref() {
        Some("length") => return Err(Unreadable::CutShort),
        Some("content_filter") => return Err(Unreadable::Declined),
        _ => {}
    }
    choice.message.content.ok_or_else(|| Unreadable::Envelope("its first choice has no text".into()))
}

#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(borrow)]
    content: Vec<Block<'a>>,
    #[serde(default)]
    stop_reason: Option<String>,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    name: String,
    /// As it was written, so that it is read once and under our own limits.
    #[serde(default, borrow)]
    input: Option<&'a RawValue>,
}

fn anthropic(reply: &[u8]) -> Result<String, Unreadable> {
    let reply: Reply<'_> = envelope(reply)?;
    match reply.stop_reason.as_deref() {
        Some("max_tokens") => return Err(Unreadable::CutShort),
        Some("refusal") => return Err(Unreadable::Declined),
        _ => {}
    }
    let tool = reply.content.iter().find(|block| block.kind == "tool_use" && block.name == schema::NAME);
    if let Some(input) = tool.and_then(|block| block.input) {
        return Ok(input.get().to_owned());
    }
    let text: String = reply.content.iter().filter(|block| block.kind == "text").map(|b| b.text.as_str()).collect();
    if text.is_empty() { Err(Unreadable::Envelope("it has neither a tool's input nor text".into())) } else { Ok(text) }
}
