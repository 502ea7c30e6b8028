//! What a command answers, from the protocol's bytes into Lua's values, by Redis's rules.

use mlua::{Either, IntoLua, Lua, LuaString, Table, Value};

use crate::answer::Version;

/// What a command has answered a script.
#[derive(Debug)]
pub(crate) enum Decoded {
    Value(Value),
    /// The status `OK`, of which most answers to writes consist.
    Ok,
    Status(LuaString),
    Error(LuaString),
}

/// Aggregates inside each other in the answer of a command.
const DEPTH_MAX: usize = 64;
/// What a script sees of bytes that are no answer.
const NO_ANSWER: &str = "ERR the command gave no answer";

/// Reads one answer.
pub(crate) fn decode(lua: &Lua, bytes: &[u8], version: Version) -> mlua::Result<Decoded> {
    let mut reader = Reader {
        lua,
        version,
        bytes,
        at: 0,
    };
    match reader.whole() {
        Ok(decoded) => Ok(decoded),
        Err(Damage::Bytes) => Ok(Decoded::Error(lua.create_string(NO_ANSWER)?)),
        Err(Damage::Lua(error)) => Err(error),
    }
}

/// Why there is no value.
enum Damage {
    /// The bytes are not exactly one answer.
    Bytes,
    /// Lua itself gave up.
    Lua(mlua::Error),
}

impl From<mlua::Error> for Damage {
    fn from(error: mlua::Error) -> Damage {
        Damage::Lua(error)
    }
}

/// A value that need not become an object on its way into a table, if it is a text.
type Item<'b> = Either<&'b str, Value>;

