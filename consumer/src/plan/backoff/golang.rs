//! The retry loop of a Go function: found in its tree, and edited.

use std::ops::Range;

use backtrail_code::tree_sitter::Node;

use super::{Change, Values, the_only};
use crate::context::Context;
use crate::plan::golang::{
    Edits, Instruments, Reach, Target, behind, callee, context_of, dressed, folder, free, is_recent, line_start, named,
    next_line, own, receiver, with_imports,
};

/// The generated tests.
const TESTS: [&str; 2] = ["TestRepeatsAskForTheFlag", "TestRepeatsAreSpreadAndBounded"];
/// What is defined in the suspect's package.
const NAMES: [&str; 13] = [
    "backoffFlag",
    "backoffBase",
    "backoffCap",
    "backoffRetries",
    "backoffShare",
    "backoffBurst",
    "spreadRetries",
    "backoffIsOn",
    "backoff",
    "spreading",
    "spreadOut",
    "sentAgain",
    "newBackoff",
];
/// Names that say that chance has a part in it already.
const CHANCE: [&str; 3] = ["rand.", "jitter", "Jitter"];
/// Calls that pause for their only argument.
const PAUSES: [&str; 3] = ["time.Sleep", "time.After", "time.NewTimer"];

/// A loop that tries again after a pause.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Retry {
    /// Its first line.
    line: usize,
    /// Where it begins.
    at: usize,
    /// The statement that pauses.
    pause: Range<usize>,
    /// How long, as written, and the bytes of that.
    delay: (String, Range<usize>),
}

/// The change and its tests.
pub(super) fn change(context: &Context, target: &Target<'_>, values: &Values) -> Result<Change, String> {
    is_recent(context, target.path)?;
    let retry = Retry::find(target)?;
    let ctx = context_of(target).ok_or("it has no context: a span of it would not be found")?;
    let instruments = Instruments::find(context, target)?;
    let reach = Reach::find(context, target)?;
    free(context, target, &NAMES)?;
    let stem = target.path.rsplit('/').next().unwrap_or(target.path).trim_end_matches(".go");
    let folder = folder(target.path);
    let name = format!("{stem}_backoff_test.go");
    Ok(Change {
        line: retry.line,
        says: format!("tries again after {}, the same for all", retry.delay.0),
        content: edited(target, &retry, &ctx, &instruments, values)?,
        test_path: if folder.is_empty() { name } else { format!("{folder}/{name}") },
        test: test(target, &instruments, &reach),
        tests: TESTS.iter().map(|test| (*test).to_owned()).collect(),
    })
}

impl Retry {
    /// The one retry loop of the function.
    fn find(target: &Target<'_>) -> Result<Self, String> {
        let text = target.parsed.text_of_function(target.place);
        if let Some(chance) = CHANCE.iter().find(|chance| text.contains(*chance)) {
            return Err(format!("'{}' has a part in it already", chance.trim_end_matches('.')));
        }
        let loops = target.nodes().into_iter().filter(|node| node.kind() == "for_statement");
        the_only(
            loops.map(|node| Self::of(target, node)),
            "it has no loop that pauses before it tries again",
            "it has several loops that pause",
        )
    }

