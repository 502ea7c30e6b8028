//! The commands that a script calls: from Lua's values to whoever runs them, and back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mlua::{BString, Either, Lua, Table, Value};
use scoped_tls_hkt::scoped_thread_local;

use crate::answer::Version;
use crate::decode::{Decoded, decode};
use crate::limits::{TIME_OVER, Timer, Unlimited};
use crate::number;

/// What a script asks of the world around it.
pub trait Host {
    /// Runs a command and returns its answer, in the protocol.
    fn call(&mut self, args: &[&[u8]], version: Version) -> &[u8];

    /// Whether there is a command of this name.
    fn is_command(&self, name: &[u8]) -> bool;

    /// A line for the log, from 0 (debug) to 3 (warning).
    fn log(&mut self, severity: u8, text: &str);
}

scoped_thread_local!(
    // Whom the script asks that runs on this thread. Functions that borrow the host would have to be made anew for each run,
    // which takes longer than most scripts.
    static mut HOST: for<'h> &'h mut (dyn Host + 'h)
);

/// Runs a script that asks this host.
pub(crate) fn with<R>(host: &mut dyn Host, run: impl FnOnce() -> R) -> R {
    HOST.set(host, run)
}

/// What a script has set, and what it may ask for.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    /// It is no library that is being loaded, but may call commands.
    allowed: AtomicBool,
    /// It wants answers in the third version of the protocol.
    third_version: AtomicBool,
    /// It has called a command.
    has_called: AtomicBool,
}

impl Calls {
    /// Forgets what the script before has set.
    pub(crate) fn begin(&self, allowed: bool) {
        self.allowed.store(allowed, Ordering::Relaxed);
        self.third_version.store(false, Ordering::Relaxed);
        self.has_called.store(false, Ordering::Relaxed);
    }

    pub(crate) fn version(&self) -> Version {
        match self.third_version.load(Ordering::Relaxed) {
            true => Version::Three,
            false => Version::Two,
        }
    }

    fn are_allowed(&self) -> bool {
        self.allowed.load(Ordering::Relaxed)
    }

    /// Whether the clock is to be looked at before this command: before every one but the first, since most scripts have one,
    /// and looking takes longer than some of them.
    fn is_look_due(&self) -> bool {
        let due = self.has_called.load(Ordering::Relaxed);
        self.has_called.store(true, Ordering::Relaxed);
        due
    }
}

/// What an answer is besides a value, as the prelude has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The status `OK`, which comes without a text.
    Ok = 1,
    Status = 2,
    Error = 3,
    /// The arguments are to be given once more, as a table.
    Again = 4,
    /// There is nobody to call.
    Outside = 5,
}

/// An answer for the prelude: a value, or a text and what it is.
type Called = (Value, Option<u8>);

fn called(value: Value, kind: Kind) -> Called {
    (value, Some(kind as u8))
}

/// An argument as Lua hands it over without an object in between: numbers become texts of at most 14 digits.
type Argument = Option<Either<BString, Value>>;

/// Arguments that need no table.
const ARGUMENTS: usize = 6;

/// Puts the functions that ask the host into the table of natives.
pub(crate) fn library(
    lua: &Lua,
    native: &Table,
    timer: &Timer,
    calls: &Arc<Calls>,
) -> mlua::Result<()> {
    native.raw_set("few", ARGUMENTS)?;
    let (state, clock) = (Arc::clone(calls), timer.clone());
    native.raw_set(
        "call",
        lua.create_function(
            move |lua,
                  (count, a, b, c, d, e, f): (
                usize,
                Argument,
                Argument,
                Argument,
                Argument,
                Argument,
                Argument,
            )| {
                let given: [Argument; ARGUMENTS] = [a, b, c, d, e, f];
                if count > ARGUMENTS {
                    return Ok(called(Value::Nil, Kind::Again));
                }
                let mut texts: [BString; ARGUMENTS] = Default::default();
                for (text, argument) in texts.iter_mut().zip(given).take(count) {
                    match argument {
                        Some(Either::Left(given)) if !may_be_cut(&given) => *text = given,
                        Some(Either::Left(_)) => return Ok(called(Value::Nil, Kind::Again)),
                        _ => return refuse(lua, WRONG_ARGUMENT),
                    }
                }
                let mut args: [&[u8]; ARGUMENTS] = Default::default();
                for (arg, text) in args.iter_mut().zip(&texts) {
                    *arg = text;
                }
                call(lua, &args[..count], &state, &clock)
            },
        )?,
    )?;
    let (state, clock) = (Arc::clone(calls), timer.clone());
    native.raw_set(
        "call_list",
        lua.create_function(move |lua, (list, count): (Table, usize)| {
            let mut texts = Vec::with_capacity(count);
            for index in 1..=count {
                match text_at(&list, index)? {
                    Some(text) => texts.push(text),
                    None => return refuse(lua, WRONG_ARGUMENT),
                }
            }
            let args: Vec<&[u8]> = texts.iter().map(|text| &***text).collect();
            call(lua, &args, &state, &clock)
        })?,
    )?;
    let state = Arc::clone(calls);
    native.raw_set(
        "may_call",
        lua.create_function(move |_, ()| Ok(state.are_allowed()))?,
    )?;
    let state = Arc::clone(calls);
    native.raw_set(
        "setresp",
        lua.create_function(move |_, version: i64| {
            state.third_version.store(version == 3, Ordering::Relaxed);
            Ok(())
        })?,
    )?;
    native.raw_set(
        "is_command",
        lua.create_function(|_, name: Value| {
            let name = name.as_string();
            Ok(name.is_some_and(|name| {
                HOST.is_set() && HOST.with(|host| host.is_command(&name.as_bytes()))
            }))
        })?,
    )?;
    native.raw_set(
        "log",
        lua.create_function(|_, (severity, text): (f64, BString)| {
            if HOST.is_set() {
                HOST.with(|host| host.log(severity as u8, &String::from_utf8_lossy(&text)));
            }
            Ok(())
        })?,
    )
}

