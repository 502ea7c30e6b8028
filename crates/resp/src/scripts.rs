//! What EVAL and FCALL run: the cache of scripts, the libraries' functions, and how both call commands.
//!
//! Scripts run under the replica's lock on the transaction of the command that started them, so they see no other
//! client's writes in between and their effects are one entry. Effects are replicated, not scripts: a script need not be
//! deterministic.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use isles_lua::{Interpreter, Overseer, Registered, Script, ScriptError, sha1_hex};
use isles_replica::Txn;
use tracing::warn;

use crate::busy::{Kind, Running};
use crate::call::Call;
use crate::commands::REDIS_VERSION;
use crate::error::{Failure, Outcome};
use crate::hosted::{hosted, log};
use crate::spec::Spec;

/// Scripts in the cache; the one not used for longest goes first.
pub(crate) const CACHED_SCRIPTS_MAX: usize = 4096;
/// Bytes of their texts.
pub(crate) const CACHED_BYTES_MAX: usize = 16 << 20;
/// How long the code of a library may run when it is loaded, as in Redis.
const LOAD_TIME: Duration = Duration::from_millis(500);

/// Everything about scripts that connections share.
#[derive(Debug)]
pub(crate) struct Scripting {
    scripts: Mutex<Scripts>,
    functions: Mutex<Functions>,
    pub(crate) figures: Arc<Figures>,
    /// The script that runs.
    pub(crate) running: Arc<Running>,
}

/// Numbers for those who are asked while a script runs, and so cannot look: INFO from a script, FUNCTION STATS beside one.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) scripts: AtomicUsize,
    /// Bytes of their texts.
    pub(crate) script_bytes: AtomicUsize,
    /// Bytes that their interpreter uses.
    pub(crate) script_lua_bytes: AtomicUsize,
    pub(crate) libraries: AtomicUsize,
    pub(crate) functions: AtomicUsize,
    /// Bytes of the libraries' texts.
    pub(crate) library_bytes: AtomicUsize,
    /// Bytes that their interpreter uses.
    pub(crate) library_lua_bytes: AtomicUsize,
}

impl Default for Scripting {
    fn default() -> Scripting {
        let figures = Arc::new(Figures::default());
        Scripting {
            scripts: Mutex::new(Scripts::new(Arc::clone(&figures))),
            functions: Mutex::new(Functions::new(Arc::clone(&figures))),
            figures,
            running: Arc::default(),
        }
    }
}

impl Scripting {
    pub(crate) fn scripts(&self) -> MutexGuard<'_, Scripts> {
        // A panic elsewhere drops the interpreter at worst.
        self.scripts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn functions(&self) -> MutexGuard<'_, Functions> {
        self.functions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the figures up to date, unless it is a script or a function that asks: then those of its kind are. What of the
    /// memory is only waiting to be collected is collected first.
    pub(crate) fn refresh(&self, txn: &mut Txn<'_>) {
        if let Ok(mut scripts) = self.scripts.try_lock() {
            scripts.collect();
        }
        if let Ok(mut functions) = self.functions.try_lock()
            && (txn.libraries().next().is_some() || functions.version.is_some())
        {
            functions.follow(txn);
            functions.collect();
        }
    }

    /// Whether a command that may write does so, as far as its script says that it does not.
    pub(crate) fn may_write(&self, spec: &Spec, args: &[&[u8]]) -> bool {
        self.access(spec, args) != Some(Access::Read) && spec.writes(args)
    }

    /// Whether a command that may write must be taken for one that does. A script that does not say what it is shows that by what
    /// it calls.
    pub(crate) fn is_write(&self, spec: &Spec, args: &[&[u8]]) -> bool {
        match spec.name {
            "eval" | "evalsha" | "fcall" => self.access(spec, args) == Some(Access::Write),
            _ => spec.writes(args),
        }
    }

    fn access(&self, spec: &Spec, args: &[&[u8]]) -> Option<Access> {
        let name = args.get(1).copied().unwrap_or_default();
        match spec.name {
            "eval" => script_head(name).ok().map(|(_, access)| access),
            "evalsha" => self.scripts().access(name),
            "fcall" => self.functions().access(name),
            _ => None,
        }
    }
}

/// What a script may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anything: its first line does not say what it does.
    Any,
    /// It says that it writes.
    Write,
    Read,
}

