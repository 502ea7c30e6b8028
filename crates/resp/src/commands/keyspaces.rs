//! Keyspaces: which strategy holds for the keys with a prefix.

use isles_resolve::Strategy;

use super::config::help;
use super::isles::data;
use crate::call::{Call, is};
use crate::error::{Failure, Outcome, preview};
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
            call.txn.keyspace_set(prefix, strategy(name)?);
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
                .for_each(|(prefix, strategy)| write_keyspace(call.reply, prefix, *strategy));
        }
        [key] if is(subcommand, "GET") => {
            let (prefix, strategy) = call.txn.keyspace_of(key);
            write_keyspace(call.reply, &prefix, strategy);
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

fn strategy(name: &[u8]) -> Result<Strategy, Failure> {
    let parsed = std::str::from_utf8(name)
        .ok()
        .and_then(|name| name.to_ascii_lowercase().parse().ok());
    parsed.ok_or_else(|| {
        let known: Vec<&str> = Strategy::ALL
            .iter()
            .map(|strategy| strategy.name())
            .collect();
        Failure::other(format!(
            "ERR unknown strategy '{}', expected one of: {}",
            preview(name),
            known.join(", ")
        ))
    })
}

fn write_keyspace(reply: &mut Reply, prefix: &[u8], strategy: Strategy) {
    reply.map(2);
    reply.text("prefix");
    reply.bulk(prefix);
    reply.text("strategy");
    reply.text(strategy.name());
}
