//! Answers in RESP3, as values and as JSON.

use std::io::Read as _;

use anyhow::{Context, bail, ensure};

/// Nesting of an answer about conflicts is four levels at most.
const DEPTH_MAX: usize = 16;
/// Parts of one aggregate.
const PARTS_MAX: usize = 1 << 20;

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Text(Vec<u8>),
    Integer(i64),
    Boolean(bool),
    List(Vec<Value>),
    Map(Vec<(Value, Value)>),
    Error(String),
}

impl Value {
    /// The entry of a map; nothing of anything else.
    pub(crate) fn get(&self, name: &str) -> &Value {
        let Value::Map(entries) = self else {
            return &Value::Null;
        };
        let mut entries = entries.iter();
        let is_it = |key: &Value| matches!(key, Value::Text(text) if text == name.as_bytes());
        let found = entries.find(|(key, _)| is_it(key));
        found.map_or(&Value::Null, |(_, value)| value)
    }

    /// The parts of a list; none of anything else.
    pub(crate) fn items(&self) -> &[Value] {
        match self {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The number; zero of anything else.
    pub(crate) fn number(&self) -> u64 {
        match self {
            Value::Integer(number) => u64::try_from(*number).unwrap_or(0),
            _ => 0,
        }
    }

    /// The bytes of a text.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Text(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// As people read it: what cannot be printed is escaped.
    pub(crate) fn text(&self) -> String {
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
    pub(crate) fn to_json(&self) -> serde_json::Value {
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
    pub(crate) fn decode(mut bytes: &[u8]) -> anyhow::Result<Value> {
        let value = read(&mut bytes, 0)?;
        ensure!(bytes.is_empty(), "there is more than one answer");
        Ok(value)
    }
}

/// Reads one answer off a stream.
pub(crate) fn read(stream: &mut impl std::io::BufRead, depth: usize) -> anyhow::Result<Value> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line)?;
    let line = line
        .strip_suffix(b"\r\n")
        .context("the connection has ended")?;
    let line = std::str::from_utf8(line).context("an answer that is not RESP3")?;
    let (kind, rest) = line.split_at_checked(1).context("an empty answer")?;
    Ok(match kind {
        "_" => Value::Null,
        "+" | "," | "(" => Value::Text(rest.as_bytes().to_vec()),
        "-" => Value::Error(rest.to_owned()),
        ":" => Value::Integer(rest.parse()?),
        "#" => Value::Boolean(rest == "t"),
        "$" | "=" | "*" if rest.starts_with('-') => Value::Null,
        "$" | "=" => Value::Text(read_bulk(stream, rest.parse()?)?),
        "*" | "~" | ">" | "%" => {
            let parts: usize = rest.parse()?;
            ensure!(parts <= PARTS_MAX, "an answer with {parts} parts");
            ensure!(depth < DEPTH_MAX, "an answer with parts in parts in parts");
            if kind == "%" {
                let mut entries = Vec::new();
                for _ in 0..parts {
                    entries.push((read(stream, depth + 1)?, read(stream, depth + 1)?));
                }
                Value::Map(entries)
            } else {
                let mut items = Vec::new();
                for _ in 0..parts {
                    items.push(read(stream, depth + 1)?);
                }
                Value::List(items)
            }
        }
        _ => bail!("an answer that is not RESP3: {line}"),
    })
}

/// Bytes of one text.
const BULK_BYTES_MAX: u64 = 64 << 20;

fn read_bulk(stream: &mut impl std::io::BufRead, bytes: u64) -> anyhow::Result<Vec<u8>> {
    ensure!(bytes <= BULK_BYTES_MAX, "an answer of {bytes} bytes");
    let mut bulk = Vec::new();
    let read = stream.by_ref().take(bytes + 2).read_to_end(&mut bulk)?;
    ensure!(read as u64 == bytes + 2, "the connection has ended");
    bulk.truncate(bytes as usize);
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
