//! `backtrail-consumer dlq`: the dead letters.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::{existing, now};
use crate::cli::{DataDir, Dlq, DlqCommand, Exit, Failure, Out};
use crate::store::Replayed;

/// Runs the command.
pub(crate) fn run(args: &Dlq, out: &mut Out) -> Result<Exit, Failure> {
    match &args.command {
        DlqCommand::List { data, json } => list(data, *json, out),
        DlqCommand::Show { id, data, json } => show(id, data, *json, out),
        DlqCommand::Replay { id, data, json } => replay(id, data, *json, out),
        DlqCommand::Drop { id, data, json } => remove(id, data, *json, out),
    }?;
    Ok(Exit::Ok)
}

fn list(data: &DataDir, json: bool, out: &mut Out) -> Result<(), Failure> {
    let letters = existing(data)?.dead_letters()?;
    if json {
        out.json(&json!({ "dead_letters": letters }))?;
        return Ok(());
    }
    for letter in &letters {
        out.line(&format!("{}  {}  {:<15}  {} bytes", letter.id, letter.at, letter.reason, letter.length))?;
        out.line(&format!("    {}", letter.detail))?;
    }
    if letters.is_empty() {
        out.line("no dead letters")?;
    }
    Ok(())
}

fn show(id: &str, data: &DataDir, json: bool, out: &mut Out) -> Result<(), Failure> {
    let (letter, body) = existing(data)?.dead_letter(id)?.ok_or_else(|| unknown(id))?;
    if json {
        out.json(&json!({ "dead_letter": letter, "base64": STANDARD.encode(body) }))?;
    } else {
        out.bytes(&body)?;
    }
    Ok(())
}

fn replay(id: &str, data: &DataDir, json: bool, out: &mut Out) -> Result<(), Failure> {
    match existing(data)?.transact(|tx| tx.replay_letter(id, now()))? {
        Replayed::Waiting if json => out.json(&json!({ "id": id, "replayed": true }))?,
        Replayed::Waiting => out.line(&format!("{id} waits in the inbox"))?,
        Replayed::Unknown => return Err(unknown(id)),
        Replayed::Cut => {
            let cut = anyhow::anyhow!("of {id} only the beginning was kept; it cannot be replayed");
            return Err(Failure::from(cut).hint("drop it, and send a smaller request"));
        }
    }
    Ok(())
}

fn remove(id: &str, data: &DataDir, json: bool, out: &mut Out) -> Result<(), Failure> {
    if !existing(data)?.transact(|tx| tx.drop_letter(id))? {
        return Err(unknown(id));
    }
    if json {
        out.json(&json!({ "id": id, "dropped": true }))?;
    } else {
        out.line(&format!("{id} is removed"))?;
    }
    Ok(())
}

fn unknown(id: &str) -> Failure {
    Failure::usage(format!("there is no dead letter '{id}'"), "'backtrail-consumer dlq list' lists them")
}
