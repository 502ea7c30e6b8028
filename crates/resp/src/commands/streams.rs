//! Commands that change a stream, and its length.

use isles_replica::{NewStreamId, SetStreamIdError, StreamAddError, StreamId, StreamTrim};

use super::stream_claims::{xautoclaim, xclaim};
use super::stream_group_read::xreadgroup;
use super::stream_groups::{self, xack, xgroup};
use super::stream_info::{self, xinfo};
use super::stream_pending::xpending;
use super::stream_read::{xrange, xread, xrevrange};
use super::stream_trim::TrimWords;
use crate::call::{Call, integer, is};
use crate::error::{Failure, Outcome};
use crate::number::parse_u64;
use crate::spec::{Family, Run, Spec};

pub(super) const COMMANDS: &[Spec] = &[
    stream("xack", -4, xack, "Returns the number of messages that were successfully acknowledged by the consumer group member of a stream.")
        .write()
        .fast()
        .key(),
    stream("xadd", -5, xadd, "Appends a new message to a stream. Creates the key if it doesn't exist.")
        .write()
        .fast()
        .key(),
    stream("xautoclaim", -6, xautoclaim, "Changes, or acquires, ownership of messages in a consumer group, as if the messages were delivered to as consumer group member.")
        .write()
        .fast()
        .key(),
    stream("xclaim", -6, xclaim, "Changes, or acquires, ownership of a message in a consumer group, as if the message was delivered a consumer group member.")
        .write()
        .fast()
        .key(),
    stream("xdel", -3, xdel, "Returns the number of messages after removing them from a stream.")
        .write()
        .fast()
        .key(),
    stream("xgroup", -2, xgroup, "A container for consumer groups commands.")
        .write()
        .subcommands(stream_groups::XGROUP)
        .keys(2, 2, 1),
    stream("xinfo", -2, xinfo, "A container for stream introspection commands.")
        .read()
        .subcommands(stream_info::XINFO)
        .keys(2, 2, 1),
    stream("xlen", 2, xlen, "Returns the number of messages in a stream.")
        .read()
        .fast()
        .key(),
    stream("xpending", -3, xpending, "Returns the information and entries from a stream consumer group's pending entries list.")
        .read()
        .key(),
    stream("xrange", -4, xrange, "Returns the messages from a stream within a range of IDs.")
        .read()
        .long()
        .key(),
    stream("xread", -4, xread, "Returns messages from multiple streams with IDs greater than the ones requested. Blocks until a message is available otherwise.")
        .read()
        .long()
        .blocking()
        .keys_after_streams(),
    stream("xreadgroup", -7, xreadgroup, "Returns new or historical messages from a stream for a consumer in a group. Blocks until a message is available otherwise.")
        .write()
        .blocking()
        .keys_after_streams(),
    stream("xrevrange", -4, xrevrange, "Returns the messages from a stream within a range of IDs in reverse order.")
        .read()
        .long()
        .key(),
    stream("xsetid", -3, xsetid, "An internal command for replicating stream values.")
        .write()
        .fast()
        .key(),
    stream("xtrim", -4, xtrim, "Deletes messages from the beginning of a stream.")
        .write()
        .long()
        .key(),
];

const fn stream(
    name: &'static str,
    arity: i32,
    run: fn(&mut Call<'_, '_>) -> Outcome,
    summary: &'static str,
) -> Spec {
    Spec::new(Family::Streams, name, arity, Run::Data(run), summary)
}

/// What an id leaves open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Nothing.
    Whole(StreamId),
    /// `ms-*`: the sequence.
    AnySequence(u64),
}

/// Reads `ms-seq`, `ms-*` or `ms`, which gets the sequence `missing`.
pub(super) fn form(text: &[u8], missing: u64) -> Option<Form> {
    let Some(dash) = text.iter().position(|byte| *byte == b'-') else {
        return Some(Form::Whole(StreamId::new(parse_u64(text)?, missing)));
    };
    let (ms, seq) = (parse_u64(&text[..dash])?, &text[dash + 1..]);
    Some(match seq {
        b"*" => Form::AnySequence(ms),
        seq => Form::Whole(StreamId::new(ms, parse_u64(seq)?)),
    })
}

/// Reads `ms-seq` or `ms`.
pub(super) fn id(text: &[u8], missing: u64) -> Result<StreamId, Failure> {
    match form(text, missing) {
        Some(Form::Whole(id)) => Ok(id),
        _ => Err(invalid_id()),
    }
}

pub(super) fn invalid_id() -> Failure {
    Failure::other("ERR Invalid stream ID specified as stream command argument")
}

