//! Calls of Go that wait for ever: an `http.Client` without `Timeout`, asked by itself or by the functions of `net/http`.
//!
//! The client is replaced by a copy with a timeout, which bounds the body as well. A deadline on the context would end
//! with the function, and a body that is read later would be cut off.

use backtrail_code::tree_sitter::Node;

use super::{Change, Values};
use crate::context::Context;
use crate::plan::golang::{
    Edits, Instruments, Reach, Target, behind, context_of, dressed, duration, folder, free, is_dotted, is_recent,
    named, package, receiver, selected, with_imports,
};

/// The generated test.
const TEST: &str = "TestTheCallDoesNotWaitForEver";
/// What is defined in the suspect's package.
const NAMES: [&str; 5] = ["deadlineFlag", "callDeadline", "callDeadlines", "deadlineIsOn", "withDeadline"];

/// A call without a timeout.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Call {
    line: usize,
    /// What is called, as written.
    callee: String,
    /// The client as a pointer.
    client: String,
    /// The context of the call, as an expression.
    context: String,
    /// The bytes that become the client with a deadline.
    operand: std::ops::Range<usize>,
}

/// The change and its test.
pub(super) fn change(context: &Context, target: &Target<'_>, values: &Values) -> Result<Change, String> {
    is_recent(context, target.path)?;
    let call = Call::find(context, target)?;
    let instruments = Instruments::find(context, target)?;
    let reach = Reach::find(context, target)?;
    free(context, target, &NAMES)?;
    let stem = target.path.rsplit('/').next().unwrap_or(target.path).trim_end_matches(".go");
    let folder = folder(target.path);
    let name = format!("{stem}_deadline_test.go");
    Ok(Change {
        line: call.line,
        callee: call.callee.clone(),
        content: edited(target, &call, &instruments, values)?,
        test_path: if folder.is_empty() { name } else { format!("{folder}/{name}") },
        test: test(target, &instruments, &reach, values),
        tests: vec![TEST.to_owned()],
    })
}

impl Call {
    fn find(context: &Context, target: &Target<'_>) -> Result<Self, String> {
        let calls = target.nodes().into_iter().filter(|node| node.kind() == "call_expression");
        let mut found = Vec::new();
        for call in calls {
            found.extend(Self::of(context, target, call));
        }
        match found.as_slice() {
            [one] if !one.context.is_empty() => Ok(one.clone()),
            [one] => Err(format!("{} is called without a context: a span of it would not be found", one.callee)),
            [] => Err("it makes no call without a timeout that is known".into()),
            _ => Err("it makes several calls without a timeout".into()),
        }
    }

    fn of(context: &Context, target: &Target<'_>, call: Node<'_>) -> Option<Self> {
        let parsed = target.parsed;
        let (operand, method) = selected(parsed, call)?;
        let text = parsed.text_of(operand);
        let asks = matches!(method, "Do" | "Get" | "Head" | "Post" | "PostForm");
        let client = match text {
            "http" if asks && method != "Do" => "http.DefaultClient".to_owned(),
            "http.DefaultClient" if asks => text.to_owned(),
            _ if asks => client(context, target, text)?,
            _ => return None,
        };
        // The request's own context, or else that of the function.
        let argument = call.child_by_field_name("arguments").and_then(|list| named(list).into_iter().next());
        let request = argument.map(|one| parsed.text_of(one)).filter(|one| method == "Do" && is_dotted(one));
        let ctx = request.map(|request| format!("{request}.Context()")).or_else(|| context_of(target));
        Some(Self {
            line: call.start_position().row + 1,
            callee: format!("{text}.{method}"),
            client,
            context: ctx.unwrap_or_default(),
            operand: operand.byte_range(),
        })
    }
}

/// A client of the suspect as a pointer, if the package says that it is one and gives it no timeout.
fn client(context: &Context, target: &Target<'_>, expression: &str) -> Option<String> {
    let name = expression.rsplit('.').next().filter(|_| is_dotted(expression))?;
    let files = package(context, target);
    let mut kind = None;
    for parsed in &files {
        for line in parsed.text().lines() {
            let line: Vec<&str> = line.split("//").next().unwrap_or_default().split_whitespace().collect();
            let declared = match line.as_slice() {
                [one, kind, ..] if *one == name => Some(*kind),
                ["var", one, kind, ..] if *one == name => Some(*kind),
                _ => None,
            };
            let made = |with: &str| line.concat().contains(&format!("{name}{with}"));
            if declared == Some("*http.Client") || made(":=&http.Client{") || made("=&http.Client{") {
                kind = Some(true);
            } else if declared == Some("http.Client") || made(":=http.Client{") || made("=http.Client{") {
                kind = Some(false);
            }
        }
    }
    let pointer = kind?;
    // One with a timeout somewhere may be this one.
    let bounded = files.iter().any(|parsed| {
        parsed.text().match_indices("http.Client{").any(|(at, _)| {
            let literal = &parsed.text()[at..];
            literal.split_once('}').is_some_and(|(inside, _)| inside.contains("Timeout"))
        }) || parsed.text().contains(&format!("{name}.Timeout"))
    });
    (!bounded).then(|| if pointer { expression.to_owned() } else { format!("&{expression}") })
}

