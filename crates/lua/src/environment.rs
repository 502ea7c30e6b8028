//! What scripts find: the prelude, and the functions in Rust that it builds on.

use std::sync::{Arc, OnceLock};

use mlua::chunk::ChunkMode;
use mlua::{Function, Lua, LuaOptions, StdLib, Table, Value};

use crate::host::{self, Calls};
use crate::json::Json;
use crate::limits::{TIME_OVER, Timer};
use crate::sha1::sha1_hex;
use crate::{bits, bytecode, layout, msgpack, number, random, strings};

/// A new state, and the functions of the prelude that run scripts, by name.
pub(crate) fn new(
    version: &str,
    timer: &Timer,
    json: &Json,
    calls: &Arc<Calls>,
) -> mlua::Result<(Lua, Table)> {
    let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH;
    let lua = Lua::new_with(libraries, LuaOptions::default())?;
    let native = natives(&lua, timer, json, calls, version)?;
    let runners = prelude(&lua)?.call(native)?;
    Ok((lua, runners))
}

/// The prelude without debug information, which is half of it; kept, because each further state then need not compile it.
static PRELUDE: OnceLock<Vec<u8>> = OnceLock::new();
/// The chunk name of what has no debug information. Scripts' own are `@user_script` and `@user_function`.
const STRIPPED: &str = "=?";

fn prelude(lua: &Lua) -> mlua::Result<Function> {
    if let Some(code) = PRELUDE.get() {
        let chunk = lua.load(code.as_slice()).set_mode(ChunkMode::Binary);
        return chunk.into_function();
    }
    let whole = Lua::new_with(StdLib::NONE, LuaOptions::default())?;
    let text = whole.load(include_str!("prelude.lua"));
    let code = text.into_function()?.dump(false);
    PRELUDE.get_or_init(|| bytecode::strip(&code).expect("Lua has dumped it"));
    prelude(lua)
}

/// The functions that the prelude is given.
fn natives(
    lua: &Lua,
    timer: &Timer,
    json: &Json,
    calls: &Arc<Calls>,
    version: &str,
) -> mlua::Result<Table> {
    let native = lua.create_table()?;
    host::library(lua, &native, timer, calls)?;
    native.raw_set("string", strings::library(lua, timer)?)?;
    strings::walks(lua, &native, timer)?;
    native.raw_set("bit", bits::library(lua)?)?;
    native.raw_set("struct", layout::library(lua)?)?;
    native.raw_set("cmsgpack", msgpack::library(lua)?)?;
    native.raw_set("cjson", json.library(lua, timer)?)?;
    native.raw_set("null", Value::NULL)?;
    random::library(lua, &native)?;
    native.raw_set("version", version)?;
    native.raw_set("version_number", version_number(version))?;
    native.raw_set(
        "memory",
        lua.create_function(|lua, ()| Ok(lua.used_memory() as f64 / 1024.0))?,
    )?;
    let clock = timer.clone();
    native.raw_set(
        "is_over",
        lua.create_function(move |_, ()| Ok(clock.is_over()))?,
    )?;
    native.raw_set("time_over", TIME_OVER)?;
    native.raw_set(
        "where",
        lua.create_function(|lua, ()| Ok(place(lua).unzip()))?,
    )?;
    let loadstring = lua.create_function(
        |lua, (text, name): (mlua::LuaString, Option<mlua::LuaString>)| {
            loadstring(
                lua,
                &text.as_bytes(),
                name.as_ref().map(|name| name.to_string_lossy()),
            )
        },
    )?;
    native.raw_set("loadstring", loadstring)?;
    let sha1hex = lua.create_function(|_, value: Value| {
        Ok(match value {
            Value::String(text) => sha1_hex(&text.as_bytes()),
            Value::Integer(value) => sha1_hex(value.to_string().as_bytes()),
            Value::Number(value) => sha1_hex(number::general(value, 14).as_bytes()),
            _ => sha1_hex(b""),
        })
    })?;
    native.raw_set("sha1hex", sha1hex)?;
    native.raw_set(
        "split_code",
        lua.create_function(|lua, text: mlua::LuaString| split_code(lua, &text.as_bytes()))?,
    )?;
    Ok(native)
}

/// `7.0.15` as Redis writes it in one number.
fn version_number(version: &str) -> u32 {
    let parts = version.split('.').map(|part| part.parse().unwrap_or(0u32));
    parts.take(3).fold(0, |sum, part| sum << 8 | (part & 0xFF))
}

/// The code and the rest of an error that starts with a minus sign.
fn split_code(lua: &Lua, text: &[u8]) -> mlua::Result<(mlua::LuaString, mlua::LuaString)> {
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let (code, rest) = match text.iter().position(|byte| *byte == b' ') {
        Some(blank) => (&text[..blank], &text[blank + 1..]),
        None => (&b"ERR"[..], text),
    };
    let end = rest
        .iter()
        .rposition(|byte| !matches!(byte, b'\r' | b'\n'))
        .map_or(0, |last| last + 1);
    Ok((lua.create_string(code)?, lua.create_string(&rest[..end])?))
}

/// A chunk of text as a function, or nil and what is wrong with it. Never bytecode: it could do anything.
fn loadstring(lua: &Lua, text: &[u8], name: Option<String>) -> mlua::Result<(Value, Value)> {
    let name = name.unwrap_or_else(|| String::from_utf8_lossy(text).into_owned());
    let name = name.split('\0').next().unwrap_or_default().to_owned();
    let chunk = lua.load(text).set_mode(ChunkMode::Text).set_name(name);
    match chunk.into_function() {
        Ok(function) => Ok((Value::Function(function), Value::Nil)),
        Err(mlua::Error::SyntaxError { message, .. }) => {
            Ok((Value::Nil, Value::String(lua.create_string(message)?)))
        }
        Err(error @ mlua::Error::MemoryError(_)) => Err(error),
        Err(other) => Ok((
            Value::Nil,
            Value::String(lua.create_string(other.to_string())?),
        )),
    }
}

/// Frames that are looked at to find where a script was.
const FRAMES_MAX: usize = 32;

/// The chunk and the line that a script was at: the innermost frame that is Lua's and not ours.
fn place(lua: &Lua) -> Option<(String, usize)> {
    for level in 1..FRAMES_MAX {
        let place = lua.inspect_stack(level, |frame| {
            let source = frame.source().source?.into_owned();
            let is_script = source != STRIPPED && source != "=[C]" && source != "=(tail call)";
            Some((source, frame.current_line().unwrap_or(0))).filter(|_| is_script)
        })?;
        if place.is_some() {
            return place;
        }
    }
    None
}
