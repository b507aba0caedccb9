//! Protobuf: messages on the wire and calls of before must be understood after.

use std::collections::BTreeMap;

use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, ServiceDescriptorProto,
};

use super::Findings;

/// `LABEL_REQUIRED` of descriptor.proto.
const REQUIRED: i32 = 2;

pub(super) fn compare(before: &str, after: &str, findings: &mut Findings) -> Result<(), String> {
    let parse = |text: &str| {
        let parsed = protox_parse::parse("contract.proto", text);
        parsed.map_err(|error| error.to_string().lines().next().unwrap_or_default().to_owned())
    };
    let (before, after) = (parse(before)?, parse(after)?);
    let FileDescriptorProto { package, syntax, .. } = &before;
    if *package != after.package {
        findings.breaks("its package is another: every name changes");
    }
    if *syntax != after.syntax {
        findings.breaks("its syntax is another");
    }
    messages("", &before.message_type, &after.message_type, findings);
    enums("", &before.enum_type, &after.enum_type, findings);
    services(&before.service, &after.service, findings);
    if before.extension != after.extension {
        findings.breaks("its extensions differ");
    }
    // What was written for readers is not compared; options may change generated code and the wire.
    if before.options != after.options {
        findings.breaks("its options differ");
    }
    Ok(())
}

/// Things of both by name: gone, new, or in both.
fn by_name<'a, T>(
    before: &'a [T],
    after: &'a [T],
    name: impl Fn(&T) -> String,
) -> Vec<(String, Option<&'a T>, Option<&'a T>)> {
    let mut found: BTreeMap<String, (Option<&T>, Option<&T>)> = BTreeMap::new();
    for one in before {
        found.entry(name(one)).or_default().0 = Some(one);
    }
    for one in after {
        found.entry(name(one)).or_default().1 = Some(one);
    }
    found.into_iter().map(|(name, (before, after))| (name, before, after)).collect()
}

fn messages(inside: &str, before: &[DescriptorProto], after: &[DescriptorProto], findings: &mut Findings) {
    for (name, one, other) in by_name(before, after, |one| one.name().to_owned()) {
        let name = format!("{inside}{name}");
        match (one, other) {
            (Some(_), None) => findings.breaks(format!("the message {name} is gone")),
            (None, Some(_)) => findings.adds(format!("the message {name}")),
            (Some(one), Some(other)) => message(&name, one, other, findings),
            (None, None) => {}
        }
    }
}

fn message(name: &str, before: &DescriptorProto, after: &DescriptorProto, findings: &mut Findings) {
    for (number, one, other) in by_name(&before.field, &after.field, |one| format!("{:>10}", one.number())) {
        let number = number.trim_start();
        match (one, other) {
            (Some(one), None) => findings.breaks(format!("{name}: field {number} '{}' is gone", one.name())),
            (None, Some(other)) if other.label == Some(REQUIRED) => {
                findings.breaks(format!("{name} demands field {number} '{}'", other.name()));
            }
            (None, Some(other)) if is_reserved(before, other) => {
                findings.breaks(format!("{name}: field {number} '{}' was reserved", other.name()));
            }
            (None, Some(other)) => findings.adds(format!("{name}: field {number} '{}'", other.name())),
            (Some(one), Some(other)) => field(name, (one, before), (other, after), findings),
            (None, None) => {}
        }
    }
    let nested = format!("{name}.");
    messages(&nested, &before.nested_type, &after.nested_type, findings);
    enums(&nested, &before.enum_type, &after.enum_type, findings);
    if before.options != after.options || before.extension != after.extension {
        findings.breaks(format!("{name}: its options or extensions differ"));
    }
}

fn is_reserved(message: &DescriptorProto, field: &FieldDescriptorProto) -> bool {
    let by_number = message.reserved_range.iter().any(|range| (range.start()..range.end()).contains(&field.number()));
    by_number || message.reserved_name.iter().any(|name| name == field.name())
}

fn field(
    message: &str,
    before: (&FieldDescriptorProto, &DescriptorProto),
    after: (&FieldDescriptorProto, &DescriptorProto),
    findings: &mut Findings,
) {
    let ((one, in_one), (other, in_other)) = (before, after);
    let place = format!("{message}: field {}", one.number());
    if one.name != other.name {
        findings.breaks(format!("{place} is called '{}' and was '{}'", other.name(), one.name()));
    }
    if one.r#type != other.r#type || one.type_name != other.type_name {
        findings.breaks(format!("{place} '{}' has another type", one.name()));
    }
    if one.label != other.label || one.proto3_optional != other.proto3_optional {
        findings.breaks(format!("{place} '{}' is repeated, required or optional otherwise", one.name()));
    }
    let choice = |field: &FieldDescriptorProto, message: &DescriptorProto| {
        let at = usize::try_from(field.oneof_index?).ok()?;
        message.oneof_decl.get(at).map(|choice| choice.name().to_owned())
    };
    if choice(one, in_one) != choice(other, in_other) {
        findings.breaks(format!("{place} '{}' is in another oneof", one.name()));
    }
    if one.default_value != other.default_value || one.options != other.options || one.json_name != other.json_name {
        findings.breaks(format!("{place} '{}' has another default, options or name in JSON", one.name()));
    }
}

