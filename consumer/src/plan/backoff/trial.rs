//! The generated test: bounded attempts, and pauses that differ, grow and have an end. It asks for behaviour alone, so the
//! old code fails it by what it does.

use super::Values;
use super::python::Retry;
use crate::plan::python::{Instruments, Subject, Target, body, place_of, split_imports};

/// Its tests.
pub(super) const TESTS: [&str; 2] =
    ["test_pauses_differ_and_their_bound_doubles", "test_retries_of_many_requests_stay_within_a_share"];

/// Exceptions of the language that take any message.
const BUILTIN: [&str; 14] = [
    "OSError",
    "IOError",
    "TimeoutError",
    "ConnectionError",
    "ConnectionResetError",
    "ConnectionRefusedError",
    "ConnectionAbortedError",
    "BrokenPipeError",
    "RuntimeError",
    "ValueError",
    "LookupError",
    "KeyError",
    "EOFError",
    "InterruptedError",
];
/// Exceptions of libraries that do.
const KNOWN: [&str; 12] = [
    "requests.RequestException",
    "requests.ConnectionError",
    "requests.Timeout",
    "requests.exceptions.RequestException",
    "requests.exceptions.ConnectionError",
    "requests.exceptions.Timeout",
    "urllib.error.URLError",
    "socket.timeout",
    "socket.error",
    "http.client.HTTPException",
    "URLError",
    "RequestException",
];

/// The whole file.
pub(super) fn text(
    module: &str,
    target: &Target<'_>,
    retry: &Retry,
    instruments: &Instruments,
    subject: &Subject,
    values: &Values,
) -> Result<String, String> {
    let error = exception(target, retry)?;
    let mut imports = subject.imports.clone();
    imports.insert(instruments.client_import.clone());
    let (plain, from) = split_imports(&imports, &["import random", "import time", "from unittest import mock"]);
    let root = target.holder().is_some();
    let sends = place_of(&retry.sends, root);
    let sleep = match &retry.pause {
        Some((call, ..)) => place_of(call, root),
        None => ("suspect.time".to_owned(), "sleep".to_owned()),
    };
    // Without a pause the module may not know `time`, but all modules share it.
    let sleep = if sleep.0 == "suspect.time" { ("time".to_owned(), sleep.1) } else { sleep };
    let Values { flag, callee, base_s, cap_s, retries, share, burst, .. } = values;
    let client = &instruments.client;
    let support: String = subject.support.iter().map(|text| format!("{text}\n\n\n")).collect();
    let (build, call) = (body(&subject.build, "return "), body(&subject.call, ""));
    let (build, call) = if root { (build, call) } else { ("    return None\n".to_owned(), call) };
    let most = (1.0 + 2.0 / share.parse::<f64>().unwrap_or(0.1)).ceil();
    // While it is off nothing changes: one run is as any other. What never ends cannot be run.
    let off = if retry.bounded { "    trial.on = False\n    assert trial.run() == trial.run()\n" } else { "" };
    let (sends_on, sends_name) = sends;
    let (sleep_on, sleep_name) = sleep;
    let file = subject.from.rsplit('/').next().unwrap_or_default();
    Ok(format!(
        r#""""What {name} sends to {callee} again is bounded and spread out while {flag} is on."""

{plain}
import pytest

import {module} as suspect
{from}
FLAG = "{flag}"
RETRIES, BASE_S, CAP_S = {retries}, {base_s}, {cap_s}
SHARE, BURST = {share}, {burst}


{support}def _build():
    """As in {file}."""
{build}

def _send(subject):
    """One request, as in {file}."""
{call}

class Trial:
    """The suspect with a transport that fails when it is told to, and pauses that only count."""

    def __init__(self, monkeypatch):
        self.on, self.fails, self.attempts, self.pauses = True, True, 0, []
        subject = self.subject = _build()
        self.answer = mock.MagicMock()
        monkeypatch.setattr({client}, "get_boolean_value", self.flag)
        monkeypatch.setattr({sends_on}, "{sends_name}", self.transport)
        monkeypatch.setattr({sleep_on}, "{sleep_name}", lambda seconds: self.pauses.append(seconds))

    def flag(self, key, default=False, *args, **kwargs):
        return self.on if key == FLAG else default

    def transport(self, *args, **kwargs):
        self.attempts += 1
        if self.attempts > 100:
            pytest.fail("it tries again without an end")
        if self.fails:
            raise {error}("no answer")
        return self.answer

    def run(self, fails=True):
        """One request: how often it was tried, and the pauses between."""
        self.fails, self.attempts, self.pauses = fails, 0, []
        try:
            _send(self.subject)
        except Exception:
            pass  # giving up is right, and how is tested elsewhere
        return self.attempts, self.pauses


def test_pauses_differ_and_their_bound_doubles(monkeypatch):
    trial = Trial(monkeypatch)
    runs = []
    for seed in range(40):
        for _ in range({most}):
            trial.run(fails=False)
        random.seed(seed)
        attempts, pauses = trial.run()
        assert 1 <= len(pauses) <= attempts <= RETRIES + 1
        runs.append(pauses)
    assert all(0 <= pause <= CAP_S for pauses in runs for pause in pauses)
    assert runs[0] != runs[1]
    for retry in range(RETRIES):
        bound = min(CAP_S, BASE_S * 2**retry)
        longest = max(pauses[retry] for pauses in runs)
        assert bound / 2 < longest <= bound
{off}

def test_retries_of_many_requests_stay_within_a_share(monkeypatch):
    trial = Trial(monkeypatch)
    requests = 200
    attempts = sum(trial.run()[0] for _ in range(requests))
    assert requests <= attempts <= requests + SHARE * requests + BURST
"#,
        name = target.qualified(),
    ))
}

/// The exception that the transport fails with, as the test names it.
fn exception(target: &Target<'_>, retry: &Retry) -> Result<String, String> {
    let Some(name) = &retry.catches else { return Ok("ConnectionError".into()) };
    if BUILTIN.contains(&name.as_str()) {
        return Ok(name.clone());
    }
    let own = target.parsed.functions().iter().any(|function| function.qualified == format!("{name}.__init__"));
    let text = target.parsed.text();
    let plain = text.contains(&format!("class {name}(Exception)")) && !own;
    if KNOWN.contains(&name.as_str()) || plain {
        return Ok(format!("suspect.{name}"));
    }
    Err(format!("it is not known how to make a {name}, which the loop catches"))
}