    fn of(target: &Target<'_>, node: Node<'_>) -> Result<Option<Self>, String> {
        let parsed = target.parsed;
        let Some(body) = node.child_by_field_name("body") else { return Ok(None) };
        let inside = own(body);
        let pauses: Vec<&Node<'_>> = inside
            .iter()
            .filter(|one| one.kind() == "call_expression" && PAUSES.contains(&callee(parsed, **one)))
            .collect();
        let [pause] = pauses.as_slice() else {
            return if pauses.is_empty() {
                Ok(None)
            } else {
                Err("it pauses several times between two attempts".into())
            };
        };
        if inside.iter().any(|one| one.kind() == "for_statement") {
            return Err("it has a loop within".into());
        }
        if !tries(parsed, &inside) {
            return Ok(None);
        }
        let clause = named(node).into_iter().next().filter(|one| *one != body);
        if !clause.is_some_and(|clause| ends(parsed, clause)) {
            return Err("it has no end of its own: how it would give up is not clear".into());
        }
        if node.next_named_sibling().is_none_or(|next| next.kind() == "comment") {
            return Err("it is not clear what happens when it gives up".into());
        }
        if inside.iter().any(|one| matches!(one.kind(), "continue_statement" | "labeled_statement" | "goto_statement"))
        {
            return Err("it goes on with 'continue', past where a pause would be".into());
        }
        let list = pause.child_by_field_name("arguments").ok_or("a pause without an argument")?;
        let [delay] = named(list)[..] else { return Err("its pause has several arguments".into()) };
        let statement =
            statement_of(**pause, body).ok_or("its pause is in a place where nothing can stand before it")?;
        Ok(Some(Self {
            line: node.start_position().row + 1,
            at: line_start(parsed.text(), node.start_byte()).0,
            pause: statement.byte_range(),
            delay: (parsed.text_of(delay).to_owned(), delay.byte_range()),
        }))
    }
}

