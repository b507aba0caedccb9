//! What is found, what is spared, and the laws of replacing.

use std::fs;
use std::path::{Path, PathBuf};

use backtrail_redact::{DeniedError, Kind, Redactor, Tokens, find, replace};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

/// Text that looks like a token, put together so that no scanner of this repository takes it for one.
fn token(prefix: &str, length: usize) -> String {
    let letters = "9fZx8kQ2pLmN4vR7tYaB3dE5gH6jWcS1uX0".chars().cycle().take(length);
    prefix.chars().chain(letters).collect()
}

fn kinds(text: &str) -> Vec<Kind> {
    find(text).into_iter().map(|found| found.kind).collect()
}

#[test]
fn tokens_of_vendors_are_found_by_their_shape() {
    let cases = [
        (format!("AKIA{}", "ABCDEFGH23456723"), Kind::AwsAccessKey),
        (token("AIza", 35), Kind::GcpKey),
        (token("GOCSPX-", 28), Kind::GcpKey),
        (token("ghp_", 36), Kind::GithubToken),
        (token("github_pat_", 82), Kind::GithubToken),
        (token("glpat-", 20), Kind::GitlabToken),
        (token("xoxb-", 30), Kind::SlackToken),
        (format!("https://hooks.slack.com/services/{}", token("T0/B0/", 24)), Kind::SlackToken),
        (token("sk_live_", 24), Kind::StripeKey),
        (token("npm_", 36), Kind::NpmToken),
        (token("pypi-AgEIcHlwaS5vcmc", 60), Kind::PypiToken),
        (token("sk-ant-", 40), Kind::VendorToken),
        (format!("AccountKey={}==", token("", 86)), Kind::AzureKey),
        (format!("{}.{}.{}", token("eyJ", 20), token("eyJ", 30), token("", 43)), Kind::Jwt),
    ];
    for (secret, kind) in cases {
        assert_eq!(kinds(&format!("see {secret} here")), [kind], "{secret}");
        let (text, _) = replace(&format!("see {secret} here"));
        assert!(!text.contains(&secret[secret.len() - 12..]), "{text}");
    }
}

#[test]
fn private_keys_are_taken_as_a_whole_and_bare_frames_are_not() {
    let body = token("MIIEvQIBADANBgkqhkiG9w0", 200);
    let frame = |kind: &str| format!("-----BEGIN {kind}-----\n{body}\n-----END {kind}-----");
    for kind in ["PRIVATE KEY", "RSA PRIVATE KEY", "OPENSSH PRIVATE KEY", "PGP PRIVATE KEY BLOCK"] {
        let (text, _) = replace(&format!("a\n{}\nb", frame(kind)));
        assert_eq!(text, "a\n[secret:private_key]\nb");
    }
    let escaped = frame("PRIVATE KEY").replace('\n', "\\n");
    assert_eq!(replace(&format!("{{\"k\":\"{escaped}\"}}")).0, "{\"k\":\"[secret:private_key]\"}");
    let cut = format!("-----BEGIN PRIVATE KEY-----\n{body}");
    assert_eq!(replace(&cut).0, "[secret:private_key]", "a block whose end is missing");
    assert_eq!(kinds("PEM = '-----BEGIN PRIVATE KEY-----'\nEND = '-----END PRIVATE KEY-----'"), []);
}

#[test]
fn headers_and_urls_lose_their_credentials_and_keep_the_rest() {
    let cases = [
        ("Authorization: Bearer abc.def-123456", "Authorization: Bearer [secret:authorization]"),
        ("authorization: Basic dXNlcjpwYXNz", "authorization: Basic [secret:authorization]"),
        ("\"Authorization\": \"Bearer 9fZx8kQ2pLmN4\"", "\"Authorization\": \"Bearer [secret:authorization]\""),
        ("postgres://app:Tr0ub4dor@db/x", "postgres://app:[secret:url_password]@db/x"),
        ("amqp://u:p@ss9w0rd@mq:5672", "amqp://u:[secret:url_password]@mq:5672"),
    ];
    for (text, expected) in cases {
        assert_eq!(replace(text).0, expected);
    }
    for text in
        ["http://user:${PASSWORD}@db/", "https://user:password@db/", "basic authentication failed", "Bearer <token>"]
    {
        assert_eq!(kinds(text), [], "{text}");
    }
}

