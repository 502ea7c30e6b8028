//! What EVAL and FCALL run: the cache of scripts, the libraries' functions, and how both call commands.
//!
//! Scripts run under the replica's lock on the transaction of the command that started them, so they see no other
//! client's writes in between and their effects are one entry. Effects are replicated, not scripts: a script need not be
//! deterministic.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use isles_lua::{Answer, Host, Interpreter, Registered, Script, ScriptError, Version, sha1_hex};
use isles_replica::Txn;
use tracing::{debug, info, trace, warn};

use crate::call::Call;
use crate::commands::{REDIS_VERSION, stream_blocks};
use crate::error::{Failure, Outcome};
use crate::execute::check_here;
use crate::reply::{Protocol, Reply};
use crate::settings::Settings;
use crate::spec::{Flags, Run, Spec};
use crate::table;
use crate::transaction::within;
use crate::{unsupported, watch};

/// Scripts in the cache; the one not used for longest goes first.
pub(crate) const CACHED_SCRIPTS_MAX: usize = 4096;
/// Bytes of their texts.
pub(crate) const CACHED_BYTES_MAX: usize = 16 << 20;
/// What `lua-time-limit` can be set to at most, and what zero means. The replica is held while a script runs.
const TIME_LIMIT_MS_MAX: u64 = 60_000;
/// How long the code of a library may run when it is loaded, as in Redis.
const LOAD_TIME: Duration = Duration::from_millis(500);

/// Everything about scripts that connections share.
#[derive(Debug)]
pub(crate) struct Scripting {
    scripts: Mutex<Scripts>,
    /// Number of cached scripts, for those who are asked by a script and so cannot look.
    cached: Arc<AtomicUsize>,
    functions: Mutex<Functions>,
}

impl Default for Scripting {
    fn default() -> Scripting {
        let scripts = Scripts::default();
        Scripting {
            cached: Arc::clone(&scripts.len),
            scripts: Mutex::new(scripts),
            functions: Mutex::default(),
        }
    }
}

impl Scripting {
    /// Number of scripts that EVALSHA finds.
    pub(crate) fn cached(&self) -> usize {
        self.cached.load(Ordering::Relaxed)
    }

    pub(crate) fn scripts(&self) -> MutexGuard<'_, Scripts> {
        // A panic elsewhere drops the interpreter at worst.
        self.scripts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn functions(&self) -> MutexGuard<'_, Functions> {
        self.functions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a command that may write does so, as far as its script says that it does not.
    pub(crate) fn may_write(&self, spec: &Spec, args: &[&[u8]]) -> bool {
        let name = args.get(1).copied().unwrap_or_default();
        let access = match spec.name {
            "eval" => script_head(name).ok().map(|(_, access)| access),
            "evalsha" => self.scripts().access(name),
            "fcall" => self.functions().access(name),
            _ => None,
        };
        access != Some(Access::Read)
    }
}

/// What a script may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Write,
    Read,
}

/// The scripts that EVALSHA finds.
#[derive(Debug, Default)]
pub(crate) struct Scripts {
    interpreter: Option<Interpreter>,
    cache: HashMap<String, Cached>,
    bytes: usize,
    /// Number of scripts.
    len: Arc<AtomicUsize>,
    /// Uses so far.
    clock: u64,
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
    pub(crate) fn contains(&self, digest: &str) -> bool {
        self.cache.contains_key(digest)
    }

    fn access(&self, digest: &[u8]) -> Option<Access> {
        let digest = String::from_utf8_lossy(digest).to_ascii_lowercase();
        self.cache.get(&digest).map(|cached| cached.access)
    }

    /// Forgets every script.
    pub(crate) fn flush(&mut self) {
        self.len.store(0, Ordering::Relaxed);
        *self = Scripts {
            len: Arc::clone(&self.len),
            ..Scripts::default()
        };
    }

