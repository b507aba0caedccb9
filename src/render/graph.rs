//! The service graph of an incident as a tree of calls, with the sick ones marked.

use std::collections::BTreeSet;

use backtrail_model::verdict::Hop;

use super::text::{count, fit, millis, percent};
use super::{Paint, WIDTH};

/// Columns of the tree; the numbers of a call stand right of it.
const TREE: usize = 52;
/// Marks a call that is sick and shows it.
const SICK: &str = "<< SICK";
/// Marks a call that differs significantly, though little.
const CHANGED: &str = "<< changed";

/// Draws the hops from the entry points down. A service that is reached a second time is named, not drawn again.
pub(crate) fn tree(hops: &[Hop], paint: Paint) -> String {
    let mut drawing = Drawing { hops, paint, seen: BTreeSet::new(), lines: Vec::new() };
    if hops.is_empty() {
        return "  no calls were seen in the window\n".to_owned();
    }
    drawing.lines.push(paint.dim(&head()));
    for root in roots(hops) {
        drawing.lines.push(format!("  {}", if root.is_empty() { "users" } else { root }));
        drawing.seen.insert(root);
        drawing.children(root, "  ");
    }
    drawing.lines.join("\n") + "\n"
}

/// Entry points: users first, then callers that nobody calls; what only calls itself in a circle comes last.
fn roots(hops: &[Hop]) -> Vec<&str> {
    let called = |name: &str| hops.iter().any(|hop| hop.to == name && hop.from != name);
    let mut roots: Vec<&str> = Vec::new();
    for hop in hops {
        if !called(&hop.from) && !roots.contains(&hop.from.as_str()) {
            roots.push(&hop.from);
        }
    }
    roots.sort_unstable();
    let mut reached: BTreeSet<&str> = BTreeSet::new();
    for root in roots.clone() {
        reach(hops, root, &mut reached);
    }
    for hop in hops {
        if !reached.contains(hop.from.as_str()) {
            roots.push(&hop.from);
            reach(hops, &hop.from, &mut reached);
        }
    }
    roots
}

fn reach<'a>(hops: &'a [Hop], from: &'a str, reached: &mut BTreeSet<&'a str>) {
    if reached.insert(from) {
        for hop in hops.iter().filter(|hop| hop.from == from) {
            reach(hops, &hop.to, reached);
        }
    }
}

fn head() -> String {
    format!("{:TREE$}{:>9} {:>8} {:>9} {:>9}  {:<8}", "", "calls", "errors", "p95", "before", "").trim_end().to_owned()
}

/// The verdict tests means of what is lost on the way; what a person sees here are the errors and the p95.
fn mark(hop: &Hop) -> &'static str {
    match hop.sick {
        false => "",
        true if hop.errors > 0.0 || hop.p95_ms > 1.2 * hop.baseline_p95_ms => SICK,
        true => CHANGED,
    }
}

struct Drawing<'a> {
    hops: &'a [Hop],
    paint: Paint,
    seen: BTreeSet<&'a str>,
    lines: Vec<String>,
}

impl<'a> Drawing<'a> {
    fn children(&mut self, from: &'a str, indent: &str) {
        let mut hops: Vec<&'a Hop> = self.hops.iter().filter(|hop| hop.from == from).collect();
        hops.sort_by(|a, b| b.sick.cmp(&a.sick).then(b.calls.total_cmp(&a.calls)).then(a.to.cmp(&b.to)));
        let last = hops.len();
        for (i, hop) in hops.into_iter().enumerate() {
            let open = i + 1 < last;
            let again = !self.seen.insert(&hop.to);
            let drawn = again && self.hops.iter().any(|other| other.from == hop.to);
            self.line(hop, indent, drawn, open);
            if !again {
                self.children(&hop.to, &format!("{indent}{}", if open { "|   " } else { "    " }));
            }
        }
    }

    fn line(&mut self, hop: &Hop, indent: &str, again: bool, open: bool) {
        let arrow = if hop.sick { "+==> " } else { "+--> " };
        let note = if again { " (above)" } else { "" };
        let room = TREE.saturating_sub(indent.len() + arrow.len() + note.len() + 1);
        let name = fit(&hop.to, room.max(8)) + note;
        let left = format!("{indent}{arrow}{name}");
        let pad = TREE.saturating_sub(left.chars().count());
        let numbers = format!(
            "{:>9} {:>8} {:>9} {:>9}  ",
            count(hop.calls),
            percent(hop.errors, hop.calls),
            millis(hop.p95_ms),
            millis(hop.baseline_p95_ms)
        );
        let text = format!("{left}{:pad$}{numbers}{}", "", mark(hop));
        debug_assert!(text.chars().count() <= WIDTH + 8, "{text}");
        let text = text.trim_end();
        self.lines.push(match mark(hop) {
            SICK => self.paint.bad(text),
            CHANGED => self.paint.warn(text),
            _ => text.to_owned(),
        });
        if hop.retries > 0.0 {
            let each = format!("{:.2} attempts a request, {} retries", hop.attempts_per_request, count(hop.retries));
            self.lines.push(self.paint.warn(&format!("{indent}{}    {each}", if open { "|" } else { " " })));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(from: &str, to: &str, sick: bool) -> Hop {
        Hop {
            from: from.to_owned(),
            to: to.to_owned(),
            calls: 100.0,
            errors: 1.0,
            p95_ms: 20.0,
            baseline_p95_ms: 10.0,
            retries: 0.0,
            attempts_per_request: 1.0,
            sick,
        }
    }

    #[test]
    fn the_sick_call_is_marked_in_the_text() {
        let hops = [
            hop("", "front", false),
            hop("front", "cart", false),
            hop("front", "pay", true),
            hop("cart", "pay", false),
        ];
        insta::assert_snapshot!(tree(&hops, Paint::new(false)));
    }

    #[test]
    fn circles_and_self_calls_end() {
        let hops = [hop("a", "b", false), hop("b", "a", false), hop("b", "b", true)];
        let text = tree(&hops, Paint::new(false));
        assert_eq!(text.lines().count(), 5, "{text}");
    }

    #[test]
    fn lines_stay_within_the_width() {
        let long = "a-very-long-service-name-that-somebody-really-uses-in-production";
        let hops = [hop("", long, true), hop(long, &format!("{long}-2"), true)];
        assert!(tree(&hops, Paint::new(false)).lines().all(|line| line.chars().count() <= WIDTH));
    }
}
