//! What a name in telemetry means: `code.function.name` as each language's instrumentation writes it.

use serde::{Deserialize, Serialize};

use super::{FunctionId, Index};
use crate::function::Function;
use crate::language::Language;

/// What a name was resolved to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// Exactly one function fits best.
    One(FunctionId),
    /// Several fit equally well, in the order of the index.
    Ambiguous(Vec<FunctionId>),
    /// None fits.
    Missing,
}

impl Resolution {
    /// The function, if it is certain.
    pub fn one(&self) -> Option<FunctionId> {
        match self {
            Self::One(id) => Some(*id),
            _ => None,
        }
    }
}

/// Longer names are no names.
const MAX_NAME: usize = 2_000;

impl Index {
    /// Resolves `pkg.module.Class.method`, `pkg/path.(*T).M`, `crate::module::f`, `com.x.Class.method`,
    /// `Namespace.Class.Method` or a plain `f`. What stands before the function's own name must agree with its
    /// namespace or path, so a library's `json.loads` never becomes the repository's `loads`.
    pub fn named(&self, name: &str) -> Resolution {
        if name.len() > MAX_NAME {
            return Resolution::Missing;
        }
        let wanted = segments(name);
        let Some(last) = wanted.last() else { return Resolution::Missing };
        let mut best = (0, Vec::new());
        for id in self.by_name.get(last.as_str()).into_iter().flatten() {
            let Some(score) = self.fit(*id, &wanted) else { continue };
            if score > best.0 {
                best = (score, Vec::new());
            }
            if score == best.0 {
                best.1.push(*id);
            }
        }
        match best.1.as_slice() {
            [] => Resolution::Missing,
            [one] => Resolution::One(*one),
            _ => Resolution::Ambiguous(best.1),
        }
    }

    /// How many parts of the name agree with a function; `None` when one contradicts.
    fn fit(&self, id: FunctionId, wanted: &[String]) -> Option<usize> {
        let file = self.files.get(id.file as usize)?;
        let function = file.functions.get(id.function as usize)?;
        let own = own_segments(function, wanted.last().map(String::as_str).unwrap_or_default());
        let agreed = common_tail(&own, wanted);
        let rest = &wanted[..wanted.len() - agreed];
        if agreed < own.len() && !rest.is_empty() {
            return None;
        }
        // `__main__` and the like say only that a script was started.
        if rest.is_empty() || matches!(rest, [one] if one == "__main__") {
            return Some(agreed * 100);
        }
        let path = path_segments(&file.path, file.language);
        let namespace = function.namespace.as_deref().map(segments).unwrap_or_default();
        let around = context(file.language, &path, &namespace, rest)?;
        Some(agreed * 100 + around)
    }
}

/// How many parts before the function's own name agree with where it stands; `None` for a contradiction.
fn context(language: Language, path: &[String], namespace: &[String], rest: &[String]) -> Option<usize> {
    let used_up = |agreed: usize, place: &[String]| agreed > 0 && (agreed == rest.len() || agreed == place.len());
    match language {
        Language::Java | Language::CSharp => {
            let agreed = common_tail(namespace, rest);
            (used_up(agreed, namespace) || namespace.is_empty() && rest.is_empty()).then_some(agreed)
        }
        Language::Go => {
            // The last part is the package: its clause, or the folder when the two differ.
            let folder = &path[..path.len().saturating_sub(1)];
            let package = rest.last() == namespace.last() || !folder.is_empty() && rest.last() == folder.last();
            package.then(|| common_tail(folder, rest).max(1))
        }
        Language::Rust => {
            let place: Vec<String> = path.iter().chain(namespace).cloned().collect();
            let agreed = common_tail(&place, rest);
            // The first part names the crate, which no path has to repeat.
            (agreed + 1 >= rest.len() || used_up(agreed, &place)).then_some(agreed)
        }
        _ => {
            let place: Vec<String> = path.iter().chain(namespace).cloned().collect();
            let agreed = common_tail(&place, rest);
            used_up(agreed, &place).then_some(agreed)
        }
    }
}

fn common_tail(one: &[String], other: &[String]) -> usize {
    one.iter().rev().zip(other.iter().rev()).take_while(|(a, b)| a == b).count()
}

/// The parts of a function's own name, a constructor under the name it was asked by.
fn own_segments(function: &Function, last: &str) -> Vec<String> {
    let mut own = segments(&function.qualified);
    if function.name != last && function.holder.as_deref() == Some(last) {
        own.pop();
    }
    own
}

/// The parts of a path that a module name repeats: no extension, no `__init__`, `mod`, `lib`, `main`, `index`.
fn path_segments(path: &str, language: Language) -> Vec<String> {
    let stem = path.rsplit_once('.').map_or(path, |(stem, _)| stem);
    let silent: &[&str] = match language {
        Language::Python => &["__init__"],
        Language::Rust => &["mod", "lib", "main", "src"],
        Language::TypeScript | Language::Tsx | Language::JavaScript => &["index"],
        Language::Go | Language::Java | Language::CSharp => &[],
    };
    stem.split('/')
        .filter(|part| !part.is_empty() && !silent.contains(part))
        .map(|part| part.replace('-', "_"))
        .collect()
}

/// Splits a name of any convention, leaving out what compilers add: generics, closures, hashes, state machines.
pub(crate) fn segments(name: &str) -> Vec<String> {
    let plain = without_brackets(&state_machine(name));
    let mut parts: Vec<String> = plain
        .split(['.', '/', ':', '$', '#', '\\', '+'])
        .map(|part| part.trim_matches(|c: char| matches!(c, '(' | ')' | '*' | '&' | ' ' | '{' | '}')).to_owned())
        .filter(|part| !part.is_empty() && part != "crate" && !is_noise(part))
        .collect();
    let is_constructor = name.contains("<init>") || name.contains(".ctor");
    if is_constructor && parts.last().is_some_and(|last| last == "init" || last == "ctor") {
        // Both languages call a constructor as its class is called.
        parts.pop();
        parts.extend(parts.last().cloned());
    }
    parts
}

/// `func1` (Go), `{{closure}}` and `h0123456789abcdef` (Rust), `lambda` and counters (Java). `new` is a function in Rust.
fn is_noise(part: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let hash = |text: &str| text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    matches!(part, "closure" | "lambda")
        || digits(part)
        || part.strip_prefix("func").is_some_and(digits)
        || part.strip_prefix('h').is_some_and(hash)
        || part.starts_with("{closure")
}

/// C#'s `Type.<Find>d__3.MoveNext` is `Type.Find`.
fn state_machine(name: &str) -> String {
    let Some((before, rest)) = name.split_once('<') else { return name.to_owned() };
    match rest.split_once('>') {
        Some((inner, after)) if after.starts_with("d__") || after.starts_with("b__") || after.starts_with("g__") => {
            format!("{before}{inner}")
        }
        _ => name.to_owned(),
    }
}

/// Drops `[...]` and `<...>`, keeping the words that stand for a function: `<init>`, `<T as Trait>::f` keeps `T`.
fn without_brackets(name: &str) -> String {
    if let Some((inner, after)) = name.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
        let kind = inner.split(" as ").next().unwrap_or(inner);
        return without_brackets(&format!("{kind}{after}"));
    }
    let mut out = String::new();
    let mut depth = 0usize;
    for c in name.replace("<init>", "init").replace("..ctor", ".ctor").chars() {
        match c {
            '<' | '[' => depth += 1,
            '>' | ']' => depth = depth.saturating_sub(1),
            _ if depth == 0 => out.push(c),
            _ => {}
        }
    }
    out
}