fn enums(inside: &str, before: &[EnumDescriptorProto], after: &[EnumDescriptorProto], findings: &mut Findings) {
    for (name, one, other) in by_name(before, after, |one| one.name().to_owned()) {
        let name = format!("{inside}{name}");
        match (one, other) {
            (Some(_), None) => findings.breaks(format!("the enum {name} is gone")),
            (None, Some(_)) => findings.adds(format!("the enum {name}")),
            (Some(one), Some(other)) => {
                for (value, one, other) in by_name(&one.value, &other.value, |one| one.name().to_owned()) {
                    match (one, other) {
                        (Some(_), None) => findings.breaks(format!("{name}: {value} is gone")),
                        (None, Some(_)) => findings.adds(format!("{name}: {value}")),
                        (Some(one), Some(other)) if one.number != other.number => {
                            findings.breaks(format!("{name}: {value} has another number"));
                        }
                        _ => {}
                    }
                }
            }
            (None, None) => {}
        }
    }
}

fn services(before: &[ServiceDescriptorProto], after: &[ServiceDescriptorProto], findings: &mut Findings) {
    for (name, one, other) in by_name(before, after, |one| one.name().to_owned()) {
        let (one, other) = match (one, other) {
            (Some(one), Some(other)) => (one, other),
            (Some(_), None) => {
                findings.breaks(format!("the service {name} is gone"));
                continue;
            }
            _ => {
                findings.adds(format!("the service {name}"));
                continue;
            }
        };
        for (call, one, other) in by_name(&one.method, &other.method, |one| one.name().to_owned()) {
            match (one, other) {
                (Some(_), None) => findings.breaks(format!("the call {name}.{call} is gone")),
                (None, Some(_)) => findings.adds(format!("the call {name}.{call}")),
                (Some(one), Some(other)) if one != other => {
                    findings.breaks(format!("the call {name}.{call} takes, gives or streams something else"));
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const API: &str = "syntax = \"proto3\";\npackage shop;\n// An order.\nmessage Order {\n  reserved 9;\n  string id = 1;\n  repeated Line lines = 2;\n  oneof way { string mail = 3; }\n  message Line { int32 n = 1; }\n}\nenum State { OPEN = 0; PAID = 1; }\nservice Orders { rpc Get(Order) returns (Order); }\n";

    fn changed(from: &str, to: &str) -> Findings {
        let text = API.replace(from, to);
        assert_ne!(text, API, "{from}");
        let mut findings = Findings::default();
        compare(API, &text, &mut findings).expect("both are read");
        findings
    }

    #[test]
    fn what_is_on_the_wire_may_not_change() {
        for (from, to, why) in [
            ("string id = 1;", "", "field 1 'id' is gone"),
            ("string id = 1;", "int64 id = 1;", "another type"),
            ("string id = 1;", "string id = 7;", "field 1 'id' is gone"),
            ("string id = 1;", "string key = 1;", "is called 'key' and was 'id'"),
            ("string id = 1;", "repeated string id = 1;", "repeated, required or optional otherwise"),
            ("string id = 1;", "string id = 1; string old = 9;", "was reserved"),
            ("oneof way { string mail = 3; }", "string mail = 3;", "another oneof"),
            ("PAID = 1", "PAID = 2", "PAID has another number"),
            ("rpc Get(Order)", "rpc Get(stream Order)", "takes, gives or streams"),
            ("rpc Get", "rpc Read", "the call Orders.Get is gone"),
            ("package shop;", "package store;", "its package is another"),
            ("int32 n = 1;", "", "Order.Line: field 1 'n' is gone"),
        ] {
            let findings = changed(from, to);
            assert!(findings.breaking.iter().any(|one| one.contains(why)), "{to}: {findings:?}");
        }
    }

    #[test]
    fn what_is_only_more_breaks_nothing() {
        for (from, to, adds) in [
            ("string id = 1;", "string id = 1; string note = 4;", "Order: field 4 'note'"),
            ("PAID = 1;", "PAID = 1; LOST = 2;", "State: LOST"),
            ("rpc Get", "rpc All(Order) returns (stream Order);\n  rpc Get", "the call Orders.All"),
            ("enum State", "message Note { string text = 1; }\nenum State", "the message Note"),
        ] {
            let findings = changed(from, to);
            assert_eq!((findings.breaking, findings.additions), (Vec::new(), vec![adds.to_owned()]), "{to}");
        }
        let comment = changed("// An order.", "// One order.");
        assert!(comment.breaking.is_empty() && comment.additions.is_empty());
        assert!(compare(API, "message {", &mut Findings::default()).is_err());
    }
}
