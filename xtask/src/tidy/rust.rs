//! Splits Rust source into code and comments, so that a rule about one does not trip over the other or over a string.

/// One line of a source file, taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    /// Code with the content of strings left out.
    pub(super) code: String,
    /// Text of comments, documentation included.
    pub(super) comment: String,
}

#[derive(Clone, Copy)]
enum State {
    Code,
    LineComment,
    BlockComment { depth: usize },
    Text,
    RawText { hashes: usize },
}

/// Takes a file apart line by line.
pub(super) fn lines(source: &str) -> Vec<Line> {
    let mut lines = vec![Line::default()];
    let mut state = State::Code;
    let mut rest = source;
    while let Some(character) = rest.chars().next() {
        if character == '\n' {
            if matches!(state, State::LineComment) {
                state = State::Code;
            }
            lines.push(Line::default());
            rest = &rest[1..];
            continue;
        }
        let line = lines.last_mut().expect("invariant: there is always a line");
        let taken;
        (state, taken) = step(state, rest, line);
        rest = &rest[taken..];
    }
    lines
}

/// Takes the next piece of text; returns the state after it and its length in bytes.
fn step(state: State, rest: &str, line: &mut Line) -> (State, usize) {
    let first = rest.chars().next().map_or(0, char::len_utf8);
    match state {
        State::Code => step_code(rest, line),
        State::LineComment => {
            line.comment.push_str(&rest[..first]);
            (state, first)
        }
        State::BlockComment { depth } if rest.starts_with("*/") => (
            if depth == 1 {
                State::Code
            } else {
                State::BlockComment { depth: depth - 1 }
            },
            2,
        ),
        State::BlockComment { depth } if rest.starts_with("/*") => {
            (State::BlockComment { depth: depth + 1 }, 2)
        }
        State::BlockComment { .. } => {
            line.comment.push_str(&rest[..first]);
            (state, first)
        }
        // An escaped line end must still be seen as a line end.
        State::Text if rest.starts_with('\\') && !rest.starts_with("\\\n") => (
            state,
            1 + rest[1..].chars().next().map_or(0, char::len_utf8),
        ),
        State::Text => (
            if rest.starts_with('"') {
                State::Code
            } else {
                state
            },
            first,
        ),
        State::RawText { hashes } => {
            let end = rest.strip_prefix('"').is_some_and(|after| {
                after
                    .bytes()
                    .take(hashes)
                    .filter(|byte| *byte == b'#')
                    .count()
                    == hashes
            });
            if end {
                (State::Code, 1 + hashes)
            } else {
                (state, first)
            }
        }
    }
}

fn step_code(rest: &str, line: &mut Line) -> (State, usize) {
    if rest.starts_with("//") {
        return (State::LineComment, 2);
    }
    if rest.starts_with("/*") {
        return (State::BlockComment { depth: 1 }, 2);
    }
    if rest.starts_with('"') {
        line.code.push_str("\"\"");
        return (State::Text, 1);
    }
    let begins_word = !line
        .code
        .ends_with(|last: char| last.is_alphanumeric() || last == '_');
    if begins_word && let Some(hashes) = raw_text_hashes(rest) {
        line.code.push_str("\"\"");
        let prefix = rest.find('"').map_or(0, |quote| quote + 1);
        return (State::RawText { hashes }, prefix);
    }
    let first = rest.chars().next().map_or(0, char::len_utf8);
    let taken = character_literal(rest).unwrap_or(first);
    if taken == first {
        line.code.push_str(&rest[..first]);
    }
    (State::Code, taken)
}

/// `r"`, `r#"`, `br"`, …: how many hashes end it.
fn raw_text_hashes(rest: &str) -> Option<usize> {
    let after = rest
        .strip_prefix("br")
        .or_else(|| rest.strip_prefix("cr"))
        .or_else(|| rest.strip_prefix('r'))?;
    let hashes = after.bytes().take_while(|byte| *byte == b'#').count();
    (after.as_bytes().get(hashes) == Some(&b'"')).then_some(hashes)
}

/// The length of `'x'` or `'\n'`; a lifetime is none.
fn character_literal(rest: &str) -> Option<usize> {
    let mut inner = rest.strip_prefix('\'')?.char_indices();
    let (_, first) = inner.next()?;
    if first == '\\' {
        // At the shortest, the escaped character stands between the backslash and the closing quote.
        let escaped = inner.next()?.1.len_utf8();
        return rest[2 + escaped..]
            .find('\'')
            .map(|quote| 2 + escaped + quote + 1);
    }
    (inner.next()?.1 == '\'').then_some(2 + first.len_utf8())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, code: &str, comment: &str) {
        let lines = lines(source);
        let join = |part: fn(&Line) -> &str| lines.iter().map(part).collect::<Vec<_>>().join("\n");
        assert_eq!(join(|line| &line.code), code, "code of {source}");
        assert_eq!(join(|line| &line.comment), comment, "comments of {source}");
    }

    #[test]
    fn code_comments_and_strings_come_apart() {
        check("let a = 1; // why", "let a = 1; ", " why");
        check("a /* b /* c */ d */ e", "a  e", " b  c  d ");
        check("f(\"todo!() // no\")", "f(\"\")", "");
        check("f(\"a\\\"b\") // x", "f(\"\") ", " x");
        check("f(r#\"a \" // b\"#) // x", "f(\"\") ", " x");
        check("f(\"a \\\n   b\") // x", "f(\"\"\n) ", "\n x");
    }

    #[test]
    fn quotes_as_characters_and_lifetimes_confuse_nobody() {
        check("f('\"', '\\'', '\\\\') // x", "f(, , ) ", " x");
        check(
            "fn f<'a>(x: &'a str) {} // x",
            "fn f<'a>(x: &'a str) {} ",
            " x",
        );
        check("'\\u{1F}' // x", " ", " x");
    }
}