fn edited(target: &Target<'_>, call: &Call, instruments: &Instruments, values: &Values) -> Result<String, String> {
    let text = target.parsed.text();
    let mut imports = instruments.imports.clone();
    imports.extend(["context", "net/http", "time"].map(str::to_owned));
    let mut edits = Edits::default();
    for (at, line) in with_imports(target.parsed, &imports)? {
        edits.insert(at, line);
    }
    let given = receiver(target).filter(|_| instruments.takes_receiver).map_or("", |(name, _)| name);
    let given = if given.is_empty() { String::new() } else { format!(", {given}") };
    edits.replace(call.operand.clone(), format!("withDeadline({}{given}, {})", call.context, call.client));
    edits.insert(behind(target), format!("\n{}", dressed("", &helper(target, instruments, values))));
    Ok(edits.apply(text))
}

fn helper(target: &Target<'_>, instruments: &Instruments, values: &Values) -> String {
    let Values { flag, callee, counter, timeout_s } = values;
    let taken = receiver(target).filter(|_| instruments.takes_receiver);
    let parameter = taken.map_or(String::new(), |(name, kind)| format!(", {name} {kind}"));
    let argument = taken.map_or(String::new(), |(name, _)| format!(", {name}"));
    format!(
        r#"const (
    deadlineFlag = "{flag}"
    callDeadline = {deadline}
)

{counter}
// deadlineIsOn asks for the flag; tests set another answer.
var deadlineIsOn = func(ctx context.Context{parameter}) bool {{
{asks}}}

// withDeadline is the client with an end to its calls to {callee} while the flag is on, and as it was while it is off.
func withDeadline(ctx context.Context{parameter}, client *http.Client) *http.Client {{
    on := deadlineIsOn(ctx{argument})
{marks}    if !on || client.Timeout > 0 && client.Timeout <= callDeadline {{
        return client
    }}
    {counts}
    slog.DebugContext(ctx, "call has a deadline", "timeout", callDeadline, "feature_flag.key", deadlineFlag)
    bounded := *client
    bounded.Timeout = callDeadline
    return &bounded
}}
"#,
        deadline = duration(timeout_s * 1000.0),
        counter = instruments.counter("callDeadlines", counter),
        asks = instruments.asks("deadlineFlag"),
        marks = instruments.marks("deadlineFlag"),
        counts = instruments.counts("callDeadlines"),
    )
}

/// The existing test once with the flag on and once with it off: requests have a deadline, and have none.
fn test(target: &Target<'_>, instruments: &Instruments, reach: &Reach, values: &Values) -> String {
    let Reach { test, package, .. } = reach;
    let kind = receiver(target).filter(|_| instruments.takes_receiver).map(|(_, kind)| format!(", {kind}"));
    let kind = kind.unwrap_or_default();
    let text = format!(
        r#"package {package}

import (
    "context"
    "net/http"
    "testing"
    "time"
)

// deadlines notes how long requests may take, and passes them on; 0 is for ever.
type deadlines struct {{
    next http.RoundTripper
    seen []time.Duration
}}

func (d *deadlines) RoundTrip(request *http.Request) (*http.Response, error) {{
    end, bounded := request.Context().Deadline()
    left := time.Duration(0)
    if bounded {{
        left = time.Until(end)
    }}
    d.seen = append(d.seen, left)
    return d.next.RoundTrip(request)
}}

// askedWith runs {test} and gives how long its requests to {callee} may take.
func askedWith(t *testing.T, on bool) []time.Duration {{
    watch := &deadlines{{next: http.DefaultTransport}}
    flag := deadlineIsOn
    http.DefaultTransport = watch
    deadlineIsOn = func(context.Context{kind}) bool {{ return on }}
    defer func() {{ http.DefaultTransport, deadlineIsOn = watch.next, flag }}()
    t.Run("{test}", {test})
    if len(watch.seen) == 0 {{
        t.Fatal("no request was seen")
    }}
    return watch.seen
}}

func {TEST}(t *testing.T) {{
    for _, left := range askedWith(t, true) {{
        if left <= 0 || left > callDeadline {{
            t.Errorf("a request may take %s, at most %s is right", left, callDeadline)
        }}
    }}
    for _, left := range askedWith(t, false) {{
        if left > 0 && left <= callDeadline {{
            t.Errorf("a request may take %s only, although the flag is off", left)
        }}
    }}
}}
"#,
        callee = values.callee,
    );
    dressed("", &text)
}
