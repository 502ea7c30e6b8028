//! FUNCTION and FCALL: code that every region has.

use std::sync::atomic::Ordering;

use isles_lua::Registered;

use super::config::help;
use super::scripting::{check_mode, eval, split_keys};
use crate::busy::{Invoked, Kind};
use crate::call::{Call, is};
use crate::error::{Failure, Outcome, preview};
use crate::function_dump;
use crate::glob::{Case, Glob};
use crate::number::parse_i64;
use crate::scripts::{Access, Functions, Library, is_flag};
use crate::spec::{Family, Run, Spec, Subcommand};
use crate::watch;

/// Bytes of one library.
const LIBRARY_BYTES_MAX: usize = 4 << 20;
/// Libraries that FUNCTION LOAD makes; concurrent loads elsewhere may add some.
const LIBRARIES_MAX: usize = 1024;

pub(super) const COMMANDS: &[Spec] = &[
    eval("fcall", fcall_write, "Invokes a function.").write(),
    eval("fcall_ro", fcall_read, "Invokes a read-only function.").read(),
    Spec::new(
        Family::Scripting,
        "function",
        -2,
        Run::Data(function),
        "Manages libraries of functions.",
    )
    .subcommands(SUBCOMMANDS)
    .write()
    .many()
    .long()
    .no_script(),
];

const SUBCOMMANDS: &[Subcommand] = &[
    ("delete", 3),
    ("dump", 2),
    ("flush", -2),
    ("help", 2),
    ("kill", 2),
    ("list", -2),
    ("load", -3),
    ("restore", -3),
    ("stats", 2),
];

const HELP: &[&str] = &[
    "DELETE <library-name>",
    "DUMP",
    "FLUSH [ASYNC|SYNC]",
    "KILL",
    "LIST [LIBRARYNAME <pattern>] [WITHCODE]",
    "LOAD [REPLACE] <code>",
    "RESTORE <dump> [FLUSH|APPEND|REPLACE]",
    "STATS",
];

fn fcall_write(call: &mut Call<'_, '_>) -> Outcome {
    invoke(call, Access::Any)
}

fn fcall_read(call: &mut Call<'_, '_>) -> Outcome {
    invoke(call, Access::Read)
}

fn invoke(call: &mut Call<'_, '_>, access: Access) -> Outcome {
    watch::show_first(call);
    let mut functions = call.surroundings.server.scripting.functions();
    functions.follow(call.txn);
    let missing = || Failure::other("ERR Function not found");
    if functions.find(call.args[1]).is_none() {
        return Err(missing());
    }
    let count =
        parse_i64(call.args[2]).ok_or_else(|| Failure::other("ERR Bad number of keys provided"))?;
    let (keys, argv) = split_keys(call.args, count)?;
    functions
        .call(call.args[1], keys, argv, access, call)
        .unwrap_or_else(|| Err(missing()))
}

fn function(call: &mut Call<'_, '_>) -> Outcome {
    let (subcommand, rest) = (call.args[1], &call.args[2..]);
    let scripting = &call.surroundings.server.scripting;
    // A function that runs has the libraries locked.
    if is(subcommand, "KILL") {
        scripting.running.kill(Kind::Function)?;
        call.reply.ok();
        return Ok(());
    }
    if let Some(kind) = call.surroundings.busy {
        return stats_beside(call, kind);
    }
    let mut functions = call.surroundings.server.scripting.functions();
    functions.follow(call.txn);
    let usage = || {
        Failure::other(format!(
            "ERR unknown subcommand or wrong number of arguments for '{}'. Try FUNCTION HELP.",
            preview(subcommand).to_ascii_lowercase()
        ))
    };
    match *rest {
        [_, ..] if is(subcommand, "LOAD") => return load(call, &mut functions, rest),
        [name] if is(subcommand, "DELETE") => {
            if !call.txn.library_delete(name) {
                return Err(Failure::other("ERR Library not found"));
            }
            call.reply.ok();
        }
        _ if is(subcommand, "FLUSH") => {
            if rest.len() > 1 {
                return Err(usage());
            }
            check_mode(rest, "ERR FUNCTION FLUSH only supports SYNC|ASYNC option")?;
            flush(call, &functions);
            call.reply.ok();
        }
        _ if is(subcommand, "LIST") => return list(call, &functions, rest),
        [] if is(subcommand, "STATS") => stats(call, None),
        [] if is(subcommand, "DUMP") => {
            let codes = functions.libraries().values().map(|library| &*library.code);
            let dump = function_dump::write(codes);
            call.reply.bulk(&dump);
        }
        [_] | [_, _] if is(subcommand, "RESTORE") => return restore(call, &mut functions, rest),
        _ if is(subcommand, "RESTORE") => return Err(usage()),
        [] if is(subcommand, "HELP") => help(call, "FUNCTION", HELP),
        _ => return Err(Failure::subcommand(subcommand, "FUNCTION")),
    }
    Ok(())
}

