//! Personal data: what identifies people or their accounts. Numbers count only with their check digits.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use crate::kind::Kind;

static CARD: LazyLock<Regex> = LazyLock::new(|| shape(r"[0-9](?:[ -]?[0-9]){12,18}"));
static IBAN: LazyLock<Regex> = LazyLock::new(|| shape(r"(?-u:\b)[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]){11,30}"));
static SSN: LazyLock<Regex> = LazyLock::new(|| shape(r"[0-9]{3}-[0-9]{2}-[0-9]{4}"));
static PHONE: LazyLock<Regex> = LazyLock::new(|| shape(r"\+[1-9][0-9]{0,2}(?:(?: ?\(|\) ?|[ .-])?[0-9]){6,14}"));
static IPV4: LazyLock<Regex> = LazyLock::new(|| shape(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}"));
static IPV6: LazyLock<Regex> = LazyLock::new(|| shape(r"[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}"));

fn shape(regex: &str) -> Regex {
    Regex::new(regex).expect("the shapes are fixed")
}

/// Finds personal data; addresses only if they are wanted, because versions look like them.
pub(crate) fn find(text: &str, addresses: bool, into: &mut Vec<(Kind, Range<usize>)>) {
    emails(text, into);
    let digits = |range: &Range<usize>| text[range.clone()].bytes().filter(u8::is_ascii_digit).collect::<Vec<u8>>();
    for range in CARD.find_iter(text).map(|found| found.range()) {
        if stands_alone(text, &range) && is_grouped_like_a_card(&text[range.clone()]) && is_card(&digits(&range)) {
            into.push((Kind::PaymentCard, range));
        }
    }
    for found in IBAN.find_iter(text) {
        into.extend(iban_length(found.as_str()).map(|length| (Kind::Iban, found.start()..found.start() + length)));
    }
    for range in SSN.find_iter(text).map(|found| found.range()) {
        if stands_alone(text, &range) && is_ssn(&text[range.clone()]) {
            into.push((Kind::Ssn, range));
        }
    }
    for range in PHONE.find_iter(text).map(|found| found.range()) {
        let count = digits(&range).len();
        // One full stop makes a decimal number, two make a phone number.
        let said = &text[range.clone()];
        let separated = said.contains([' ', '-', '(']) || said.matches('.').count() > 1;
        let enough = if separated { (8..=15).contains(&count) } else { (10..=15).contains(&count) };
        if enough && stands_alone(text, &range) {
            into.push((Kind::Phone, range));
        }
    }
    if addresses {
        let v4 = IPV4.find_iter(text).map(|f| f.range()).filter(|r| text[r.clone()].parse().is_ok_and(is_public_v4));
        let v6 = IPV6.find_iter(text).map(|f| f.range()).filter(|r| text[r.clone()].parse().is_ok_and(is_public_v6));
        into.extend(v4.chain(v6).filter(|range| stands_alone(text, range)).map(|range| (Kind::IpAddress, range)));
    }
}

/// Mail addresses, found from their `@` outwards.
fn emails(text: &str, into: &mut Vec<(Kind, Range<usize>)>) {
    let bytes = text.as_bytes();
    for (at, _) in text.match_indices('@') {
        let is_local = |b: &&u8| b.is_ascii_alphanumeric() || b"._%+-".contains(b);
        let mut start = at - bytes[..at].iter().rev().take(64).take_while(is_local).count();
        start += bytes[start..at].iter().take_while(|b| b".%+-".contains(b)).count();
        let is_host = |b: &&u8| b.is_ascii_alphanumeric() || b".-".contains(b);
        let host = &text[at + 1..at + 1 + bytes[at + 1..].iter().take(253).take_while(is_host).count()];
        let host = host.trim_end_matches(['.', '-']);
        if start < at && is_mail_host(host) && !is_nobody(&text[start..at]) {
            into.push((Kind::Email, start..at + 1 + host.len()));
        }
    }
}

fn is_mail_host(host: &str) -> bool {
    let labels: Vec<&str> = host.split('.').collect();
    let last = labels.last().copied().unwrap_or_default().to_ascii_lowercase();
    let well_formed = labels.iter().all(|label| (1..=63).contains(&label.len()) && !label.starts_with('-'));
    // Reserved for documentation (RFC 2606), names of the local machine, and file names such as `logo@2x.png`.
    let reserved = ["example", "test", "invalid", "localhost", "local", "internal"];
    let files = [
        "png", "jpg", "jpeg", "gif", "svg", "webp", "css", "js", "ts", "tsx", "json", "html", "py", "md", "txt",
        "service", "timer", "socket", "target", "yml", "yaml", "xml", "sh", "lock", "toml",
    ];
    let documentation = ["example.com", "example.org", "example.net", "example.edu"];
    let lower = host.to_ascii_lowercase();
    let spared = documentation.iter().any(|name| lower == *name || lower.ends_with(&format!(".{name}")));
    labels.len() >= 2
        && well_formed
        && (2..=24).contains(&last.len())
        && last.bytes().all(|b| b.is_ascii_alphabetic())
        && !reserved.contains(&last.as_str())
        && !files.contains(&last.as_str())
        && !spared
}

/// Users that are no people.
fn is_nobody(local: &str) -> bool {
    ["git", "noreply", "no-reply", "donotreply"].iter().any(|name| local.eq_ignore_ascii_case(name))
}

/// Whether a number is not a part of a longer number, name or path.
fn stands_alone(text: &str, range: &Range<usize>) -> bool {
    let joins = |c: char| c.is_ascii_alphanumeric() || "_-.+/:".contains(c);
    let before = text[..range.start].chars().next_back();
    let mut after = text[range.end..].chars();
    let (next, second) = (after.next(), after.next());
    // `key:4111...` and a sentence's full stop do not belong to the number.
    let joined_before = before.is_some_and(|c| joins(c) && c != ':');
    let joined_after = next.is_some_and(|c| {
        c.is_ascii_alphanumeric()
            || "_-/".contains(c)
            || (c == '.' && second.is_some_and(|c| c.is_ascii_alphanumeric()))
    });
    !joined_before && !joined_after
}

/// Without separators, or in the groups that cards print: 4-4-4-4, 4-6-5 and the like, with one kind of separator.
fn is_grouped_like_a_card(text: &str) -> bool {
    let (spaces, dashes) = (text.contains(' '), text.contains('-'));
    if !spaces && !dashes {
        return true;
    }
    let groups: Vec<usize> = text.split([' ', '-']).map(str::len).collect();
    (spaces != dashes) && matches!(groups.as_slice(), [4, 4, 4, 1..=4] | [4, 6, 4 | 5] | [4, 4, 4, 4, 1..=3])
}

/// A number of a known brand's length and beginning whose Luhn digit fits.
fn is_card(digits: &[u8]) -> bool {
    let head = |count: usize| digits[..count].iter().fold(0_u32, |sum, d| sum * 10 + u32::from(d - b'0'));
    let brand = match digits.len() {
        13 | 19 if digits[0] == b'4' => true,
        14 => matches!(head(2), 30 | 36 | 38 | 39),
        15 => matches!(head(2), 34 | 37),
        16 => {
            digits[0] == b'4'
                || matches!(head(2), 51..=55 | 62 | 65)
                || matches!(head(4), 2221..=2720 | 6011 | 3528..=3589)
        }
        _ => false,
    };
    brand && luhn(digits)
}

/// Luhn: from the right, every second digit doubled (minus nine past nine); the sum ends in zero.
fn luhn(digits: &[u8]) -> bool {
    let value = |(place, digit): (usize, &u8)| {
        let digit = u32::from(digit - b'0');
        if place % 2 == 0 { digit } else { digit * 2 - if digit > 4 { 9 } else { 0 } }
    };
    digits.iter().rev().enumerate().map(value).sum::<u32>() % 10 == 0
}

/// Lengths by country, from the IBAN registry of SWIFT.
const IBAN_LENGTHS: &str = "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 \
    EG29 ES24 FI18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 \
    LI21 LT20 LU20 LV21 MC27 MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 QA29 RO24 RS22 SA24 SE24 SI19 \
    SK24 SM27 TN24 TR26 UA29 VA22 VG24 XK20";

/// How much of a text that begins like an IBAN is one: its country's length, with spaces, if the checksum fits.
fn iban_length(text: &str) -> Option<usize> {
    let country = text.get(..2)?;
    let wanted = IBAN_LENGTHS.split_whitespace().find(|entry| entry.starts_with(country))?[2..].parse().ok()?;
    let signs = text.bytes().enumerate().filter(|(_, b)| *b != b' ');
    let taken: Vec<(usize, u8)> = signs.take(wanted).collect();
    let (last, _) = *taken.last().filter(|_| taken.len() == wanted)?;
    let runs_on = text.as_bytes().get(last + 1).is_some_and(u8::is_ascii_alphanumeric);
    // ISO 7064: the first four signs go to the end, letters count 10 to 35, the remainder modulo 97 is 1.
    let rest = taken[4..].iter().chain(&taken[..4]).fold(0_u32, |rest, &(_, sign)| match sign {
        b'0'..=b'9' => (rest * 10 + u32::from(sign - b'0')) % 97,
        letter => (rest * 100 + u32::from(letter - b'A') + 10) % 97,
    });
    (rest == 1 && !runs_on).then_some(last + 1)
}

/// Numbers that were never given out: area 000, 666 and 9xx, group 00, serial 0000.
fn is_ssn(text: &str) -> bool {
    let (area, group, serial) = (&text[..3], &text[4..6], &text[7..]);
    !matches!(area, "000" | "666") && !area.starts_with('9') && group != "00" && serial != "0000"
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    let shared = a == 100 && (64..128).contains(&b);
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_documentation()
        || shared
        || a == 0
        || a >= 240)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    // Global unicast (RFC 4291) without the documentation prefix.
    a & 0xe000 == 0x2000 && !(a == 0x2001 && b == 0x0db8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(Kind, &str)> {
        let mut into = Vec::new();
        find(text, true, &mut into);
        into.into_iter().map(|(kind, range)| (kind, &text[range])).collect()
    }

    #[test]
    fn personal_data_is_found_by_shape_and_check_digits() {
        assert_eq!(found("mail bob.o'neil+x@corp.co.uk."), [(Kind::Email, "neil+x@corp.co.uk")]);
        assert_eq!(found("card 4111 1111 1111 1111,"), [(Kind::PaymentCard, "4111 1111 1111 1111")]);
        assert_eq!(found("amex:378282246310005"), [(Kind::PaymentCard, "378282246310005")]);
        assert_eq!(found("to DE89 3704 0044 0532 0130 00 NOW"), [(Kind::Iban, "DE89 3704 0044 0532 0130 00")]);
        assert_eq!(found("GB82WEST12345698765432"), [(Kind::Iban, "GB82WEST12345698765432")]);
        assert_eq!(found("ssn 078-05-1120."), [(Kind::Ssn, "078-05-1120")]);
        assert_eq!(found("call +49 30 901820 now"), [(Kind::Phone, "+49 30 901820")]);
        assert_eq!(found("call +1 (212) 555-0123"), [(Kind::Phone, "+1 (212) 555-0123")]);
        assert_eq!(found("from 8.8.8.8:53"), [(Kind::IpAddress, "8.8.8.8")]);
        assert_eq!(found("from [2a00:1450:4001:81b::200e]"), [(Kind::IpAddress, "2a00:1450:4001:81b::200e")]);
    }

    #[test]
    fn numbers_and_names_that_only_look_like_it_are_spared() {
        let cases = [
            "4111 1111 1111 1112",
            "id 1661140434123456789",
            "0.4111111111111111",
            "trace 4111111111111111ab",
            "DE88 3704 0044 0532 0130 00",
            "000-12-3456 and 2026-05-0412",
            "+12345678",
            "Decimal('+35236450.6')",
            "10.0.0.1 127.0.0.1 192.0.2.7 fe80::1 ::1 2001:db8::1",
            "bob@example.com git@github.com logo@2x.png foo@localhost a @ b",
            "x = a+12125550123",
        ];
        for text in cases {
            assert_eq!(found(text), [], "{text}");
        }
    }
}
