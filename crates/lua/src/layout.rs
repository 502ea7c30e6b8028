//! The library `struct`: numbers and strings in packed bytes, as Roberto Ierusalimschy's struct 0.2 has them.

use mlua::{Lua, Table, Value};

use crate::limits::TEXT_BYTES_MAX;
use crate::native::{Arguments, Problem, add};

/// Bytes of the widest integer, as in the original.
const INTEGER_BYTES_MAX: usize = 32;

pub(crate) fn library(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    add(lua, &table, "pack", |lua, args| {
        Ok(vec![Value::String(lua.create_string(pack(args)?)?)])
    })?;
    add(lua, &table, "unpack", unpack)?;
    add(lua, &table, "size", |_, args| {
        let format = args.text(0)?;
        let mut size = 0usize;
        for item in Format::new(&format) {
            let item = item?;
            if matches!(item.what, What::Terminated | What::Counted) {
                return Err(args.invalid(0, "variable-size format in 'struct.size'"));
            }
            size = size
                .checked_add(item.pad(size) + item.bytes)
                .filter(|size| *size <= TEXT_BYTES_MAX)
                .ok_or_else(|| args.invalid(0, "format too large"))?;
        }
        Ok(vec![Value::Number(size as f64)])
    })?;
    Ok(table)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Signed,
    Unsigned,
    Float,
    Double,
    /// A string of a fixed length.
    Fixed,
    /// A string as long as the number before it says.
    Counted,
    /// A string up to a zero.
    Terminated,
    Padding,
}

struct Item {
    what: What,
    bytes: usize,
    align: usize,
    little: bool,
}

impl Item {
    /// Bytes to skip so that the item is aligned.
    fn pad(&self, at: usize) -> usize {
        let is_number = matches!(
            self.what,
            What::Signed | What::Unsigned | What::Float | What::Double
        );
        let align = if is_number {
            self.bytes.min(self.align)
        } else {
            1
        };
        if align > 1 && align.is_power_of_two() {
            at.wrapping_neg() & (align - 1)
        } else {
            0
        }
    }
}

struct Format<'f> {
    text: &'f [u8],
    at: usize,
    little: bool,
    align: usize,
}

impl<'f> Format<'f> {
    fn new(text: &'f [u8]) -> Format<'f> {
        Format {
            text,
            at: 0,
            little: cfg!(target_endian = "little"),
            align: 1,
        }
    }

    fn count(&mut self, default: usize) -> Result<usize, Problem> {
        let start = self.at;
        while self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        if start == self.at {
            return Ok(default);
        }
        std::str::from_utf8(&self.text[start..self.at])
            .ok()
            .and_then(|digits| digits.parse().ok())
            .filter(|count| *count <= TEXT_BYTES_MAX)
            .ok_or_else(|| "integral size overflow".into())
    }

    fn integer(&mut self, default: usize) -> Result<usize, Problem> {
        match self.count(default)? {
            bytes @ 1..=INTEGER_BYTES_MAX => Ok(bytes),
            bytes => Err(format!(
                "integral size {bytes} is larger than limit of {INTEGER_BYTES_MAX}"
            )
            .into()),
        }
    }

    fn item(&mut self, letter: u8) -> Result<Option<Item>, Problem> {
        let (what, bytes) = match letter {
            b'b' => (What::Signed, 1),
            b'B' => (What::Unsigned, 1),
            b'h' => (What::Signed, 2),
            b'H' => (What::Unsigned, 2),
            b'l' => (What::Signed, 8),
            b'L' | b'T' => (What::Unsigned, 8),
            b'i' => (What::Signed, self.integer(4)?),
            b'I' => (What::Unsigned, self.integer(4)?),
            b'f' => (What::Float, 4),
            b'd' => (What::Double, 8),
            b'x' => (What::Padding, 1),
            b's' => (What::Terminated, 0),
            b'c' => match self.count(1)? {
                0 => (What::Counted, 0),
                bytes => (What::Fixed, bytes),
            },
            b' ' => return Ok(None),
            b'>' | b'<' => {
                self.little = letter == b'<';
                return Ok(None);
            }
            b'!' => {
                self.align = self.count(8)?;
                if !self.align.is_power_of_two() {
                    return Err("alignment is not a power of 2".into());
                }
                return Ok(None);
            }
            other => return Err(format!("invalid format option '{}'", char::from(other)).into()),
        };
        Ok(Some(Item {
            what,
            bytes,
            align: self.align,
            little: self.little,
        }))
    }
}

impl Iterator for Format<'_> {
    type Item = Result<Item, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let letter = *self.text.get(self.at)?;
            self.at += 1;
            match self.item(letter) {
                Ok(None) => {}
                Ok(Some(item)) => return Some(Ok(item)),
                Err(problem) => return Some(Err(problem)),
            }
        }
    }
}

