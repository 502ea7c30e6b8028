//! Commands on the server.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::command::{self, command};
use super::config::{self, config, help};
use super::info::info;
use crate::call::{Call, is};
use crate::error::{Failure, Outcome};
use crate::execute::failure_of;
use crate::number::{Digits, parse_u64};
use crate::session::Next;
use crate::spec::{Family, Run, Spec, Subcommand};

pub(super) const COMMANDS: &[Spec] = &[
    server(
        "cluster",
        -2,
        cluster,
        "Says that Redis's cluster mode is off: each node has all data.",
    )
    .subcommands(CLUSTER)
    .loading()
    .no_script(),
    server(
        "command",
        -1,
        command,
        "Returns detailed information about all commands.",
    )
    .subcommands(command::SUBCOMMANDS)
    .loading(),
    server(
        "config",
        -2,
        config,
        "Reads and sets configuration parameters.",
    )
    .subcommands(config::SUBCOMMANDS)
    .no_script()
    .admin()
    .loading(),
    server("debug", -2, debug, "Helps testing.")
        .admin()
        .long()
        .no_script()
        .loading(),
    // A flush is many entries, which a script that meets its limit could not undo.
    server("flushall", -1, flush, "Removes all keys.")
        .no_script()
        .write()
        .long(),
    server("flushdb", -1, flush, "Removes all keys from the database.")
        .no_script()
        .write()
        .long(),
    server(
        "info",
        -1,
        info,
        "Returns information and statistics about the server.",
    )
    .loading(),
    server("time", 1, time, "Returns the server time.")
        .loading()
        .fast(),
];

const fn server(
    name: &'static str,
    arity: i32,
    run: fn(&mut Call<'_, '_>) -> Outcome,
    summary: &'static str,
) -> Spec {
    Spec::new(Family::Server, name, arity, Run::Data(run), summary)
}

/// What clients ask a cluster.
const CLUSTER: &[Subcommand] = &[
    ("countkeysinslot", 3),
    ("help", 2),
    ("info", 2),
    ("keyslot", 3),
    ("myid", 2),
    ("nodes", 2),
    ("shards", 2),
    ("slots", 2),
];

fn cluster(call: &mut Call<'_, '_>) -> Outcome {
    if is(call.args[1], "HELP") {
        help(call, "CLUSTER", &["INFO", "NODES", "SHARDS", "SLOTS"]);
        return Ok(());
    }
    Err(Failure::other(
        "ERR This instance has cluster support disabled",
    ))
}

/// SYNC and ASYNC are the same: what was removed is freed later anyway.
fn flush(call: &mut Call<'_, '_>) -> Outcome {
    match *call.args {
        [_] => {}
        [_, how] if is(how, "SYNC") || is(how, "ASYNC") => {}
        _ => return Err(Failure::Syntax),
    }
    let surroundings = call.surroundings;
    let cleared = match call.session.errands.given.clears_alone {
        true => call.txn.clear_resident(),
        false => call.txn.clear(),
    };
    cleared.map_err(|refused| failure_of(refused, surroundings))?;
    call.reply.ok();
    Ok(())
}

fn time(call: &mut Call<'_, '_>) -> Outcome {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    call.reply.array(2);
    call.reply
        .bulk(Digits::of_unsigned(since.as_secs()).as_bytes());
    call.reply
        .bulk(Digits::of_unsigned(u64::from(since.subsec_micros())).as_bytes());
    Ok(())
}

/// A connection sleeps at most so long.
const SLEEP_MAX: Duration = Duration::from_secs(3600);

fn debug(call: &mut Call<'_, '_>) -> Outcome {
    let (subcommand, rest) = (call.args[1], &call.args[2..]);
    match *rest {
        [seconds] if is(subcommand, "SLEEP") => {
            // Only this connection sleeps: the lock must not be held meanwhile.
            call.session.next = Next::Sleep(sleep_time(seconds)?);
            call.reply.ok();
        }
        [switch] if is(subcommand, "SET-ACTIVE-EXPIRE") => {
            // Expired keys are hidden at once, whether or not anyone collects them.
            parse_u64(switch).ok_or(Failure::NotAnInteger)?;
            call.reply.ok();
        }
        [] if is(subcommand, "HELP") => help(
            call,
            "DEBUG",
            &["SLEEP <seconds>", "SET-ACTIVE-EXPIRE (0|1)"],
        ),
        _ => return Err(Failure::subcommand(subcommand, "DEBUG")),
    }
    Ok(())
}

fn sleep_time(seconds: &[u8]) -> Result<Duration, Failure> {
    let seconds: f64 = std::str::from_utf8(seconds)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(Failure::NotAFloat)?;
    let pause = Duration::try_from_secs_f64(seconds.max(0.0)).map_err(|_| Failure::NotAFloat)?;
    Ok(pause.min(SLEEP_MAX))
}
