//! XPENDING.

use isles_replica::{PendingQuery, StreamId};

use super::stream_groups::{Lacking, refused};
use super::stream_read::{end, start};
use crate::call::{Call, integer, is};
use crate::error::{Failure, Outcome};

pub(super) fn xpending(call: &mut Call<'_, '_>) -> Outcome {
    let (key, name) = (call.args[1], call.args[2]);
    match call.args[3..] {
        [] => summary(call, key, name),
        [from, to, count] => {
            let query = query(b"0", from, to, count, None)?;
            rows(call, key, name, query)
        }
        // As in Redis, where this is a range and its consumer.
        [word, ..] if call.args.len() < 8 && is(word, "IDLE") => {
            integer(call.args.get(4).copied().unwrap_or_default())?;
            Err(Failure::Syntax)
        }
        [from, to, count, consumer] => {
            let query = query(b"0", from, to, count, Some(consumer))?;
            rows(call, key, name, query)
        }
        [word, idle, from, to, count] if is(word, "IDLE") => {
            let query = query(idle, from, to, count, None)?;
            rows(call, key, name, query)
        }
        [word, idle, from, to, count, consumer] if is(word, "IDLE") => {
            let query = query(idle, from, to, count, Some(consumer))?;
            rows(call, key, name, query)
        }
        _ => Err(Failure::Syntax),
    }
}

fn query<'c>(
    idle: &[u8],
    from: &[u8],
    to: &[u8],
    count: &[u8],
    consumer: Option<&'c [u8]>,
) -> Result<PendingQuery<'c>, Failure> {
    Ok(PendingQuery {
        idle_ms_min: u64::try_from(integer(idle)?).unwrap_or(0),
        count: usize::try_from(integer(count)?).unwrap_or(0),
        from: start(from)?,
        to: end(to)?,
        consumer,
    })
}

fn rows(call: &mut Call<'_, '_>, key: &[u8], name: &[u8], query: PendingQuery<'_>) -> Outcome {
    let pending = call.txn.group_pending(key, name, query);
    let pending = pending.map_err(|error| refused(error, Lacking::KeyOrGroup, key, name))?;
    let now_ms = call.txn.now_ms();
    let reply = &mut *call.reply;
    reply.array(pending.len());
    for each in pending {
        reply.array(4);
        reply.text(each.id.to_string());
        reply.bulk(&each.consumer);
        reply.integer(now_ms.saturating_sub(each.at_ms) as i64);
        reply.integer(i64::try_from(each.count).unwrap_or(i64::MAX));
    }
    Ok(())
}

fn summary(call: &mut Call<'_, '_>, key: &[u8], name: &[u8]) -> Outcome {
    let refuse = |error| refused(error, Lacking::KeyOrGroup, key, name);
    let (pending, span) = call.txn.group_pending_span(key, name).map_err(refuse)?;
    let consumers = call.txn.group_consumers(key, name).map_err(refuse)?;
    let reply = &mut *call.reply;
    reply.array(4);
    reply.count(pending);
    let Some((first, last)) = span else {
        reply.null();
        reply.null();
        reply.null_array();
        return Ok(());
    };
    let edge = |id: StreamId| id.to_string();
    reply.text(edge(first));
    reply.text(edge(last));
    let busy: Vec<_> = consumers
        .iter()
        .filter(|consumer| consumer.pending > 0)
        .collect();
    reply.array(busy.len());
    for consumer in busy {
        reply.array(2);
        reply.bulk(&consumer.name);
        reply.text(consumer.pending.to_string());
    }
    Ok(())
}
