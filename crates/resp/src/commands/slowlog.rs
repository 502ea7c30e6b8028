//! SLOWLOG.

use super::config::help;
use crate::call::{Call, is};
use crate::error::{Failure, Outcome};
use crate::number::parse_i64;
use crate::spec::{Family, Run, Spec, Subcommand};

pub(super) const COMMANDS: &[Spec] = &[Spec::new(
    Family::Server,
    "slowlog",
    -2,
    Run::Data(slowlog),
    "Shows the commands that took long.",
)
.subcommands(SUBCOMMANDS)
.admin()
.loading()];

const SUBCOMMANDS: &[Subcommand] = &[("get", -2), ("help", 2), ("len", 2), ("reset", 2)];

/// Entries that GET shows unless it says how many.
const COUNT_DEFAULT: usize = 10;

fn slowlog(call: &mut Call<'_, '_>) -> Outcome {
    let (subcommand, rest) = (call.args[1], &call.args[2..]);
    let slowlog = &call.surroundings.server.slowlog;
    match *rest {
        [] if is(subcommand, "LEN") => call.reply.count(slowlog.len()),
        [] if is(subcommand, "RESET") => {
            slowlog.reset();
            call.reply.ok();
        }
        [] if is(subcommand, "HELP") => help(call, "SLOWLOG", &["GET [<count>]", "LEN", "RESET"]),
        [] if is(subcommand, "GET") => get(call, COUNT_DEFAULT),
        [count] if is(subcommand, "GET") => {
            let count = match parse_i64(count) {
                Some(-1) => Some(usize::MAX),
                Some(count) => usize::try_from(count).ok(),
                None => None,
            };
            let count = count
                .ok_or_else(|| Failure::other("ERR count should be greater than or equal to -1"))?;
            get(call, count);
        }
        _ => return Err(Failure::subcommand(subcommand, "SLOWLOG")),
    }
    Ok(())
}

fn get(call: &mut Call<'_, '_>, count: usize) {
    let commands = call.surroundings.server.slowlog.newest(count);
    let reply = &mut *call.reply;
    reply.array(commands.len());
    for command in commands {
        reply.array(6);
        for number in [command.id, command.at_s, command.took_us] {
            reply.integer(i64::try_from(number).unwrap_or(i64::MAX));
        }
        reply.array(command.args.len());
        command
            .args
            .iter()
            .for_each(|argument| reply.bulk(argument));
        reply.text(&command.address);
        reply.bulk(&command.name);
    }
}
