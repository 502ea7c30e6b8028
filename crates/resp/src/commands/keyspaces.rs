//! Keyspaces: which strategy holds for the keys with a prefix.

use isles_replica::{Lens, MIGRATED_BYTES_MAX, Migration, SetRule, ValueType};

use super::config::help;
use super::isles::data;
use super::resolvers::lens;
use crate::call::{Call, integer, is};
use crate::error::{Failure, Outcome, preview};
use crate::number::parse_u64;
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
    ("migrate", -3),
    ("set", -4),
])
.write()
.many()];

fn keyspace(call: &mut Call<'_, '_>) -> Outcome {
    let (subcommand, rest) = (call.args[1], &call.args[2..]);
    match *rest {
        [prefix, name] if is(subcommand, "SET") => {
            let sets = rule_before(call, prefix);
            define(call, prefix, name, sets)?;
        }
        [prefix, name, word, rule] if is(subcommand, "SET") && is(word, "SETS") => {
            let sets = set_rule(rule)?;
            define(call, prefix, name, sets)?;
        }
        [prefix, ref options @ ..] if is(subcommand, "MIGRATE") => migrate(call, prefix, options)?,
        [_, _, .., _] if is(subcommand, "SET") => {
            return Err(Failure::other(
                "ERR a keyspace has one strategy, and after it nothing but SETS add-wins or SETS remove-wins",
            ));
        }
        [prefix] if is(subcommand, "DEL") => {
            let deleted = call.txn.keyspace_delete(prefix);
            call.reply.flag(deleted);
        }
        [] if is(subcommand, "LIST") => {
            let mut keyspaces = call.txn.keyspaces();
            keyspaces.sort_by(|one, other| one.0.cmp(&other.0));
            call.reply.array(keyspaces.len());
            for (prefix, lens) in &keyspaces {
                let sets = call.txn.set_rule_of(prefix);
                write_keyspace(call.reply, prefix, lens, sets);
            }
        }
        [key] if is(subcommand, "GET") => {
            let (prefix, lens) = call.txn.keyspace_of(key);
            let sets = call.txn.set_rule_of(key);
            write_keyspace(call.reply, &prefix, &lens, sets);
        }
        [] if is(subcommand, "HELP") => {
            help(
                call,
                "ISLES.KEYSPACE",
                &[
                    "DEL <prefix>",
                    "GET <key>",
                    "LIST",
                    "MIGRATE <prefix> [CURSOR <cursor>] [COUNT <keys>]",
                    "SET <prefix> <strategy> [SETS add-wins|remove-wins]",
                ],
            );
        }
        _ => return Err(Failure::subcommand(subcommand, "ISLES.KEYSPACE")),
    }
    Ok(())
}

/// The rule for sets stays as it was where none is given.
fn rule_before(call: &Call<'_, '_>, prefix: &[u8]) -> SetRule {
    match call.txn.keyspace_of(prefix).0 == prefix {
        true => call.txn.set_rule_of(prefix),
        false => SetRule::default(),
    }
}

fn set_rule(name: &[u8]) -> Result<SetRule, Failure> {
    let rule = std::str::from_utf8(name).ok().and_then(SetRule::from_name);
    rule.ok_or_else(|| {
        Failure::other(format!(
            "ERR unknown rule of sets '{}', expected add-wins or remove-wins",
            preview(name)
        ))
    })
}

fn define(call: &mut Call<'_, '_>, prefix: &[u8], name: &[u8], sets: SetRule) -> Outcome {
    let lens = lens(call, name)?;
    let before = call.txn.keyspace_of(prefix).1;
    let has_keys = !call.txn.is_empty();
    let other_class = before.class() != lens.class();
    let other_rule = call.txn.set_rule_of(prefix) != sets;
    call.txn.keyspace_define(prefix, lens, sets);
    match has_keys && (other_class || other_rule) {
        true => call.reply.simple(ONLY_NEW_KEYS),
        false => call.reply.ok(),
    }
    Ok(())
}

/// The answer where keys may exist that keep only one value, or several, although new ones do not, or sets whose rule is
/// another one.
const ONLY_NEW_KEYS: &str = "OK for keys that are created from now on; ISLES.KEYSPACE MIGRATE <prefix> rewrites those that exist";

/// Keys that one call looks at unless told otherwise, and at most.
const MIGRATE_DEFAULT: usize = 100;
const MIGRATE_MAX: usize = 1000;
/// Said of a cursor: the next call begins where this one did. A cursor of zero would say that there is no next one.
const FROM_THE_SAME: u64 = 1 << 62;

/// From where MIGRATE goes on, and how many keys it looks at.
pub(crate) fn range(options: &[&[u8]]) -> Result<(u64, usize), Failure> {
    let (mut cursor, mut count) = (0, MIGRATE_DEFAULT);
    for option in options.chunks(2) {
        match *option {
            [word, number] if is(word, "CURSOR") => {
                cursor = parse_u64(number).ok_or(Failure::Cursor)? & !FROM_THE_SAME;
            }
            [word, number] if is(word, "COUNT") => {
                count = usize::try_from(integer(number)?).map_err(|_| Failure::NotPositive)?;
                count = count.clamp(1, MIGRATE_MAX);
            }
            _ => return Err(Failure::Syntax),
        }
    }
    Ok((cursor, count))
}

/// Rewrites what exists, a part with each call, as SCAN reads.
fn migrate(call: &mut Call<'_, '_>, prefix: &[u8], options: &[&[u8]]) -> Outcome {
    let (cursor, count) = range(options)?;
    if call.txn.keyspace_of(prefix).0 != prefix {
        return Err(Failure::other(format!(
            "ERR no keyspace has the prefix '{}', see ISLES.KEYSPACE LIST",
            preview(prefix)
        )));
    }
    let mut keys: Vec<Box<[u8]>> = Vec::new();
    let listing = &call.session.errands.given.listing;
    let mut next = call
        .txn
        .scan(cursor, count, listing, &mut |key, value_type| {
            let wanted = matches!(value_type, ValueType::String | ValueType::Set);
            if wanted && key.starts_with(prefix) {
                keys.push(key.into());
            }
        });
    let (mut rewritten, mut undecided, mut bytes) = (0, 0, 0);
    for key in keys {
        if call.txn.keyspace_of(&key).0 != prefix {
            continue;
        }
        let goes_on = match call.txn.migrate(&key) {
            Migration::Done(value_bytes) => {
                (rewritten, bytes) = (rewritten + 1, bytes + value_bytes);
                bytes < MIGRATED_BYTES_MAX
            }
            Migration::Begun(_) => false,
            Migration::HasSiblings => {
                undecided += 1;
                true
            }
            Migration::NotNeeded => true,
        };
        if !goes_on {
            // Each call is one entry of the log, and what is done is passed over the second time.
            next = cursor | FROM_THE_SAME;
            break;
        }
    }
    call.reply.map(3);
    for (name, number) in [
        ("cursor", next),
        ("rewritten", rewritten),
        ("with_siblings", undecided),
    ] {
        call.reply.text(name);
        call.reply
            .integer(i64::try_from(number).unwrap_or(i64::MAX));
    }
    Ok(())
}

fn write_keyspace(reply: &mut Reply, prefix: &[u8], lens: &Lens, sets: SetRule) {
    reply.map(3);
    reply.text("prefix");
    reply.bulk(prefix);
    reply.text("strategy");
    reply.text(lens.name());
    reply.text("sets");
    reply.text(sets.name());
}
