//! The library `cjson`: JSON as lua-cjson 2.1 reads and writes it.

use std::sync::{Arc, Mutex, MutexGuard};

use mlua::{Lua, Table, Value};

use crate::limits::{DEPTH_MAX, TEXT_BYTES_MAX, Timer};
use crate::native::{Problem, add, type_name};
use crate::number::general;

/// What a script can set. It lasts until the script ends, so that no script finds what another one left.
#[derive(Clone, Copy, Debug)]
struct Settings {
    sparse_convert: bool,
    sparse_ratio: usize,
    sparse_safe: usize,
    encode_depth: usize,
    decode_depth: usize,
    precision: usize,
    encode_invalid: Invalid,
    decode_invalid: bool,
}

/// What becomes of numbers that JSON does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Invalid {
    Refuse,
    Write,
    Null,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            sparse_convert: false,
            sparse_ratio: 2,
            sparse_safe: 10,
            encode_depth: DEPTH_MAX,
            decode_depth: DEPTH_MAX,
            precision: 14,
            encode_invalid: Invalid::Refuse,
            decode_invalid: true,
        }
    }
}

/// The settings of one interpreter.
#[derive(Clone, Debug, Default)]
pub(crate) struct Json(Arc<Mutex<Settings>>);

impl Json {
    /// Forgets what a script has set.
    pub(crate) fn reset(&self) {
        *self.settings() = Settings::default();
    }

    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn library(&self, lua: &Lua, timer: &Timer) -> mlua::Result<Table> {
        let table = lua.create_table()?;
        let (json, timer) = (self.clone(), timer.clone());
        add(lua, &table, "encode", move |lua, args| {
            if args.len() != 1 {
                return Err("bad argument #1 to 'encode' (expected 1 argument)".into());
            }
            let mut encoder = Encoder {
                out: Vec::new(),
                settings: *json.settings(),
                timer: &timer,
                tables: 0,
            };
            encoder.value(args.get(0), 0)?;
            Ok(vec![Value::String(lua.create_string(&encoder.out)?)])
        })?;
        let json = self.clone();
        add(lua, &table, "decode", move |lua, args| {
            if args.len() != 1 {
                return Err("bad argument #1 to 'decode' (expected 1 argument)".into());
            }
            let text = args.text(0)?;
            let mut decoder = Decoder {
                lua,
                text: &text,
                at: 0,
                settings: *json.settings(),
            };
            let value = decoder.value(0)?;
            decoder.blanks();
            if decoder.at < text.len() {
                return Err(decoder.unexpected("the end"));
            }
            Ok(vec![value])
        })?;
        self.settings_functions(lua, &table)?;
        Ok(table)
    }

    fn settings_functions(&self, lua: &Lua, table: &Table) -> mlua::Result<()> {
        let json = self.clone();
        add(lua, table, "encode_sparse_array", move |_, args| {
            let mut settings = json.settings();
            if let Value::Boolean(convert) = args.get(0) {
                settings.sparse_convert = *convert;
            }
            settings.sparse_ratio = amount(args.integer_or(1, settings.sparse_ratio as i64)?);
            settings.sparse_safe = amount(args.integer_or(2, settings.sparse_safe as i64)?);
            Ok(vec![
                Value::Boolean(settings.sparse_convert),
                Value::Number(settings.sparse_ratio as f64),
                Value::Number(settings.sparse_safe as f64),
            ])
        })?;
        self.number(lua, table, "encode_max_depth", 1, WANTED_DEPTH_MAX, |s| {
            &mut s.encode_depth
        })?;
        self.number(lua, table, "decode_max_depth", 1, WANTED_DEPTH_MAX, |s| {
            &mut s.decode_depth
        })?;
        self.number(lua, table, "encode_number_precision", 1, 17, |s| {
            &mut s.precision
        })?;
        // Whether a buffer is kept between calls cannot be seen from outside.
        add(lua, table, "encode_keep_buffer", |_, args| {
            Ok(vec![Value::Boolean(!matches!(
                args.get(0),
                Value::Boolean(false)
            ))])
        })?;
        let json = self.clone();
        add(lua, table, "encode_invalid_numbers", move |lua, args| {
            let mut settings = json.settings();
            settings.encode_invalid = match args.get(0) {
                Value::Nil => settings.encode_invalid,
                Value::Boolean(true) => Invalid::Write,
                Value::Boolean(false) => Invalid::Refuse,
                Value::String(word) if &*word.as_bytes() == b"null" => Invalid::Null,
                Value::String(word) if &*word.as_bytes() == b"on" => Invalid::Write,
                Value::String(word) if &*word.as_bytes() == b"off" => Invalid::Refuse,
                _ => return Err(args.invalid(0, "invalid option")),
            };
            Ok(vec![match settings.encode_invalid {
                Invalid::Refuse => Value::Boolean(false),
                Invalid::Write => Value::Boolean(true),
                Invalid::Null => Value::String(lua.create_string("null")?),
            }])
        })?;
        let json = self.clone();
        add(lua, table, "decode_invalid_numbers", move |_, args| {
            let mut settings = json.settings();
            if let Value::Boolean(accept) = args.get(0) {
                settings.decode_invalid = *accept;
            }
            Ok(vec![Value::Boolean(settings.decode_invalid)])
        })
    }