/// The scripts that EVALSHA finds.
#[derive(Debug)]
pub(crate) struct Scripts {
    interpreter: Option<Interpreter>,
    cache: HashMap<Arc<str>, Cached>,
    /// The digests of the texts in the cache: EVAL finds its script without computing one.
    digests: HashMap<Arc<[u8]>, Arc<str>>,
    bytes: usize,
    /// Uses so far.
    clock: u64,
    figures: Arc<Figures>,
}

#[derive(Debug)]
struct Cached {
    text: Arc<[u8]>,
    access: Access,
    /// Compiled by the present interpreter.
    script: Option<Script>,
    used: u64,
}

impl Scripts {
    fn new(figures: Arc<Figures>) -> Scripts {
        Scripts {
            interpreter: None,
            cache: HashMap::new(),
            digests: HashMap::new(),
            bytes: 0,
            clock: 0,
            figures,
        }
    }

    /// The digest of a script in the cache, which is given in any case.
    pub(crate) fn find(&self, digest: &[u8]) -> Option<Arc<str>> {
        let digest = std::str::from_utf8(digest).ok()?;
        let known = self.cache.get_key_value(digest).or_else(|| {
            let lower = digest.to_ascii_lowercase();
            self.cache.get_key_value(&*lower)
        });
        known.map(|(digest, _)| Arc::clone(digest))
    }

    fn access(&self, digest: &[u8]) -> Option<Access> {
        self.cache
            .get(&self.find(digest)?)
            .map(|cached| cached.access)
    }

    /// Forgets every script.
    pub(crate) fn flush(&mut self) {
        *self = Scripts::new(Arc::clone(&self.figures));
        self.note();
    }

    fn collect(&mut self) {
        self.interpreter.iter_mut().for_each(Interpreter::collect);
        self.note();
    }

    /// Says how much there is now.
    fn note(&self) {
        let used = memory_bytes(&self.interpreter);
        let figures = &self.figures;
        figures.scripts.store(self.cache.len(), Ordering::Relaxed);
        figures.script_bytes.store(self.bytes, Ordering::Relaxed);
        figures.script_lua_bytes.store(used, Ordering::Relaxed);
    }

    /// Compiles a script, keeps it, and returns its digest.
    pub(crate) fn load(&mut self, text: &[u8]) -> Result<Arc<str>, Failure> {
        if let Some(digest) = self.digests.get(text) {
            return Ok(Arc::clone(digest));
        }
        let (code, access) = script_head(text)?;
        let script = self.interpreter().compile(code).map_err(|error| {
            Failure::other(format!(
                "ERR Error compiling script (new function): {error}"
            ))
        })?;
        self.make_room(text.len());
        self.bytes += text.len();
        self.clock += 1;
        let digest: Arc<str> = sha1_hex(text).into();
        let text: Arc<[u8]> = text.into();
        self.digests.insert(Arc::clone(&text), Arc::clone(&digest));
        let cached = Cached {
            text,
            access,
            script: Some(script),
            used: self.clock,
        };
        self.cache.insert(Arc::clone(&digest), cached);
        self.note();
        Ok(digest)
    }

    fn make_room(&mut self, bytes: usize) {
        while self.cache.len() >= CACHED_SCRIPTS_MAX
            || (self.bytes + bytes > CACHED_BYTES_MAX && !self.cache.is_empty())
        {
            let oldest = self.cache.iter().min_by_key(|(_, cached)| cached.used);
            let Some(oldest) = oldest.map(|(digest, _)| Arc::clone(digest)) else {
                return;
            };
            if let Some(cached) = self.cache.remove(&oldest) {
                self.digests.remove(&cached.text);
                self.bytes -= cached.text.len();
            }
        }
    }

    fn interpreter(&mut self) -> &mut Interpreter {
        if self
            .interpreter
            .as_ref()
            .is_none_or(Interpreter::is_spoiled)
        {
            self.cache
                .values_mut()
                .for_each(|cached| cached.script = None);
            self.interpreter = Some(Interpreter::new(REDIS_VERSION));
        }
        self.interpreter.as_mut().expect("one was just made")
    }