fn flush(call: &mut Call<'_, '_>, functions: &Functions) {
    for name in functions.libraries().keys() {
        call.txn.library_delete(name);
    }
}

/// What becomes of a library whose name is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    Refuse,
    Replace,
}

fn load(call: &mut Call<'_, '_>, functions: &mut Functions, rest: &[&[u8]]) -> Outcome {
    let (taken, code) = match *rest {
        [code] => (Taken::Refuse, code),
        [option, code] if is(option, "REPLACE") => (Taken::Replace, code),
        [option, ..] if !is(option, "REPLACE") => {
            return Err(Failure::other(format!(
                "ERR Unknown option given: {}",
                preview(option)
            )));
        }
        _ => return Err(Failure::other("ERR Function code is missing")),
    };
    let name = put(call, functions, code, taken)?;
    call.reply.bulk(&name);
    Ok(())
}

/// Checks a library by running it, and stores it.
fn put(
    call: &mut Call<'_, '_>,
    functions: &mut Functions,
    code: &[u8],
    taken: Taken,
) -> Result<Vec<u8>, Failure> {
    let name = library_name(code)?;
    if code.len() > LIBRARY_BYTES_MAX {
        return Err(Failure::other(format!(
            "ERR a library is larger than the limit of {LIBRARY_BYTES_MAX} bytes"
        )));
    }
    let known = functions.libraries().contains_key(&name);
    if known && taken == Taken::Refuse {
        return Err(Failure::other(format!(
            "ERR Library '{}' already exists",
            preview(&name)
        )));
    }
    if !known && functions.libraries().len() >= LIBRARIES_MAX {
        return Err(Failure::other(format!(
            "ERR there are {LIBRARIES_MAX} libraries already"
        )));
    }
    let registered = functions.run_library(code)?;
    if registered.is_empty() {
        return Err(Failure::other("ERR No functions registered"));
    }
    // A library that had spoiled the interpreter took the others' functions with it.
    functions.follow(call.txn);
    for (index, function) in registered.iter().enumerate() {
        check_name(&function.name).map_err(registering)?;
        let same = |earlier: &Registered| earlier.name.eq_ignore_ascii_case(&function.name);
        if registered[..index].iter().any(same) {
            return Err(registering("Function already exists in the library"));
        }
        if !function.flags.iter().all(|flag| is_flag(flag)) {
            return Err(registering("unknown flag given"));
        }
    }
    for function in &registered {
        let taken = functions.find(&function.name);
        if taken.is_some_and(|(library, _)| library != name) {
            let shown = preview(&function.name);
            return Err(Failure::other(format!(
                "ERR Function {shown} already exists"
            )));
        }
    }
    call.txn.library_set(&name, code);
    functions.follow(call.txn);
    Ok(name)
}

fn registering(why: &'static str) -> Failure {
    Failure::other(format!("ERR Error registering functions: ERR {why}"))
}

fn check_name(name: &[u8]) -> Result<(), &'static str> {
    let good = !name.is_empty()
        && name
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    good.then_some(()).ok_or(
        "Library names can only contain letters, numbers, or underscores(_) and must be at least one character long",
    )
}

/// The name in the first line of a library.
fn library_name(code: &[u8]) -> Result<Vec<u8>, Failure> {
    let invalid = |_| Failure::other("ERR Invalid library metadata");
    let shebang = isles_lua::Shebang::of(code)
        .map_err(invalid)?
        .ok_or_else(|| Failure::other("ERR Missing library metadata"))?;
    let mut name: Option<&[u8]> = None;
    for option in &shebang.options {
        let value = option
            .split_at_checked(5)
            .filter(|(key, _)| key.eq_ignore_ascii_case(b"name="));
        let Some((_, value)) = value else {
            return Err(Failure::other(format!(
                "ERR Invalid metadata value given: {}",
                preview(option)
            )));
        };
        if name.replace(value).is_some() {
            return Err(Failure::other(
                "ERR Invalid metadata value, name argument was given multiple times",
            ));
        }
    }
    let name = name.ok_or_else(|| Failure::other("ERR Library name was not given"))?;
    check_name(name).map_err(|why| Failure::other(format!("ERR {why}")))?;
    if !shebang.engine.eq_ignore_ascii_case(b"lua") {
        return Err(Failure::other(format!(
            "ERR Engine '{}' not found",
            preview(&shebang.engine)
        )));
    }
    Ok(name.to_vec())
}

