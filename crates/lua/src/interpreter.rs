//! One Lua state in Redis's environment, and running scripts in it.

use std::cell::RefCell;
use std::sync::Arc;

use mlua::chunk::ChunkMode;
use mlua::{
    FromLuaMulti, Function, HookTriggers, Lua, LuaOptions, MultiValue, StdLib, Table, Value,
    VmState,
};
use thiserror::Error;

use crate::answer::{Answer, Version};
use crate::convert::{from_lua, to_lua};
use crate::json::Json;
use crate::limits::{INSTRUCTIONS_PER_LOOK, MEMORY_BYTES_MAX, Overseer, Timer};
use crate::sha1::sha1_hex;
use crate::{bits, layout, msgpack, number, random, strings};

/// What a script asks of the world around it.
pub trait Host {
    /// Runs a command and appends its answer, in the protocol, to `out`.
    fn call(&mut self, args: &[&[u8]], version: Version, out: &mut Vec<u8>);

    /// Whether there is a command of this name.
    fn is_command(&self, name: &[u8]) -> bool;

    /// A line for the log, from 0 (debug) to 3 (warning).
    fn log(&mut self, severity: u8, text: &str);
}

/// Why a script gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ScriptError {
    /// It does not compile. The text is Lua's.
    #[error("{0}")]
    Syntax(String),
    /// It raised an error: the error's text, which starts with its code, and where that was.
    #[error("{text}")]
    Raised {
        /// The error with its code.
        text: String,
        /// The chunk and the line, where known.
        place: Option<(String, String)>,
    },
    /// It was ended, because it ran longer than it may or somebody wanted that. What it did should be undone.
    #[error("the script ran longer than its limit")]
    Time,
    /// It asked for more memory than it may. What it did should be undone.
    #[error("the script used more than {MEMORY_BYTES_MAX} bytes of memory")]
    Memory,
}

/// A function that a library registers.
#[derive(Clone, Debug)]
pub struct Registered {
    /// As FCALL calls it.
    pub name: Vec<u8>,
    /// Its flags, as given.
    pub flags: Vec<Vec<u8>>,
    /// What it is said to do.
    pub description: Option<Vec<u8>>,
    callback: Function,
}

/// A compiled script.
#[derive(Clone, Debug)]
pub struct Script(Function);

/// One Lua state. What scripts leave in it is nothing but garbage.
///
/// After [`ScriptError::Time`] and [`ScriptError::Memory`] the state should be dropped: see
/// [`is_spoiled`](Interpreter::is_spoiled).
#[derive(Debug)]
pub struct Interpreter {
    lua: Lua,
    /// What the prelude's functions look at to find the running script's host.
    slot: Table,
    run_script: Function,
    run_function: Function,
    run_library: Function,
    timer: Timer,
    json: Json,
    spoiled: bool,
    /// Bytes in use when everything was collected last.
    live_bytes: usize,
}

/// The chunk name of the prelude; scripts' own are `@user_script` and `@user_function`.
const PRELUDE: &str = "=isles";
/// Garbage that may gather before a script starts.
const GARBAGE_BYTES_MAX: usize = 16 << 20;
/// The text of Lua's error when it gets no memory.
const NO_MEMORY: &str = "not enough memory";

impl Interpreter {
    /// A new state. `version` is what scripts see as `redis.REDIS_VERSION`.
    ///
    /// Costs about half a millisecond.
    ///
    /// # Panics
    /// If the machine has no memory for it.
    pub fn new(version: &str) -> Interpreter {
        Interpreter::build(version).expect("a new state has room for its own environment")
    }

    fn build(version: &str) -> mlua::Result<Interpreter> {
        let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH;
        let lua = Lua::new_with(libraries, LuaOptions::default())?;
        let (timer, json) = (Timer::new(), Json::default());
        let slot = lua.create_table()?;
        let native = natives(&lua, &timer, &json, version)?;
        let prelude = lua
            .load(include_str!("prelude.lua"))
            .set_name(PRELUDE)
            .into_function()?;
        let api: Table = prelude.call((native, slot.clone()))?;
        lua.set_named_registry_value(SLOT, slot.clone())?;
        let clock = timer.clone();
        let look = HookTriggers::new().every_nth_instruction(INSTRUCTIONS_PER_LOOK);
        lua.set_global_hook(look, move |lua, _| match clock.is_over() {
            false => Ok(VmState::Continue),
            true => Err(time_over(lua)?),
        })?;
        lua.set_memory_limit(MEMORY_BYTES_MAX)?;
        Ok(Interpreter {
            run_script: api.raw_get("script")?,
            run_function: api.raw_get("call")?,
            run_library: api.raw_get("load")?,
            live_bytes: lua.used_memory(),
            lua,
            slot,
            timer,
            json,
            spoiled: false,
        })
    }