    /// Runs a script of the cache; none if it is not there.
    pub(crate) fn run(
        &mut self,
        digest: &str,
        keys: &[&[u8]],
        argv: &[&[u8]],
        asked: Access,
        call: &mut Call<'_, '_>,
    ) -> Option<Outcome> {
        self.interpreter();
        self.clock += 1;
        let cached = self.cache.get_mut(digest)?;
        cached.used = self.clock;
        let interpreter = self.interpreter.as_mut().expect("one was made above");
        let script = match &cached.script {
            Some(script) => script,
            None => {
                let (code, _) = script_head(&cached.text).unwrap_or((&cached.text, Access::Any));
                match interpreter.compile(code) {
                    Ok(script) => cached.script.insert(script),
                    Err(error) => return Some(Err(Failure::other(format!("ERR {error}")))),
                }
            }
        };
        let access = if asked == Access::Read {
            Access::Read
        } else {
            cached.access
        };
        let outcome = hosted(call, Kind::Script, access, digest, |host, overseer| {
            interpreter.run(script, keys, argv, host, overseer)
        });
        self.note();
        Some(outcome)
    }
}

fn memory_bytes(interpreter: &Option<Interpreter>) -> usize {
    interpreter.as_ref().map_or(0, Interpreter::memory_bytes)
}

/// The code of a script and what its first line allows it.
fn script_head(text: &[u8]) -> Result<(&[u8], Access), Failure> {
    let invalid = |_| Failure::other("ERR Invalid script shebang");
    let Some(shebang) = isles_lua::Shebang::of(text).map_err(invalid)? else {
        return Ok((text, Access::Any));
    };
    if shebang.engine != b"lua" {
        let engine = String::from_utf8_lossy(&shebang.engine).into_owned();
        return Err(Failure::other(format!(
            "ERR Unexpected engine in script shebang: #!{engine}"
        )));
    }
    let mut access = Access::Write;
    for option in &shebang.options {
        let Some(flags) = option.strip_prefix(b"flags=") else {
            let option = String::from_utf8_lossy(option).into_owned();
            return Err(Failure::other(format!(
                "ERR Unknown lua shebang option: {option}"
            )));
        };
        for flag in flags.split(|byte| *byte == b',') {
            match flag {
                b"no-writes" => access = Access::Read,
                flag if is_flag(flag) => {}
                flag => {
                    let flag = String::from_utf8_lossy(flag).into_owned();
                    return Err(Failure::other(format!(
                        "ERR Unexpected flag in script shebang: {flag}"
                    )));
                }
            }
        }
    }
    Ok((shebang.code, access))
}

/// Redis's flags of scripts and functions. Only the first means something here.
pub(crate) fn is_flag(flag: &[u8]) -> bool {
    matches!(
        flag,
        b"no-writes" | b"allow-oom" | b"allow-stale" | b"no-cluster" | b"allow-cross-slot-keys"
    )
}

/// The functions of all libraries, as this node's interpreter knows them.
#[derive(Debug)]
pub(crate) struct Functions {
    interpreter: Option<Interpreter>,
    /// What the replica called this state of the libraries.
    version: Option<u64>,
    libraries: Libraries,
    figures: Arc<Figures>,
}

fn access_of(function: &Registered) -> Access {
    match function.flags.iter().any(|flag| flag == b"no-writes") {
        true => Access::Read,
        false => Access::Write,
    }
}

/// A library that has been run.
#[derive(Debug)]
pub(crate) struct Library {
    pub(crate) code: Arc<[u8]>,
    pub(crate) functions: Vec<Registered>,
}

type Libraries = BTreeMap<Vec<u8>, Library>;

fn find<'l>(libraries: &'l Libraries, name: &[u8]) -> Option<(&'l [u8], &'l Registered)> {
    libraries.iter().find_map(|(library, known)| {
        let mut functions = known.functions.iter();
        let function = functions.find(|function| function.name.eq_ignore_ascii_case(name));
        function.map(|function| (&**library, function))
    })
}

impl Functions {
    fn new(figures: Arc<Figures>) -> Functions {
        Functions {
            interpreter: None,
            version: None,
            libraries: BTreeMap::new(),
            figures,
        }
    }

    fn collect(&mut self) {
        self.interpreter.iter_mut().for_each(Interpreter::collect);
        self.note();
    }

