//! The functions of `string` whose originals have no limit that we could set.

use std::sync::{Arc, Mutex, PoisonError};

use memchr::memmem;
use mlua::{Function, Lua, Table, Value};

use crate::limits::{TEXT_BYTES_MAX, Timer};
use crate::native::{Arguments, Problem, Results, add, make};
use crate::pattern::{Capture, Match, Matcher};

/// What goes into the table `string`.
pub(crate) fn library(lua: &Lua, timer: &Timer) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    add(lua, &table, "rep", |lua, args| {
        let text = args.text(0)?;
        let times = usize::try_from(args.integer(1)?).unwrap_or(0);
        if text.len().saturating_mul(times) > TEXT_BYTES_MAX {
            return Err("resulting string too large".into());
        }
        let times = if text.is_empty() { 0 } else { times };
        one(lua, &text.repeat(times))
    })?;
    let clock = timer.clone();
    add(lua, &table, "find", move |lua, args| {
        find(lua, args, &clock, true)
    })?;
    let clock = timer.clone();
    add(lua, &table, "match", move |lua, args| {
        find(lua, args, &clock, false)
    })?;
    Ok(table)
}

fn one(lua: &Lua, text: &[u8]) -> Results {
    Ok(vec![Value::String(lua.create_string(text)?)])
}

fn find(lua: &Lua, args: &Arguments, timer: &Timer, places: bool) -> Results {
    let (text, pattern) = (args.text(0)?, args.text(1)?);
    let from = match args.integer_or(2, 1)? {
        from @ 1.. => (from - 1) as usize,
        0 => 0,
        from => text.len().saturating_sub(from.unsigned_abs() as usize),
    };
    // Lua 5.1 begins at the end when asked to begin after it.
    let from = from.min(text.len());
    let plain = !matches!(args.get(3), Value::Nil | Value::Boolean(false))
        || !pattern.iter().any(|byte| b"^$*+?.([%-".contains(byte));
    if places && plain {
        let Some(start) = memmem::find(&text[from..], &pattern) else {
            return Ok(vec![Value::Nil]);
        };
        let start = from + start;
        return Ok(vec![
            Value::Number(start as f64 + 1.0),
            Value::Number((start + pattern.len()) as f64),
        ]);
    }
    let Some(found) = Matcher::new(&text, &pattern, timer).search(from)? else {
        return Ok(vec![Value::Nil]);
    };
    let mut values = Vec::new();
    if places {
        values.push(Value::Number(found.start as f64 + 1.0));
        values.push(Value::Number(found.end as f64));
        captures(lua, &text, &found, &mut values)?;
    } else {
        captures_or_all(lua, &text, &found, &mut values)?;
    }
    Ok(values)
}

fn captures(lua: &Lua, text: &[u8], found: &Match, values: &mut Vec<Value>) -> Result<(), Problem> {
    for capture in &found.captures {
        values.push(match *capture {
            Capture::Text { start, end } => Value::String(lua.create_string(&text[start..end])?),
            Capture::Position { at } | Capture::Open { start: at } => {
                Value::Number(at as f64 + 1.0)
            }
        });
    }
    Ok(())
}

fn captures_or_all(
    lua: &Lua,
    text: &[u8],
    found: &Match,
    values: &mut Vec<Value>,
) -> Result<(), Problem> {
    if found.captures.is_empty() {
        values.push(Value::String(
            lua.create_string(&text[found.start..found.end])?,
        ));
    }
    captures(lua, text, found, values)
}

/// A walk over all matches of a pattern in a text.
struct Walk {
    text: Vec<u8>,
    pattern: Vec<u8>,
    at: usize,
    done: bool,
}

