//! Calls of Python that wait for ever: found in the tree, given a timeout, and tested.

use std::collections::BTreeSet;

use backtrail_code::tree_sitter::Node;

use super::{Change, Values};
use crate::context::Context;
use crate::plan::python::{
    Edits, Instruments, Style, Subject, Target, before_definitions, body, callee, is_dotted, module_of, named,
    place_of, split_imports, with_imports,
};

/// The generated test.
const TEST: &str = "test_the_call_does_not_wait_for_ever";

/// Calls that take a timeout by name and have none by default, with how many arguments come before it.
const WAITING: [(&str, usize); 11] = [
    ("urlopen", 2),
    ("HTTPConnection", 2),
    ("HTTPSConnection", 2),
    ("requests.get", 64),
    ("requests.post", 64),
    ("requests.put", 64),
    ("requests.patch", 64),
    ("requests.delete", 64),
    ("requests.head", 64),
    ("requests.request", 64),
    ("socket.create_connection", 1),
];

/// The change and its test.
pub(super) fn change(context: &Context, target: &Target<'_>, values: &Values) -> Result<Change, String> {
    let call = Call::find(target)?;
    let instruments = Instruments::find(context, target)?;
    let subject = Subject::find(context, target)?;
    let stem = target.path.rsplit('/').next().unwrap_or(target.path).trim_end_matches(".py");
    let folder = subject.from.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
    Ok(Change {
        line: call.line,
        callee: call.callee.clone(),
        content: edited(target, &call, &instruments, values)?,
        test_path: format!("{folder}test_{stem}_{}_deadline.py", target.name().trim_matches('_')),
        test: test(&module_of(context, target.path), target, &call, &instruments, &subject, values),
        tests: vec![TEST.to_owned()],
    })
}

/// A call without a timeout.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Call {
    /// Its line.
    line: usize,
    /// What is called, as written.
    callee: String,
    /// Where a further argument goes, and what stands between.
    at: usize,
    comma: &'static str,
}

impl Call {
    /// The one call of the function that waits for ever.
    fn find(target: &Target<'_>) -> Result<Self, String> {
        let calls = target.nodes().into_iter().filter(|node| node.kind() == "call");
        let found: Vec<Self> = calls.filter_map(|call| Self::of(target, call)).collect();
        match found.as_slice() {
            [one] => Ok(one.clone()),
            [] => Err("it makes no call without a timeout that is known".into()),
            _ => Err("it makes several calls without a timeout".into()),
        }
    }

    fn of(target: &Target<'_>, call: Node<'_>) -> Option<Self> {
        let callee = callee(target.parsed, call);
        let (_, most) = WAITING.iter().find(|(name, _)| {
            let rest = callee.strip_suffix(name);
            is_dotted(callee) && rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })?;
        let list = call.child_by_field_name("arguments").filter(|list| list.kind() == "argument_list")?;
        let arguments = named(list);
        let positional = arguments.iter().filter(|one| one.kind() != "keyword_argument").count();
        let given = arguments.iter().any(|one| {
            let name = one.child_by_field_name("name").filter(|_| one.kind() == "keyword_argument");
            // What is spread out may hold a timeout.
            matches!(one.kind(), "dictionary_splat" | "list_splat")
                || name.is_some_and(|name| target.parsed.text_of(name) == "timeout")
        });
        if given || positional > *most {
            return None;
        }
        let (at, comma) = match arguments.last() {
            Some(last) => (last.end_byte(), ", "),
            None => (list.end_byte() - 1, ""),
        };
        Some(Self { line: call.start_position().row + 1, callee: callee.to_owned(), at, comma })
    }
}

/// The file with the new code.
fn edited(target: &Target<'_>, call: &Call, instruments: &Instruments, values: &Values) -> Result<String, String> {
    let text = target.parsed.text();
    for name in ["_deadline", "_DEADLINE_FLAG"] {
        if crate::context::has_word(text, name) {
            return Err(format!("the file has a '{name}' already"));
        }
    }
    let (style, mut edits) = (Style::of(text), Edits::default());
    for (at, line) in with_imports(target.parsed, target.path, &instruments.imports)? {
        edits.insert(at, line);
    }
    let definitions = before_definitions(target.parsed).ok_or("the file has no definitions")?;
    edits.insert(definitions, style.dress("", &helper(instruments, values)));
    edits.insert(call.at, format!("{}**_deadline()", call.comma));
    Ok(edits.apply(text))
}

