//! Times as people write and read them.

use std::time::Duration;

use backtrail_model::time::UnixNano;

/// Reads RFC 3339 in UTC (`2022-08-22T05:27:06Z`, fractions allowed) or Unix nanoseconds.
pub(crate) fn parse_time(text: &str) -> Option<UnixNano> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().map(UnixNano);
    }
    let text = text.strip_suffix(['Z', 'z']).or_else(|| text.strip_suffix("+00:00"))?;
    let (date, clock) = text.split_once(['T', 't', ' '])?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(clock, ':')?;
    let in_range = year >= 1970 && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !in_range || hour > 23 || minute > 59 || second > 60 || fraction.is_empty() || fraction.len() > 9 {
        return None;
    }
    let nanos: u64 = format!("{fraction:0<9}").parse().ok()?;
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    seconds.checked_mul(1_000_000_000)?.checked_add(nanos).map(UnixNano)
}

fn numbers(text: &str, separator: char) -> Option<[u64; 3]> {
    let mut parts = text.split(separator).map(|part| part.parse().ok());
    let numbers = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(numbers)
}

/// Days from 1970-01-01 to a day of the Gregorian calendar: the year is counted from March, so that the leap day is its
/// last day.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    year * 365 + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468
}

/// The time of day: `05:27:06`.
pub(crate) fn clock(time: UnixNano) -> String {
    time.to_string().get(11..19).unwrap_or_default().to_owned()
}

/// Day and time: `2022-08-22 05:27:06`.
pub(crate) fn moment(time: UnixNano) -> String {
    time.to_string().get(..19).unwrap_or_default().replace('T', " ")
}

/// A length of time in its two largest units: `3m`, `1h 05m`, `45s`, `1.8s`.
pub(crate) fn length(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.1}s", duration.as_secs_f64()),
        10..60 => format!("{seconds}s"),
        60..3600 if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_again() {
        for nanos in [0, 951_782_400_000_000_000, 1_661_146_026_123_000_000, 4_102_444_799_999_000_000] {
            let time = UnixNano(nanos);
            assert_eq!(parse_time(&time.to_string()), Some(time), "{time}");
            assert_eq!(parse_time(&nanos.to_string()), Some(time));
        }
        for wrong in ["", "now", "2022-08-22", "2022-13-01T00:00:00Z", "2022-08-22T05:27:06", "2022-08-22T25:00:00Z"] {
            assert_eq!(parse_time(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn lengths_are_short() {
        let secs = Duration::from_secs;
        assert_eq!([length(secs(180)), length(secs(3900)), length(secs(185))], ["3m", "1h 05m", "3m 05s"]);
        assert_eq!(length(Duration::from_millis(1840)), "1.8s");
    }
}
