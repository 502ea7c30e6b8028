//! EVAL and its kin, and SCRIPT.

use std::sync::Arc;

use super::config::help;
use crate::busy::Kind;
use crate::call::{Call, integer, is};
use crate::error::{Failure, Outcome};
use crate::scripts::{Access, Scripts};
use crate::spec::{Family, Run, Spec, Subcommand};
use crate::watch;

pub(super) const COMMANDS: &[Spec] = &[
    eval("eval", eval_write, "Executes a server-side Lua script.").write(),
    eval(
        "eval_ro",
        eval_read,
        "Executes a read-only server-side Lua script.",
    )
    .read(),
    eval(
        "evalsha",
        evalsha_write,
        "Executes a server-side Lua script by SHA1 digest.",
    )
    .write(),
    eval(
        "evalsha_ro",
        evalsha_read,
        "Executes a read-only server-side Lua script by SHA1 digest.",
    )
    .read(),
    Spec::new(
        Family::Scripting,
        "script",
        -2,
        Run::Data(script),
        "Manages the cache of scripts.",
    )
    .subcommands(SUBCOMMANDS)
    .no_script(),
];

const SUBCOMMANDS: &[Subcommand] = &[
    ("debug", 3),
    ("exists", -3),
    ("flush", -2),
    ("help", 2),
    ("kill", 2),
    ("load", 3),
];

/// A command that runs a script or a function, whose keys are counted by its second argument.
pub(super) const fn eval(
    name: &'static str,
    run: fn(&mut Call<'_, '_>) -> Outcome,
    summary: &'static str,
) -> Spec {
    Spec::new(Family::Scripting, name, -3, Run::Data(run), summary)
        .counted_keys(2)
        .many()
        .long()
        .no_script()
        .skip_monitor()
}

fn eval_write(call: &mut Call<'_, '_>) -> Outcome {
    evaluate(call, Access::Any)
}

fn eval_read(call: &mut Call<'_, '_>) -> Outcome {
    evaluate(call, Access::Read)
}

fn evalsha_write(call: &mut Call<'_, '_>) -> Outcome {
    evaluate_digest(call, Access::Any)
}

fn evalsha_read(call: &mut Call<'_, '_>) -> Outcome {
    evaluate_digest(call, Access::Read)
}

fn evaluate(call: &mut Call<'_, '_>, access: Access) -> Outcome {
    run(call, access, |scripts, text| scripts.load(text))
}

fn evaluate_digest(call: &mut Call<'_, '_>, access: Access) -> Outcome {
    run(call, access, |scripts, digest| {
        scripts.find(digest).ok_or_else(no_script)
    })
}

/// Runs the script with the digest that the first argument stands for.
fn run(
    call: &mut Call<'_, '_>,
    access: Access,
    digest: impl FnOnce(&mut Scripts, &[u8]) -> Result<Arc<str>, Failure>,
) -> Outcome {
    watch::show_first(call);
    let (keys, argv) = split_keys(call.args, integer(call.args[2])?)?;
    let mut scripts = call.surroundings.server.scripting.scripts();
    let digest = digest(&mut scripts, call.args[1])?;
    scripts
        .run(&digest, keys, argv, access, call)
        .unwrap_or_else(|| Err(no_script()))
}

fn no_script() -> Failure {
    Failure::other("NOSCRIPT No matching script. Please use EVAL.")
}

/// The keys of a script or function, and its other arguments.
type Split<'a> = (&'a [&'a [u8]], &'a [&'a [u8]]);

/// Splits what follows the number of keys.
pub(super) fn split_keys<'a>(args: &'a [&'a [u8]], count: i64) -> Result<Split<'a>, Failure> {
    let count = usize::try_from(count)
        .map_err(|_| Failure::other("ERR Number of keys can't be negative"))?;
    args[3..]
        .split_at_checked(count)
        .ok_or_else(|| Failure::other("ERR Number of keys can't be greater than number of args"))
}

fn script(call: &mut Call<'_, '_>) -> Outcome {
    let (subcommand, rest) = (call.args[1], &call.args[2..]);
    if is(subcommand, "KILL") {
        // The script that is to end has the cache locked.
        let running = &call.surroundings.server.scripting.running;
        running.kill(Kind::Script)?;
        call.reply.ok();
        return Ok(());
    }
    let mut scripts = call.surroundings.server.scripting.scripts();
    match *rest {
        [text] if is(subcommand, "LOAD") => {
            let digest = scripts.load(text)?;
            call.reply.text(digest);
        }
        [_, ..] if is(subcommand, "EXISTS") => {
            call.reply.array(rest.len());
            for digest in rest {
                call.reply.flag(scripts.find(digest).is_some());
            }
        }
        _ if is(subcommand, "FLUSH") => {
            check_mode(rest, "ERR SCRIPT FLUSH only support SYNC|ASYNC option")?;
            scripts.flush();
            call.reply.ok();
        }
        _ if is(subcommand, "DEBUG") => {
            return Err(Failure::other("ERR Isles has no debugger for scripts"));
        }
        [] if is(subcommand, "HELP") => {
            let lines = [
                "EXISTS <sha1> [<sha1> ...]",
                "FLUSH [ASYNC|SYNC]",
                "KILL",
                "LOAD <script>",
            ];
            help(call, "SCRIPT", &lines);
        }
        _ => return Err(Failure::subcommand(subcommand, "SCRIPT")),
    }
    Ok(())
}

/// SYNC or ASYNC, if anything: both do the same here.
pub(super) fn check_mode(rest: &[&[u8]], refusal: &str) -> Outcome {
    match rest {
        [] => Ok(()),
        [mode] if is(mode, "SYNC") || is(mode, "ASYNC") => Ok(()),
        _ => Err(Failure::other(refusal)),
    }
}