fn list(call: &mut Call<'_, '_>, functions: &Functions, mut rest: &[&[u8]]) -> Outcome {
    let (mut pattern, mut with_code) = (None, false);
    while let [option, more @ ..] = rest {
        rest = more;
        if !with_code && is(option, "WITHCODE") {
            with_code = true;
        } else if pattern.is_none() && is(option, "LIBRARYNAME") {
            let [given, more @ ..] = rest else {
                return Err(Failure::other("ERR library name argument was not given"));
            };
            (pattern, rest) = (Some(*given), more);
        } else {
            return Err(Failure::other(format!(
                "ERR Unknown argument {}",
                preview(option)
            )));
        }
    }
    let glob = pattern.map(|pattern| Glob::new(pattern, Case::Ignored));
    let glob = glob.transpose()?;
    let wanted = |name: &[u8]| glob.as_ref().is_none_or(|glob| glob.matches(name));
    let libraries: Vec<_> = functions
        .libraries()
        .iter()
        .filter(|(name, _)| wanted(name))
        .collect();
    call.reply.array(libraries.len());
    for (name, library) in libraries {
        show(call, name, library, with_code);
    }
    Ok(())
}

fn show(call: &mut Call<'_, '_>, name: &[u8], library: &Library, with_code: bool) {
    let reply = &mut *call.reply;
    reply.map(if with_code { 4 } else { 3 });
    reply.text("library_name");
    reply.bulk(name);
    reply.text("engine");
    reply.text("LUA");
    reply.text("functions");
    reply.array(library.functions.len());
    for function in &library.functions {
        reply.map(3);
        reply.text("name");
        reply.bulk(&function.name);
        reply.text("description");
        reply.bulk_or_null(function.description.as_deref());
        reply.text("flags");
        reply.set(function.flags.len());
        function
            .flags
            .iter()
            .for_each(|flag| reply.simple(&String::from_utf8_lossy(flag)));
    }
    if with_code {
        reply.text("library_code");
        reply.bulk(&library.code);
    }
}

/// FUNCTION STATS while a script is late, which is all that comes here then.
fn stats_beside(call: &mut Call<'_, '_>, kind: Kind) -> Outcome {
    if kind == Kind::Script {
        return Err(kind.refusal());
    }
    let running = call.surroundings.server.scripting.running.late_function();
    stats(call, running.as_ref());
    Ok(())
}

fn stats(call: &mut Call<'_, '_>, running: Option<&Invoked>) {
    let figures = &call.surroundings.server.scripting.figures;
    let reply = &mut *call.reply;
    reply.map(2);
    reply.text("running_script");
    match running {
        None => reply.null(),
        Some(function) => {
            reply.map(3);
            reply.text("name");
            reply.bulk(function.args.get(1).map_or(b"", Vec::as_slice));
            reply.text("command");
            reply.array(function.args.len());
            function.args.iter().for_each(|part| reply.bulk(part));
            reply.text("duration_ms");
            reply.integer(i64::try_from(function.ran().as_millis()).unwrap_or(i64::MAX));
        }
    }
    reply.text("engines");
    reply.map(1);
    reply.text("LUA");
    reply.map(2);
    reply.text("libraries_count");
    reply.count(figures.libraries.load(Ordering::Relaxed));
    reply.text("functions_count");
    reply.count(figures.functions.load(Ordering::Relaxed));
}

/// Redis says the same of a library that exists in two ways.
fn unquoted(failure: Failure, code: &[u8]) -> Failure {
    match library_name(code) {
        Ok(name) if failure.to_string().starts_with("ERR Library '") => {
            Failure::other(format!("ERR Library {} already exists", preview(&name)))
        }
        _ => failure,
    }
}

fn restore(call: &mut Call<'_, '_>, functions: &mut Functions, rest: &[&[u8]]) -> Outcome {
    let policy = rest.get(1).copied().unwrap_or(b"APPEND");
    let taken = match () {
        () if is(policy, "APPEND") || is(policy, "FLUSH") => Taken::Refuse,
        () if is(policy, "REPLACE") => Taken::Replace,
        () => {
            return Err(Failure::other(
                "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.",
            ));
        }
    };
    let codes = function_dump::read(rest[0])
        .ok_or_else(|| Failure::other("ERR DUMP payload version or checksum are wrong"))?;
    // All or nothing: what was stored before one is refused is taken back.
    let savepoint = call.txn.savepoint();
    if is(policy, "FLUSH") {
        flush(call, functions);
        functions.follow(call.txn);
    }
    for code in codes {
        let stored = put(call, functions, &code, taken).map_err(|failure| unquoted(failure, &code));
        if let Err(failure) = stored {
            call.txn.roll_back(savepoint);
            functions.follow(call.txn);
            return Err(failure);
        }
    }
    call.txn.release(savepoint);
    call.reply.ok();
    Ok(())
}