impl Walk {
    /// The next match, as `gmatch` finds them: `^` has no special meaning.
    fn next_anywhere(&mut self, timer: &Timer) -> Result<Option<Match>, &'static str> {
        let mut matcher = Matcher::new(&self.text, &self.pattern, timer);
        while self.at <= self.text.len() {
            if let Some(found) = matcher.at(self.at, 0)? {
                self.at = if found.end == found.start {
                    found.end + 1
                } else {
                    found.end
                };
                return Ok(Some(found));
            }
            self.at += 1;
        }
        Ok(None)
    }

    /// The next match, as `gsub` finds them.
    fn next_in_order(&mut self, timer: &Timer) -> Result<Option<Match>, &'static str> {
        let before = self.at;
        let anchored = usize::from(self.pattern.first() == Some(&b'^'));
        let mut matcher = Matcher::new(&self.text, &self.pattern, timer);
        while !self.done && self.at <= self.text.len() {
            let found = matcher.at(self.at, anchored)?;
            self.done = anchored == 1;
            if let Some(found) = found {
                self.at = found.end;
                return Ok(Some(found));
            }
            self.at += 1;
        }
        self.at = before;
        Ok(None)
    }
}

/// The functions from which the prelude builds `gmatch` and `gsub`.
pub(crate) fn walks(lua: &Lua, native: &Table, timer: &Timer) -> mlua::Result<()> {
    let clock = timer.clone();
    native.raw_set(
        "gmatch",
        steps(lua, "gmatch", move |lua, walk| {
            let mut values = Vec::new();
            match walk.next_anywhere(&clock)? {
                Some(found) => captures_or_all(lua, &walk.text, &found, &mut values)?,
                None => values.push(Value::Nil),
            }
            Ok(values)
        })?,
    )?;
    let clock = timer.clone();
    native.raw_set("gsub_steps", gsub_steps(lua, clock)?)?;
    let clock = timer.clone();
    add(lua, native, "gsub", move |lua, args| {
        gsub(lua, args, &clock)
    })
}

/// A function that takes a text and a pattern and gives a function that makes one step.
fn steps(
    lua: &Lua,
    name: &'static str,
    step: impl Fn(&Lua, &mut Walk) -> Results + Clone + Send + Sync + 'static,
) -> mlua::Result<Function> {
    lua.create_function(move |lua, values: mlua::MultiValue| {
        let args = Arguments {
            function: name,
            values: values.into_iter().collect(),
        };
        let texts = args.text(0).and_then(|text| Ok((text, args.text(1)?)));
        let (text, pattern) = match texts {
            Ok(texts) => texts,
            Err(Problem::Text(text)) => return Ok(Value::String(lua.create_string(text)?)),
            Err(Problem::Lua(error)) => return Err(error),
        };
        let walk = Mutex::new(Walk {
            text,
            pattern,
            at: 0,
            done: false,
        });
        let step = step.clone();
        let function = make(lua, name, move |lua, _| {
            step(
                lua,
                &mut walk.lock().unwrap_or_else(PoisonError::into_inner),
            )
        })?;
        Ok(Value::Function(function))
    })
}

/// Steps of a replacement by function or table: each gives how many values there are, and a table of them.
fn gsub_steps(lua: &Lua, timer: Timer) -> mlua::Result<Function> {
    lua.create_function(move |lua, values: mlua::MultiValue| {
        let args = Arguments {
            function: "gsub",
            values: values.into_iter().collect(),
        };
        let given = args
            .text(0)
            .and_then(|text| Ok((text, args.text(1)?, args.number_or_infinity(2)?)));
        let (text, pattern, limit) = match given {
            Ok(given) => given,
            Err(Problem::Text(text)) => return Ok(Value::String(lua.create_string(text)?)),
            Err(Problem::Lua(error)) => return Err(error),
        };
        let state = Arc::new(Mutex::new((
            Walk {
                text,
                pattern,
                at: 0,
                done: false,
            },
            Gaps { limit, copied: 0 },
        )));
        let timer = timer.clone();
        let step = lua.create_function(move |lua, ()| {
            let (walk, gaps) = &mut *state.lock().unwrap_or_else(PoisonError::into_inner);
            let table = lua.create_table()?;
            let found = match gaps.next(walk, &timer) {
                Ok(found) => found,
                Err(why) => return Ok((Value::Nil, Value::String(lua.create_string(why)?))),
            };
            let Some(found) = found else {
                table.raw_set(1, lua.create_string(&walk.text[gaps.copied..])?)?;
                return Ok((Value::Number(0.0), Value::Table(table)));
            };
            table.raw_set(1, lua.create_string(&walk.text[gaps.copied..found.start])?)?;
            table.raw_set(2, lua.create_string(&walk.text[found.start..found.end])?)?;
            let mut values = Vec::new();
            match captures_or_all(lua, &walk.text, &found, &mut values) {
                Ok(()) => {}
                Err(Problem::Text(why)) => {
                    return Ok((Value::Nil, Value::String(lua.create_string(why)?)));
                }
                Err(Problem::Lua(error)) => return Err(error),
            }
            let count = values.len() + 2;
            for (index, value) in values.into_iter().enumerate() {
                table.raw_set(index + 3, value)?;
            }
            gaps.copied = found.end;
            Ok((Value::Number(count as f64), Value::Table(table)))
        })?;
        Ok(Value::Function(step))
    })
}