fn helper(instruments: &Instruments, values: &Values) -> String {
    let Instruments { client, span, counter, log, setup, .. } = instruments;
    let Values { flag, callee, counter: name, timeout_s } = values;
    format!(
        r#"{setup}_DEADLINE_FLAG = "{flag}"
_DEADLINE_S = {timeout_s}
_deadlines = {counter}("{name}")


def _deadline():
    """The timeout of a call to {callee} as an argument, while the flag is on; none while it is off."""
    on = {client}.get_boolean_value(_DEADLINE_FLAG, False)
    span = {span}
    span.set_attribute("feature_flag.key", _DEADLINE_FLAG)
    span.set_attribute("feature_flag.result.variant", "on" if on else "off")
    if not on:
        return {{}}
    _deadlines.add(1, {{"feature_flag.key": _DEADLINE_FLAG}})
    {log}.debug("call has a deadline", extra={{"timeout_s": _DEADLINE_S}})
    return {{"timeout": _DEADLINE_S}}


"#
    )
}

/// The generated test: what the call is asked to wait, and that it is asked as before while the flag is off.
fn test(
    module: &str,
    target: &Target<'_>,
    call: &Call,
    instruments: &Instruments,
    subject: &Subject,
    values: &Values,
) -> String {
    let mut imports: BTreeSet<String> = subject.imports.clone();
    imports.insert(instruments.client_import.clone());
    let (plain, from) = split_imports(&imports, &["from unittest import mock"]);
    let on_object = target.holder().is_some();
    let (holder, name) = place_of(&call.callee, on_object);
    let support: String = subject.support.iter().map(|text| format!("{text}\n\n\n")).collect();
    let build = if on_object { body(&subject.build, "return ") } else { "    return None\n".to_owned() };
    let send = body(&subject.call, "");
    let Values { flag, callee, timeout_s, .. } = values;
    let client = &instruments.client;
    let file = subject.from.rsplit('/').next().unwrap_or_default();
    format!(
        r#""""What {function} asks of {callee} has a timeout while {flag} is on."""

{plain}
import {module} as suspect
{from}
FLAG = "{flag}"


{support}def _build():
    """As in {file}."""
{build}

def _send(subject):
    """One request, as in {file}."""
{send}

def asked_to_wait(monkeypatch, on):
    """The timeout that the call is made with."""
    monkeypatch.setattr({client}, "get_boolean_value", lambda key, default=False, *_: on if key == FLAG else default)
    subject, call = _build(), mock.MagicMock()
    monkeypatch.setattr({holder}, "{name}", call)
    try:
        _send(subject)
    except Exception:
        pass  # the answer is none, and what comes of it is tested elsewhere
    assert call.call_count >= 1
    return [one.kwargs.get("timeout") for one in call.call_args_list]


def {TEST}(monkeypatch):
    assert all(timeout is not None and 0 < timeout <= {timeout_s} for timeout in asked_to_wait(monkeypatch, True))
    assert all(timeout is None for timeout in asked_to_wait(monkeypatch, False))
"#,
        function = target.qualified(),
    )
}

#[cfg(test)]
mod tests {
    use backtrail_code::{Language, parse};

    use super::*;

    fn call(body: &str) -> Result<Call, String> {
        let parsed = parse(Language::Python, format!("def f(self):\n    {body}\n")).expect("parses");
        Call::find(&Target { path: "a.py", parsed: &parsed, place: 0 })
    }

    #[test]
    fn calls_that_wait_for_ever_are_found() {
        for (body, callee) in [
            ("urllib.request.urlopen(request)", "urllib.request.urlopen"),
            ("with urlopen(url, data=b) as answer: pass", "urlopen"),
            ("return requests.get(self.url, params={\"timeout\": 1})", "requests.get"),
            ("c = http.client.HTTPConnection(host, port)", "http.client.HTTPConnection"),
        ] {
            assert_eq!(call(body).map(|call| call.callee).as_deref(), Ok(callee), "{body}");
        }
    }

    #[test]
    fn calls_that_may_have_a_timeout_are_left_alone() {
        for body in [
            "urllib.request.urlopen(request, timeout=self.timeout)",
            "urllib.request.urlopen(request, None, 3)",
            "requests.get(url, **options)",
            "requests.get(*arguments)",
            "self.session.get(url)",
            "my_requests.get(url)",
            "http.client.HTTPConnection(host, port, 5)",
        ] {
            assert!(call(body).is_err_and(|why| why.contains("no call without a timeout")), "{body}");
        }
        let why = call("requests.get(a); requests.get(b)").expect_err("which is meant?");
        assert!(why.contains("several"), "{why}");
    }
}