    /// Whether a script has met a limit: then the state should be dropped, whatever is left of it.
    pub fn is_spoiled(&self) -> bool {
        self.spoiled
    }

    /// Bytes in use, garbage included.
    pub fn memory_bytes(&self) -> usize {
        self.lua.used_memory()
    }

    /// Compiles the text of a script.
    ///
    /// # Errors
    /// It is not Lua, or not as text.
    pub fn compile(&mut self, text: &[u8]) -> Result<Script, ScriptError> {
        self.chunk(text, "@user_script").map(Script)
    }

    fn chunk(&mut self, text: &[u8], name: &str) -> Result<Function, ScriptError> {
        self.collect();
        let chunk = self.lua.load(text).set_mode(ChunkMode::Text).set_name(name);
        chunk.into_function().map_err(|error| match error {
            mlua::Error::SyntaxError { message, .. } => ScriptError::Syntax(message),
            other => self.gave_up(other),
        })
    }

    /// Runs a script.
    ///
    /// # Errors
    /// It raised an error or met a limit.
    pub fn run(
        &mut self,
        script: &Script,
        keys: &[&[u8]],
        argv: &[&[u8]],
        host: &mut dyn Host,
        overseer: &Arc<dyn Overseer>,
    ) -> Result<Answer, ScriptError> {
        let runner = self.run_script.clone();
        self.hosted(&runner, &script.0, keys, argv, host, overseer)
    }

    /// Calls a function of a library.
    ///
    /// # Errors
    /// As [`run`](Interpreter::run).
    pub fn call(
        &mut self,
        function: &Registered,
        keys: &[&[u8]],
        argv: &[&[u8]],
        host: &mut dyn Host,
        overseer: &Arc<dyn Overseer>,
    ) -> Result<Answer, ScriptError> {
        let runner = self.run_function.clone();
        self.hosted(&runner, &function.callback, keys, argv, host, overseer)
    }

    /// Runs the code of a library, which registers functions.
    ///
    /// # Errors
    /// It does not compile, raised an error, or met a limit.
    pub fn load_library(
        &mut self,
        code: &[u8],
        log: &mut dyn FnMut(u8, &str),
        overseer: &Arc<dyn Overseer>,
    ) -> Result<Vec<Registered>, ScriptError> {
        let chunk = self.chunk(code, "@user_function")?;
        self.prepare(overseer);
        let log = RefCell::new(log);
        let outcome = self.lua.scope(|scope| {
            let log = scope.create_function(|_, (severity, text): (f64, mlua::LuaString)| {
                (log.borrow_mut())(severity as u8, &text.to_string_lossy());
                Ok(())
            })?;
            self.slot.raw_set("log", log)?;
            self.run_library.call::<(bool, Value)>(chunk)
        });
        match self.finished(outcome)? {
            Value::Table(functions) => registered(&functions).map_err(|error| self.gave_up(error)),
            _ => Ok(Vec::new()),
        }
    }