    /// Compiles a script, keeps it, and returns its digest.
    pub(crate) fn load(&mut self, text: &[u8]) -> Result<String, Failure> {
        let digest = sha1_hex(text);
        if self.cache.contains_key(&digest) {
            return Ok(digest);
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
        let cached = Cached {
            text: text.into(),
            access,
            script: Some(script),
            used: self.clock,
        };
        self.cache.insert(digest.clone(), cached);
        self.len.store(self.cache.len(), Ordering::Relaxed);
        Ok(digest)
    }

    fn make_room(&mut self, bytes: usize) {
        while self.cache.len() >= CACHED_SCRIPTS_MAX
            || (self.bytes + bytes > CACHED_BYTES_MAX && !self.cache.is_empty())
        {
            let oldest = self.cache.iter().min_by_key(|(_, cached)| cached.used);
            let Some(oldest) = oldest.map(|(digest, _)| digest.clone()) else {
                return;
            };
            if let Some(cached) = self.cache.remove(&oldest) {
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
            Some(script) => script.clone(),
            None => {
                let (code, _) = script_head(&cached.text).unwrap_or((&cached.text, Access::Write));
                match interpreter.compile(code) {
                    Ok(script) => cached.script.insert(script).clone(),
                    Err(error) => return Some(Err(Failure::other(format!("ERR {error}")))),
                }
            }
        };
        let access = if asked == Access::Read {
            Access::Read
        } else {
            cached.access
        };
        Some(hosted(call, access, digest, |host, limit| {
            interpreter.run(&script, keys, argv, host, limit)
        }))
    }
}

/// The code of a script and what its first line allows it.
fn script_head(text: &[u8]) -> Result<(&[u8], Access), Failure> {
    let invalid = |_| Failure::other("ERR Invalid script shebang");
    let Some(shebang) = isles_lua::Shebang::of(text).map_err(invalid)? else {
        return Ok((text, Access::Write));
    };
    if shebang.engine != b"lua" {
        let engine = String::from_utf8_lossy(&shebang.engine).into_owned();
        return Err(Failure::other(format!(
            "ERR Unexpected engine in script shebang: {engine}"
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

/// Runs a script on a command's transaction and writes its answer.
fn hosted(
    call: &mut Call<'_, '_>,
    access: Access,
    name: &str,
    run: impl FnOnce(&mut dyn Host, Duration) -> Result<Answer, ScriptError>,
) -> Outcome {
    let limit_ms = time_limit_ms(&call.surroundings.server.settings);
    let savepoint = call.txn.savepoint();
    let told = call.session.changes.len();
    let mut caller = Caller {
        call: &mut *call,
        access,
        reply: Reply::default(),
        has_read: false,
    };
    let outcome = run(&mut caller, Duration::from_millis(limit_ms));
    if caller.has_read {
        watch::note_keys(call.session, call.args);
    }
    match outcome {
        Ok(answer) => {
            call.txn.release(savepoint);
            write(call.reply, &answer);
            Ok(())
        }
        Err(ScriptError::Raised { text, place }) => {
            // What it had written stays, as in Redis.
            call.txn.release(savepoint);
            let place = place.map_or_else(String::new, |(source, line)| {
                format!(" script: {name}, on {source}:{line}.")
            });
            Err(Failure::other(text + &place))
        }
        Err(ScriptError::Time) => {
            call.txn.roll_back(savepoint);
            call.session.changes.truncate(told);
            warn!(
                script = name,
                limit_ms, "ended a script that ran too long, and undid it"
            );
            Err(Failure::other(format!(
                "ERR the script ran longer than lua-time-limit ({limit_ms} ms) and was ended; nothing of it was done"
            )))
        }
        Err(error) => {
            call.txn.roll_back(savepoint);
            call.session.changes.truncate(told);
            warn!(script = name, %error, "ended a script, and undid it");
            Err(Failure::other(format!(
                "ERR {error}; nothing of it was done"
            )))
        }
    }
}

/// How long a script may run.
pub(crate) fn time_limit_ms(settings: &Settings) -> u64 {
    match settings.number("lua-time-limit") {
        Some(limit @ 1..=TIME_LIMIT_MS_MAX) => limit,
        _ => TIME_LIMIT_MS_MAX,
    }
}

/// Runs a script's commands on the transaction of the command that started the script.
struct Caller<'a, 'c, 'r> {
    call: &'a mut Call<'c, 'r>,
    access: Access,
    reply: Reply,
    /// A command that reads was among them.
    has_read: bool,
}

impl Caller<'_, '_, '_> {
    fn run(&mut self, args: &[&[u8]]) -> Outcome {
        let command = table::find(args[0]).ok_or_else(|| match unsupported::find(args[0]) {
            Some(known) => Failure::other(format!(
                "{NOT_ALLOWED}: it is not supported by Isles: {}",
                known.reason
            )),
            None => Failure::other("ERR Unknown Redis command called from script"),
        })?;
        let spec = command.spec();
        if spec.flags.has(Flags::NO_SCRIPT) {
            return Err(not_allowed());
        }
        spec.check(args).map_err(|failure| match failure {
            Failure::Arity(_) => {
                Failure::other("ERR Wrong number of args calling Redis command from script")
            }
            other => other,
        })?;
        let Run::Data(run) = spec.run else {
            return Err(not_allowed());
        };
        let reaches_others = spec.flags.has(Flags::WRITE) || spec.flags.has(Flags::MAY_REPLICATE);
        if self.access == Access::Read && reaches_others {
            return Err(Failure::other(
                "ERR Write commands are not allowed from read-only scripts.",
            ));
        }
        if stream_blocks(args) {
            return Err(Failure::other(format!(
                "ERR {} command is not allowed with BLOCK option from scripts",
                spec.name
            )));
        }
        check_here(spec, args, self.call.surroundings)?;
        self.call.session.counts[spec.family as usize] += 1;
        self.has_read |= spec.flags.has(Flags::READ);
        let mut inner = Call {
            txn: &mut *self.call.txn,
            args,
            reply: &mut self.reply,
            session: &mut *self.call.session,
            surroundings: self.call.surroundings,
        };
        within(&mut inner, command, run, Some("lua"));
        Ok(())
    }
}

const NOT_ALLOWED: &str = "ERR This Redis command is not allowed from script";

fn not_allowed() -> Failure {
    Failure::other(NOT_ALLOWED)
}

impl Host for Caller<'_, '_, '_> {
    fn call(&mut self, args: &[&[u8]], version: Version, out: &mut Vec<u8>) {
        self.reply.clear();
        self.reply.protocol = match version {
            Version::Two => Protocol::Resp2,
            Version::Three => Protocol::Resp3,
        };
        if let Err(failure) = self.run(args) {
            self.reply.clear();
            self.reply.error(&failure);
        }
        out.extend_from_slice(self.reply.as_bytes());
    }

    fn is_command(&self, name: &[u8]) -> bool {
        table::find(name).is_some()
    }

    fn log(&mut self, severity: u8, text: &str) {
        log(severity, text);
    }
}

fn log(severity: u8, text: &str) {
    match severity {
        0 => trace!(target: "isles::script", "{text}"),
        1 => debug!(target: "isles::script", "{text}"),
        2 => info!(target: "isles::script", "{text}"),
        _ => warn!(target: "isles::script", "{text}"),
    }
}

/// A script's answer in the client's version of the protocol.
fn write(reply: &mut Reply, answer: &Answer) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match answer {
        Answer::Boolean(value) => reply.boolean_or_null(*value),
        Answer::Integer(value) => reply.integer(*value),
        Answer::Double(value) => reply.double(*value),
        Answer::Bulk(bytes) => reply.bulk(bytes),
        Answer::Status(bytes) => reply.simple(&text(bytes)),
        Answer::Error(bytes) => reply.error(&Failure::other(text(bytes))),
        Answer::BigNumber(digits) => reply.big_number(digits),
        Answer::Verbatim(format, bytes) => reply.verbatim_as(*format, bytes),
        Answer::Array(answers) => {
            reply.array(answers.len());
            answers.iter().for_each(|answer| write(reply, answer));
        }
        Answer::Set(members) => {
            reply.set(members.len());
            members.iter().for_each(|answer| write(reply, answer));
        }
        Answer::Map(pairs) => {
            reply.map(pairs.len());
            for (key, value) in pairs {
                write(reply, key);
                write(reply, value);
            }
        }
        _ => reply.null(),
    }
}

/// The functions of all libraries, as this node's interpreter knows them.
#[derive(Debug, Default)]
pub(crate) struct Functions {
    interpreter: Option<Interpreter>,
    /// What the replica called this state of the libraries.
    version: Option<u64>,
    libraries: BTreeMap<Vec<u8>, Library>,
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

impl Functions {
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
        interpreter
            .load_library(body, &mut log, LOAD_TIME)
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

    pub(crate) fn libraries(&self) -> &BTreeMap<Vec<u8>, Library> {
        &self.libraries
    }

    /// The function of this name, in any case. Should two regions have given one name to two, it is that of the first library by name.
    pub(crate) fn find(&self, name: &[u8]) -> Option<(&[u8], &Registered)> {
        self.libraries.iter().find_map(|(library, known)| {
            let function = known
                .functions
                .iter()
                .find(|function| function.name.eq_ignore_ascii_case(name));
            function.map(|function| (&**library, function))
        })
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
        let function = self.find(name)?.1.clone();
        let access = access_of(&function);
        if asked == Access::Read && access != Access::Read {
            return Some(Err(Failure::other(
                "ERR Can not execute a script with write flag using *_ro command.",
            )));
        }
        let interpreter = self.interpreter.as_mut()?;
        let shown = String::from_utf8_lossy(name).into_owned();
        Some(hosted(call, access, &shown, |host, limit| {
            interpreter.call(&function, keys, argv, host, limit)
        }))
    }
}