#[test]
fn findings_say_their_line_and_never_their_value() {
    let text = "a\nb = 1\n  password: \"hunter2!\"\n";
    let found = find(text);
    assert_eq!((found.len(), found[0].line, &text[found[0].range.clone()]), (1, 3, "hunter2!"));
    assert!(!format!("{found:?}").contains("hunter2"));
}

#[test]
fn a_secret_within_percent_encoding_or_base64_is_found() {
    let key = token("ghp_", 36);
    let percent: String = key.bytes().map(|b| format!("%{b:02X}")).collect();
    assert_eq!(replace(&format!("q={percent}&r=1")).0, "q=[secret:github_token]&r=1");
    assert_eq!(replace("mail=bob%40corp.com&x=1").0, "mail=[email]&x=1");
    let encoded = STANDARD.encode(format!("user {key}"));
    assert_eq!(replace(&format!("data: {encoded} end")).0, "data: [secret:github_token] end");
    let twice = STANDARD.encode(&encoded);
    assert_eq!(replace(&format!("data: {twice} end")).0, "data: [secret:github_token] end");
}

#[test]
fn denied_values_are_found_in_every_form_and_never_shown() {
    let honey = "Honey/Wert \"7é";
    let redactor = Redactor::new().with_denied([honey]).expect("a fair value");
    let hex: String = honey.bytes().map(|b| format!("{b:02x}")).collect();
    let percent: String = honey.bytes().map(|b| format!("%{b:02x}")).collect();
    let mut forms =
        vec![honey.to_owned(), hex, percent, "Honey/Wert \\\"7\\u00e9".into(), "Honey\\/Wert \\\"7é".into()];
    forms.extend((0..3).map(|offset| STANDARD.encode(format!("{}{honey}!!", "x".repeat(offset)))));
    for form in forms {
        let (text, counts) = redactor.replace(&format!("<{form}>"));
        assert_eq!(counts.get(&Kind::Denied), Some(&1), "{form} became {text}");
    }
    assert!(!format!("{redactor:?}").contains("Honey"));
    let short = Redactor::new().with_denied(["abc"]).expect_err("too short");
    assert_eq!(short, DeniedError::Length { place: 1, length: 3 });
    let word = Redactor::new().with_denied(["long enough", "secret"]).expect_err("a part of placeholders");
    assert!(matches!(word, DeniedError::InPlaceholder { place: 2, .. }), "{word}");
}

#[test]
fn tokens_keep_values_apart_and_give_back_only_personal_data_that_may_come_back() {
    let redactor = Redactor::new();
    let mut tokens = Tokens::new();
    let (code, _) = tokens.replace(&redactor, "a@corp.com b@corp.com a@corp.com password=hunter2x");
    assert_eq!(code, "[email:1] [email:2] [email:1] password=[secret:assigned]");
    let (telemetry, _) = tokens.label(&redactor, "a@corp.com c@corp.com");
    assert_eq!(telemetry, "[email:1] [email:3]");
    assert_eq!(tokens.restore(&code), "a@corp.com b@corp.com a@corp.com password=[secret:assigned]");
    assert_eq!(tokens.restore("[email:3]"), "[email:3]", "a customer's address never reaches an answer");
    assert_eq!(tokens.foreign("[email:1] [email:3] [secret:jwt]"), ["[email:3]", "[secret:jwt]"]);
    assert!(!format!("{tokens:?}").contains("corp"));
}

#[test]
fn a_token_that_the_text_already_holds_is_not_given_to_another_value() {
    let mut tokens = Tokens::new();
    let (text, _) = tokens.replace(&Redactor::new(), "[email:1] a@corp.com");
    assert_eq!(text, "[email:1] [email:2]");
    assert_eq!(tokens.restore(&text), "[email:1] a@corp.com");
}

