//! The library `cmsgpack`: MessagePack as Redis's scripts know it.

use mlua::{Lua, Table, Value};

use crate::limits::TEXT_BYTES_MAX;
use crate::native::{Problem, Results, add};

/// Tables inside each other that are written; deeper ones become nil, as in lua-cmsgpack.
const NESTING_MAX: usize = 16;
/// Tables inside each other that are read.
const READ_DEPTH_MAX: usize = 200;

pub(crate) fn library(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    add(lua, &table, "pack", |lua, args| {
        if args.len() == 0 {
            return Err(args.invalid(0, "MessagePack pack needs input."));
        }
        let mut out = Vec::new();
        for value in &args.values {
            pack(&mut out, value, 0)?;
        }
        Ok(vec![Value::String(lua.create_string(out)?)])
    })?;
    add(lua, &table, "unpack", |lua, args| {
        let bytes = args.text(0)?;
        unpack(lua, &bytes, 0, usize::MAX).map(|(values, _)| values)
    })?;
    add(lua, &table, "unpack_one", |lua, args| {
        let bytes = args.text(0)?;
        some(lua, &bytes, 1, args.integer_or(1, 0)?)
    })?;
    add(lua, &table, "unpack_limit", |lua, args| {
        let bytes = args.text(0)?;
        some(lua, &bytes, args.integer(1)?, args.integer_or(2, 0)?)
    })?;
    Ok(table)
}

/// Values from an offset on, after the offset at which to go on, or -1 at the end.
fn some(lua: &Lua, bytes: &[u8], limit: i64, offset: i64) -> Results {
    let (Ok(limit), Ok(offset)) = (usize::try_from(limit), usize::try_from(offset)) else {
        return Err(format!(
            "Invalid request to unpack with offset of {offset} and limit of {limit}."
        )
        .into());
    };
    if offset > bytes.len() {
        return Err(format!(
            "Start offset {offset} greater than input length {}.",
            bytes.len()
        )
        .into());
    }
    let (mut values, end) = unpack(lua, bytes, offset, limit)?;
    let next = if end == bytes.len() { -1.0 } else { end as f64 };
    values.insert(0, Value::Number(next));
    Ok(values)
}

fn pack(out: &mut Vec<u8>, value: &Value, level: usize) -> Result<(), Problem> {
    if out.len() > TEXT_BYTES_MAX {
        return Err("the packed value would be too long".into());
    }
    match value {
        Value::Boolean(value) => out.push(if *value { 0xC3 } else { 0xC2 }),
        Value::Integer(number) => integer(out, *number),
        Value::Number(number) => float(out, *number),
        Value::String(text) => string(out, &text.as_bytes()),
        Value::Table(table) if level < NESTING_MAX => pack_table(out, table, level)?,
        _ => out.push(0xC0),
    }
    Ok(())
}

fn float(out: &mut Vec<u8>, number: f64) {
    if number.fract() == 0.0 && number.abs() < 9.3e18 && number as i64 as f64 == number {
        integer(out, number as i64);
    } else if f64::from(number as f32) == number {
        out.push(0xCA);
        out.extend_from_slice(&(number as f32).to_be_bytes());
    } else {
        out.push(0xCB);
        out.extend_from_slice(&number.to_be_bytes());
    }
}

fn integer(out: &mut Vec<u8>, number: i64) {
    let bytes = number.to_be_bytes();
    let (tag, len) = match number {
        -32..=127 => {
            out.push(bytes[7]);
            return;
        }
        128..=0xFF => (0xCC, 1),
        0x100..=0xFFFF => (0xCD, 2),
        0x1_0000..=0xFFFF_FFFF => (0xCE, 4),
        0x1_0000_0000.. => (0xCF, 8),
        -0x80.. => (0xD0, 1),
        -0x8000.. => (0xD1, 2),
        -0x8000_0000.. => (0xD2, 4),
        _ => (0xD3, 8),
    };
    out.push(tag);
    out.extend_from_slice(&bytes[8 - len..]);
}

fn string(out: &mut Vec<u8>, text: &[u8]) {
    head(
        out,
        text.len(),
        (0xA0, 31),
        &[(0xD9, 1), (0xDA, 2), (0xDB, 4)],
    );
    out.extend_from_slice(text);
}

/// A length, in the low bits of a tag if it is small.
fn head(out: &mut Vec<u8>, len: usize, (fixed, most): (u8, usize), tags: &[(u8, u32)]) {
    if len <= most {
        out.push(fixed | len as u8);
        return;
    }
    let bytes = (len as u32).to_be_bytes();
    let fits = tags
        .iter()
        .find(|(_, width)| (len as u64) < 1 << (8 * width));
    let &(tag, width) = fits.unwrap_or(&tags[tags.len() - 1]);
    out.push(tag);
    out.extend_from_slice(&bytes[4 - width as usize..]);
}