fn xadd(call: &mut Call<'_, '_>) -> Outcome {
    let key = call.args[1];
    let mut words = TrimWords::default();
    let mut creates = true;
    let mut at = 2;
    let id = loop {
        let Some(word) = call.args.get(at).copied() else {
            return Err(Failure::arity("xadd"));
        };
        let more = &call.args[at + 1..];
        if word == b"*" {
            break NewStreamId::Generated;
        } else if let Some(taken) = words.take(word, more)? {
            at += taken;
        } else if is(word, "NOMKSTREAM") {
            (creates, at) = (false, at + 1);
        } else {
            break match form(word, 0).ok_or_else(invalid_id)? {
                Form::Whole(id) => NewStreamId::Given(id),
                Form::AnySequence(ms) => NewStreamId::InMs(ms),
            };
        }
    };
    let trim = words.trim(call)?;
    let texts = &call.args[at + 1..];
    if texts.is_empty() || texts.len() % 2 == 1 {
        return Err(Failure::arity("xadd"));
    }
    if id == NewStreamId::Given(StreamId::ZERO) {
        return Err(Failure::other(
            "ERR The ID specified in XADD must be greater than 0-0",
        ));
    }
    if !creates && call.txn.value_type(key).is_none() {
        call.reply.null();
        return Ok(());
    }
    let id = call.txn.stream_add(key, id, texts, trim)?;
    call.reply.text(id.to_string());
    Ok(())
}

impl From<StreamAddError> for Failure {
    fn from(error: StreamAddError) -> Failure {
        Failure::other(match error {
            StreamAddError::WrongType => return Failure::WrongType,
            StreamAddError::Exhausted => {
                "ERR The stream has exhausted the last possible ID, unable to add more items"
            }
            _ => "ERR The ID specified in XADD is equal or smaller than the target stream top item",
        })
    }
}

fn xlen(call: &mut Call<'_, '_>) -> Outcome {
    let len = call.txn.stream_len(call.args[1])?;
    call.reply.count(len);
    Ok(())
}

fn xdel(call: &mut Call<'_, '_>) -> Outcome {
    // The type is looked at first, as Redis does.
    call.txn.stream_len(call.args[1])?;
    let ids: Vec<StreamId> = call.args[2..]
        .iter()
        .map(|text| id(text, 0))
        .collect::<Result<_, _>>()?;
    let removed = call.txn.stream_remove(call.args[1], &ids)?;
    call.reply.count(removed);
    Ok(())
}

fn xtrim(call: &mut Call<'_, '_>) -> Outcome {
    let mut words = TrimWords::default();
    let mut at = 2;
    while let Some(word) = call.args.get(at) {
        let taken = words.take(word, &call.args[at + 1..])?;
        at += taken.ok_or(Failure::Syntax)?;
    }
    let trim: Option<StreamTrim> = words.trim(call)?;
    let trim = trim.ok_or_else(|| {
        Failure::other("ERR syntax error, XTRIM must be called with a trimming strategy")
    })?;
    let removed = call.txn.stream_trim(call.args[1], trim)?;
    call.reply.count(removed);
    Ok(())
}

fn xsetid(call: &mut Call<'_, '_>) -> Outcome {
    let last = id(call.args[2], 0)?;
    let (mut added, mut max_deleted) = (None, None);
    for option in call.args[3..].chunks(2) {
        match *option {
            [word, number] if is(word, "ENTRIESADDED") => {
                let number = integer(number)?;
                added = Some(
                    u64::try_from(number)
                        .map_err(|_| Failure::other("ERR entries_added must be positive"))?,
                );
            }
            [word, text] if is(word, "MAXDELETEDID") => {
                let deleted = id(text, 0)?;
                if last < deleted {
                    return Err(Failure::other(
                        "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
                    ));
                }
                max_deleted = Some(deleted);
            }
            _ => return Err(Failure::Syntax),
        }
    }
    call.txn
        .stream_set_id(call.args[1], last, added, max_deleted)?;
    call.reply.ok();
    Ok(())
}

impl From<SetStreamIdError> for Failure {
    fn from(error: SetStreamIdError) -> Failure {
        Failure::other(match error {
            SetStreamIdError::WrongType => return Failure::WrongType,
            SetStreamIdError::Absent => return Failure::NoSuchKey,
            SetStreamIdError::FewerThanPresent => {
                "ERR The entries_added specified in XSETID is smaller than the target stream length"
            }
            _ => "ERR The ID specified in XSETID is smaller than the target stream top item",
        })
    }
}
