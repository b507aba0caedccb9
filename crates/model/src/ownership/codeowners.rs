//! CODEOWNERS: which owners a file of a repository has, as GitHub and GitLab read it.
//!
//! ```text
//! # the last line that matches a file wins; a line without owners says that nobody owns it
//! *                  @shop/platform
//! /services/cart/    @shop/cart  ops@shop.example   # a folder and everything below
//! docs/*             @shop/writers                  # files in docs, and none deeper
//! **/migrations/     @shop/data
//! \#notes.md         @shop/cart                     # an escaped # begins no comment
//! [Legal][2] @shop/legal                            # a section (GitLab): its lines without owners are @shop/legal's
//! LICENSE
//! ```
//!
//! A pattern with a `/` at its beginning or inside is meant from the root, another one at any depth. `*` and `?` stay
//! within a folder, `**` crosses folders. What matches a folder owns everything below, but for `docs/*`. There is no
//! negation and there are no ranges of characters. Each section has a last match of its own, and a file is owned by all
//! of them; sections of the same name are one. Sources: "About code owners" (GitHub Docs), "Code Owners syntax and error
//! handling" (GitLab Docs), gitignore(5).
//!
//! A line that is not understood costs only itself, as on GitHub, and is named with its number.

mod pattern;

use serde::{Deserialize, Serialize};

use self::pattern::Pattern;

/// Most bytes of a CODEOWNERS file: what GitHub reads.
pub const MOST_CODEOWNERS: u64 = 3 << 20;

/// A CODEOWNERS file that was read. Serialized it is its own text.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Codeowners {
    text: String,
    sections: Vec<Section>,
    wrong: Vec<WrongLine>,
}

/// A line that was not understood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WrongLine {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

#[derive(Clone, PartialEq, Eq, Default, Debug)]
struct Section {
    /// "" for the lines before the first header.
    name: String,
    rules: Vec<Rule>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Rule {
    pattern: Pattern,
    owners: Vec<String>,
}

impl From<String> for Codeowners {
    fn from(text: String) -> Self {
        Self::read(&text)
    }
}

impl From<Codeowners> for String {
    fn from(codeowners: Codeowners) -> Self {
        codeowners.text
    }
}

impl Codeowners {
    /// Reads a file.
    pub fn read(text: &str) -> Self {
        let mut read = Self { text: text.to_owned(), sections: vec![Section::default()], wrong: Vec::new() };
        let (mut at, mut defaults) = (0, Vec::new());
        for (line, text) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
            let text = text.trim();
            let result = if text.is_empty() || text.starts_with('#') {
                Ok(())
            } else if text.starts_with(['[', '^']) {
                header(text).map(|(name, owners)| (at, defaults) = (read.section(&name), owners))
            } else {
                rule(text, &defaults).map(|rule| read.sections[at].rules.push(rule))
            };
            read.wrong.extend(result.err().map(|why| WrongLine { line, why }));
        }
        read
    }

    fn section(&mut self, name: &str) -> usize {
        self.sections.iter().position(|section| section.name.eq_ignore_ascii_case(name)).unwrap_or_else(|| {
            self.sections.push(Section { name: name.to_owned(), rules: Vec::new() });
            self.sections.len() - 1
        })
    }

    /// The owners of a file by its path from the root of the repository: `None` when no line matches it, and nobody when
    /// the line that does names nobody.
    ///
    /// ```
    /// use backtrail_model::ownership::Codeowners;
    /// let file = Codeowners::read("* @all\n/cart/ @cart\n/cart/vendor/\n");
    /// assert_eq!(file.owners("cart/main.go").unwrap(), ["@cart"]);
    /// assert_eq!(file.owners("README.md").unwrap(), ["@all"]);
    /// assert!(file.owners("cart/vendor/x.go").unwrap().is_empty());
    /// ```
    pub fn owners(&self, path: &str) -> Option<Vec<&str>> {
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        let last = |section: &'_ Section| section.rules.iter().rposition(|rule| rule.pattern.matches(&segments));
        let mut owners: Option<Vec<&str>> = None;
        for section in &self.sections {
            let Some(at) = last(section) else { continue };
            let known = owners.get_or_insert_default();
            for owner in &section.rules[at].owners {
                if !known.contains(&owner.as_str()) {
                    known.push(owner);
                }
            }
        }
        owners
    }

    /// Lines that were not understood.
    pub fn wrong(&self) -> &[WrongLine] {
        &self.wrong
    }
}

/// `[Name]`, `^[Name]` (optional approval) or `[Name][2]` (approvals), and the owners of lines without their own.
fn header(text: &str) -> Result<(String, Vec<String>), String> {
    const HELP: &str = "a section is written [Name], ^[Name] or [Name][2]";
    let inner = text.strip_prefix('^').unwrap_or(text).strip_prefix('[').ok_or(HELP)?;
    let (name, rest) = inner.split_once(']').ok_or(HELP)?;
    let name = name.trim();
    let rest = match rest.strip_prefix('[') {
        Some(count) => {
            let (count, rest) = count.split_once(']').ok_or(HELP)?;
            count.parse::<u32>().map_err(|_| format!("'{count}' is no number of approvals"))?;
            rest
        }
        None => rest,
    };
    if name.is_empty() || rest.starts_with(|c: char| !c.is_whitespace()) {
        return Err(HELP.to_owned());
    }
    Ok((name.to_owned(), owners(rest)?))
}

