//! Answers in RESP3, as values and as JSON: how a record of the journal looks in JSON, wherever it does.

use std::io::{self, BufRead, Read as _};

use thiserror::Error;

/// Nesting of an answer about conflicts is four levels at most.
const DEPTH_MAX: usize = 16;
/// Parts of one aggregate.
const PARTS_MAX: usize = 1 << 20;
/// Bytes of one text.
const BULK_BYTES_MAX: u64 = 1 << 30;

/// Why there is no answer in what was read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// Reading failed, or took too long.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It ended within an answer, or before one.
    #[error("the connection has ended")]
    Ended,
    /// The other end speaks another protocol.
    #[error("an answer that is not RESP3: {0}")]
    NotResp3(String),
    /// An aggregate has more parts than any answer of a node.
    #[error("an answer with {0} parts")]
    Parts(usize),
    /// Aggregates are nested deeper than in any answer of a node.
    #[error("an answer with parts in parts in parts")]
    Depth,
    /// A text is longer than any of a node.
    #[error("an answer of {0} bytes")]
    Bytes(u64),
    /// More follows where one answer was expected.
    #[error("there is more than one answer")]
    More,
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// A string, also a number that is no integer, as it was sent.
    Text(Vec<u8>),
    /// An integer.
    Integer(i64),
    /// True or false.
    Boolean(bool),
    /// An array, a set or a push.
    List(Vec<Value>),
    /// A map, in the order in which it was sent.
    Map(Vec<(Value, Value)>),
    /// A refusal, with its code.
    Error(String),
}

impl Value {
    /// The entry of a map; nothing of anything else.
    pub fn get(&self, name: &str) -> &Value {
        let Value::Map(entries) = self else {
            return &Value::Null;
        };
        let mut entries = entries.iter();
        let is_it = |key: &Value| matches!(key, Value::Text(text) if text == name.as_bytes());
        let found = entries.find(|(key, _)| is_it(key));
        found.map_or(&Value::Null, |(_, value)| value)
    }

    /// The parts of a list; none of anything else.
    pub fn items(&self) -> &[Value] {
        match self {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The number; zero of anything else.
    pub fn number(&self) -> u64 {
        match self {
            Value::Integer(number) => u64::try_from(*number).unwrap_or(0),
            _ => 0,
        }
    }

    /// The bytes of a text.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Text(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// As people read it: what cannot be printed is escaped.
    pub fn text(&self) -> String {
        match self {
            Value::Null => "-".to_owned(),
            Value::Text(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
                _ => bytes.escape_ascii().to_string(),
            },
            Value::Integer(number) => number.to_string(),
            Value::Boolean(value) => value.to_string(),
            Value::List(items) => items.iter().map(Value::text).collect::<Vec<_>>().join(" "),
            Value::Map(_) => self.to_json().to_string(),
            Value::Error(message) => message.clone(),
        }
    }

    /// The same as JSON; bytes that are no text as `{"hex": "…"}`.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Value::Null => serde_json::Value::Null,
            Value::Text(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => text.into(),
                Err(_) => {
                    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                    serde_json::json!({ "hex": digits })
                }
            },
            Value::Integer(number) => (*number).into(),
            Value::Boolean(value) => (*value).into(),
            Value::List(items) => items.iter().map(Value::to_json).collect(),
            Value::Map(entries) => {
                let entries = entries.iter();
                entries
                    .map(|(key, value)| (key.text(), value.to_json()))
                    .collect::<serde_json::Map<_, _>>()
                    .into()
            }
            Value::Error(message) => serde_json::json!({ "error": message }),
        }
    }

    /// A whole answer.
    ///
    /// # Errors
    /// The bytes are no RESP3, or not one answer.
    pub fn decode(mut bytes: &[u8]) -> Result<Value, AnswerError> {
        let value = read(&mut bytes)?;
        match bytes {
            [] => Ok(value),
            _ => Err(AnswerError::More),
        }
    }
}

/// Reads one answer off a stream.
///
/// # Errors
/// The stream fails or ends, or what it gives is no RESP3 or larger than any answer of a node.
pub fn read(stream: &mut impl BufRead) -> Result<Value, AnswerError> {
    read_at(stream, 0)
}

fn read_at(stream: &mut impl BufRead, depth: usize) -> Result<Value, AnswerError> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line)?;
    let line = line.strip_suffix(b"\r\n").ok_or(AnswerError::Ended)?;
    let not_resp3 = || AnswerError::NotResp3(line.escape_ascii().to_string());
    let text = std::str::from_utf8(line).map_err(|_| not_resp3())?;
    let (kind, rest) = text.split_at_checked(1).ok_or_else(not_resp3)?;
    Ok(match kind {
        "_" => Value::Null,
        "+" | "," | "(" => Value::Text(rest.as_bytes().to_vec()),
        "-" => Value::Error(rest.to_owned()),
        ":" => Value::Integer(rest.parse().map_err(|_| not_resp3())?),
        "#" => Value::Boolean(rest == "t"),
        "$" | "=" | "*" if rest.starts_with('-') => Value::Null,
        "$" | "=" => {
            let bytes = rest.parse().map_err(|_| not_resp3())?;
            Value::Text(read_bulk(stream, bytes)?)
        }
        "*" | "~" | ">" | "%" => {
            let parts: usize = rest.parse().map_err(|_| not_resp3())?;
            if parts > PARTS_MAX {
                return Err(AnswerError::Parts(parts));
            }
            if depth == DEPTH_MAX {
                return Err(AnswerError::Depth);
            }
            let mut part = || read_at(stream, depth + 1);
            match kind {
                "%" => {
                    let entries = (0..parts).map(|_| Ok((part()?, part()?)));
                    Value::Map(entries.collect::<Result<_, AnswerError>>()?)
                }
                _ => Value::List((0..parts).map(|_| part()).collect::<Result<_, _>>()?),
            }
        }
        _ => return Err(not_resp3()),
    })
}

fn read_bulk(stream: &mut impl BufRead, bytes: u64) -> Result<Vec<u8>, AnswerError> {
    if bytes > BULK_BYTES_MAX {
        return Err(AnswerError::Bytes(bytes));
    }
    let mut bulk = Vec::new();
    let read = stream.by_ref().take(bytes + 2).read_to_end(&mut bulk)?;
    if read as u64 != bytes + 2 {
        return Err(AnswerError::Ended);
    }
    bulk.truncate(read - 2);
    Ok(bulk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_become_json() {
        for (bytes, json) in [
            (&b"_\r\n"[..], "null"),
            (b"$5\r\nhe\"lo\r\n", "\"he\\\"lo\""),
            (b"$1\r\n\xff\r\n", "{\"hex\":\"ff\"}"),
            (b":-7\r\n", "-7"),
            (b"#t\r\n", "true"),
            (b"*2\r\n:1\r\n_\r\n", "[1,null]"),
            (b"%1\r\n$1\r\na\r\n%0\r\n", "{\"a\":{}}"),
            (b"-ERR no\r\n", "{\"error\":\"ERR no\"}"),
        ] {
            assert_eq!(Value::decode(bytes).unwrap().to_json().to_string(), json);
        }
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for bytes in [
            &b""[..],
            b"hello\r\n",
            b"$5\r\nhi\r\n",
            b"$99999999999\r\n",
            b"*9999999\r\n",
            b":1\r\n:2\r\n",
            b"*1\r\n",
        ] {
            assert!(Value::decode(bytes).is_err(), "{bytes:?}");
        }
        assert!(Value::decode("*1\r\n".repeat(100).as_bytes()).is_err());
    }
}