    /// Says how much there is now.
    fn note(&self) {
        let used = memory_bytes(&self.interpreter);
        let libraries = self.libraries.values();
        let (functions, bytes) = libraries.fold((0, 0), |(functions, bytes), library| {
            (
                functions + library.functions.len(),
                bytes + library.code.len(),
            )
        });
        let figures = &self.figures;
        figures
            .libraries
            .store(self.libraries.len(), Ordering::Relaxed);
        figures.functions.store(functions, Ordering::Relaxed);
        figures.library_bytes.store(bytes, Ordering::Relaxed);
        figures.library_lua_bytes.store(used, Ordering::Relaxed);
    }

    /// Makes this what the transaction sees.
    ///
    /// A library that another region loaded is run here for the first time. Should it fail here, it has no functions.
    pub(crate) fn follow(&mut self, txn: &mut Txn<'_>) {
        let version = txn.libraries_version();
        let spoiled = self
            .interpreter
            .as_ref()
            .is_none_or(Interpreter::is_spoiled);
        if self.version == Some(version) && !spoiled {
            return;
        }
        if spoiled {
            self.libraries.clear();
            self.interpreter = Some(Interpreter::new(REDIS_VERSION));
        }
        let wanted: BTreeMap<Vec<u8>, Arc<[u8]>> = txn
            .libraries()
            .map(|(name, code)| (name.to_vec(), Arc::clone(code)))
            .collect();
        self.libraries
            .retain(|name, library| wanted.get(name).is_some_and(|code| *code == library.code));
        for (name, code) in wanted {
            if self.libraries.contains_key(&name) {
                continue;
            }
            let functions = self.run_library(&code).unwrap_or_else(|failure| {
                let name = String::from_utf8_lossy(&name).into_owned();
                warn!(library = name, %failure, "a library of another region does not load here");
                Vec::new()
            });
            self.libraries.insert(name, Library { code, functions });
        }
        self.version = Some(version);
        self.note();
    }

    /// Runs a library's code, whose first line has been checked, and returns what it registers.
    pub(crate) fn run_library(&mut self, code: &[u8]) -> Result<Vec<Registered>, Failure> {
        let interpreter = match &mut self.interpreter {
            Some(interpreter) if !interpreter.is_spoiled() => interpreter,
            place => {
                self.version = None;
                place.insert(Interpreter::new(REDIS_VERSION))
            }
        };
        let body = match isles_lua::Shebang::of(code) {
            Ok(Some(shebang)) => shebang.code,
            _ => code,
        };
        let limit: Arc<dyn Overseer> = Arc::new(LOAD_TIME);
        interpreter
            .load_library(body, &mut log, &limit)
            .map_err(|error| match error {
                ScriptError::Syntax(text) => {
                    Failure::other(format!("ERR Error compiling function: {text}"))
                }
                ScriptError::Time => {
                    Failure::other("ERR Error registering functions: ERR FUNCTION LOAD timeout")
                }
                other => Failure::other(format!("ERR Error registering functions: {other}")),
            })
    }

    pub(crate) fn libraries(&self) -> &Libraries {
        &self.libraries
    }

    /// The function of this name, in any case. Should two regions have given one name to two, it is that of the first library by name.
    pub(crate) fn find(&self, name: &[u8]) -> Option<(&[u8], &Registered)> {
        find(&self.libraries, name)
    }

    /// What the function of this name may do.
    fn access(&self, name: &[u8]) -> Option<Access> {
        self.find(name).map(|(_, function)| access_of(function))
    }

    /// Calls a function; none if there is none of this name.
    pub(crate) fn call(
        &mut self,
        name: &[u8],
        keys: &[&[u8]],
        argv: &[&[u8]],
        asked: Access,
        call: &mut Call<'_, '_>,
    ) -> Option<Outcome> {
        let (_, function) = find(&self.libraries, name)?;
        let access = access_of(function);
        if asked == Access::Read && access != Access::Read {
            return Some(Err(Failure::other(
                "ERR Can not execute a script with write flag using *_ro command.",
            )));
        }
        let interpreter = self.interpreter.as_mut()?;
        let shown = String::from_utf8_lossy(name).into_owned();
        let outcome = hosted(call, Kind::Function, access, &shown, |host, overseer| {
            interpreter.call(function, keys, argv, host, overseer)
        });
        self.figures
            .library_lua_bytes
            .store(memory_bytes(&self.interpreter), Ordering::Relaxed);
        Some(outcome)
    }
}
