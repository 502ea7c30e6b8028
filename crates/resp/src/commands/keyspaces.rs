//! Keyspaces: which strategy holds for the keys with a prefix.

use isles_replica::Lens;

use super::config::help;
use super::isles::data;
use super::resolvers::lens;
use crate::call::{Call, is};
use crate::error::{Failure, Outcome};
use crate::reply::Reply;
use crate::spec::Spec;

pub(super) const COMMANDS: &[Spec] = &[data(
    "isles.keyspace",
    -2,
    keyspace,
    "Defines and shows the strategies of key prefixes.",
)
.subcommands(&[
    ("del", 3),
    ("get", 3),
    ("help", 2),
    ("list", 2),
    ("set", -4),
])
.write()];

fn keyspace(call: &mut Call<'_, '_>) -> Outcome {
    let (subcommand, rest) = (call.args[1], &call.args[2..]);
    match *rest {
        [prefix, name] if is(subcommand, "SET") => {
            let lens = lens(call, name)?;
            call.txn.keyspace_set(prefix, lens);
            call.reply.ok();
        }
        [_, _, .., _] if is(subcommand, "SET") => {
            return Err(Failure::other(format!(
                "ERR a keyspace has one strategy, and {} were given",
                rest.len() - 1
            )));
        }
        [prefix] if is(subcommand, "DEL") => {
            let deleted = call.txn.keyspace_delete(prefix);
            call.reply.flag(deleted);
        }
        [] if is(subcommand, "LIST") => {
            let mut keyspaces = call.txn.keyspaces();
            keyspaces.sort_by(|one, other| one.0.cmp(&other.0));
            call.reply.array(keyspaces.len());
            keyspaces
                .iter()
                .for_each(|(prefix, lens)| write_keyspace(call.reply, prefix, lens));
        }
        [key] if is(subcommand, "GET") => {
            let (prefix, lens) = call.txn.keyspace_of(key);
            write_keyspace(call.reply, &prefix, &lens);
        }
        [] if is(subcommand, "HELP") => {
            help(
                call,
                "ISLES.KEYSPACE",
                &[
                    "DEL <prefix>",
                    "GET <key>",
                    "LIST",
                    "SET <prefix> <strategy>",
                ],
            );
        }
        _ => return Err(Failure::subcommand(subcommand, "ISLES.KEYSPACE")),
    }
    Ok(())
}

fn write_keyspace(reply: &mut Reply, prefix: &[u8], lens: &Lens) {
    reply.map(2);
    reply.text("prefix");
    reply.bulk(prefix);
    reply.text("strategy");
    reply.text(lens.name());
}
