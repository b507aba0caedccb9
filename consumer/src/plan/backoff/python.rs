//! The retry loop of a Python function: found in its tree, and edited.

use std::collections::BTreeSet;
use std::ops::Range;

use backtrail_code::tree_sitter::Node;

use super::{Change, Values, the_only, trial};
use crate::context::Context;
use crate::plan::python::{
    Edits, Instruments, Style, Subject, Target, before_definitions, call_of, callee, is_dotted, line_start, module_of,
    named, next_line, own, with_imports,
};

/// Names that say that chance has a part in it already.
const CHANCE: [&str; 6] = ["random", "uniform", "jitter", "randint", "randrange", "secrets"];

/// The change and its tests.
pub(super) fn change(context: &Context, target: &Target<'_>, values: &Values) -> Result<Change, String> {
    let retry = Retry::find(target)?;
    let instruments = Instruments::find(context, target)?;
    let subject = Subject::find(context, target)?;
    let module = module_of(context, target.path);
    let name = target.path.rsplit('/').next().unwrap_or(target.path);
    let stem = name.strip_suffix(".py").unwrap_or(name);
    let folder = subject.from.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
    Ok(Change {
        line: retry.line,
        says: retry.says(),
        content: edited(target, &retry, &instruments, values)?,
        test_path: format!("{folder}test_{stem}_{}_backoff.py", target.name().trim_matches('_')),
        test: trial::text(&module, target, &retry, &instruments, &subject, values)?,
        tests: trial::TESTS.iter().map(|test| (*test).to_owned()).collect(),
    })
}

/// A loop that tries again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Retry {
    /// Its first line.
    pub(super) line: usize,
    /// Where it begins.
    at: usize,
    /// The variable that counts from 0; none: one is brought in.
    counter: Option<String>,
    /// Whether it ends by itself.
    pub(super) bounded: bool,
    /// Where an attempt may be refused: after the loop's own guards.
    guard_at: usize,
    guard_indent: String,
    /// How the loop is left for good.
    exit: String,
    /// The pause between attempts: what is called, its argument, and the bytes of that.
    pub(super) pause: Option<(String, String, Range<usize>)>,
    /// Where the next attempt begins: a pause or a count goes before it.
    end_at: usize,
    end_indent: String,
    /// What is called and may fail.
    pub(super) sends: String,
    /// The exception that is caught, as the file names it; none for a bare `except` or `except Exception`.
    pub(super) catches: Option<String>,
}

impl Retry {
    /// The one retry loop of the function.
    pub(super) fn find(target: &Target<'_>) -> Result<Self, String> {
        let nodes = target.nodes();
        let text = target.parsed.text_of_function(target.place);
        if let Some(chance) = CHANCE.iter().find(|chance| text.contains(*chance)) {
            return Err(format!("'{chance}' has a part in it already"));
        }
        let definition = target.parsed.text().get(target.parsed.functions()[target.place].bytes.clone());
        if definition.is_some_and(|text| text.contains("async def ") || text.contains("await ")) {
            return Err("it is asynchronous, which this recipe does not know".into());
        }
        let loops = nodes.into_iter().filter(|node| matches!(node.kind(), "for_statement" | "while_statement"));
        the_only(
            loops.map(|node| Self::of(target, node)),
            "it has no loop that tries again after an exception",
            "it has several loops that try again",
        )
    }