fn pack_table(out: &mut Vec<u8>, table: &Table, level: usize) -> Result<(), Problem> {
    let (mut count, mut greatest, mut is_array) = (0, 0, true);
    for pair in table.pairs::<Value, Value>() {
        match pair?.0 {
            Value::Integer(index) if index > 0 => greatest = greatest.max(index as usize),
            _ => is_array = false,
        }
        count += 1;
    }
    if is_array && greatest == count {
        head(out, count, (0x90, 15), &[(0xDC, 2), (0xDD, 4)]);
        for index in 1..=count {
            pack(out, &table.raw_get::<Value>(index)?, level + 1)?;
        }
    } else {
        head(out, count, (0x80, 15), &[(0xDE, 2), (0xDF, 4)]);
        for pair in table.pairs::<Value, Value>() {
            let (key, value) = pair?;
            pack(out, &key, level + 1)?;
            pack(out, &value, level + 1)?;
        }
    }
    Ok(())
}

fn unpack(
    lua: &Lua,
    bytes: &[u8],
    at: usize,
    limit: usize,
) -> Result<(Vec<Value>, usize), Problem> {
    let mut reader = Reader { lua, bytes, at };
    let mut values = Vec::new();
    while reader.at < bytes.len() && values.len() < limit {
        values.push(reader.value(READ_DEPTH_MAX)?);
    }
    Ok((values, reader.at))
}

struct Reader<'b> {
    lua: &'b Lua,
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Reader<'b> {
    fn take(&mut self, len: usize) -> Result<&'b [u8], Problem> {
        let end = self.at.checked_add(len);
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or("Missing bytes in input.")?;
        self.at += len;
        Ok(taken)
    }

    /// A big-endian number of up to eight bytes.
    fn unsigned(&mut self, len: usize) -> Result<u64, Problem> {
        Ok(self
            .take(len)?
            .iter()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    fn signed(&mut self, len: usize) -> Result<f64, Problem> {
        let unused = 64 - 8 * len as u32;
        Ok(((self.unsigned(len)? << unused) as i64 >> unused) as f64)
    }

    fn value(&mut self, depth: usize) -> Result<Value, Problem> {
        let depth = depth
            .checked_sub(1)
            .ok_or("too many nested values in input.")?;
        let tag = self.take(1)?[0];
        Ok(match tag {
            0x00..=0x7F => Value::Number(f64::from(tag)),
            0xE0.. => Value::Number(f64::from(tag as i8)),
            0x80..=0x8F => self.map(usize::from(tag & 15), depth)?,
            0x90..=0x9F => self.array(usize::from(tag & 15), depth)?,
            0xA0..=0xBF => self.string(usize::from(tag & 31))?,
            0xC0 => Value::Nil,
            0xC2 | 0xC3 => Value::Boolean(tag == 0xC3),
            0xC4 | 0xD9 => self.sized(1, Self::string)?,
            0xC5 | 0xDA => self.sized(2, Self::string)?,
            0xC6 | 0xDB => self.sized(4, Self::string)?,
            0xCA => Value::Number(f64::from(f32::from_bits(self.unsigned(4)? as u32))),
            0xCB => Value::Number(f64::from_bits(self.unsigned(8)?)),
            0xCC..=0xCF => Value::Number(self.unsigned(1 << (tag - 0xCC))? as f64),
            0xD0..=0xD3 => Value::Number(self.signed(1 << (tag - 0xD0))?),
            0xDC => self.sized(2, |reader, len| reader.array(len, depth))?,
            0xDD => self.sized(4, |reader, len| reader.array(len, depth))?,
            0xDE => self.sized(2, |reader, len| reader.map(len, depth))?,
            0xDF => self.sized(4, |reader, len| reader.map(len, depth))?,
            _ => return Err("Bad data format in input.".into()),
        })
    }

    fn sized(
        &mut self,
        width: usize,
        read: impl FnOnce(&mut Self, usize) -> Result<Value, Problem>,
    ) -> Result<Value, Problem> {
        let len = self.unsigned(width)? as usize;
        read(self, len)
    }

    fn string(&mut self, len: usize) -> Result<Value, Problem> {
        let text = self.take(len)?;
        Ok(Value::String(self.lua.create_string(text)?))
    }

    fn array(&mut self, len: usize, depth: usize) -> Result<Value, Problem> {
        let table = self.lua.create_table()?;
        for index in 1..=len {
            table.raw_set(index, self.value(depth)?)?;
        }
        Ok(Value::Table(table))
    }

    fn map(&mut self, len: usize, depth: usize) -> Result<Value, Problem> {
        let table = self.lua.create_table()?;
        for _ in 0..len {
            let (key, value) = (self.value(depth)?, self.value(depth)?);
            if matches!(&key, Value::Nil) || matches!(&key, Value::Number(key) if key.is_nan()) {
                return Err("Bad data format in input.".into());
            }
            table.raw_set(key, value)?;
        }
        Ok(Value::Table(table))
    }
}
