//! The XML that `JUnit` once wrote and every test runner writes since.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::{Results, first};

/// One `<testcase>`.
#[derive(Debug, Default)]
pub(super) struct Case {
    pub(super) class: String,
    pub(super) name: String,
    pub(super) file: String,
    verdict: Verdict,
    message: String,
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum Verdict {
    #[default]
    Passed,
    Failed,
    Error,
    Skipped,
}

/// Deepest nesting that is read; runners nest suites a few deep.
const DEEPEST: usize = 64;

/// Reads a file of results, naming each test by `name`. What can be read of a broken file counts, and that it is broken
/// is an error among the results.
pub(super) fn results(xml: &[u8], name: impl Fn(&Case) -> String) -> Results {
    let mut results = Results::default();
    let mut reader = Reader::from_reader(xml);
    let mut case: Option<Case> = None;
    let mut within = false;
    let mut depth = 0;
    loop {
        match reader.read_event() {
            Ok(Event::Eof) => break,
            Ok(Event::Start(tag)) => {
                depth += 1;
                if depth > DEEPEST {
                    results.errors.push(("the results".into(), "nested too deeply".into()));
                    break;
                }
                within |= open(&tag, &mut case);
            }
            Ok(Event::Empty(tag)) => {
                open(&tag, &mut case);
                if tag.name().as_ref() == b"testcase" {
                    close(case.take(), &mut results, &name);
                }
            }
            Ok(Event::End(tag)) => {
                depth = depth.saturating_sub(1);
                match tag.name().as_ref() {
                    b"testcase" => close(case.take(), &mut results, &name),
                    b"failure" | b"error" | b"skipped" => within = false,
                    _ => {}
                }
            }
            Ok(Event::Text(text)) if within => say(&mut case, &String::from_utf8_lossy(&text)),
            Ok(Event::CData(text)) if within => say(&mut case, &String::from_utf8_lossy(&text)),
            Ok(Event::GeneralRef(entity)) if within => {
                let name = String::from_utf8_lossy(&entity).into_owned();
                let known = entity.resolve_char_ref().ok().flatten().map(String::from);
                let known = known.or_else(|| quick_xml::escape::resolve_predefined_entity(&name).map(str::to_owned));
                say(&mut case, &known.unwrap_or_default());
            }
            Ok(_) => {}
            Err(error) => {
                results.errors.push(("the results".into(), format!("cannot be read: {error}")));
                break;
            }
        }
    }
    results
}

/// Takes in a tag; says whether text that follows is a message.
fn open(tag: &BytesStart<'_>, case: &mut Option<Case>) -> bool {
    let attribute = |name: &str| -> String {
        let value = tag.try_get_attribute(name).ok().flatten();
        value.and_then(|value| value.unescape_value().ok().map(std::borrow::Cow::into_owned)).unwrap_or_default()
    };
    let verdict = match tag.name().as_ref() {
        b"testcase" => {
            let (class, name, file) = (attribute("classname"), attribute("name"), attribute("file"));
            *case = Some(Case { class, name, file, ..Case::default() });
            return false;
        }
        b"failure" => Verdict::Failed,
        b"error" => Verdict::Error,
        b"skipped" => Verdict::Skipped,
        _ => return false,
    };
    let Some(case) = case else { return false };
    case.verdict = verdict;
    case.message = attribute("message");
    true
}

fn say(case: &mut Option<Case>, text: &str) {
    if let Some(case) = case.as_mut().filter(|case| case.message.len() < 4 * super::MESSAGE) {
        if !case.message.is_empty() && !case.message.ends_with('\n') && text.starts_with(char::is_alphabetic) {
            case.message.push('\n');
        }
        case.message.push_str(text);
    }
}

fn close(case: Option<Case>, results: &mut Results, name: &impl Fn(&Case) -> String) {
    let Some(case) = case else { return };
    let called = name(&case);
    let message = first(case.message.trim());
    match case.verdict {
        Verdict::Passed => results.passed.push(called),
        Verdict::Failed => results.failed.push((called, message)),
        Verdict::Error => results.errors.push((called, message)),
        Verdict::Skipped => results.skipped.push(called),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_four_verdicts_and_their_messages() {
        let xml = br#"<?xml version="1.0"?><testsuites><testsuite name="s">
            <testcase classname="a.B" name="ok"/>
            <testcase classname="a.B" name="bad"><failure message="1 &lt; 2">assert &amp; more</failure></testcase>
            <testcase classname="a.B" name="worse"><error><![CDATA[boom]]></error><system-out>noise</system-out></testcase>
            <testcase classname="a.B" name="later"><skipped/></testcase></testsuite></testsuites>"#;
        let results = results(xml, |case| format!("{}.{}", case.class, case.name));
        assert_eq!(results.passed, ["a.B.ok"]);
        assert_eq!(results.failed.len(), 1);
        assert!(results.failed[0].1.starts_with("1 < 2") && results.failed[0].1.contains("& more"), "{results:?}");
        assert_eq!(results.errors, [("a.B.worse".to_owned(), "boom".to_owned())]);
        assert_eq!(results.skipped, ["a.B.later"]);
    }

    #[test]
    fn a_file_that_was_cut_off_or_is_too_deep_is_an_error() {
        let cut = results(b"<testsuite><testcase name='a'/><testcase name='b'><fail", |case| case.name.clone());
        assert_eq!((cut.passed.len(), cut.errors.len()), (1, 1), "{cut:?}");
        let deep = results("<x>".repeat(100).as_bytes(), |case| case.name.clone());
        assert_eq!(deep.errors.len(), 1);
    }
}