fn rule(text: &str, defaults: &[String]) -> Result<Rule, String> {
    // An escaped space is part of the pattern.
    let mut escaped = false;
    let end = text.find(|c: char| {
        let ends = c.is_whitespace() && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    let (pattern, rest) = text.split_at(end.unwrap_or(text.len()));
    let own = owners(rest)?;
    Ok(Rule { pattern: Pattern::read(pattern)?, owners: if own.is_empty() { defaults.to_vec() } else { own } })
}

/// The owners in the rest of a line, up to a comment.
fn owners(text: &str) -> Result<Vec<String>, String> {
    let words = text.split_whitespace().take_while(|word| !word.starts_with('#'));
    words.map(|word| if is_owner(word) { Ok(word.to_owned()) } else { Err(no_owner(word)) }).collect()
}

fn no_owner(word: &str) -> String {
    format!("'{word}' is no owner: write @user, @group/team or an e-mail address")
}

/// `@user`, `@group/team`, `@@role` or `name@host`.
fn is_owner(word: &str) -> bool {
    match word.strip_prefix('@') {
        Some(name) => {
            let name = name.strip_prefix('@').unwrap_or(name);
            !name.contains('@') && name.split('/').all(|part| !part.is_empty())
        }
        None => word.split_once('@').is_some_and(|(name, host)| {
            !name.is_empty() && host.contains('.') && !host.contains(['@', '/']) && !host.starts_with('.')
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owners_of(text: &str, path: &str) -> String {
        let read = Codeowners::read(text);
        assert_eq!(read.wrong(), [], "{text}");
        read.owners(path).map_or_else(|| "none".to_owned(), |owners| owners.join(" "))
    }

    #[test]
    fn the_last_match_wins_and_a_line_without_owners_takes_them_away() {
        let text = "*  @a\n*.js @b # scripts\n/apps/ @c d@shop.example\n/apps/github\r\n";
        for (path, owners) in [
            ("x.rs", "@a"),
            ("deep/x.js", "@b"),
            ("apps/x.js", "@c d@shop.example"),
            ("apps/github/x.js", ""),
            ("apps/githubs", "@c d@shop.example"),
        ] {
            assert_eq!(owners_of(text, path), owners, "{path}");
        }
        assert_eq!(owners_of("/docs/ @a", "src/docs/x"), "none");
    }

    #[test]
    fn every_section_has_a_last_match_and_its_own_default_owners() {
        let text = "* @all\n[Code][2] @dev\nsrc/\nsrc/db/ @data\n^[Docs] @writers @all\n*.md\n[code] @late\n*.lock\n";
        for (path, owners) in [
            ("x", "@all"),
            ("src/x.rs", "@all @dev"),
            ("src/db/x.rs", "@all @data"),
            ("src/db/x.md", "@all @data @writers"),
            // The second [code] goes on with the first, with other default owners.
            ("src/Cargo.lock", "@all @late"),
        ] {
            assert_eq!(owners_of(text, path), owners, "{path}");
        }
    }

    #[test]
    fn escapes_are_part_of_a_pattern() {
        let text = "\\#notes.md @a\nmy\\ file.txt @b\napp/\\[id\\]/page.tsx @c\n# notes.md @d\nstar\\*.md @e\n";
        for (path, owners) in [
            ("#notes.md", "@a"),
            ("x/my file.txt", "@b"),
            ("app/[id]/page.tsx", "@c"),
            ("star*.md", "@e"),
            ("stars.md", "none"),
            ("notes.md", "none"),
        ] {
            assert_eq!(owners_of(text, path), owners, "{path}");
        }
    }

    #[test]
    fn what_is_not_understood_is_named_with_its_line_and_costs_only_itself() {
        let text = "* @a\n!x @b\n\nsrc/[ab].rs @c\nlib/ team\n[Half @d\n[]\n[Code][two] @e\nend\\\n@x/\n/ok @f\n";
        let read = Codeowners::read(text);
        let lines: Vec<usize> = read.wrong().iter().map(|wrong| wrong.line).collect();
        assert_eq!(lines, [2, 4, 5, 6, 7, 8, 9], "{:?}", read.wrong());
        let whys = ["negation", "ranges", "'team' is no owner", "a section", "a section", "'two' is no", "ends in"];
        for (wrong, words) in read.wrong().iter().zip(whys) {
            assert!(wrong.why.contains(words), "{wrong:?}");
        }
        assert_eq!((read.owners("x"), read.owners("ok")), (Some(vec!["@a"]), Some(vec!["@f"])));
    }

    #[test]
    fn its_text_is_all_there_is_to_it() {
        let read = Codeowners::read("[S] @a\n*.md\n!bad\n");
        let again: Codeowners = serde_json::from_str(&serde_json::to_string(&read).expect("JSON")).expect("a text");
        assert_eq!(again, read);
    }
}