#[test]
fn a_text_made_to_reveal_one_finding_after_another_is_taken_out_as_a_whole() {
    // A key of fixed length hides the one that follows without a gap: every round brings one to light.
    let key = token("AIza", 35);
    assert_eq!(replace(&key.repeat(5)).0, "[secret:gcp_key]".repeat(5));
    assert_eq!(replace(&format!("{} end", key.repeat(20))).0, "[secret:dense]");
}

#[test]
fn the_sources_of_this_workspace_raise_no_false_alarm() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a folder of crates");
    let mut open: Vec<PathBuf> = ["model", "wire", "localize", "pipeline", "spool", "store", "console", "exit"]
        .iter()
        .map(|name| crates.join(name).join("src"))
        .collect();
    let (mut lines, mut alarms) = (0, Vec::new());
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").path()));
            continue;
        }
        let text = fs::read_to_string(&path).expect("source text");
        lines += text.lines().count();
        let secrets = find(&text).into_iter().filter(|found| found.kind.is_secret());
        alarms.extend(secrets.map(|found| format!("{}:{} {:?}", path.display(), found.line, found.kind)));
    }
    assert!(lines > 10_000, "{lines} lines were read");
    assert!(alarms.is_empty(), "{alarms:#?}");
}

/// Text with a high chance of half and whole findings.
fn spicy() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "password",
        "=",
        ":",
        "\"",
        "'",
        "\\",
        "hunter2!x9",
        "%40",
        "%C3%A9",
        "%",
        "é",
        "@corp.com",
        "bob",
        "AKIA",
        "ABCDEFGH23456723",
        "ghp_",
        "9fZx8kQ2pLmN4vR7tYaB3dE5gH6jWcS1uX0ab",
        "[secret:jwt]",
        "[email:1]",
        "[",
        "]",
        "\n",
        " ",
        "eyJhbGciOiJI",
        ".",
        "-----BEGIN PRIVATE KEY-----",
        "-----END PRIVATE KEY-----",
        "4111111111111111",
        "+49 30",
        " 901820",
        "://u:",
        "Bearer ",
        "Authorization: ",
        "cGFzc3dvcmQ9aHVudGVyMiF4OQ",
        "==",
        "$",
        "{",
        "}",
        "日本",
        "\0",
    ]);
    prop::collection::vec(prop_oneof![4 => pieces.prop_map(str::to_owned), 1 => ".{0,6}"], 0..24)
        .prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn replacing_twice_is_replacing_once(text in spicy()) {
        let (once, _) = replace(&text);
        let (twice, counts) = replace(&once);
        prop_assert_eq!(&once, &twice);
        prop_assert!(counts.is_empty());
    }

    #[test]
    fn findings_are_ordered_apart_and_on_character_boundaries(text in spicy()) {
        let mut end = 0;
        for found in Redactor::new().with_addresses().find(&text) {
            prop_assert!(found.range.start >= end && found.range.end <= text.len() && !found.range.is_empty());
            prop_assert!(text.is_char_boundary(found.range.start) && text.is_char_boundary(found.range.end));
            prop_assert_eq!(found.line as usize, 1 + text[..found.range.start].matches('\n').count());
            end = found.range.end;
        }
    }

    #[test]
    fn a_denied_value_never_stays(before in spicy(), honey in "[A-Za-z0-9]{5}[0-9]{3}[A-Za-z0-9]{0,20}", after in spicy()) {
        let redactor = Redactor::new().with_denied([honey.clone()]).expect("long enough");
        let (text, _) = redactor.replace(&format!("{before}{honey}{after}"));
        prop_assert!(!text.contains(&honey));
        prop_assert!(redactor.find_certain(&text).iter().all(|found| found.kind != Kind::Denied));
    }

    #[test]
    fn restoring_gives_back_a_text_without_secrets(text in spicy()) {
        let mut tokens = Tokens::new();
        let (hidden, counts) = tokens.replace(&Redactor::new(), &text);
        if counts.keys().all(|kind| !kind.is_secret()) {
            prop_assert_eq!(tokens.restore(&hidden), text);
        }
        prop_assert!(find(&hidden).is_empty());
        prop_assert!(Redactor::new().find_certain(&hidden).is_empty(), "a second look sees no more than the first");
    }
}