/// Whether a loop tries something that may fail: it looks at an error, and one way leaves it.
fn tries(parsed: &backtrail_code::Parsed, inside: &[Node<'_>]) -> bool {
    let looks = inside.iter().any(|one| one.kind() == "if_statement" && parsed.text_of(*one).contains("err"));
    looks && inside.iter().any(|one| matches!(one.kind(), "return_statement" | "break_statement"))
}

/// Whether a loop's clause ends it: a condition of a counter, or a range over a number.
fn ends(parsed: &backtrail_code::Parsed, clause: Node<'_>) -> bool {
    match clause.kind() {
        "for_clause" => clause.child_by_field_name("condition").is_some(),
        "range_clause" => {
            // Over a list each turn is another thing; over a number it is the same again.
            let over = clause.child_by_field_name("right").map_or("", |over| parsed.text_of(over));
            clause.child_by_field_name("left").is_none() || over.chars().all(|c| c.is_ascii_digit())
        }
        "binary_expression" => true,
        _ => false,
    }
}

/// The statement of a block that holds the pause, with no `select` or closure between it and the loop.
fn statement_of<'a>(pause: Node<'a>, body: Node<'a>) -> Option<Node<'a>> {
    let mut at = pause;
    let mut found = None;
    while at != body {
        let parent = at.parent()?;
        if matches!(parent.kind(), "block" | "statement_list") && found.is_none() && at.kind() != "comment" {
            found = Some(at);
        }
        // What would leave the loop leaves these instead; so the guard stands before them.
        if matches!(parent.kind(), "select_statement" | "expression_switch_statement" | "type_switch_statement") {
            found = None;
        }
        if parent.kind() == "func_literal" {
            return None;
        }
        at = parent;
    }
    found
}

fn edited(
    target: &Target<'_>,
    retry: &Retry,
    ctx: &str,
    instruments: &Instruments,
    values: &Values,
) -> Result<String, String> {
    let text = target.parsed.text();
    let mut imports = instruments.imports.clone();
    imports.extend(["context", "math/rand", "sync", "time"].map(str::to_owned));
    let mut edits = Edits::default();
    for (at, line) in with_imports(target.parsed, &imports)? {
        edits.insert(at, line);
    }
    let given =
        receiver(target).filter(|_| instruments.takes_receiver).map_or(String::new(), |(name, _)| format!(", {name}"));
    let indent = line_start(text, retry.at).1;
    edits.insert(retry.at, format!("{indent}spreadOut, sentAgain := spreading.begins({ctx}{given}), 0\n"));
    let (start, indent) = line_start(text, retry.pause.start);
    let guard = "if spreadOut && !spreading.allows(sentAgain) {\n    break\n}\n";
    edits.insert(start, dressed(indent, guard));
    let (delay, bytes) = &retry.delay;
    // As gofmt writes a product among arguments.
    let delay = delay.replace(" * ", "*");
    edits.replace(bytes.clone(), format!("spreading.pause(spreadOut, sentAgain, {delay})"));
    edits.insert(next_line(text, retry.pause.end), format!("{indent}sentAgain++\n"));
    edits.insert(behind(target), format!("\n{}", dressed("", &helper(target, instruments, values))));
    Ok(edits.apply(text))
}

fn helper(target: &Target<'_>, instruments: &Instruments, values: &Values) -> String {
    let Values { flag, callee, counter, base_s, cap_s, retries, share, burst } = values;
    let taken = receiver(target).filter(|_| instruments.takes_receiver);
    let parameter = taken.map_or(String::new(), |(name, kind)| format!(", {name} {kind}"));
    let argument = taken.map_or(String::new(), |(name, _)| format!(", {name}"));
    format!(
        r#"const (
    backoffFlag = "{flag}"
    // Retries of one request; retries of all as a share of the requests, and how many at once.
    backoffRetries = {retries}
    backoffShare   = {share}
    backoffBurst   = {burst}
    // The first pause is at most the one, every pause at most the other.
    backoffBase = {base:.0} * time.Millisecond
    backoffCap  = {cap:.0} * time.Millisecond
)

{counter}
// backoffIsOn asks for the flag; tests set another answer.
var backoffIsOn = func(ctx context.Context{parameter}) bool {{
{asks}}}

// backoff bounds what is sent to {callee} again and spreads it out, while the flag is on.
type backoff struct {{
    mu   sync.Mutex
    left float64
}}

var spreading = newBackoff()

func newBackoff() *backoff {{ return &backoff{{left: backoffBurst}} }}

// begins notes a request, and says whether its repeats are spread out.
func (b *backoff) begins(ctx context.Context{parameter}) bool {{
    on := backoffIsOn(ctx{argument})
{marks}    if !on {{
        return false
    }}
    b.mu.Lock()
    defer b.mu.Unlock()
    b.left = min(b.left+backoffShare, backoffBurst)
    {counts}
    slog.DebugContext(ctx, "repeats are spread out", "left", b.left, "feature_flag.key", backoffFlag)
    return true
}}

// allows says whether a request may be sent again after so many repeats.
func (b *backoff) allows(repeats int) bool {{
    b.mu.Lock()
    defer b.mu.Unlock()
    if repeats >= backoffRetries || b.left < 1 {{
        return false
    }}
    b.left--
    return true
}}

// pause is by chance, up to a bound that doubles; as it was while nothing is spread out.
func (b *backoff) pause(spreadOut bool, repeats int, before time.Duration) time.Duration {{
    if !spreadOut {{
        return before
    }}
    bound := min(backoffCap, backoffBase<<min(repeats, 16))
    return time.Duration(rand.Int63n(int64(bound))) + 1
}}
"#,
        base = base_s * 1000.0,
        cap = cap_s * 1000.0,
        counter = instruments.counter("spreadRetries", counter),
        asks = instruments.asks("backoffFlag"),
        marks = instruments.marks("backoffFlag"),
        counts = instruments.counts("spreadRetries"),
    )
}

