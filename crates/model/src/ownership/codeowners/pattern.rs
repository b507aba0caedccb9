//! Patterns of CODEOWNERS, matched segment by segment.

/// A pattern.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Pattern {
    segments: Vec<Segment>,
    /// It ended with `/`: it means folders, and so what is in them.
    folders: bool,
    /// It ended with `/*`: what it matches owns nothing below.
    shallow: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Segment {
    /// `**`: any number of folders.
    Any,
    /// A name.
    Name(Vec<Token>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Token {
    /// `*`: any characters.
    Star,
    /// `?`: one character.
    One,
    Char(char),
}

impl Pattern {
    pub(super) fn read(text: &str) -> Result<Self, String> {
        if text.starts_with('!') {
            return Err("negation is no part of CODEOWNERS: write a line without owners further down".to_owned());
        }
        let mut names: Vec<Vec<Token>> = vec![Vec::new()];
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            let token = match c {
                '/' => {
                    names.push(Vec::new());
                    continue;
                }
                '\\' => Token::Char(chars.next().ok_or("the pattern ends in its escape")?),
                '[' | ']' => return Err("ranges of characters are no part of CODEOWNERS: write \\[ for a [".to_owned()),
                '*' => Token::Star,
                '?' => Token::One,
                c => Token::Char(c),
            };
            names.last_mut().ok_or("no name")?.push(token);
        }
        let folders = names.len() > 1 && names.last().is_some_and(Vec::is_empty);
        let anchored = names.len() > 1 + usize::from(folders);
        let mut segments: Vec<Segment> = if anchored { Vec::new() } else { vec![Segment::Any] };
        segments.extend(names.into_iter().filter(|name| !name.is_empty()).map(|name| match &name[..] {
            [Token::Star, Token::Star] => Segment::Any,
            _ => Segment::Name(name),
        }));
        if segments.iter().all(|segment| *segment == Segment::Any) && !text.contains("**") {
            return Err(format!("'{text}' matches nothing"));
        }
        let shallow =
            anchored && !folders && matches!(segments.last(), Some(Segment::Name(name)) if name[..] == [Token::Star]);
        Ok(Self { segments, folders, shallow })
    }

    /// Whether it matches a path or, unless it is shallow, a folder that the path is in.
    ///
    /// `reached[i]`: the segments so far can match the first `i` names of the path. That takes segments * depth steps,
    /// however many `**` there are.
    pub(super) fn matches(&self, path: &[&str]) -> bool {
        let mut reached = vec![false; path.len() + 1];
        reached[0] = true;
        for (at, segment) in self.segments.iter().enumerate() {
            match segment {
                // At the end it stands for what is in the folder, and not for the folder.
                Segment::Any if at > 0 && at + 1 == self.segments.len() => {
                    return reached[..path.len()].contains(&true);
                }
                Segment::Any => {
                    let first = reached.iter().position(|&is| is).unwrap_or(reached.len());
                    reached[first..].fill(true);
                }
                Segment::Name(tokens) => {
                    for i in (0..path.len()).rev() {
                        reached[i + 1] = reached[i] && is_like(tokens, path[i]);
                    }
                    reached[0] = false;
                }
            }
        }
        let (whole, above) = (reached[path.len()], reached[..path.len()].contains(&true));
        (whole && !self.folders) || (above && !self.shallow)
    }
}

/// Whether a name matches: on a mismatch the last `*` takes one character more.
fn is_like(tokens: &[Token], name: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    let (mut t, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match tokens.get(t) {
            Some(Token::Star) => {
                star = Some((t + 1, n));
                t += 1;
            }
            Some(token) if *token == Token::One || *token == Token::Char(name[n]) => (t, n) = (t + 1, n + 1),
            _ => {
                let Some((after, from)) = star else { return false };
                star = Some((after, from + 1));
                (t, n) = (after, from + 1);
            }
        }
    }
    tokens[t..].iter().all(|token| *token == Token::Star)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        let segments: Vec<&str> = path.split('/').collect();
        Pattern::read(pattern).expect(pattern).matches(&segments)
    }

    #[test]
    fn patterns_match_as_the_documentation_of_github_says() {
        let cases = [
            ("*", "a/b/c", true),
            ("*.js", "a/b.js", true),
            ("*.js", "a/b.jsx", false),
            ("/build/logs/", "build/logs/x/y", true),
            ("/build/logs/", "a/build/logs/x", false),
            ("/build/logs/", "build/logs", false),
            ("docs/*", "docs/a.md", true),
            ("docs/*", "docs/b/a.md", false),
            ("docs/*", "x/docs/a.md", false),
            ("docs/*/", "docs/b/a.md", true),
            ("apps/", "x/apps/y/z", true),
            ("/docs/", "docs/x", true),
            ("/docs/", "x/docs/y", false),
            ("**/logs", "logs/a", true),
            ("**/logs", "deep/er/logs/a", true),
            ("/*", "a", true),
            ("/*", "a/b", false),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true),
            ("a/**/b", "a/x/y/c", false),
            ("a/**", "a/x/y", true),
            ("a/**", "a", false),
            ("**", "a/x/y", true),
            ("a?c", "x/abc", true),
            ("a?c", "a/c", false),
            ("/apps/github", "apps/github/x", true),
            ("/apps/github", "apps/githubs", false),
            ("a/*/c", "a/b/c/d", true),
            ("a/*/c", "a/b/x/c", false),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "aXbXbX", false),
            ("Readme", "readme", false),
        ];
        for (pattern, path, expected) in cases {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn many_stars_take_no_time() {
        let path = vec!["a"; 300].join("/");
        assert!(!matches(&("**/a/".repeat(40) + "b"), &path));
        assert!(!matches(&("*a".repeat(40) + "b"), &"a".repeat(3000)));
    }
}
