//! Frames of a stack trace as text: function and file, without the line, which moves with every edit.

use backtrail_wire::attributes::SpanView;

/// Longest frame, in bytes.
const LONGEST: usize = 200;
/// Most lines of a stack trace that are looked at from its inner end.
const MOST_LINES: usize = 400;

/// Names the innermost frames of the exceptions that a span recorded. `raw` is the span's protobuf message. What cannot
/// be read names nothing: the walk has counted broken spans already.
pub(super) fn of_span(raw: &[u8], most: usize, mut found: impl FnMut(&str)) {
    let Ok(span) = SpanView::parse(raw) else { return };
    for event in span.events().filter(|event| event.name() == "exception").take(4) {
        let trace = event.attributes().get("exception.stacktrace");
        if let Some(text) = trace.as_ref().and_then(|value| value.as_str()) {
            innermost(text, most, &mut found);
        }
    }
}

/// Names the `most` innermost frames of a stack trace.
fn innermost(text: &str, most: usize, found: &mut impl FnMut(&str)) {
    let mut name = String::new();
    let mut left = most;
    let mut take = |frame: Option<(&str, &str)>| {
        let Some((function, file)) = frame.filter(|_| left > 0) else { return };
        name.clear();
        name.push_str(function);
        if !file.is_empty() {
            name.push_str(" (");
            name.push_str(file);
            name.push(')');
        }
        name.truncate(name.floor_char_boundary(LONGEST));
        left -= 1;
        found(&name);
    };
    // Python prints the innermost frame last, everybody else first.
    if text.contains("Traceback (most recent call last)") {
        text.lines().rev().take(MOST_LINES).for_each(|line| take(python(line)));
        return;
    }
    let mut lines = text.lines().take(MOST_LINES).peekable();
    while let Some(line) = lines.next() {
        let frame = at(line).or_else(|| ruby(line)).or_else(|| go(line, lines.peek().copied()));
        take(frame);
    }
}

/// `  File "/app/cart.py", line 12, in add`
fn python(line: &str) -> Option<(&str, &str)> {
    let (file, rest) = line.trim_start().strip_prefix("File \"")?.split_once('"')?;
    let (_, function) = rest.split_once(", in ")?;
    Some((function.trim(), file))
}

/// Java `at shop.Cart.add(Cart.java:12)`, .NET `at Shop.Cart.Add(Int32 id) in /src/Cart.cs:line 12`, JavaScript
/// `at add (/app/cart.js:12:5)` and `at /app/cart.js:12:5`.
fn at(line: &str) -> Option<(&str, &str)> {
    let frame = line.trim_start().strip_prefix("at ")?.trim_end();
    if let Some((call, place)) = frame.rsplit_once(" in ") {
        let file = place.split_once(":line ").map_or(place, |(file, _)| file);
        return Some((call.split_once('(').map_or(call, |(function, _)| function), file));
    }
    match frame.strip_suffix(')').and_then(|frame| frame.rsplit_once('(')) {
        Some((function, place)) => Some((function.trim_end(), without_line(place))),
        None => Some(("<anonymous>", without_line(frame))),
    }
}

/// ``/app/cart.rb:12:in `add'``, with `from` before it for all but the first.
fn ruby(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_start();
    let (place, function) = line.strip_prefix("from ").unwrap_or(line).split_once(":in ")?;
    Some((function.trim_matches(['`', '\'']), without_line(place)))
}

/// `main.add(0xc000012340)`, and on the next line a tab and `/app/cart.go:12 +0x1d`.
fn go<'a>(line: &'a str, next: Option<&'a str>) -> Option<(&'a str, &'a str)> {
    let place = next?.strip_prefix('\t')?;
    let (function, _) = line.strip_suffix(')')?.rsplit_once('(')?;
    let place = place.split_once(" +0x").map_or(place, |(place, _)| place);
    Some((function, without_line(place)))
}

/// Cuts `:12` and `:12:5` off.
fn without_line(place: &str) -> &str {
    let mut file = place;
    while let Some((before, digits)) = file.rsplit_once(':') {
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            break;
        }
        file = before;
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(text: &str) -> Vec<String> {
        let mut all = Vec::new();
        innermost(text, 2, &mut |frame| all.push(frame.to_owned()));
        all
    }

    #[test]
    fn the_innermost_frames_are_found_in_every_language() {
        let python = "Traceback (most recent call last):\n  File \"/a/main.py\", line 3, in main\n    add(1)\n  File \
                      \"/a/cart.py\", line 12, in add\n    raise ValueError\nValueError: no";
        assert_eq!(frames(python), ["add (/a/cart.py)", "main (/a/main.py)"]);
        let java =
            "java.lang.IllegalStateException: no\n\tat shop.Cart.add(Cart.java:12)\n\tat shop.Main.main(Main.java:3)";
        assert_eq!(frames(java), ["shop.Cart.add (Cart.java)", "shop.Main.main (Main.java)"]);
        let net = "System.Exception: no\n   at Shop.Cart.Add(Int32 id) in /src/Cart.cs:line 12\n   at Shop.Main.Run()";
        assert_eq!(frames(net), ["Shop.Cart.Add (/src/Cart.cs)", "Shop.Main.Run"]);
        let js = "Error: no\n    at add (/app/cart.js:12:5)\n    at /app/main.js:3:1";
        assert_eq!(frames(js), ["add (/app/cart.js)", "<anonymous> (/app/main.js)"]);
        let go = "goroutine 1 [running]:\nmain.add(0xc000012340)\n\t/app/cart.go:12 +0x1d\nmain.main()\n\t/app/main.go:3 +0x20";
        assert_eq!(frames(go), ["main.add (/app/cart.go)", "main.main (/app/main.go)"]);
        let ruby = "/app/cart.rb:12:in `add': no (RuntimeError)\n\tfrom /app/main.rb:3:in `main'";
        assert_eq!(frames(ruby)[1], "main (/app/main.rb)");
    }

    #[test]
    fn a_stack_trace_of_nonsense_names_nothing() {
        assert!(frames("it broke\nreally").is_empty());
        assert!(frames("").is_empty());
    }
}
