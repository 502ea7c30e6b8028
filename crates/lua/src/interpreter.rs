//! One Lua state in Redis's environment, and running scripts in it.

use std::sync::Arc;

use mlua::chunk::ChunkMode;
use mlua::{BString, Either, Function, HookTriggers, Lua, Table, Value, VmState};
use thiserror::Error;

use crate::answer::{Answer, Version};
use crate::convert::from_lua;
use crate::environment;
use crate::heap::Heap;
use crate::host::{self, Calls, Host};
use crate::json::Json;
use crate::limits::{
    INSTRUCTIONS_PER_LOOK, MEMORY_BYTES_MAX, Overseer, TIME_OVER, Timer, Unlimited,
};

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

impl ScriptError {
    /// The same at this line, where nothing else is known: a call in a tail position takes the place of the frame that would
    /// tell, but where all of a script or function is on one line there is no doubt.
    fn or_at(self, source: &str, line: Option<usize>) -> ScriptError {
        match (self, line) {
            (ScriptError::Raised { text, place: None }, Some(line)) => ScriptError::Raised {
                text,
                place: Some((source.to_owned(), line.to_string())),
            },
            (error, _) => error,
        }
    }
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
pub struct Script {
    main: Function,
    /// Whether all of it is on one line.
    is_line: bool,
}

/// The chunk names of scripts and of libraries.
const SCRIPT: &str = "@user_script";
const LIBRARY: &str = "@user_function";

/// One Lua state. What scripts leave in it is nothing but garbage.
///
/// After [`ScriptError::Time`] and [`ScriptError::Memory`] the state should be dropped: see
/// [`is_spoiled`](Interpreter::is_spoiled).
#[derive(Debug)]
pub struct Interpreter {
    lua: Lua,
    run_script: Function,
    run_function: Function,
    run_library: Function,
    timer: Timer,
    calls: Arc<Calls>,
    json: Json,
    heap: Arc<Heap>,
    spoiled: bool,
}

/// The text of Lua's error when it gets no memory.
const NO_MEMORY: &str = "not enough memory";

/// How the prelude says that a script has ended: whether well, and its value. A text comes by itself.
type Ended = (bool, Value, Option<BString>);

/// A script's value, or what it raised.
enum Output {
    Text(BString),
    Other(Value),
}

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
        let (timer, json, calls) = (Timer::new(), Json::default(), Arc::default());
        let (lua, runners) = environment::new(version, &timer, &json, &calls)?;
        let (clock, heap) = (timer.clone(), Arc::new(Heap::default()));
        let look = HookTriggers::new().every_nth_instruction(INSTRUCTIONS_PER_LOOK);
        let watched = Arc::clone(&heap);
        lua.set_global_hook(look, move |lua, _| {
            watched.look(lua);
            match clock.is_over() {
                false => Ok(VmState::Continue),
                true => Err(mlua::Error::runtime(TIME_OVER)),
            }
        })?;
        lua.set_memory_limit(MEMORY_BYTES_MAX)?;
        heap.collect(&lua);
        Ok(Interpreter {
            run_script: runners.raw_get("script")?,
            run_function: runners.raw_get("call")?,
            run_library: runners.raw_get("load")?,
            lua,
            timer,
            calls,
            json,
            heap,
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
        let main = self.chunk(text, SCRIPT)?;
        let is_line = !text.trim_ascii_end().contains(&b'\n');
        Ok(Script { main, is_line })
    }

    fn chunk(&mut self, text: &[u8], name: &str) -> Result<Function, ScriptError> {
        self.heap.begin(&self.lua);
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
        let outcome = self.hosted(Runner::Script, &script.main, keys, argv, host, overseer);
        outcome.map_err(|error| error.or_at(SCRIPT, script.is_line.then_some(1)))
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
        let runner = Runner::Function;
        let outcome = self.hosted(runner, &function.callback, keys, argv, host, overseer);
        outcome.map_err(|error| {
            let info = function.callback.info();
            let line = info.line_defined;
            error.or_at(LIBRARY, line.filter(|_| line == info.last_line_defined))
        })
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
        let chunk = self.chunk(code, LIBRARY)?;
        self.begin(Runner::Library, overseer);
        let outcome = host::with(&mut OnlyLog(log), || self.run_library.call::<Ended>(chunk));
        match self.finished(outcome)? {
            Output::Other(Value::Table(functions)) => {
                registered(&functions).map_err(|error| self.gave_up(error))
            }
            _ => Ok(Vec::new()),
        }
    }

    fn hosted(
        &mut self,
        runner: Runner,
        function: &Function,
        keys: &[&[u8]],
        argv: &[&[u8]],
        host: &mut dyn Host,
        overseer: &Arc<dyn Overseer>,
    ) -> Result<Answer, ScriptError> {
        self.heap.begin(&self.lua);
        self.begin(runner, overseer);
        let outcome = self.start(runner, function, keys, argv, host);
        let output = self.finished(outcome)?;
        let answer = match output {
            Output::Text(text) => Ok(Answer::Bulk(text.into())),
            Output::Other(value) => {
                let _unlimited = Unlimited::enter(&self.lua, 0);
                from_lua(&value, self.calls.version(), &self.timer)
            }
        };
        let late = self.timer.is_over();
        self.timer.stop();
        if late {
            self.spoiled = true;
            return Err(ScriptError::Time);
        }
        answer.map_err(|error| self.gave_up(error))
    }

    fn start(
        &self,
        runner: Runner,
        function: &Function,
        keys: &[&[u8]],
        argv: &[&[u8]],
        host: &mut dyn Host,
    ) -> mlua::Result<Ended> {
        let bytes = keys.iter().chain(argv).map(|text| text.len()).sum();
        let unlimited = Unlimited::enter(&self.lua, bytes);
        let (keys, argv) = (list(&self.lua, keys)?, list(&self.lua, argv)?);
        drop(unlimited);
        let runner = match runner {
            Runner::Script => &self.run_script,
            _ => &self.run_function,
        };
        host::with(host, || runner.call((function, keys, argv)))
    }

    fn begin(&mut self, runner: Runner, overseer: &Arc<dyn Overseer>) {
        self.json.reset();
        self.calls.begin(runner != Runner::Library);
        self.timer.start(overseer);
    }

    /// What the prelude says of a script that has ended.
    fn finished(&mut self, outcome: mlua::Result<Ended>) -> Result<Output, ScriptError> {
        let (well, output) = match outcome {
            Ok((well, _, Some(text))) => (well, Output::Text(text)),
            Ok((well, value, None)) => (well, Output::Other(value)),
            Err(_) if self.timer.is_over() => return Err(self.ran_out()),
            Err(error) => return Err(self.gave_up(error)),
        };
        match well {
            true => Ok(output),
            false if self.timer.is_over() => Err(self.ran_out()),
            false => Err(self.raised(output)),
        }
    }

    fn ran_out(&mut self) -> ScriptError {
        self.spoiled = true;
        ScriptError::Time
    }

    fn raised(&mut self, raised: Output) -> ScriptError {
        let value = match raised {
            Output::Text(text) if text == NO_MEMORY => return self.gave_up(no_memory()),
            Output::Text(text) => {
                return ScriptError::Raised {
                    text: format!("ERR {text}"),
                    place: None,
                };
            }
            Output::Other(value) => value,
        };
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
            Value::Error(error) => self.gave_up(*error),
            other => ScriptError::Raised {
                text: format!(
                    "ERR {}",
                    text(other).unwrap_or_else(|| "error in error handling".to_owned())
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

    /// Collects all garbage, unless there is so much of it that this would take long.
    ///
    /// Takes about 0.1 ms where scripts keep nothing, and a few milliseconds at most.
    pub fn collect(&mut self) {
        if self.heap.is_small(&self.lua) {
            self.heap.collect(&self.lua);
        }
    }
}

/// What is run, and so how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Runner {
    Script,
    Function,
    Library,
}

/// Whom a library asks while it is loaded: it may only log.
struct OnlyLog<'l>(&'l mut dyn FnMut(u8, &str));

impl Host for OnlyLog<'_> {
    fn call(&mut self, _: &[&[u8]], _: Version) -> &[u8] {
        b"-ERR no command can be called while a library is loaded\r\n"
    }

    fn is_command(&self, _: &[u8]) -> bool {
        false
    }

    fn log(&mut self, severity: u8, text: &str) {
        (self.0)(severity, text);
    }
}

fn no_memory() -> mlua::Error {
    mlua::Error::MemoryError(NO_MEMORY.to_owned())
}

/// The texts of a script, as its table `KEYS` or `ARGV`.
fn list(lua: &Lua, texts: &[&[u8]]) -> mlua::Result<Table> {
    let mut failed = None;
    let table = lua.create_sequence_from(texts.iter().map(|text| {
        // What is UTF-8 need not become an object on its way into the table.
        std::str::from_utf8(text).map_or_else(
            |_| match lua.create_string(text) {
                Ok(text) => Either::Right(text),
                Err(error) => {
                    failed = Some(error);
                    Either::Left("")
                }
            },
            Either::Left,
        )
    }))?;
    failed.map_or(Ok(table), Err)
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
