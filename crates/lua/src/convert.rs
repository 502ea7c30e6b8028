//! A script's values into its answer, by Redis's rules.

use mlua::{Table, Value};

use crate::answer::{Answer, Version};
use crate::limits::{ANSWER_BYTES_MAX, ANSWER_VALUES_MAX, DEPTH_MAX, TIME_OVER, Timer};

/// What a client sees of a script's answer. `version` is what the script has asked for, not the client.
pub(crate) fn from_lua(value: &Value, version: Version, timer: &Timer) -> mlua::Result<Answer> {
    let mut room = Room {
        values: ANSWER_VALUES_MAX,
        bytes: ANSWER_BYTES_MAX,
        timer,
    };
    match answer(value, version, DEPTH_MAX, &mut room) {
        Ok(answer) => Ok(answer),
        Err(Stop::TooLarge(why)) => Ok(Answer::Error(why.into_bytes())),
        Err(Stop::Lua(error)) => Err(error),
    }
}

/// Why a value did not become an answer.
enum Stop {
    /// What the client is told instead of the whole answer.
    TooLarge(String),
    Lua(mlua::Error),
}

impl From<mlua::Error> for Stop {
    fn from(error: mlua::Error) -> Stop {
        Stop::Lua(error)
    }
}

/// What an answer may still hold, and until when it may be made.
struct Room<'t> {
    values: usize,
    bytes: usize,
    timer: &'t Timer,
}

/// The clock is looked at after so many values.
const VALUES_PER_LOOK: usize = 1 << 10;

impl Room<'_> {
    fn take(&mut self) -> Result<(), Stop> {
        if self.values.is_multiple_of(VALUES_PER_LOOK) && self.timer.is_over() {
            return Err(Stop::TooLarge(format!("ERR {TIME_OVER}")));
        }
        self.values = self.values.checked_sub(1).ok_or_else(|| {
            Stop::TooLarge(format!(
                "ERR the script's answer has more than {ANSWER_VALUES_MAX} values"
            ))
        })?;
        Ok(())
    }

    /// A copy of a text.
    fn text(&mut self, text: &mlua::LuaString) -> Result<Vec<u8>, Stop> {
        let text = text.as_bytes();
        self.bytes = self.bytes.checked_sub(text.len()).ok_or_else(|| {
            Stop::TooLarge(format!(
                "ERR the script's answer has more than {ANSWER_BYTES_MAX} bytes"
            ))
        })?;
        Ok(text.to_vec())
    }
}

fn answer(
    value: &Value,
    version: Version,
    depth: usize,
    room: &mut Room<'_>,
) -> Result<Answer, Stop> {
    let Some(depth) = depth.checked_sub(1) else {
        return Ok(Answer::Error(b"ERR reached lua stack limit".to_vec()));
    };
    room.take()?;
    Ok(match value {
        Value::String(text) => Answer::Bulk(room.text(text)?),
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
) -> Result<Vec<Answer>, Stop> {
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
) -> Result<Option<Answer>, Stop> {
    if let Value::String(text) = table.raw_get("err")? {
        return Ok(Some(Answer::Error(one_line(&room.text(&text)?))));
    }
    if let Value::String(text) = table.raw_get("ok")? {
        return Ok(Some(Answer::Status(one_line(&room.text(&text)?))));
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
        return Ok(Some(Answer::BigNumber(one_line(&room.text(&digits)?))));
    }
    if let Value::Table(verbatim) = table.raw_get("verbatim_string")?
        && let (Value::String(format), Value::String(text)) =
            (verbatim.raw_get("format")?, verbatim.raw_get("string")?)
        && let Ok(format) = <[u8; 3]>::try_from(&*format.as_bytes())
    {
        return Ok(Some(Answer::Verbatim(format, room.text(&text)?)));
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
