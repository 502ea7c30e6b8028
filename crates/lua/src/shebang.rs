//! The first line of a script or library: `#!lua name=… flags=…`.

use thiserror::Error;

/// A first line that names its engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shebang<'t> {
    /// Who is to run the rest, such as `lua`.
    pub engine: Vec<u8>,
    /// What follows, part by part, such as `name=mylib`.
    pub options: Vec<Vec<u8>>,
    /// The rest. It begins with the end of the first line, so that lines keep their numbers.
    pub code: &'t [u8],
}

/// Why a first line cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ShebangError {
    /// It does not end.
    #[error("the first line does not end")]
    Endless,
    /// It names nothing, or a quotation does not end.
    #[error("the first line names no engine")]
    Malformed,
}

impl<'t> Shebang<'t> {
    /// The first line of a text, if it is a shebang.
    ///
    /// # Errors
    /// It is one, but cannot be read.
    pub fn of(text: &'t [u8]) -> Result<Option<Shebang<'t>>, ShebangError> {
        let Some(rest) = text.strip_prefix(b"#!") else {
            return Ok(None);
        };
        let end = rest
            .iter()
            .position(|byte| *byte == b'\n')
            .ok_or(ShebangError::Endless)?;
        let mut parts = split(&rest[..end])
            .ok_or(ShebangError::Malformed)?
            .into_iter();
        Ok(Some(Shebang {
            engine: match rest.first() {
                Some(b' ') => Vec::new(),
                _ => parts.next().ok_or(ShebangError::Malformed)?,
            },
            options: parts.collect(),
            code: &rest[end..],
        }))
    }
}

/// Words between blanks; double quotes keep blanks together. None if one is left open.
fn split(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quoted = false;
    for &byte in line {
        match byte {
            b'"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            blank if blank.is_ascii_whitespace() && !quoted => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    (!quoted).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_lines() {
        let shebang = |text: &'static str| Shebang::of(text.as_bytes());
        assert_eq!(shebang("return 1"), Ok(None));
        assert_eq!(shebang("#!lua"), Err(ShebangError::Endless));
        assert_eq!(shebang("#!\nx"), Err(ShebangError::Malformed));
        assert_eq!(shebang("#!lua name=\"a\nx"), Err(ShebangError::Malformed));
        let found = shebang("#!lua  name=\"a b\" flags=x,y\nreturn 1")
            .expect("readable")
            .expect("a shebang");
        assert_eq!(found.engine, b"lua");
        assert_eq!(found.options, [b"name=a b".to_vec(), b"flags=x,y".to_vec()]);
        assert_eq!(found.code, b"\nreturn 1");
    }
}