/// How far a replacement has come.
struct Gaps {
    /// Matches that may still be replaced.
    limit: f64,
    /// Everything before is in the result.
    copied: usize,
}

impl Gaps {
    fn next(&mut self, walk: &mut Walk, timer: &Timer) -> Result<Option<Match>, &'static str> {
        if self.limit < 1.0 {
            return Ok(None);
        }
        let Some(found) = walk.next_in_order(timer)? else {
            return Ok(None);
        };
        self.limit -= 1.0;
        if found.end == found.start {
            // An empty match takes nothing; the byte after it is kept and passed over.
            walk.at += 1;
        }
        Ok(Some(found))
    }
}

/// A replacement by a text, in which `%0` to `%9` stand for the match and its captures.
fn gsub(lua: &Lua, args: &Arguments, timer: &Timer) -> Results {
    let (text, pattern, with) = (args.text(0)?, args.text(1)?, args.text(2)?);
    let mut gaps = Gaps {
        limit: args.number_or_infinity(3)?,
        copied: 0,
    };
    let mut walk = Walk {
        text,
        pattern,
        at: 0,
        done: false,
    };
    let (mut out, mut count) = (Vec::new(), 0);
    while let Some(found) = gaps.next(&mut walk, timer)? {
        out.extend_from_slice(&walk.text[gaps.copied..found.start]);
        replace(&mut out, &walk.text, &found, &with)?;
        gaps.copied = found.end;
        count += 1;
        if out.len() > TEXT_BYTES_MAX {
            return Err("resulting string too large".into());
        }
    }
    out.extend_from_slice(walk.text.get(gaps.copied..).unwrap_or_default());
    Ok(vec![
        Value::String(lua.create_string(out)?),
        Value::Number(f64::from(count)),
    ])
}

fn replace(out: &mut Vec<u8>, text: &[u8], found: &Match, with: &[u8]) -> Result<(), Problem> {
    let mut bytes = with.iter();
    while let Some(&byte) = bytes.next() {
        let digit = if byte == b'%' { bytes.next() } else { None };
        match digit {
            None if byte == b'%' => return Err("invalid use of '%' in replacement string".into()),
            None => out.push(byte),
            Some(b'0') => out.extend_from_slice(&text[found.start..found.end]),
            Some(digit @ b'1'..=b'9') => match found.captures.get(usize::from(digit - b'1')) {
                Some(Capture::Text { start, end }) => out.extend_from_slice(&text[*start..*end]),
                Some(Capture::Position { at } | Capture::Open { start: at }) => {
                    out.extend_from_slice((at + 1).to_string().as_bytes());
                }
                None if *digit == b'1' => out.extend_from_slice(&text[found.start..found.end]),
                None => return Err("invalid capture index".into()),
            },
            Some(other) => out.push(*other),
        }
    }
    Ok(())
}
