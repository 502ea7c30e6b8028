//! XREADGROUP.

use std::ops::ControlFlow;

use isles_replica::{Acknowledged, GroupError, StreamId, ValueType};

use super::stream_groups::{Lacking, refused};
use super::stream_read::{Options, answer_streams, entry};
use super::streams::id;
use crate::call::Call;
use crate::error::{Failure, Outcome};

/// What is read of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// What the group has not delivered yet.
    New,
    /// What is pending at the consumer after this id.
    Pending(StreamId),
}

pub(super) fn xreadgroup(call: &mut Call<'_, '_>) -> Outcome {
    let options = Options::parse(call.args)?;
    let (group, consumer) = options.group.unwrap_or_default();
    let streams = (call.args.len() - options.keys_at) / 2;
    let (keys, ids) = call.args[options.keys_at..].split_at(streams);
    let mut wanted = Vec::with_capacity(streams);
    for (key, text) in keys.iter().zip(ids) {
        check_group(call, key, group)?;
        wanted.push(match *text {
            b">" => Wanted::New,
            b"$" => {
                return Err(Failure::other(
                    "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer \
                     by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty \
                     result set.",
                ));
            }
            text => Wanted::Pending(id(text, 0)?),
        });
    }
    let wanted = keys.iter().copied().zip(wanted);
    let wanted = wanted.filter(|(key, _)| call.looks_at(key)).collect();
    let found = answer_streams(call, wanted, |call, key, wanted| match wanted {
        Wanted::New => new_entries(call, key, group, consumer, &options),
        Wanted::Pending(after) => {
            pending_entries(call, key, group, consumer, after, &options)?;
            Ok(1)
        }
    })?;
    if let Some(timeout) = options.block.filter(|_| found == 0) {
        call.wait_while_there(keys, ValueType::Stream, timeout);
    }
    Ok(())
}

/// Whether the group is there; one that was waited for is missed in other words.
fn check_group(call: &mut Call<'_, '_>, key: &[u8], group: &[u8]) -> Outcome {
    if !call.looks_at(key) {
        return Ok(());
    }
    let has_waited = call.session.changed_key.is_some();
    call.txn
        .group_has_new(key, group)
        .map(drop)
        .map_err(|error| match error {
            GroupError::NoStream | GroupError::WrongType if has_waited => {
                Failure::other("UNBLOCKED the stream key no longer exists")
            }
            GroupError::NoGroup if has_waited => Failure::other(
                "NOGROUP the consumer group this client was blocked on no longer exists",
            ),
            error => refused(error, Lacking::ToRead, key, group),
        })
}

fn new_entries(
    call: &mut Call<'_, '_>,
    key: &[u8],
    group: &[u8],
    consumer: &[u8],
    options: &Options<'_>,
) -> Result<usize, Failure> {
    let acknowledged = match options.noack {
        true => Acknowledged::AtOnce,
        false => Acknowledged::Later,
    };
    let mark = call.reply.mark();
    let reply = &mut *call.reply;
    let each = &mut |id: StreamId, texts: &mut dyn Iterator<Item = &[u8]>| {
        entry(reply, id, texts);
        ControlFlow::Continue(())
    };
    let read = call
        .txn
        .group_read(key, group, consumer, options.count, acknowledged, each);
    let read = read.map_err(|error| refused(error, Lacking::ToRead, key, group))?;
    call.reply.array_at(mark, read);
    Ok(read)
}

fn pending_entries(
    call: &mut Call<'_, '_>,
    key: &[u8],
    group: &[u8],
    consumer: &[u8],
    after: StreamId,
    options: &Options<'_>,
) -> Outcome {
    let mark = call.reply.mark();
    let reply = &mut *call.reply;
    let each = &mut |id: StreamId, texts: Option<&mut dyn Iterator<Item = &[u8]>>| {
        match texts {
            Some(texts) => entry(reply, id, texts),
            None => {
                reply.array(2);
                reply.text(id.to_string());
                reply.null_array();
            }
        }
        ControlFlow::Continue(())
    };
    let read = call
        .txn
        .group_read_pending(key, group, consumer, after, options.count, each);
    let read = read.map_err(|error| refused(error, Lacking::ToRead, key, group))?;
    call.reply.array_at(mark, read);
    Ok(())
}