struct Reader<'b> {
    lua: &'b Lua,
    version: Version,
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Reader<'b> {
    fn whole(&mut self) -> Result<Decoded, Damage> {
        let text = |line: &[u8]| self.lua.create_string(line);
        let decoded = match *self.bytes {
            [b'+', b'O', b'K', b'\r', b'\n'] => return Ok(Decoded::Ok),
            [b'+', ref line @ .., b'\r', b'\n'] => return Ok(Decoded::Status(text(line)?)),
            [b'-', ref line @ .., b'\r', b'\n'] => return Ok(Decoded::Error(text(line)?)),
            _ => {
                let item = self.item(DEPTH_MAX)?;
                Decoded::Value(item.into_lua(self.lua)?)
            }
        };
        match self.at == self.bytes.len() {
            true => Ok(decoded),
            false => Err(Damage::Bytes),
        }
    }

    fn item(&mut self, depth: usize) -> Result<Item<'b>, Damage> {
        let depth = depth.checked_sub(1).ok_or(Damage::Bytes)?;
        let tag = *self.bytes.get(self.at).ok_or(Damage::Bytes)?;
        self.at += 1;
        let line = self.line()?;
        Ok(Either::Right(match tag {
            b'$' | b'*' if line == b"-1" => self.nothing(),
            b'_' => self.nothing(),
            b'$' => {
                let body = self.body(line)?;
                return self.text(body);
            }
            b':' => Value::Number(number(line)? as f64),
            b'#' => Value::Boolean(line == b"t"),
            b'+' => self.field("ok", self.text(line)?)?,
            b'-' => self.field("err", self.text(line)?)?,
            b'(' => self.field("big_number", self.text(line)?)?,
            b',' => {
                let value = std::str::from_utf8(line)
                    .ok()
                    .and_then(|line| line.parse().ok());
                let value = Value::Number(value.ok_or(Damage::Bytes)?);
                self.field("double", Either::Right(value))?
            }
            b'=' => {
                let body = self.body(line)?;
                let (format, text) = body.split_at_checked(4).ok_or(Damage::Bytes)?;
                let inner = self.lua.create_table_with_capacity(0, 2)?;
                inner.raw_set("format", self.text(&format[..3])?)?;
                inner.raw_set("string", self.text(text)?)?;
                self.field("verbatim_string", Either::Right(Value::Table(inner)))?
            }
            b'*' | b'>' => Value::Table(self.array(line, depth)?),
            b'~' => {
                let members =
                    self.keyed(line, depth, |_| Ok(Either::Right(Value::Boolean(true))))?;
                self.field("set", Either::Right(Value::Table(members)))?
            }
            b'%' => {
                let pairs = self.keyed(line, depth, |reader| reader.item(depth))?;
                self.field("map", Either::Right(Value::Table(pairs)))?
            }
            _ => return Err(Damage::Bytes),
        }))
    }

    fn nothing(&self) -> Value {
        match self.version {
            Version::Two => Value::Boolean(false),
            Version::Three => Value::Nil,
        }
    }

    fn text(&self, bytes: &'b [u8]) -> Result<Item<'b>, Damage> {
        Ok(match std::str::from_utf8(bytes) {
            Ok(text) => Either::Left(text),
            Err(_) => Either::Right(Value::String(self.lua.create_string(bytes)?)),
        })
    }

    /// A table with one of the fields that stand for a type of the protocol.
    fn field(&self, name: &str, value: Item<'_>) -> Result<Value, Damage> {
        let table = self.lua.create_table_with_capacity(0, 1)?;
        table.raw_set(name, value)?;
        Ok(Value::Table(table))
    }

    fn array(&mut self, count: &[u8], depth: usize) -> Result<Table, Damage> {
        let count = self.count(count)?;
        let (lua, mut damage) = (self.lua, None);
        let items = (0..count).map(|_| match &damage {
            Some(_) => Either::Right(Value::Nil),
            None => self.item(depth).unwrap_or_else(|why| {
                damage = Some(why);
                Either::Right(Value::Nil)
            }),
        });
        let table = lua.create_sequence_from(items)?;
        match damage {
            Some(damage) => Err(damage),
            None => Ok(table),
        }
    }

    /// A table by keys. What is nil is no key.
    fn keyed(
        &mut self,
        count: &[u8],
        depth: usize,
        mut value: impl FnMut(&mut Reader<'b>) -> Result<Item<'b>, Damage>,
    ) -> Result<Table, Damage> {
        let count = self.count(count)?;
        let table = self.lua.create_table_with_capacity(0, count)?;
        for _ in 0..count {
            let key = self.item(depth)?;
            let value = value(self)?;
            if !matches!(key, Either::Right(Value::Nil)) {
                table.raw_set(key, value)?;
            }
        }
        Ok(table)
    }

    /// How many there are. Nothing is reserved for what is merely announced: each answer takes at least three bytes.
    fn count(&self, line: &[u8]) -> Result<usize, Damage> {
        let count = usize::try_from(number(line)?).map_err(|_| Damage::Bytes)?;
        match count <= (self.bytes.len() - self.at) / 3 {
            true => Ok(count),
            false => Err(Damage::Bytes),
        }
    }

    fn line(&mut self) -> Result<&'b [u8], Damage> {
        let rest = &self.bytes[self.at..];
        let len = rest
            .windows(2)
            .position(|two| two == b"\r\n")
            .ok_or(Damage::Bytes)?;
        self.at += len + 2;
        Ok(&rest[..len])
    }

    fn body(&mut self, len: &[u8]) -> Result<&'b [u8], Damage> {
        let len = usize::try_from(number(len)?).map_err(|_| Damage::Bytes)?;
        let rest = &self.bytes[self.at..];
        let (body, rest) = rest.split_at_checked(len).ok_or(Damage::Bytes)?;
        if !rest.starts_with(b"\r\n") {
            return Err(Damage::Bytes);
        }
        self.at += len + 2;
        Ok(body)
    }
}