fn pack(args: &Arguments) -> Result<Vec<u8>, Problem> {
    let format = args.text(0)?;
    let mut out = Vec::new();
    let mut next = 1;
    for item in Format::new(&format) {
        let item = item?;
        out.resize(out.len() + item.pad(out.len()), 0);
        let index = next;
        next += usize::from(item.what != What::Padding);
        match item.what {
            What::Padding => out.push(0),
            What::Signed | What::Unsigned => {
                put(&mut out, &item, &integer_bytes(args.number(index)?))
            }
            What::Float => put(&mut out, &item, &(args.number(index)? as f32).to_le_bytes()),
            What::Double => put(&mut out, &item, &args.number(index)?.to_le_bytes()),
            What::Terminated => {
                out.extend_from_slice(&args.text(index)?);
                out.push(0);
            }
            What::Counted => out.extend_from_slice(&args.text(index)?),
            What::Fixed => {
                let text = args.text(index)?;
                let some = text
                    .get(..item.bytes)
                    .ok_or_else(|| args.invalid(index, "string too short"))?;
                out.extend_from_slice(some);
            }
        }
        if out.len() > TEXT_BYTES_MAX {
            return Err("the packed value would be too long".into());
        }
    }
    Ok(out)
}

/// The integer modulo 2^64, sign-extended, the lowest byte first.
fn integer_bytes(number: f64) -> [u8; INTEGER_BYTES_MAX] {
    let number = if number < 0.0 {
        i128::from(number as i64)
    } else {
        i128::from(number as u64)
    };
    let mut bytes = [if number < 0 { 0xFF } else { 0 }; INTEGER_BYTES_MAX];
    bytes[..16].copy_from_slice(&number.to_le_bytes());
    bytes
}

fn put(out: &mut Vec<u8>, item: &Item, little: &[u8]) {
    let start = out.len();
    out.extend_from_slice(&little[..item.bytes]);
    if !item.little {
        out[start..].reverse();
    }
}

fn unpack(lua: &Lua, args: &Arguments) -> Result<Vec<Value>, Problem> {
    let (format, data) = (args.text(0)?, args.text(1)?);
    let start = args.integer_or(2, 1)?;
    let mut at = usize::try_from(start)
        .ok()
        .and_then(|start| start.checked_sub(1))
        .ok_or_else(|| args.invalid(2, "offset must be 1 or greater"))?;
    let mut values: Vec<Value> = Vec::new();
    for item in Format::new(&format) {
        let item = item?;
        at = at.saturating_add(item.pad(at));
        let bytes = match item.what {
            What::Terminated => {
                let rest = data.get(at..).unwrap_or_default();
                let len = rest.iter().position(|byte| *byte == 0);
                len.ok_or_else(|| Problem::from("unfinished string in data"))?
            }
            What::Counted => match values.pop() {
                Some(Value::Number(count)) if count >= 0.0 => count as usize,
                _ => return Err("format 'c0' needs a previous size".into()),
            },
            _ => item.bytes,
        };
        let end = at.saturating_add(bytes);
        let taken = data
            .get(at..end)
            .ok_or_else(|| args.invalid(1, "data string too short"))?;
        at = end + usize::from(item.what == What::Terminated);
        let mut little = taken.to_vec();
        if !item.little {
            little.reverse();
        }
        match item.what {
            What::Padding => {}
            What::Signed | What::Unsigned => values.push(Value::Number(read(&little, item.what))),
            What::Float => {
                let bits = little.try_into().expect("a float has four bytes");
                values.push(Value::Number(f64::from(f32::from_le_bytes(bits))));
            }
            What::Double => {
                let bits = little.try_into().expect("a double has eight bytes");
                values.push(Value::Number(f64::from_le_bytes(bits)));
            }
            _ => values.push(Value::String(lua.create_string(taken)?)),
        }
    }
    values.push(Value::Number(at as f64 + 1.0));
    Ok(values)
}

fn read(little: &[u8], what: What) -> f64 {
    let mut bytes = [0; 8];
    let len = little.len().min(8);
    bytes[..len].copy_from_slice(&little[..len]);
    let number = u64::from_le_bytes(bytes);
    if what == What::Unsigned {
        return number as f64;
    }
    let unused = 64 - 8 * len as u32;
    ((number << unused) as i64 >> unused) as f64
}