    fn hosted(
        &mut self,
        runner: &Function,
        function: &Function,
        keys: &[&[u8]],
        argv: &[&[u8]],
        host: &mut dyn Host,
        overseer: &Arc<dyn Overseer>,
    ) -> Result<Answer, ScriptError> {
        self.collect();
        self.prepare(overseer);
        let host = RefCell::new(host);
        let (lua, slot, timer) = (&self.lua, &self.slot, &self.timer);
        let outcome = lua.scope(|scope| {
            // One function for everything: making one costs more than a short script.
            let ask = scope.create_function(|lua, mut args: MultiValue| {
                let request = args.pop_front();
                let host = &mut **host.borrow_mut();
                match request.as_ref().and_then(Value::as_i64) {
                    Some(Request::CALL | Request::CALL_LIST) if timer.is_over() => {
                        Err(time_over(lua)?)
                    }
                    Some(Request::CALL) => invoke(lua, slot, &args, host),
                    Some(Request::CALL_LIST) => {
                        let (list, count) = <(Table, usize)>::from_lua_multi(args, lua)?;
                        let args = (1..=count).map(|index| list.raw_get(index));
                        let args = args.collect::<mlua::Result<MultiValue>>()?;
                        invoke(lua, slot, &args, host)
                    }
                    Some(Request::IS_COMMAND) => {
                        let name = args.front().and_then(Value::as_string);
                        let known = name.is_some_and(|name| host.is_command(&name.as_bytes()));
                        Ok((known, Value::Nil))
                    }
                    _ => {
                        let (severity, text) = <(f64, mlua::LuaString)>::from_lua_multi(args, lua)?;
                        host.log(severity as u8, &text.to_string_lossy());
                        Ok((true, Value::Nil))
                    }
                }
            })?;
            slot.raw_set("host", ask)?;
            let (keys, argv) = (list(lua, keys)?, list(lua, argv)?);
            runner.call::<(bool, Value)>((function, keys, argv))
        });
        let version = match self.slot.raw_get("version") {
            Ok(Value::Integer(3)) => Version::Three,
            _ => Version::Two,
        };
        let value = self.finished(outcome)?;
        let answer = from_lua(&value, version, &self.timer);
        let late = self.timer.is_over();
        self.timer.stop();
        if late {
            self.spoiled = true;
            return Err(ScriptError::Time);
        }
        answer.map_err(|error| self.gave_up(error))
    }

    fn prepare(&mut self, overseer: &Arc<dyn Overseer>) {
        self.json.reset();
        self.clear_slot();
        self.timer.start(overseer);
    }

    fn clear_slot(&self) {
        // Taking fields away needs no memory, so it does not fail.
        let _ = self.slot.clear();
    }

    /// What the prelude says of a script that has ended.
    fn finished(&mut self, outcome: mlua::Result<(bool, Value)>) -> Result<Value, ScriptError> {
        let over = self.timer.is_over()
            || self
                .slot
                .raw_get::<Value>("over")
                .is_ok_and(|over| !over.is_nil());
        self.clear_slot();
        let outcome = outcome.map_err(|error| self.gave_up(error));
        match outcome {
            Ok((true, value)) => Ok(value),
            _ if over => {
                self.spoiled = true;
                Err(ScriptError::Time)
            }
            Ok((false, value)) => Err(self.raised(&value)),
            Err(error) => Err(error),
        }
    }

    fn raised(&mut self, value: &Value) -> ScriptError {
        let text = |value: Value| match value {
            Value::String(text) => Some(text.to_string_lossy()),
            Value::Integer(number) => Some(number.to_string()),
            _ => None,
        };
        match value {
            Value::Table(table) => {
                let field = |name| table.raw_get::<Value>(name).ok().and_then(text);
                ScriptError::Raised {
                    text: field("err").unwrap_or_else(|| "ERR unknown error".to_owned()),
                    place: field("source").zip(field("line")),
                }
            }
            Value::String(why) if &*why.as_bytes() == NO_MEMORY.as_bytes() => {
                self.gave_up(no_memory())
            }
            Value::Error(error) => self.gave_up((**error).clone()),
            other => ScriptError::Raised {
                text: format!(
                    "ERR {}",
                    text(other.clone()).unwrap_or_else(|| "error in error handling".to_owned())
                ),
                place: None,
            },
        }
    }

    /// What it means that Lua itself failed.
    fn gave_up(&mut self, error: mlua::Error) -> ScriptError {
        match error {
            mlua::Error::MemoryError(_) => {
                self.spoiled = true;
                ScriptError::Memory
            }
            mlua::Error::CallbackError { cause, .. } => self.gave_up((*cause).clone()),
            other => {
                self.spoiled = true;
                ScriptError::Raised {
                    text: format!("ERR {other}"),
                    place: None,
                }
            }
        }
    }

    /// Collects garbage when there is much of it: the limit counts it as used.
    fn collect(&mut self) {
        if self.lua.used_memory() > self.live_bytes + GARBAGE_BYTES_MAX {
            // It runs no finalizers of scripts: they can make none.
            let _ = self.lua.gc_collect();
            self.live_bytes = self.lua.used_memory();
        }
    }
}

/// What the prelude asks of the host, as the first argument of `slot.host`; anything else is a text for the log.
struct Request;

