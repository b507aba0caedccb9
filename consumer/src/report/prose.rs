//! Text of a report: our own words, and what others wrote.
//!
//! What telemetry, commits and tests say may hold anything: a secret, a link, a command to a reader that is a model. It
//! is never part of a sentence: it is cleaned, redacted, cut and put between marks, and each format shows what is
//! between marks as a quotation in which nothing has a meaning.

/// Characters between which a quotation stands; cleaning leaves them in no text.
const OPEN: char = '\u{e000}';
const CLOSE: char = '\u{e001}';
/// Most characters of a quotation.
const MOST_QUOTED: usize = 600;
/// Most bytes of a block.
const MOST_BLOCK: usize = 256 << 10;

/// A part of a sentence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Piece<'a> {
    /// Ours.
    Words(&'a str),
    /// Somebody else's.
    Quoted(&'a str),
}

/// What somebody else wrote, to be put into a sentence.
pub(super) fn quoted(text: &str) -> String {
    named(&backtrail_redact::replace(text).0)
}

/// The same for ids and for names of people from our own files: nothing is redacted.
pub(super) fn named(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut clean: String = line.chars().map(visible).take(MOST_QUOTED).collect();
    if clean.is_empty() {
        return "(nothing)".into();
    }
    if line.chars().count() > MOST_QUOTED {
        clean.push('…');
    }
    format!("{OPEN}{clean}{CLOSE}")
}

/// Several of them, separated by commas.
pub(super) fn listed<'a>(texts: impl IntoIterator<Item = &'a String>) -> String {
    texts.into_iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", ")
}

/// Lines that somebody else wrote, as a block, and how many values were redacted in it.
pub(super) fn block(text: &str) -> (String, u64) {
    let (mut text, counts) = backtrail_redact::replace(text);
    if text.len() > MOST_BLOCK {
        let end = (0..=MOST_BLOCK).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        text.truncate(end);
        text.push_str("\n… (cut here)");
    }
    let clean = text.chars().map(|c| if matches!(c, '\n' | '\t') { c } else { visible(c) }).collect();
    (clean, counts.values().sum())
}

/// The character itself, unless it is invisible, changes the direction of what follows, or is one of our marks.
fn visible(c: char) -> char {
    let hidden = matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}' | OPEN | CLOSE);
    if hidden || c.is_control() { '\u{fffd}' } else { c }
}

/// The parts of a sentence in their order.
pub(super) fn pieces(prose: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    for part in prose.split(OPEN) {
        let (quoted, words) = match part.split_once(CLOSE) {
            Some((quoted, words)) => (Some(quoted), words),
            None => (None, part),
        };
        pieces.extend(quoted.map(Piece::Quoted));
        pieces.extend(Some(words).filter(|words| !words.is_empty()).map(Piece::Words));
    }
    pieces
}

/// A sentence without any format: for JSON.
pub(super) fn plain(prose: &str) -> String {
    prose.replace([OPEN, CLOSE], "'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_cannot_leave_its_quotation() {
        let hostile = format!("a{CLOSE} b{OPEN}\nc\u{202e}\u{1b}[31m");
        let prose = format!("x {} y", quoted(&hostile));
        let wanted = "a\u{fffd} b\u{fffd} c\u{fffd}\u{fffd}[31m";
        assert_eq!(pieces(&prose), [Piece::Words("x "), Piece::Quoted(wanted), Piece::Words(" y")]);
    }

    #[test]
    fn what_others_wrote_is_redacted_and_cut_after_that() {
        let secret = format!("{} key AKIAIOSFODNN7EXAMPLE", "x".repeat(MOST_QUOTED - 12));
        let text = plain(&quoted(&secret));
        assert!(text.ends_with("…'") && !text.contains("AKIA"), "{text}");
        assert_eq!(block("a\u{0}\n\tbob@corp.com"), ("a\u{fffd}\n\t[email]".into(), 1));
        assert_eq!(quoted(" \n "), "(nothing)");
    }

    #[test]
    fn a_long_block_is_cut_at_a_character() {
        let (text, _) = block(&"ä".repeat(MOST_BLOCK));
        assert!(text.len() < MOST_BLOCK + 32 && text.ends_with("(cut here)"));
    }
}
