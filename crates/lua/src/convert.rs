//! A script's values into its answer, by Redis's rules.

use mlua::{Table, Value};

use crate::answer::{Answer, Version};
use crate::limits::{ANSWER_VALUES_MAX, DEPTH_MAX, Timer};

/// What a client sees of a script's answer. `version` is what the script has asked for, not the client.
pub(crate) fn from_lua(value: &Value, version: Version, timer: &Timer) -> mlua::Result<Answer> {
    let mut room = Room {
        values: ANSWER_VALUES_MAX,
        timer,
    };
    answer(value, version, DEPTH_MAX, &mut room)
}

/// What an answer may still hold, and until when it may be made.
struct Room<'t> {
    values: usize,
    timer: &'t Timer,
}

/// The clock is looked at after so many values.
const VALUES_PER_LOOK: usize = 1 << 10;

impl Room<'_> {
    fn take(&mut self) -> bool {
        let late = self.values.is_multiple_of(VALUES_PER_LOOK) && self.timer.is_over();
        self.values = if late {
            0
        } else {
            self.values.saturating_sub(1)
        };
        self.values > 0
    }
}

fn answer(
    value: &Value,
    version: Version,
    depth: usize,
    room: &mut Room<'_>,
) -> mlua::Result<Answer> {
    let Some(depth) = depth.checked_sub(1) else {
        return Ok(Answer::Error(b"ERR reached lua stack limit".to_vec()));
    };
    if !room.take() {
        return Ok(Answer::Error(
            b"ERR the script's answer has too many values".to_vec(),
        ));
    }
    Ok(match value {
        Value::String(text) => Answer::Bulk(text.as_bytes().to_vec()),
        Value::Integer(number) => Answer::Integer(*number),
        Value::Number(number) => Answer::Integer(*number as i64),
        Value::Boolean(value) if version == Version::Three => Answer::Boolean(*value),
        Value::Boolean(true) => Answer::Integer(1),
        Value::Table(table) => match special(table, version, depth, room)? {
            Some(answer) => answer,
            None => Answer::Array(elements(table, version, depth, room)?),
        },
        _ => Answer::Null,
    })
}

/// Elements from the first up to the first that is nil.
fn elements(
    table: &Table,
    version: Version,
    depth: usize,
    room: &mut Room<'_>,
) -> mlua::Result<Vec<Answer>> {
    let mut answers = Vec::new();
    for index in 1.. {
        match table.raw_get::<Value>(index)? {
            Value::Nil => break,
            value => answers.push(answer(&value, version, depth, room)?),
        }
    }
    Ok(answers)
}

/// A table with one of the fields that stand for a type of the protocol.
fn special(
    table: &Table,
    version: Version,
    depth: usize,
    room: &mut Room<'_>,
) -> mlua::Result<Option<Answer>> {
    if let Value::String(text) = table.raw_get("err")? {
        return Ok(Some(Answer::Error(one_line(&text.as_bytes()))));
    }
    if let Value::String(text) = table.raw_get("ok")? {
        return Ok(Some(Answer::Status(one_line(&text.as_bytes()))));
    }
    match table.raw_get("double")? {
        Value::Number(value) => return Ok(Some(Answer::Double(value))),
        Value::Integer(value) => return Ok(Some(Answer::Double(value as f64))),
        _ => {}
    }
    if let Value::Table(map) = table.raw_get("map")? {
        let mut pairs = Vec::new();
        for pair in map.pairs::<Value, Value>() {
            let (key, value) = pair?;
            pairs.push((
                answer(&key, version, depth, room)?,
                answer(&value, version, depth, room)?,
            ));
        }
        return Ok(Some(Answer::Map(pairs)));
    }
    if let Value::Table(set) = table.raw_get("set")? {
        let mut members = Vec::new();
        for pair in set.pairs::<Value, Value>() {
            members.push(answer(&pair?.0, version, depth, room)?);
        }
        return Ok(Some(Answer::Set(members)));
    }
    if let Value::String(digits) = table.raw_get("big_number")? {
        return Ok(Some(Answer::BigNumber(one_line(&digits.as_bytes()))));
    }
    if let Value::Table(verbatim) = table.raw_get("verbatim_string")?
        && let (Value::String(format), Value::String(text)) =
            (verbatim.raw_get("format")?, verbatim.raw_get("string")?)
        && let Ok(format) = <[u8; 3]>::try_from(&*format.as_bytes())
    {
        return Ok(Some(Answer::Verbatim(format, text.as_bytes().to_vec())));
    }
    Ok(None)
}

/// What a line of the protocol can hold.
fn one_line(text: &[u8]) -> Vec<u8> {
    let end = text
        .iter()
        .rposition(|byte| !matches!(byte, b'\r' | b'\n'))
        .map_or(0, |last| last + 1);
    let blank = |byte: &u8| {
        if matches!(byte, b'\r' | b'\n') {
            b' '
        } else {
            *byte
        }
    };
    text[..end].iter().map(blank).collect()
}