    fn number(
        &self,
        lua: &Lua,
        table: &Table,
        name: &'static str,
        least: usize,
        most: usize,
        place: fn(&mut Settings) -> &mut usize,
    ) -> mlua::Result<()> {
        let json = self.clone();
        add(lua, table, name, move |_, args| {
            let mut settings = json.settings();
            let known = place(&mut settings);
            let wanted = amount(args.integer_or(0, *known as i64)?);
            if !(least..=most).contains(&wanted) {
                return Err(
                    args.invalid(0, &format!("expected integer between {least} and {most}"))
                );
            }
            *known = wanted;
            Ok(vec![Value::Number(wanted as f64)])
        })
    }
}

/// What scripts may ask for, as in lua-cjson. More than [`DEPTH_MAX`] is not given.
const WANTED_DEPTH_MAX: usize = i32::MAX as usize;

fn amount(number: i64) -> usize {
    usize::try_from(number).unwrap_or(0)
}

struct Encoder<'t> {
    out: Vec<u8>,
    settings: Settings,
    timer: &'t Timer,
    /// Written so far.
    tables: u32,
}

/// The clock is looked at after so many tables: one that holds itself many times over is quickly made.
const TABLES_PER_LOOK: u32 = 1 << 10;

/// How a table is written.
enum Shape {
    Array(usize),
    Object,
}

