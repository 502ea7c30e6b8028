//! What a command answers a script, and what a script answers its client.

use std::ops::Range;

/// The version of the Redis protocol that answers are shaped for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// Without types of its own for booleans, floats, maps and sets: what scripts start with.
    #[default]
    Two,
    /// What a script asks for with `redis.setresp(3)`.
    Three,
}

/// A value of the Redis protocol.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Answer {
    /// Nothing.
    Null,
    /// A boolean of the third version.
    Boolean(bool),
    /// An integer.
    Integer(i64),
    /// A float of the third version.
    Double(f64),
    /// A string.
    Bulk(Vec<u8>),
    /// A status such as `OK`; one line.
    Status(Vec<u8>),
    /// An error with its code; one line.
    Error(Vec<u8>),
    /// An integer of any length, as digits.
    BigNumber(Vec<u8>),
    /// Text with its format, such as `txt`.
    Verbatim([u8; 3], Vec<u8>),
    /// Several values in order.
    Array(Vec<Answer>),
    /// Pairs.
    Map(Vec<(Answer, Answer)>),
    /// Distinct values.
    Set(Vec<Answer>),
}

/// Aggregates inside each other in the answer of a command.
const DEPTH_MAX: usize = 64;

impl Answer {
    /// Reads one answer; none if the bytes are not exactly one.
    pub fn decode(bytes: &[u8]) -> Option<Answer> {
        let mut reader = Reader { bytes, at: 0 };
        let answer = reader.answer(DEPTH_MAX)?;
        (reader.at == bytes.len()).then_some(answer)
    }
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Reader<'b> {
    fn answer(&mut self, depth: usize) -> Option<Answer> {
        let depth = depth.checked_sub(1)?;
        let tag = *self.bytes.get(self.at)?;
        self.at += 1;
        let line = self.line()?;
        let line = &self.bytes[line];
        Some(match tag {
            b'+' => Answer::Status(line.to_vec()),
            b'-' => Answer::Error(line.to_vec()),
            b':' => Answer::Integer(number(line)?),
            b',' => Answer::Double(std::str::from_utf8(line).ok()?.parse().ok()?),
            b'(' => Answer::BigNumber(line.to_vec()),
            b'#' => Answer::Boolean(line == b"t"),
            b'_' => Answer::Null,
            b'$' | b'*' if line == b"-1" => Answer::Null,
            b'$' => Answer::Bulk(self.body(line)?.to_vec()),
            b'=' => {
                let body = self.body(line)?;
                let (format, text) = (body.get(..3)?, body.get(4..)?);
                Answer::Verbatim(format.try_into().ok()?, text.to_vec())
            }
            b'*' | b'>' => Answer::Array(self.answers(line, 1, depth)?),
            b'~' => Answer::Set(self.answers(line, 1, depth)?),
            b'%' => {
                let mut flat = self.answers(line, 2, depth)?.into_iter();
                let pairs = std::iter::from_fn(|| Some((flat.next()?, flat.next()?)));
                Answer::Map(pairs.collect())
            }
            _ => return None,
        })
    }

    fn line(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        let len = self.bytes[start..]
            .windows(2)
            .position(|two| two == b"\r\n")?;
        self.at = start + len + 2;
        Some(start..start + len)
    }

    fn body(&mut self, len: &[u8]) -> Option<&'b [u8]> {
        let len = usize::try_from(number(len)?).ok()?;
        let start = self.at;
        let end = start.checked_add(len)?;
        let body = self.bytes.get(start..end)?;
        self.at = end + 2;
        (self.bytes.get(end..self.at)? == b"\r\n").then_some(body)
    }

    fn answers(&mut self, count: &[u8], times: usize, depth: usize) -> Option<Vec<Answer>> {
        let count = usize::try_from(number(count)?).ok()?.checked_mul(times)?;
        // Nothing is reserved for what is merely announced: each answer takes at least three bytes.
        let mut answers = Vec::with_capacity(count.min((self.bytes.len() - self.at) / 3));
        for _ in 0..count {
            answers.push(self.answer(depth)?);
        }
        Some(answers)
    }
}

fn number(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_type() {
        let bulk = |text: &str| Answer::Bulk(text.into());
        for (bytes, expected) in [
            ("+OK\r\n", Answer::Status(b"OK".to_vec())),
            ("-ERR a b\r\n", Answer::Error(b"ERR a b".to_vec())),
            (":-7\r\n", Answer::Integer(-7)),
            ("$3\r\na\r\n\r\n", bulk("a\r\n")),
            ("$-1\r\n", Answer::Null),
            ("*-1\r\n", Answer::Null),
            ("_\r\n", Answer::Null),
            (",1.5\r\n", Answer::Double(1.5)),
            (",inf\r\n", Answer::Double(f64::INFINITY)),
            ("#t\r\n", Answer::Boolean(true)),
            ("(12\r\n", Answer::BigNumber(b"12".to_vec())),
            ("=5\r\ntxt:a\r\n", Answer::Verbatim(*b"txt", b"a".to_vec())),
            (
                "*2\r\n:1\r\n*0\r\n",
                Answer::Array(vec![Answer::Integer(1), Answer::Array(Vec::new())]),
            ),
            ("~1\r\n$1\r\na\r\n", Answer::Set(vec![bulk("a")])),
            (
                "%1\r\n$1\r\na\r\n:1\r\n",
                Answer::Map(vec![(bulk("a"), Answer::Integer(1))]),
            ),
        ] {
            assert_eq!(
                Answer::decode(bytes.as_bytes()),
                Some(expected),
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn what_is_not_one_answer_is_refused() {
        for bytes in [
            "",
            "+OK",
            ":1\r\n:2\r\n",
            "*2\r\n:1\r\n",
            "$5\r\nab\r\n",
            "$1\r\nabc",
            "=1\r\na\r\n",
            "?\r\n",
        ] {
            assert_eq!(Answer::decode(bytes.as_bytes()), None, "{bytes:?}");
        }
        let deep = "*1\r\n".repeat(100_000);
        assert_eq!(Answer::decode(deep.as_bytes()), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let _ = Answer::decode(&bytes);
        }

        #[test]
        fn damaged_answers_are_survived(at in 0usize..40, byte: u8) {
            let mut bytes = b"*3\r\n$2\r\nab\r\n%1\r\n+a\r\n,2\r\n=4\r\ntxt:\r\n".to_vec();
            let at = at.min(bytes.len() - 1);
            bytes[at] = byte;
            let _ = Answer::decode(&bytes);
        }
    }
}