    fn of(target: &Target<'_>, node: Node<'_>) -> Result<Option<Self>, String> {
        let parsed = target.parsed;
        let Some(body) = node.child_by_field_name("body") else { return Ok(None) };
        let statements = named(body);
        let Some(place) = statements.iter().position(|statement| statement.kind() == "try_statement") else {
            return Ok(None);
        };
        let tries = statements[place];
        let parts = named(tries);
        let mut handlers = parts.iter().filter(|part| part.kind() == "except_clause" && goes_on(**part));
        let (Some(handler), None) = (handlers.next(), handlers.next()) else { return Ok(None) };
        if !is_retry(parsed, node) {
            return Ok(None);
        }
        let sends = tries.child_by_field_name("body").and_then(|body| named(body).into_iter().next());
        let Some(call) = sends.and_then(call_of) else {
            return Err("what it tries does not begin with a call".into());
        };
        let sends = callee(parsed, call).to_owned();
        if !is_dotted(&sends) {
            return Err(format!("'{sends}' cannot be replaced in a test"));
        }
        if parts.iter().any(|part| matches!(part.kind(), "else_clause" | "finally_clause")) {
            return Err("its 'try' has an 'else' or a 'finally'".into());
        }
        if node.child_by_field_name("alternative").is_some() {
            return Err("the loop has an 'else', which runs when it is not left early".into());
        }
        let block =
            named(*handler).into_iter().find(|part| part.kind() == "block").ok_or("a handler without a block")?;
        let inside = named(block);
        if own(body).iter().any(|node| node.kind() == "continue_statement") {
            return Err("it goes on with 'continue', past where a pause would be".into());
        }
        let pauses: Vec<_> =
            inside.iter().chain(&statements[place + 1..]).filter_map(|one| pause(target, *one)).collect();
        let pause = match pauses.as_slice() {
            [] => None,
            [one] => Some(one.clone()),
            _ => return Err("it pauses several times between two attempts".into()),
        };
        if pause.is_none() && own(body).iter().any(|one| pause_call(target, *one).is_some()) {
            return Err("its pause is not between two attempts".into());
        }
        if let Some((_, delay, _)) = &pause
            && delay.contains('(')
        {
            return Err(format!("the pause is computed elsewhere: {delay}"));
        }
        let exit = exit_of(target, node, &inside)?;
        // After the loop's own guard, or after what the end of the function needs.
        let guard = inside.iter().rev().find(|one| one.kind() == "if_statement" && !falls_through(**one));
        let before = inside.iter().take_while(|one| is_assignment(**one)).last();
        let text = parsed.text();
        let first = inside.first().ok_or("a handler without a statement")?;
        let guard_at = match guard.or(before) {
            Some(after) => next_line(text, after.end_byte().saturating_sub(1)),
            None => line_start(text, first.start_byte()).0,
        };
        let last = *inside.last().unwrap_or(first);
        let end_indent = line_start(text, last.start_byte()).1.to_owned();
        // A handler that only notes the error has one statement; what is added goes behind it.
        let end_at = next_line(text, last.end_byte().saturating_sub(1));
        let bounded = !is_endless(parsed, node);
        let catches = caught(parsed, *handler);
        if !bounded && catches.is_none() {
            return Err("it catches everything for ever: a test could not end it".into());
        }
        Ok(Some(Self {
            line: node.start_position().row + 1,
            at: line_start(text, node.start_byte()).0,
            counter: counter(parsed, node),
            bounded,
            guard_at: guard_at.min(end_at),
            guard_indent: line_start(text, first.start_byte()).1.to_owned(),
            exit,
            pause,
            end_at,
            end_indent,
            sends,
            catches,
        }))
    }

    pub(super) fn says(&self) -> String {
        let bound = if self.bounded { "" } else { ", without an end" };
        match &self.pause {
            Some((call, delay, _)) => format!("tries again after {call}({delay}), the same for all{bound}"),
            None => format!("tries again at once{bound}"),
        }
    }
}

/// Whether a loop repeats one thing: `while`, or `for` over a range.
fn is_retry(parsed: &backtrail_code::Parsed, node: Node<'_>) -> bool {
    match node.child_by_field_name("right") {
        Some(right) => right.kind() == "call" && callee(parsed, right) == "range",
        None => node.kind() == "while_statement",
    }
}

fn never_false(parsed: &backtrail_code::Parsed, node: Node<'_>) -> bool {
    let condition = node.child_by_field_name("condition").map(|condition| parsed.text_of(condition));
    matches!(condition, Some("True" | "1"))
}

/// Whether only success ends a loop.
fn is_endless(parsed: &backtrail_code::Parsed, node: Node<'_>) -> bool {
    let leaves = |inner: &Node<'_>| matches!(inner.kind(), "break_statement" | "raise_statement");
    never_false(parsed, node) && !own(node).iter().any(leaves)
}

/// The variable of `for NAME in range(ONE ARGUMENT)`.
fn counter(parsed: &backtrail_code::Parsed, node: Node<'_>) -> Option<String> {
    let (left, right) = (node.child_by_field_name("left")?, node.child_by_field_name("right")?);
    let arguments = named(right.child_by_field_name("arguments")?);
    let name = parsed.text_of(left);
    (left.kind() == "identifier" && name != "_" && arguments.len() == 1).then(|| name.to_owned())
}