impl Request {
    /// Run a command with these arguments.
    const CALL: i64 = 0;
    /// The same, with a table of arguments and their number.
    const CALL_LIST: i64 = 1;
    /// Whether there is a command of this name.
    const IS_COMMAND: i64 = 2;
}

/// The name under which the slot is found where no handle may be kept.
const SLOT: &str = "isles.slot";

/// Notes that the time is over, so that nothing catches the error.
fn time_over(lua: &Lua) -> mlua::Result<mlua::Error> {
    let slot: Table = lua.named_registry_value(SLOT)?;
    slot.raw_set("over", TIME_OVER)?;
    Ok(mlua::Error::runtime(TIME_OVER))
}

const TIME_OVER: &str = "the script ran longer than its limit";

fn no_memory() -> mlua::Error {
    mlua::Error::MemoryError(NO_MEMORY.to_owned())
}

fn list(lua: &Lua, values: &[&[u8]]) -> mlua::Result<Table> {
    let table = lua.create_table_with_capacity(values.len(), 0)?;
    for (index, value) in values.iter().enumerate() {
        table.raw_set(index + 1, lua.create_string(value)?)?;
    }
    Ok(table)
}

/// Runs a command for a script: whether it failed, and its answer.
fn invoke(
    lua: &Lua,
    slot: &Table,
    args: &MultiValue,
    host: &mut dyn Host,
) -> mlua::Result<(bool, Value)> {
    let error = |text: &str| {
        to_lua(
            lua,
            &Answer::Error(format!("ERR {text}").into()),
            Version::Two,
        )
    };
    if args.is_empty() {
        return Ok((
            true,
            error("Please specify at least one argument for this redis lib call")?,
        ));
    }
    let mut bytes = Vec::new();
    let mut ends = Vec::with_capacity(args.len());
    for value in args {
        match value {
            Value::String(text) => bytes.extend_from_slice(&text.as_bytes()),
            Value::Integer(value) => bytes.extend_from_slice(value.to_string().as_bytes()),
            Value::Number(value) => bytes.extend_from_slice(number::argument(*value).as_bytes()),
            _ => {
                return Ok((
                    true,
                    error("Lua redis lib command arguments must be strings or integers")?,
                ));
            }
        }
        ends.push(bytes.len());
    }
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let args: Vec<&[u8]> = starts
        .zip(&ends)
        .map(|(start, end)| &bytes[start..*end])
        .collect();
    let version = match slot.raw_get("version")? {
        Value::Integer(3) => Version::Three,
        _ => Version::Two,
    };
    let mut out = Vec::new();
    host.call(&args, version, &mut out);
    let answer = Answer::decode(&out)
        .unwrap_or_else(|| Answer::Error(b"ERR the command gave no answer".to_vec()));
    Ok((
        matches!(answer, Answer::Error(_)),
        to_lua(lua, &answer, version)?,
    ))
}

fn registered(functions: &Table) -> mlua::Result<Vec<Registered>> {
    let mut all = Vec::new();
    for function in functions.sequence_values::<Table>() {
        let function = function?;
        let mut flags = Vec::new();
        for pair in function
            .raw_get::<Table>("flags")?
            .pairs::<Value, mlua::LuaString>()
        {
            flags.push(pair?.1.as_bytes().to_vec());
        }
        let text = |name| -> mlua::Result<Option<Vec<u8>>> {
            let text: Option<mlua::LuaString> = function.raw_get(name)?;
            Ok(text.map(|text| text.as_bytes().to_vec()))
        };
        all.push(Registered {
            name: text("name")?.unwrap_or_default(),
            flags,
            description: text("description")?,
            callback: function.raw_get("callback")?,
        });
    }
    Ok(all)
}

/// The functions that the prelude is given.
fn natives(lua: &Lua, timer: &Timer, json: &Json, version: &str) -> mlua::Result<Table> {
    let native = lua.create_table()?;
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
    let started = std::time::Instant::now();
    native.raw_set(
        "clock",
        lua.create_function(move |_, ()| Ok(started.elapsed().as_secs_f64()))?,
    )?;
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
            let is_script = source != PRELUDE && source != "=[C]" && source != "=(tail call)";
            Some((source, frame.current_line().unwrap_or(0))).filter(|_| is_script)
        })?;
        if place.is_some() {
            return place;
        }
    }
    None
}
