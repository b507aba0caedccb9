//! Taking a change back where later ones touched the same lines: by tokens, as long as they did not touch the same ones.
//!
//! git merges by lines, so a log text that was changed beside a removed `finally` is a conflict to it. Here each part of
//! the change is taken back only if what it put there stands unchanged, between neighbours that are still its neighbours.

use std::collections::HashMap;
use std::ops::Range;

/// Most tokens that are compared with one another, after what is the same at both ends.
const MOST_TOKENS: usize = 3000;

/// `now` without what led from `before` to `after`; none if that is tangled with later changes.
pub(super) fn without(before: &str, after: &str, now: &str) -> Option<String> {
    let (before, after, now) = (tokens(before), tokens(after), tokens(now));
    let there: HashMap<usize, usize> = same(&after, &now)?.into_iter().collect();
    let mut result: Vec<&str> = now.clone();
    let mut taken: Vec<(Range<usize>, &[&str])> = Vec::new();
    for (of_after, of_before) in differences(&after, &before)? {
        let place = |at: usize| there.get(&at).copied();
        // The neighbours, where there are any, tell where it stands.
        let start = if of_after.start == 0 { 0 } else { place(of_after.start - 1)? + 1 };
        let end = if of_after.end == after.len() { now.len() } else { place(of_after.end)? };
        let untouched = end.checked_sub(start)? == of_after.len() && now[start..end] == after[of_after];
        if !untouched {
            return None;
        }
        taken.push((start..end, &before[of_before]));
    }
    for (place, instead) in taken.into_iter().rev() {
        result.splice(place, instead.iter().copied());
    }
    Some(result.concat())
}

/// Words, white space within a line, line ends with the indentation behind them, and single other characters.
fn tokens(text: &str) -> Vec<&str> {
    let kind = |c: char| match c {
        c if c.is_alphanumeric() || c == '_' => 0,
        c if c.is_whitespace() => 1,
        _ => 2,
    };
    let mut found = Vec::new();
    let mut start = 0;
    let mut last: Option<char> = None;
    for (at, c) in text.char_indices() {
        let goes_on = last.is_some_and(|last| kind(last) == kind(c) && kind(c) != 2);
        if !goes_on && at > start {
            found.push(&text[start..at]);
            start = at;
        }
        last = Some(c);
    }
    if start < text.len() {
        found.push(&text[start..]);
    }
    found
}

/// Pairs of positions that hold the same, in order: a longest common subsequence.
fn same(one: &[&str], other: &[&str]) -> Option<Vec<(usize, usize)>> {
    let head = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    let rest = one.len().min(other.len()) - head;
    let tail = one.iter().rev().zip(other.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
    let (a, b) = (&one[head..one.len() - tail], &other[head..other.len() - tail]);
    if a.len() > MOST_TOKENS || b.len() > MOST_TOKENS {
        return None;
    }
    let width = b.len() + 1;
    let mut longest = vec![0_u32; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            longest[i * width + j] = if a[i] == b[j] {
                longest[(i + 1) * width + j + 1] + 1
            } else {
                longest[(i + 1) * width + j].max(longest[i * width + j + 1])
            };
        }
    }
    let mut pairs: Vec<(usize, usize)> = (0..head).map(|at| (at, at)).collect();
    let (mut i, mut j) = (0, 0);
    while i < a.len() && j < b.len() {
        if a[i] == b[j] {
            pairs.push((head + i, head + j));
            (i, j) = (i + 1, j + 1);
        } else if longest[(i + 1) * width + j] >= longest[i * width + j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs.extend((0..tail).map(|at| (one.len() - tail + at, other.len() - tail + at)));
    Some(pairs)
}

/// What differs: a range of the one and the range of the other that stands instead.
fn differences(one: &[&str], other: &[&str]) -> Option<Vec<(Range<usize>, Range<usize>)>> {
    let mut found = Vec::new();
    let (mut i, mut j) = (0, 0);
    for (a, b) in same(one, other)?.into_iter().chain([(one.len(), other.len())]) {
        if a > i || b > j {
            found.push((i..a, j..b));
        }
        (i, j) = (a + 1, b + 1);
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BEFORE: &str = "get() {\n  let c\n  try {\n    c = take()\n    return ask(c)\n  } catch (e) {\n    log(`no: ${e}`)\n  } finally {\n    c?.release()\n  }\n}\n";
    const AFTER: &str = "get() {\n  try {\n    const c = take()\n    const r = ask(c)\n    c.release()\n    return r\n  } catch (e) {\n    log(`no: ${e}`)\n  }\n}\n";

    #[test]
    fn what_later_changes_touched_beside_it_stays() {
        let now = AFTER.replace("log(`no: ${e}`)", "log({ msg: 'no', e })");
        assert_eq!(without(BEFORE, AFTER, &now), Some(BEFORE.replace("log(`no: ${e}`)", "log({ msg: 'no', e })")));
        assert_eq!(without(BEFORE, AFTER, AFTER).as_deref(), Some(BEFORE));
    }

    #[test]
    fn what_later_changes_touched_itself_is_tangled() {
        for (from, to) in [
            ("c.release()", "c.release(true)"),
            ("    c.release()\n", ""),
            ("const r = ask(c)", "const r = await ask(c)"),
        ] {
            let now = AFTER.replace(from, to);
            assert_ne!(now, AFTER);
            assert_eq!(without(BEFORE, AFTER, &now), None, "{to}");
        }
    }

    proptest! {
        #[test]
        fn without_later_changes_it_is_the_text_before(before in "[ab \\n(){}]{0,60}", after in "[ab \\n(){}]{0,60}") {
            prop_assert_eq!(tokens(&before).concat(), before.clone());
            prop_assert_eq!(without(&before, &after, &after), Some(before));
        }
    }
}
