//! How functions written in Rust are called from Lua.
//!
//! They never raise an error themselves: Lua would show scripts an object instead of a text, and not say where. They
//! return what is wrong, and the prelude raises it.

use mlua::{IntoLua, Lua, MultiValue, Table, Value};

/// Why a native function gave no result.
pub(crate) enum Problem {
    /// Something that the script is told.
    Text(String),
    /// Lua itself gave up: no memory, or no stack.
    Lua(mlua::Error),
}

impl From<mlua::Error> for Problem {
    fn from(error: mlua::Error) -> Problem {
        Problem::Lua(error)
    }
}

impl From<&str> for Problem {
    fn from(text: &str) -> Problem {
        Problem::Text(text.to_owned())
    }
}

impl From<String> for Problem {
    fn from(text: String) -> Problem {
        Problem::Text(text)
    }
}

pub(crate) type Results = Result<Vec<Value>, Problem>;

/// The arguments of one call.
pub(crate) struct Arguments {
    /// The function's name, for errors.
    pub(crate) function: &'static str,
    pub(crate) values: Vec<Value>,
}

impl Arguments {
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    pub(crate) fn get(&self, index: usize) -> &Value {
        self.values.get(index).unwrap_or(&Value::Nil)
    }

    fn is_none(&self, index: usize) -> bool {
        matches!(self.get(index), Value::Nil)
    }

    fn wrong(&self, index: usize, expected: &str) -> Problem {
        let got = match self.values.get(index) {
            None => "no value",
            Some(value) => type_name(value),
        };
        Problem::Text(format!(
            "bad argument #{} to '{}' ({expected} expected, got {got})",
            index + 1,
            self.function
        ))
    }

    pub(crate) fn invalid(&self, index: usize, why: &str) -> Problem {
        Problem::Text(format!(
            "bad argument #{} to '{}' ({why})",
            index + 1,
            self.function
        ))
    }

    /// A string; numbers are strings too.
    pub(crate) fn text(&self, index: usize) -> Result<Vec<u8>, Problem> {
        match self.get(index) {
            Value::String(text) => Ok(text.as_bytes().to_vec()),
            Value::Integer(number) => Ok(number.to_string().into_bytes()),
            Value::Number(number) => Ok(crate::number::general(*number, 14).into_bytes()),
            _ => Err(self.wrong(index, "string")),
        }
    }

    /// A number; strings that hold one are numbers too.
    pub(crate) fn number(&self, index: usize) -> Result<f64, Problem> {
        let parsed = match self.get(index) {
            Value::Integer(number) => Some(*number as f64),
            Value::Number(number) => Some(*number),
            Value::String(text) => std::str::from_utf8(&text.as_bytes())
                .ok()
                .and_then(|text| text.trim().parse().ok()),
            _ => None,
        };
        parsed.ok_or_else(|| self.wrong(index, "number"))
    }

    pub(crate) fn integer(&self, index: usize) -> Result<i64, Problem> {
        Ok(self.number(index)? as i64)
    }

    /// A number; if there is none, more than any.
    pub(crate) fn number_or_infinity(&self, index: usize) -> Result<f64, Problem> {
        if self.is_none(index) {
            return Ok(f64::INFINITY);
        }
        self.number(index)
    }

    pub(crate) fn integer_or(&self, index: usize, default: i64) -> Result<i64, Problem> {
        if self.is_none(index) {
            return Ok(default);
        }
        self.integer(index)
    }
}

pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Nil => "nil",
        Value::Boolean(_) => "boolean",
        Value::Integer(_) | Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Table(_) => "table",
        Value::Function(_) => "function",
        Value::Thread(_) => "thread",
        _ => "userdata",
    }
}

/// Puts a function into a table of natives.
pub(crate) fn add(
    lua: &Lua,
    table: &Table,
    function: &'static str,
    run: impl Fn(&Lua, &Arguments) -> Results + Send + Sync + 'static,
) -> mlua::Result<()> {
    table.raw_set(function, make(lua, function, run)?)
}

/// A function by itself.
pub(crate) fn make(
    lua: &Lua,
    function: &'static str,
    run: impl Fn(&Lua, &Arguments) -> Results + Send + Sync + 'static,
) -> mlua::Result<mlua::Function> {
    lua.create_function(move |lua, values: MultiValue| {
        let arguments = Arguments {
            function,
            values: values.into_iter().collect(),
        };
        answer(lua, run(lua, &arguments))
    })
}

/// The shape in which the prelude expects results.
fn answer(lua: &Lua, results: Results) -> mlua::Result<MultiValue> {
    let values = match results {
        Ok(mut values) if values.len() <= 1 => {
            vec![Value::Boolean(true), values.pop().unwrap_or(Value::Nil)]
        }
        Ok(values) => {
            let count = values.len();
            let table = lua.create_table_with_capacity(count, 0)?;
            for (index, value) in values.into_iter().enumerate() {
                table.raw_set(index + 1, value)?;
            }
            vec![Value::Number(count as f64), Value::Table(table)]
        }
        Err(Problem::Text(text)) => vec![Value::Boolean(false), text.into_lua(lua)?],
        Err(Problem::Lua(error)) => return Err(error),
    };
    Ok(MultiValue::from_vec(values))
}