fn number(text: &[u8]) -> Result<i64, Damage> {
    let text = std::str::from_utf8(text).ok();
    text.and_then(|text| text.parse().ok()).ok_or(Damage::Bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a script sees: texts as they are, tables with their pairs in the order of their keys.
    fn shown(bytes: &[u8], version: Version) -> String {
        let lua = Lua::new();
        match decode(&lua, bytes, version).expect("Lua has memory") {
            Decoded::Ok => "+OK".to_owned(),
            Decoded::Status(text) => format!("+{}", text.to_string_lossy()),
            Decoded::Error(text) => format!("-{}", text.to_string_lossy()),
            Decoded::Value(value) => show(&value),
        }
    }

    fn show(value: &Value) -> String {
        match value {
            Value::String(text) => text.to_string_lossy(),
            Value::Table(table) => {
                let mut pairs: Vec<String> = table
                    .pairs::<Value, Value>()
                    .map(|pair| pair.expect("a pair"))
                    .map(|(key, value)| format!("{}={}", show(&key), show(&value)))
                    .collect();
                pairs.sort();
                format!("{{{}}}", pairs.join(" "))
            }
            Value::Number(number) => number.to_string(),
            Value::Integer(number) => number.to_string(),
            Value::Boolean(value) => value.to_string(),
            Value::Nil => "nil".to_owned(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn each_type() {
        for (bytes, expected) in [
            ("+OK\r\n", "+OK"),
            ("+PONG\r\n", "+PONG"),
            ("-ERR a b\r\n", "-ERR a b"),
            (":-7\r\n", "-7"),
            ("$3\r\na\r\n\r\n", "a\r\n"),
            ("$-1\r\n", "false"),
            ("*-1\r\n", "false"),
            ("_\r\n", "false"),
            (",1.5\r\n", "{double=1.5}"),
            (",inf\r\n", "{double=inf}"),
            ("#t\r\n", "true"),
            ("(12\r\n", "{big_number=12}"),
            ("=5\r\ntxt:a\r\n", "{verbatim_string={format=txt string=a}}"),
            ("*2\r\n:1\r\n*0\r\n", "{1=1 2={}}"),
            ("*2\r\n+a\r\n-b\r\n", "{1={ok=a} 2={err=b}}"),
            ("~1\r\n$1\r\na\r\n", "{set={a=true}}"),
            (
                "%2\r\n$1\r\na\r\n:1\r\n:2\r\n$1\r\nb\r\n",
                "{map={2=b a=1}}",
            ),
        ] {
            assert_eq!(shown(bytes.as_bytes(), Version::Two), expected, "{bytes:?}");
        }
        assert_eq!(shown(b"_\r\n", Version::Three), "nil");
        assert_eq!(shown(b"%1\r\n_\r\n:1\r\n", Version::Three), "{map={}}");
        assert_eq!(shown(b"*1\r\n$1\r\n\xff\r\n", Version::Two), "{1=\u{fffd}}");
    }

    #[test]
    fn what_is_not_one_answer_is_an_error() {
        for bytes in [
            "",
            "+OK",
            ":1\r\n:2\r\n",
            "*2\r\n:1\r\n",
            "*9000000\r\n:1\r\n",
            "$5\r\nab\r\n",
            "$1\r\nabc",
            "=1\r\na\r\n",
            "?\r\n",
        ] {
            let shown = shown(bytes.as_bytes(), Version::Two);
            assert_eq!(shown, format!("-{NO_ANSWER}"), "{bytes:?}");
        }
        let deep = "*1\r\n".repeat(100_000);
        assert_eq!(
            shown(deep.as_bytes(), Version::Two),
            format!("-{NO_ANSWER}")
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            shown(&bytes, Version::Two);
        }

        #[test]
        fn damaged_answers_are_survived(at in 0usize..40, byte: u8) {
            let mut bytes = b"*3\r\n$2\r\nab\r\n%1\r\n+a\r\n,2\r\n=4\r\ntxt:\r\n".to_vec();
            let at = at.min(bytes.len() - 1);
            bytes[at] = byte;
            shown(&bytes, Version::Three);
        }
    }
}
