//! OBJECT and MEMORY: what tools ask about how a value is kept.
//!
//! The encodings named are those that Redis 7 would choose with its default thresholds; nothing here is kept that way.

use std::ops::ControlFlow;

use isles_replica::ValueType;

use super::config::help;
use crate::call::{Call, integer, is};
use crate::error::{Failure, Outcome};
use crate::number::parse_i64;
use crate::spec::Subcommand;

const EMBSTR_BYTES_MAX: usize = 44;
const LISTPACK_ENTRIES_MAX: usize = 512;
const LISTPACK_VALUE_BYTES_MAX: usize = 64;
const INTSET_ENTRIES_MAX: usize = 512;
const SORTED_LISTPACK_ENTRIES_MAX: usize = 128;

pub(super) const OBJECT: &[Subcommand] = &[
    ("encoding", 3),
    ("help", 2),
    ("idletime", 3),
    ("refcount", 3),
];

pub(super) const MEMORY: &[Subcommand] = &[("help", 2), ("usage", -3)];

pub(super) fn object(call: &mut Call<'_, '_>) -> Outcome {
    let (subcommand, key) = (call.args[1], call.args.get(2).copied());
    if is(subcommand, "HELP") {
        help(
            call,
            "OBJECT",
            &["ENCODING <key>", "IDLETIME <key>", "REFCOUNT <key>"],
        );
        return Ok(());
    }
    // Whether or not there is such a key.
    if is(subcommand, "FREQ") {
        return Err(Failure::subcommand(subcommand, "OBJECT"));
    }
    let (3, Some(key)) = (call.args.len(), key) else {
        return Err(Failure::subcommand(subcommand, "OBJECT"));
    };
    let Some(value_type) = call.txn.value_type(key) else {
        call.reply.null();
        return Ok(());
    };
    if is(subcommand, "ENCODING") {
        let before = call.txn.set_unnoticed(true);
        let encoding = encoding(call, key, value_type);
        call.txn.set_unnoticed(before);
        let encoding = encoding?;
        call.reply.text(encoding);
    } else if is(subcommand, "REFCOUNT") {
        call.reply.integer(1);
    } else if is(subcommand, "IDLETIME") {
        let idle_ms = call.txn.idle_ms(key).unwrap_or(0);
        call.reply.count((idle_ms / 1000) as usize);
    } else {
        return Err(Failure::subcommand(subcommand, "OBJECT"));
    }
    Ok(())
}

fn encoding(
    call: &mut Call<'_, '_>,
    key: &[u8],
    value_type: ValueType,
) -> Result<&'static str, Failure> {
    Ok(match value_type {
        ValueType::String => string_encoding(call.txn.string(key)?.as_deref().unwrap_or_default()),
        ValueType::Hash => hash_encoding(call, key)?,
        ValueType::Set => set_encoding(call, key)?,
        ValueType::SortedSet => sorted_set_encoding(call, key)?,
        // Redis 7.0 keeps small lists so too.
        ValueType::List => "quicklist",
        ValueType::Stream => "stream",
        ValueType::HyperLogLog => "raw",
        _ => "unknown",
    })
}

fn string_encoding(value: &[u8]) -> &'static str {
    if parse_i64(value).is_some() {
        "int"
    } else if value.len() <= EMBSTR_BYTES_MAX {
        "embstr"
    } else {
        "raw"
    }
}

fn hash_encoding(call: &mut Call<'_, '_>, key: &[u8]) -> Result<&'static str, Failure> {
    let mut small = call.txn.hash_len(key)? <= LISTPACK_ENTRIES_MAX;
    if small {
        call.txn.hash_each(key, &mut |field, value| {
            small = field.len().max(value.len()) <= LISTPACK_VALUE_BYTES_MAX;
            if small {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
    }
    Ok(if small { "listpack" } else { "hashtable" })
}

fn set_encoding(call: &mut Call<'_, '_>, key: &[u8]) -> Result<&'static str, Failure> {
    let mut integers = call.txn.set_len(key)? <= INTSET_ENTRIES_MAX;
    if integers {
        call.txn.set_members(key, &mut |member| {
            integers = parse_i64(member).is_some();
            if integers {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
    }
    Ok(if integers { "intset" } else { "hashtable" })
}

fn sorted_set_encoding(call: &mut Call<'_, '_>, key: &[u8]) -> Result<&'static str, Failure> {
    let small = call.txn.sorted_set(key)?.is_some_and(|set| {
        set.len() <= SORTED_LISTPACK_ENTRIES_MAX
            && set
                .iter()
                .all(|(name, _)| name.len() <= LISTPACK_VALUE_BYTES_MAX)
    });
    Ok(if small { "listpack" } else { "skiplist" })
}

pub(super) fn memory(call: &mut Call<'_, '_>) -> Outcome {
    let subcommand = call.args[1];
    match *call.args {
        [_, _, key] if is(subcommand, "USAGE") => answer_usage(call, key),
        [_, _, key, samples, count] if is(subcommand, "USAGE") && is(samples, "SAMPLES") => {
            if integer(count)? < 0 {
                return Err(Failure::Syntax);
            }
            answer_usage(call, key);
        }
        _ if is(subcommand, "USAGE") => return Err(Failure::Syntax),
        [_, _] if is(subcommand, "HELP") => {
            help(call, "MEMORY", &["USAGE <key> [SAMPLES <count>]"])
        }
        _ => return Err(Failure::subcommand(subcommand, "MEMORY")),
    }
    Ok(())
}

fn answer_usage(call: &mut Call<'_, '_>, key: &[u8]) {
    match call.txn.memory_usage(key) {
        Some(bytes) => call.reply.count(bytes),
        None => call.reply.null(),
    }
}