const WRONG_ARGUMENT: &str = "ERR Lua redis lib command arguments must be strings or integers";
const NO_ARGUMENT: &str = "ERR Please specify at least one argument for this redis lib call";

fn refuse(lua: &Lua, text: &str) -> mlua::Result<Called> {
    let text = lua.create_string(text)?;
    Ok(called(Value::String(text), Kind::Error))
}

/// Runs a command for a script.
fn call(lua: &Lua, args: &[&[u8]], calls: &Calls, timer: &Timer) -> mlua::Result<Called> {
    if args.is_empty() {
        return refuse(lua, NO_ARGUMENT);
    }
    // Where commands are allowed a script runs, and so there is a host.
    if !calls.are_allowed() {
        return Ok(called(Value::Nil, Kind::Outside));
    }
    if calls.is_look_due() && timer.is_over() {
        return Err(mlua::Error::runtime(TIME_OVER));
    }
    let version = calls.version();
    HOST.with(|host| {
        let answer = host.call(args, version);
        let _unlimited = Unlimited::enter(lua, answer.len());
        Ok(match decode(lua, answer, version)? {
            Decoded::Value(value) => (value, None),
            Decoded::Ok => called(Value::Nil, Kind::Ok),
            Decoded::Status(text) => called(Value::String(text), Kind::Status),
            Decoded::Error(text) => called(Value::String(text), Kind::Error),
        })
    })
}

/// Digits, signs and letters of a number that Lua writes with 14 digits.
const NUMBER_BYTES_MAX: usize = 24;

/// Whether this may be a number that lost digits when it became a text: any but an integer of few digits.
fn may_be_cut(text: &[u8]) -> bool {
    let is_part = |byte: &u8| {
        matches!(
            byte,
            b'0'..=b'9' | b'.' | b'e' | b'+' | b'-' | b'i' | b'n' | b'f' | b'a'
        )
    };
    text.len() <= NUMBER_BYTES_MAX
        && text.iter().all(is_part)
        && text.iter().any(|byte| !matches!(byte, b'0'..=b'9' | b'-'))
}

/// An argument of a table; none if it is neither a text nor a number.
fn text_at(list: &Table, index: usize) -> mlua::Result<Option<BString>> {
    match list.raw_get::<Argument>(index)? {
        Some(Either::Left(text)) if !may_be_cut(&text) => return Ok(Some(text)),
        Some(Either::Left(_)) => {}
        _ => return Ok(None),
    }
    Ok(match list.raw_get(index)? {
        Value::Integer(value) => Some(value.to_string().into()),
        Value::Number(value) => Some(number::argument(value).into()),
        Value::String(text) => Some((*text.as_bytes()).into()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_be_a_number_with_more_digits_is_asked_for_again() {
        for text in [
            "3.99", "1e+15", "-1.5e-07", "inf", "-nan", "nan", ".", "fine",
        ] {
            assert!(may_be_cut(text.as_bytes()), "{text}");
        }
        for text in [
            "",
            "10",
            "-7",
            "99999999999999",
            "key:1",
            "1.2.3.4:80",
            "SET",
            "get",
            "1.50000000000000000000000",
        ] {
            assert!(!may_be_cut(text.as_bytes()), "{text}");
        }
    }
}