impl Encoder<'_> {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Problem> {
        if self.out.len() > TEXT_BYTES_MAX {
            return Err("Cannot serialise: the text would be too long".into());
        }
        match value {
            Value::Nil => self.out.extend_from_slice(b"null"),
            Value::LightUserData(data) if data.0.is_null() => self.out.extend_from_slice(b"null"),
            Value::Boolean(value) => {
                self.out
                    .extend_from_slice(if *value { b"true" } else { b"false" })
            }
            Value::Integer(number) => self.number(*number as f64)?,
            Value::Number(number) => self.number(*number)?,
            Value::String(text) => self.text(&text.as_bytes()),
            Value::Table(table) => self.table(table, depth + 1)?,
            other => {
                return Err(
                    format!("Cannot serialise {}: type not supported", type_name(other)).into(),
                );
            }
        }
        Ok(())
    }

    fn number(&mut self, number: f64) -> Result<(), Problem> {
        if !number.is_finite() {
            match self.settings.encode_invalid {
                Invalid::Refuse => {
                    return Err("Cannot serialise number: must not be NaN or Inf".into());
                }
                Invalid::Null => {
                    self.out.extend_from_slice(b"null");
                    return Ok(());
                }
                Invalid::Write => {}
            }
        }
        self.out
            .extend_from_slice(general(number, self.settings.precision).as_bytes());
        Ok(())
    }

    fn text(&mut self, text: &[u8]) {
        self.out.push(b'"');
        for &byte in text {
            let short = match byte {
                b'"' | b'\\' | b'/' => byte,
                8 => b'b',
                9 => b't',
                10 => b'n',
                12 => b'f',
                13 => b'r',
                0..32 | 127 => {
                    self.out
                        .extend_from_slice(format!("\\u{byte:04x}").as_bytes());
                    continue;
                }
                _ => {
                    self.out.push(byte);
                    continue;
                }
            };
            self.out.extend_from_slice(&[b'\\', short]);
        }
        self.out.push(b'"');
    }

    fn table(&mut self, table: &Table, depth: usize) -> Result<(), Problem> {
        if depth > self.settings.encode_depth.min(DEPTH_MAX) {
            return Err(format!("Cannot serialise, excessive depth ({depth})").into());
        }
        self.tables += 1;
        if self.tables.is_multiple_of(TABLES_PER_LOOK) && self.timer.is_over() {
            return Err("Cannot serialise: it takes too long".into());
        }
        match self.shape(table)? {
            Shape::Array(len) => {
                self.out.push(b'[');
                for index in 1..=len {
                    if index > 1 {
                        self.out.push(b',');
                    }
                    self.value(&table.raw_get::<Value>(index)?, depth)?;
                }
                self.out.push(b']');
            }
            Shape::Object => {
                self.out.push(b'{');
                let mut first = true;
                for pair in table.pairs::<Value, Value>() {
                    let (key, value) = pair?;
                    if !std::mem::take(&mut first) {
                        self.out.push(b',');
                    }
                    self.key(&key)?;
                    self.out.push(b':');
                    self.value(&value, depth)?;
                }
                self.out.push(b'}');
            }
        }
        Ok(())
    }

    fn key(&mut self, key: &Value) -> Result<(), Problem> {
        match key {
            Value::String(text) => self.text(&text.as_bytes()),
            Value::Integer(_) | Value::Number(_) => {
                self.out.push(b'"');
                self.value(key, 0)?;
                self.out.push(b'"');
            }
            _ => return Err("Cannot serialise table: table key must be a number or string".into()),
        }
        Ok(())
    }

    /// An array has only positive integers as keys, and not too few of them.
    fn shape(&self, table: &Table) -> Result<Shape, Problem> {
        let (mut greatest, mut count) = (0usize, 0usize);
        for pair in table.pairs::<Value, Value>() {
            match pair?.0 {
                Value::Integer(index) if index > 0 => greatest = greatest.max(index as usize),
                _ => return Ok(Shape::Object),
            }
            count += 1;
        }
        let sparse = self.settings.sparse_ratio > 0
            && greatest > count.saturating_mul(self.settings.sparse_ratio)
            && greatest > self.settings.sparse_safe;
        match (greatest, sparse) {
            (0, _) => Ok(Shape::Object),
            (_, true) if self.settings.sparse_convert => Ok(Shape::Object),
            (_, true) => Err("Cannot serialise table: excessively sparse array".into()),
            (len, false) => Ok(Shape::Array(len)),
        }
    }
}

struct Decoder<'t> {
    lua: &'t Lua,
    text: &'t [u8],
    at: usize,
    settings: Settings,
}

