//! Numbers, wrapping and padding.

/// Breaks `text` into lines of at most `width` characters; a longer word stands alone.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().expect("there is always a line");
        let used = last.chars().count();
        if used > 0 && used + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            if used > 0 {
                last.push(' ');
            }
            last.push_str(word);
        }
    }
    lines
}

/// `head`, then `text` wrapped to `width` columns with the later lines set in below it.
pub(crate) fn hanging(head: &str, text: &str, width: usize) -> String {
    let indent = head.chars().count();
    wrap(text, width.saturating_sub(indent))
        .join(&format!("\n{}", " ".repeat(indent)))
        .pipe(|body| head.to_owned() + &body)
}

/// Cuts `text` to `width` characters, with two dots where something is missing.
pub(crate) fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(2)).chain("..".chars()).collect()
}

/// A count with separators: `1,204`; fractions (weighted counts) keep one digit.
pub(crate) fn count(value: f64) -> String {
    let whole = value.trunc() as u64;
    let tenths = (value.fract() * 10.0).round() as u64;
    if tenths == 0 || value >= 1000.0 {
        grouped(value.round() as u64)
    } else {
        format!("{}", whole as f64 + tenths as f64 / 10.0)
    }
}

/// A count with separators.
pub(crate) fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Milliseconds with a unit that leaves three digits: `0.42 ms`, `95.0 ms`, `812 ms`, `1.24 s`.
pub(crate) fn millis(value: f64) -> String {
    match value {
        v if !v.is_finite() || v <= 0.0 => "-".to_owned(),
        v if v < 10.0 => format!("{v:.2} ms"),
        v if v < 100.0 => format!("{v:.1} ms"),
        v if v < 1000.0 => format!("{v:.0} ms"),
        v if v < 100_000.0 => format!("{:.2} s", v / 1000.0),
        v => format!("{:.0} s", v / 1000.0),
    }
}

/// A share as percent: `0.0 %`, `3.4 %`, `100 %`.
pub(crate) fn percent(part: f64, whole: f64) -> String {
    if whole <= 0.0 {
        return "-".to_owned();
    }
    let share = 100.0 * part / whole;
    if share >= 99.95 { format!("{share:.0} %") } else { format!("{share:.1} %") }
}

/// A bar of `width` cells for a value from 0 to 1.
pub(crate) fn bar(value: f64, width: usize) -> String {
    let full = (value.clamp(0.0, 1.0) * width as f64).round() as usize;
    "#".repeat(full) + &".".repeat(width - full)
}

trait Pipe: Sized {
    fn pipe<T>(self, then: impl FnOnce(Self) -> T) -> T {
        then(self)
    }
}

impl Pipe for String {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([count(118.0), count(1204.0), count(2.25), count(0.0)], ["118", "1,204", "2.3", "0"]);
        assert_eq!(
            [millis(0.424), millis(95.0), millis(812.4), millis(1240.0), millis(0.0)],
            ["0.42 ms", "95.0 ms", "812 ms", "1.24 s", "-"]
        );
        assert_eq!([percent(3.0, 90.0), percent(5.0, 5.0), percent(0.0, 0.0)], ["3.3 %", "100 %", "-"]);
        assert_eq!(bar(0.5, 4), "##..");
        assert_eq!(bar(7.0, 2), "##");
    }

    #[test]
    fn text_is_broken_at_blanks_and_set_in() {
        assert_eq!(hanging("+ ", "one two three", 9), "+ one two\n  three");
        assert_eq!(fit("abcdefgh", 5), "abc..");
        assert_eq!(fit("abc", 5), "abc");
    }
}