/// Whether a handler leads to the next attempt.
fn goes_on(handler: Node<'_>) -> bool {
    let block = named(handler).into_iter().find(|part| part.kind() == "block");
    block.is_some_and(|block| {
        named(block)
            .last()
            .is_none_or(|last| !matches!(last.kind(), "raise_statement" | "return_statement" | "break_statement"))
    })
}

/// Whether the flow goes on behind an `if` whose condition holds.
fn falls_through(node: Node<'_>) -> bool {
    let block = node.child_by_field_name("consequence").map(named).unwrap_or_default();
    block.last().is_none_or(|last| !matches!(last.kind(), "raise_statement" | "return_statement" | "break_statement"))
}

fn is_assignment(node: Node<'_>) -> bool {
    node.kind() == "expression_statement" && named(node).iter().all(|inner| inner.kind() == "assignment")
}

/// How the loop ends when there is no further attempt: as its own guard does, or by leaving it.
fn exit_of(target: &Target<'_>, node: Node<'_>, handler: &[Node<'_>]) -> Result<String, String> {
    let guards = handler.iter().filter(|one| one.kind() == "if_statement" && !falls_through(**one));
    let last =
        guards.filter_map(|guard| named(guard.child_by_field_name("consequence")?).into_iter().last()).next_back();
    if let Some(leaves) = last {
        let text = target.parsed.text_of(leaves);
        if text.contains('\n') {
            return Err("how it gives up goes over several lines".into());
        }
        return Ok(text.to_owned());
    }
    let follows = node.next_named_sibling().is_some_and(|next| next.kind() != "comment");
    if never_false(target.parsed, node) {
        // What comes after such a loop relies on its success: its callers see the exception itself.
        return Ok("raise".into());
    }
    // The same as when the loop has run out.
    if follows { Ok("break".into()) } else { Err("it is not clear what happens when it gives up".into()) }
}

/// A pause that is a statement of its own.
fn pause(target: &Target<'_>, statement: Node<'_>) -> Option<(String, String, Range<usize>)> {
    (statement.kind() == "expression_statement")
        .then(|| named(statement).into_iter().next())
        .flatten()
        .and_then(|call| pause_call(target, call))
}

fn pause_call(target: &Target<'_>, call: Node<'_>) -> Option<(String, String, Range<usize>)> {
    let name = (call.kind() == "call").then(|| callee(target.parsed, call))?;
    let is_sleep = name.rsplit('.').next().is_some_and(|last| last.trim_start_matches('_') == "sleep");
    let arguments = named(call.child_by_field_name("arguments")?);
    let [delay] = arguments.as_slice() else { return None };
    is_sleep.then(|| (name.to_owned(), target.parsed.text_of(*delay).to_owned(), delay.byte_range()))
}

/// The first exception that a handler names.
fn caught(parsed: &backtrail_code::Parsed, handler: Node<'_>) -> Option<String> {
    let mut node = named(handler).into_iter().find(|part| part.kind() != "block")?;
    while matches!(node.kind(), "as_pattern" | "tuple" | "parenthesized_expression") {
        node = named(node).into_iter().next()?;
    }
    let name = parsed.text_of(node);
    (is_dotted(name) && !matches!(name, "Exception" | "BaseException")).then(|| name.to_owned())
}

/// The file with the new code.
pub(super) fn edited(
    target: &Target<'_>,
    retry: &Retry,
    instruments: &Instruments,
    values: &Values,
) -> Result<String, String> {
    let text = target.parsed.text();
    for name in ["_Backoff", "_backoff", "spread_out", "_BACKOFF_FLAG"] {
        if crate::context::has_word(text, name) {
            return Err(format!("the file has a '{name}' already"));
        }
    }
    let style = Style::of(text);
    let mut imports: BTreeSet<String> = instruments.imports.clone();
    imports.extend(["import random", "import threading"].map(str::to_owned));
    let mut edits = Edits::default();
    let pause = retry.pause.as_ref();
    if pause.is_none() {
        imports.insert("import time".into());
    }
    for (at, line) in with_imports(target.parsed, target.path, &imports)? {
        edits.insert(at, line);
    }
    let definitions = before_definitions(target.parsed).ok_or("the file has no definitions")?;
    edits.insert(definitions, style.dress("", &helper(instruments, values)));
    let attempt = retry.counter.as_deref().unwrap_or("sent_again");
    let indent = line_start(text, retry.at).1;
    let mut before = "spread_out = _backoff.begins()\n".to_owned();
    if retry.counter.is_none() {
        before.push_str("sent_again = 0\n");
    }
    edits.insert(retry.at, style.dress(indent, &before));
    let guard = format!("if spread_out and not _backoff.allows({attempt}):\n    {}\n", retry.exit);
    edits.insert(retry.guard_at, style.dress(&retry.guard_indent, &guard));
    if let Some((_, delay, bytes)) = pause {
        edits.replace(bytes.clone(), format!("_backoff.pause_s({attempt}) if spread_out else {delay}"));
    } else {
        let pause = format!("if spread_out:\n    time.sleep(_backoff.pause_s({attempt}))\n");
        edits.insert(retry.end_at, style.dress(&retry.end_indent, &pause));
    }
    if retry.counter.is_none() {
        if pause.is_some_and(|(_, _, bytes)| bytes.start > retry.end_at) {
            return Err("its pause comes after the handler and nothing counts the attempts".into());
        }
        edits.insert(retry.end_at, style.dress(&retry.end_indent, "sent_again += 1\n"));
    }
    Ok(edits.apply(text))
}

/// What stands before the first class or function: the values, and what acts on them.
fn helper(instruments: &Instruments, values: &Values) -> String {
    let Instruments { client, span, counter, log, setup, .. } = instruments;
    let Values { flag, callee, counter: name, base_s, cap_s, retries, share, burst } = values;
    format!(
        r#"{setup}_BACKOFF_FLAG = "{flag}"
# Retries of one request; retries of all as a share of the requests, and how many at once.
_BACKOFF_RETRIES = {retries}
_BACKOFF_SHARE = {share}
_BACKOFF_BURST = {burst}
# The first pause is at most the one, every pause at most the other.
_BACKOFF_BASE_S = {base_s}
_BACKOFF_CAP_S = {cap_s}
_spread_retries = {counter}("{name}")


class _Backoff:
    """Bounds what is sent to {callee} again and spreads it out, while the flag is on."""

    def __init__(self):
        self.lock = threading.Lock()
        self.left = _BACKOFF_BURST

    def begins(self):
        """A request begins; answers whether the flag is on."""
        on = {client}.get_boolean_value(_BACKOFF_FLAG, False)
        span = {span}
        span.set_attribute("feature_flag.key", _BACKOFF_FLAG)
        span.set_attribute("feature_flag.result.variant", "on" if on else "off")
        with self.lock:
            self.left = min(_BACKOFF_BURST, self.left + _BACKOFF_SHARE)
        return on

    def allows(self, attempt):
        """Whether a request may be sent again after so many retries."""
        with self.lock:
            allowed = attempt < _BACKOFF_RETRIES and self.left >= 1
            self.left -= int(allowed)
        return allowed

    def pause_s(self, attempt):
        """Anything up to a bound that doubles, so that callers do not come back in step."""
        pause_s = random.uniform(0, min(_BACKOFF_CAP_S, _BACKOFF_BASE_S * 2**attempt))
        _spread_retries.add(1, {{"feature_flag.key": _BACKOFF_FLAG}})
        {log}.warning("retry is spread out", extra={{"pause_s": pause_s, "retry": attempt + 1}})
        return pause_s


_backoff = _Backoff()


"#
    )
}

#[cfg(test)]
mod tests {
    use backtrail_code::{Language, parse};

    use super::*;

    const PLAIN: &str = "\
import time


def ask(url):
    for attempt in range(5):
        try:
            return send(url)
        except (TimeoutError, OSError) as error:
            failure = error
            if attempt == 4:
                break
            time.sleep(0.1)
    raise Gone from failure
";
    const ENDLESS: &str = "\
import time

class Rates:
\tdef ask(self, url):
\t\twhile True:
\t\t\ttry:
\t\t\t\tanswer = self.send(url)
\t\t\t\treturn answer
\t\t\texcept ConnectionError:
\t\t\t\tlog.info('again')
";

    fn with<T>(text: &str, look: impl FnOnce(&Target<'_>) -> T) -> T {
        let parsed = parse(Language::Python, text).expect("parses");
        assert!(parsed.errors().is_empty(), "{text}");
        look(&Target { path: "a.py", parsed: &parsed, place: 0 })
    }

    fn change(text: &str) -> Result<String, String> {
        let instruments = Instruments {
            client: "flags.client".into(),
            client_import: String::new(),
            span: "telemetry.current_span()".into(),
            counter: "telemetry.counter".into(),
            log: "log".into(),
            imports: BTreeSet::new(),
            setup: String::new(),
        };
        let values = Values {
            flag: "f".into(),
            callee: "bank".into(),
            counter: "a.bank".into(),
            base_s: 0.1,
            cap_s: 0.4,
            retries: 2,
            share: "0.1".into(),
            burst: 10,
        };
        with(text, |target| edited(target, &Retry::find(target)?, &instruments, &values))
    }

    #[test]
    fn a_counted_loop_is_guarded_and_its_pause_replaced() {
        let retry = with(PLAIN, Retry::find).expect("a retry loop");
        assert_eq!((retry.line, retry.exit.as_str(), retry.bounded), (5, "break", true));
        assert_eq!((retry.sends.as_str(), retry.catches.as_deref()), ("send", Some("TimeoutError")));
        let changed = change(PLAIN).expect("changed");
        let expected = "\
    spread_out = _backoff.begins()
    for attempt in range(5):
        try:
            return send(url)
        except (TimeoutError, OSError) as error:
            failure = error
            if attempt == 4:
                break
            if spread_out and not _backoff.allows(attempt):
                break
            time.sleep(_backoff.pause_s(attempt) if spread_out else 0.1)
    raise Gone from failure
";
        assert!(changed.ends_with(expected), "{changed}");
        assert!(changed.starts_with("import random\nimport threading\nimport time\n"), "{changed}");
        assert!(parse(Language::Python, changed).expect("parses").errors().is_empty());
    }

    #[test]
    fn an_endless_loop_is_given_a_count_and_an_end_in_the_style_of_the_file() {
        let changed = change(ENDLESS).expect("changed");
        let expected = "\
\t\tspread_out = _backoff.begins()
\t\tsent_again = 0
\t\twhile True:
\t\t\ttry:
\t\t\t\tanswer = self.send(url)
\t\t\t\treturn answer
\t\t\texcept ConnectionError:
\t\t\t\tif spread_out and not _backoff.allows(sent_again):
\t\t\t\t\traise
\t\t\t\tlog.info('again')
\t\t\t\tif spread_out:
\t\t\t\t\ttime.sleep(_backoff.pause_s(sent_again))
\t\t\t\tsent_again += 1
";
        assert!(changed.ends_with(expected), "{changed}");
        assert!(changed.contains("\tdef begins(self):\n\t\t\"\"\"A request"), "{changed}");
        let windows = change(&PLAIN.replace('\n', "\r\n")).expect("changed");
        assert!(windows.replace("\r\n", "").find('\n').is_none(), "line ends are kept");
    }

    #[test]
    fn what_is_not_a_plain_retry_loop_is_refused_with_the_reason() {
        for (from, to, why) in [
            ("time.sleep(0.1)", "time.sleep(random.random())", "chance"),
            ("time.sleep(0.1)", "time.sleep(delay(attempt))", "computed elsewhere"),
            ("time.sleep(0.1)", "if attempt > 1:\n                time.sleep(0.1)", "not between two attempts"),
            ("time.sleep(0.1)", "time.sleep(0.1)\n            time.sleep(0.2)", "several times"),
            ("            time.sleep(0.1)\n", "            continue\n", "'continue'"),
            ("            time.sleep(0.1)\n", "            raise\n", "no loop that tries again"),
            ("range(5)", "banks", "no loop that tries again"),
            ("            return send(url)", "            x = 1\n            return send(url)", "begin with a call"),
            ("    raise Gone from failure", "    else:\n        raise Gone from failure", "'else'"),
            ("return send(url)", "return clients[0].send(url)", "cannot be replaced"),
            ("def ask", "async def ask", "asynchronous"),
        ] {
            let text = PLAIN.replace(from, to);
            assert_ne!(text, PLAIN, "{from}");
            let found = with(&text, Retry::find);
            let why = if why == "chance" { "'random' has a part in it" } else { why };
            assert!(found.as_ref().is_err_and(|reason| reason.contains(why)), "{to}: {found:?}");
        }
        let twice = PLAIN.replace("    raise Gone", "    for n in range(2):\n        try:\n            send(url)\n        except OSError:\n            time.sleep(1)\n    raise Gone");
        assert!(with(&twice, Retry::find).is_err_and(|why| why.contains("several loops")));
        let all = ENDLESS.replace("except ConnectionError:", "except Exception:");
        assert!(with(&all, Retry::find).is_err_and(|why| why.contains("for ever")));
    }
}