impl Decoder<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn unexpected(&self, expected: &str) -> Problem {
        let found = match self.peek() {
            None => "T_END",
            Some(b'{') => "T_OBJ_BEGIN",
            Some(b'}') => "T_OBJ_END",
            Some(b'[') => "T_ARR_BEGIN",
            Some(b']') => "T_ARR_END",
            Some(b',') => "T_COMMA",
            Some(b':') => "T_COLON",
            Some(b'"') => "T_STRING",
            Some(b'0'..=b'9') => "T_NUMBER",
            Some(_) => "invalid token",
        };
        format!(
            "Expected {expected} but found {found} at character {}",
            self.at + 1
        )
        .into()
    }

    fn value(&mut self, depth: usize) -> Result<Value, Problem> {
        self.blanks();
        match self.peek() {
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.array(depth + 1),
            Some(b'"') => {
                let text = self.string()?;
                Ok(Value::String(self.lua.create_string(text)?))
            }
            _ if self.word("true") => Ok(Value::Boolean(true)),
            _ if self.word("false") => Ok(Value::Boolean(false)),
            _ if self.word("null") => Ok(Value::NULL),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &str) -> bool {
        let found = self.text[self.at..].starts_with(word.as_bytes());
        if found {
            self.at += word.len();
        }
        found
    }

    fn deeper(&self, depth: usize) -> Result<(), Problem> {
        if depth > self.settings.decode_depth.min(DEPTH_MAX) {
            return Err(format!("Found too many nested data structures ({depth})").into());
        }
        Ok(())
    }

    fn object(&mut self, depth: usize) -> Result<Value, Problem> {
        self.deeper(depth)?;
        let table = self.lua.create_table()?;
        self.at += 1;
        self.blanks();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Table(table));
        }
        loop {
            self.blanks();
            if self.peek() != Some(b'"') {
                return Err(self.unexpected("object key string"));
            }
            let key = self.string()?;
            self.blanks();
            if self.peek() != Some(b':') {
                return Err(self.unexpected("colon"));
            }
            self.at += 1;
            let value = self.value(depth)?;
            table.raw_set(self.lua.create_string(key)?, value)?;
            self.blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Value::Table(table));
                }
                _ => return Err(self.unexpected("comma or object end")),
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, Problem> {
        self.deeper(depth)?;
        let table = self.lua.create_table()?;
        self.at += 1;
        self.blanks();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::Table(table));
        }
        for index in 1.. {
            let value = self.value(depth)?;
            table.raw_set(index, value)?;
            self.blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return Err(self.unexpected("comma or array end")),
            }
        }
        self.at += 1;
        Ok(Value::Table(table))
    }

    fn string(&mut self) -> Result<Vec<u8>, Problem> {
        self.at += 1;
        let mut out = Vec::new();
        loop {
            let start = self.at;
            while self
                .peek()
                .is_some_and(|byte| byte != b'"' && byte != b'\\')
            {
                self.at += 1;
            }
            out.extend_from_slice(&self.text[start..self.at]);
            match self.peek() {
                None => {
                    return Err(format!(
                        "Expected value but found unexpected end of string at character {}",
                        self.at + 1
                    )
                    .into());
                }
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(_) => self.escape(&mut out)?,
            }
        }
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), Problem> {
        let place = self.at + 1;
        self.at += 1;
        let letter = self.peek();
        self.at += 1;
        out.push(match letter {
            Some(letter @ (b'"' | b'\\' | b'/')) => letter,
            Some(b'b') => 8,
            Some(b't') => b'\t',
            Some(b'n') => b'\n',
            Some(b'f') => 12,
            Some(b'r') => b'\r',
            Some(b'u') => {
                let invalid = || {
                    Problem::Text(format!(
                        "Expected value but found invalid unicode escape code at character {place}"
                    ))
                };
                let letter = self.unicode().ok_or_else(invalid)?;
                out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => {
                return Err(format!(
                    "Expected value but found invalid escape code at character {place}"
                )
                .into());
            }
        });
        Ok(())
    }

    fn unicode(&mut self) -> Option<char> {
        let first = self.hex()?;
        if !(0xD800..0xDC00).contains(&first) {
            return char::from_u32(first);
        }
        if !self.word("\\u") {
            return None;
        }
        let second = self
            .hex()
            .filter(|second| (0xDC00..0xE000).contains(second))?;
        char::from_u32(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00))
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        self.at += 4;
        u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    }

    fn number(&mut self) -> Result<Value, Problem> {
        let rest = &self.text[self.at..];
        let len = rest
            .iter()
            .position(|byte| !matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'+' | b'-' | b'.'))
            .unwrap_or(rest.len());
        let text = std::str::from_utf8(&rest[..len]).unwrap_or_default();
        let digits = text.strip_prefix('-').unwrap_or(text);
        let plain = digits.starts_with(|first: char| first.is_ascii_digit())
            && (digits.len() == 1
                || !digits.starts_with('0')
                || digits[1..].starts_with(['.', 'e', 'E']));
        let wild = digits.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '.');
        let parsed = match plain || (wild && self.settings.decode_invalid) {
            true => parse(digits).map(|number| {
                if digits.len() < text.len() {
                    -number
                } else {
                    number
                }
            }),
            false => None,
        };
        let number = parsed.ok_or_else(|| self.unexpected("value"))?;
        self.at += len;
        Ok(Value::Number(number))
    }
}

fn parse(digits: &str) -> Option<f64> {
    match digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"))
    {
        Some(hex) => u64::from_str_radix(hex, 16)
            .ok()
            .map(|number| number as f64),
        None => digits.parse().ok(),
    }
}