fn test(target: &Target<'_>, instruments: &Instruments, reach: &Reach) -> String {
    let Reach { test, package, .. } = reach;
    let kind = receiver(target).filter(|_| instruments.takes_receiver).map(|(_, kind)| format!(", {kind}"));
    let kind = kind.unwrap_or_default();
    let [asks, spread] = TESTS;
    let text = format!(
        r#"package {package}

import (
    "context"
    "testing"
    "time"
)

func {asks}(t *testing.T) {{
    flag, asked := backoffIsOn, 0
    backoffIsOn = func(context.Context{kind}) bool {{
        asked++
        return true
    }}
    defer func() {{ backoffIsOn = flag }}()
    t.Run("{test}", {test})
    if asked == 0 {{
        t.Error("nothing asked for the flag")
    }}
}}

func {spread}(t *testing.T) {{
    before := time.Hour
    if pause := spreading.pause(false, 0, before); pause != before {{
        t.Errorf("a pause of %s although the flag is off", pause)
    }}
    for repeats, bound := range []time.Duration{{backoffBase, 2 * backoffBase, 4 * backoffBase, 8 * backoffBase}} {{
        seen := map[time.Duration]bool{{}}
        for i := 0; i < 64; i++ {{
            pause := spreading.pause(true, repeats, before)
            if pause <= 0 || pause > min(bound, backoffCap) {{
                t.Fatalf("pause %d is %s", repeats, pause)
            }}
            seen[pause] = true
        }}
        if len(seen) < 32 {{
            t.Errorf("pauses before repeat %d are the same", repeats)
        }}
    }}
    many, allowed := newBackoff(), 0
    for i := 0; i < 1000; i++ {{
        many.left = min(many.left+backoffShare, backoffBurst)
        repeats := 0
        for many.allows(repeats) {{
            repeats++
        }}
        if repeats > backoffRetries {{
            t.Fatalf("%d repeats of one request", repeats)
        }}
        allowed += repeats
    }}
    if most := 1000*backoffShare + backoffBurst; float64(allowed) > most {{
        t.Errorf("%d repeats of 1000 requests, at most %.0f are right", allowed, most)
    }}
}}
"#
    );
    dressed("", &text)
}

#[cfg(test)]
mod tests {
    use backtrail_code::{Language, parse};

    use super::*;

    const PLAIN: &str = "package a\n\nfunc (s *Sender) Send(ctx context.Context) error {\n\tvar err error\n\tfor n := 1; n <= 4; n++ {\n\t\tif err = s.deliver(ctx); err == nil {\n\t\t\treturn nil\n\t\t}\n\t\tif n < 4 {\n\t\t\ttime.Sleep(pause)\n\t\t}\n\t}\n\treturn err\n}\n";

    fn found(text: &str) -> Result<Retry, String> {
        let parsed = parse(Language::Go, text).expect("parses");
        Retry::find(&Target { path: "a.go", parsed: &parsed, place: 0 })
    }

    #[test]
    fn a_plain_loop_is_found_with_its_pause() {
        let retry = found(PLAIN).expect("found");
        assert_eq!((retry.line, retry.delay.0.as_str()), (5, "pause"));
        assert_eq!(&PLAIN[retry.pause], "time.Sleep(pause)");
        let select = "select {\n\t\tcase <-ctx.Done():\n\t\t\treturn ctx.Err()\n\t\tcase <-time.After(pause):\n\t\t}";
        let waits = PLAIN.replace("if n < 4 {\n\t\t\ttime.Sleep(pause)\n\t\t}", select);
        assert!(waits[found(&waits).expect("found").pause].starts_with("select {"));
    }

    #[test]
    fn what_is_not_a_plain_retry_loop_is_refused_with_the_reason() {
        for (from, to, why) in [
            ("time.Sleep(pause)", "time.Sleep(pause + rand.N(pause))", "'rand' has a part"),
            ("time.Sleep(pause)", "log.Print(n)", "no loop that pauses"),
            ("for n := 1; n <= 4; n++ {", "for {", "no end of its own"),
            ("for n := 1; n <= 4; n++ {", "for _, n := range banks {", "no end of its own"),
            ("time.Sleep(pause)", "time.Sleep(pause)\n\t\t\ttime.Sleep(pause)", "several times"),
            ("time.Sleep(pause)", "time.Sleep(pause)\n\t\t\tcontinue", "'continue'"),
            ("\treturn err\n}\n", "}\n", "not clear what happens"),
        ] {
            let text = PLAIN.replace(from, to);
            assert_ne!(text, PLAIN, "{from}");
            assert!(found(&text).as_ref().is_err_and(|reason| reason.contains(why)), "{to}: {:?}", found(&text));
        }
    }
}
