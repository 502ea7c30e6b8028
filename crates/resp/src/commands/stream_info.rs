//! XINFO.

use isles_replica::{GroupInfo, PendingInfo, PendingQuery, StreamId, StreamInfo};

use super::config::help;
use super::stream_groups::{Lacking, refused};
use super::stream_read::Span;
use crate::call::{Call, integer, is};
use crate::error::{Failure, Outcome};
use crate::reply::Reply;
use crate::spec::Subcommand;

pub(super) const XINFO: &[Subcommand] =
    &[("consumers", 4), ("groups", 3), ("help", 2), ("stream", -3)];

/// Entries that XINFO STREAM … FULL shows if the client does not say.
const FULL_COUNT: usize = 10;

pub(super) fn xinfo(call: &mut Call<'_, '_>) -> Outcome {
    let subcommand = call.args[1];
    if is(subcommand, "HELP") {
        let lines = [
            "CONSUMERS <key> <groupname>",
            "    Show consumers of <groupname>.",
            "GROUPS <key>",
            "    Show the stream consumer groups.",
            "STREAM <key> [FULL [COUNT <count>]",
            "    Show information about the stream.",
        ];
        help(call, "XINFO", &lines);
        return Ok(());
    }
    let Some(key) = call.args.get(2).copied() else {
        return Err(Failure::subcommand_or_arity(subcommand, "XINFO"));
    };
    let info = call.txn.stream_info(key)?.ok_or(Failure::NoSuchKey)?;
    match *call.args {
        [_, _, _] if is(subcommand, "GROUPS") => groups(call, key),
        [_, _, _, name] if is(subcommand, "CONSUMERS") => consumers(call, key, name),
        [_, _, _] => summary(call, key, &info),
        [_, _, _, full] if is(full, "FULL") => details(call, key, &info, Some(FULL_COUNT)),
        [_, _, _, full, word, count] if is(full, "FULL") && is(word, "COUNT") => {
            // As in Redis: zero for all, and less for the default.
            let count = match integer(count)? {
                0 => None,
                count => Some(usize::try_from(count).unwrap_or(FULL_COUNT)),
            };
            details(call, key, &info, count)
        }
        _ => Err(Failure::subcommand_or_arity(subcommand, "XINFO")),
    }
}

fn groups(call: &mut Call<'_, '_>, key: &[u8]) -> Outcome {
    let groups = call
        .txn
        .group_list(key)
        .map_err(|error| refused(error, Lacking::Key, key, b""))?;
    let reply = &mut *call.reply;
    reply.array(groups.len());
    for group in groups {
        reply.map(6);
        reply.text("name");
        reply.bulk(&group.name);
        reply.text("consumers");
        reply.count(group.consumers);
        reply.text("pending");
        reply.count(group.pending);
        progress(reply, &group);
    }
    Ok(())
}

/// Three fields that both forms share.
fn progress(reply: &mut Reply, group: &GroupInfo) {
    reply.text("last-delivered-id");
    reply.text(group.last.to_string());
    reply.text("entries-read");
    let read = group
        .read
        .map(|read| i64::try_from(read).unwrap_or(i64::MAX));
    for (name, value) in [(None, read), (Some("lag"), group.lag)] {
        name.into_iter().for_each(|name| reply.text(name));
        match value {
            Some(value) => reply.integer(value),
            None => reply.null(),
        }
    }
}

fn consumers(call: &mut Call<'_, '_>, key: &[u8], name: &[u8]) -> Outcome {
    let consumers = call.txn.group_consumers(key, name);
    let consumers = consumers.map_err(|error| refused(error, Lacking::Group, key, name))?;
    let now_ms = call.txn.now_ms();
    let reply = &mut *call.reply;
    reply.array(consumers.len());
    for consumer in consumers {
        reply.map(3);
        reply.text("name");
        reply.bulk(&consumer.name);
        reply.text("pending");
        reply.count(consumer.pending);
        reply.text("idle");
        reply.integer(now_ms.saturating_sub(consumer.seen_ms) as i64);
    }
    Ok(())
}

fn full_groups(call: &mut Call<'_, '_>, key: &[u8], count: usize) -> Outcome {
    let groups = call
        .txn
        .group_list(key)
        .map_err(|error| refused(error, Lacking::Key, key, b""))?;
    call.reply.array(groups.len());
    for group in groups {
        let name = &group.name;
        let refuse = |error| refused(error, Lacking::Group, key, name);
        let query = PendingQuery {
            from: StreamId::ZERO,
            to: StreamId::MAX,
            count,
            idle_ms_min: 0,
            consumer: None,
        };
        call.reply.map(7);
        call.reply.text("name");
        call.reply.bulk(name);
        progress(call.reply, &group);
        call.reply.text("pel-count");
        call.reply.count(group.pending);
        call.reply.text("pending");
        let pending = call.txn.group_pending(key, name, query).map_err(refuse)?;
        call.reply.array(pending.len());
        pending.iter().for_each(|each| row(call, each, true));
        call.reply.text("consumers");
        let consumers = call.txn.group_consumers(key, name).map_err(refuse)?;
        call.reply.array(consumers.len());
        for consumer in consumers {
            call.reply.map(4);
            call.reply.text("name");
            call.reply.bulk(&consumer.name);
            call.reply.text("seen-time");
            call.reply.integer(consumer.seen_ms as i64);
            call.reply.text("pel-count");
            call.reply.count(consumer.pending);
            call.reply.text("pending");
            let consumer = Some(&consumer.name[..]);
            let query = PendingQuery { consumer, ..query };
            let pending = call.txn.group_pending(key, name, query).map_err(refuse)?;
            call.reply.array(pending.len());
            pending.iter().for_each(|each| row(call, each, false));
        }
    }
    Ok(())
}

fn row(call: &mut Call<'_, '_>, pending: &PendingInfo, names_consumer: bool) {
    let reply = &mut *call.reply;
    reply.array(3 + usize::from(names_consumer));
    reply.text(pending.id.to_string());
    if names_consumer {
        reply.bulk(&pending.consumer);
    }
    reply.integer(pending.at_ms as i64);
    reply.integer(pending.count as i64);
}

fn summary(call: &mut Call<'_, '_>, key: &[u8], info: &StreamInfo) -> Outcome {
    call.reply.map(10);
    head(call, info);
    call.reply.text("groups");
    call.reply.count(info.groups);
    call.reply.text("first-entry");
    edge(call, key, false)?;
    call.reply.text("last-entry");
    edge(call, key, true)
}

fn details(
    call: &mut Call<'_, '_>,
    key: &[u8],
    info: &StreamInfo,
    count: Option<usize>,
) -> Outcome {
    call.reply.map(9);
    head(call, info);
    call.reply.text("entries");
    let span = Span {
        from: StreamId::ZERO,
        to: StreamId::MAX,
        backwards: false,
        count,
    };
    span.answer(call.txn, call.reply, key)?;
    call.reply.text("groups");
    full_groups(call, key, count.unwrap_or(usize::MAX))
}

/// The first seven fields of both forms. A page stands where Redis has a node of its radix tree.
fn head(call: &mut Call<'_, '_>, info: &StreamInfo) {
    let reply = &mut *call.reply;
    reply.text("length");
    reply.count(info.len);
    reply.text("radix-tree-keys");
    reply.count(info.pages);
    reply.text("radix-tree-nodes");
    reply.count(info.pages + 1);
    reply.text("last-generated-id");
    reply.text(info.last.to_string());
    reply.text("max-deleted-entry-id");
    reply.text(info.max_deleted.to_string());
    reply.text("entries-added");
    reply.count(usize::try_from(info.added).unwrap_or(usize::MAX));
    reply.text("recorded-first-entry-id");
    reply.text(info.first.unwrap_or_default().to_string());
}

/// The first or the last entry.
fn edge(call: &mut Call<'_, '_>, key: &[u8], backwards: bool) -> Outcome {
    let mut found = false;
    let reply = &mut *call.reply;
    let mut each = |id: StreamId, texts: &mut dyn Iterator<Item = &[u8]>| {
        super::stream_read::entry(reply, id, texts);
        found = true;
        std::ops::ControlFlow::Break(())
    };
    match backwards {
        true => call
            .txn
            .stream_range_back(key, StreamId::ZERO, StreamId::MAX, &mut each)?,
        false => call
            .txn
            .stream_range(key, StreamId::ZERO, StreamId::MAX, &mut each)?,
    }
    if !found {
        call.reply.null();
    }
    Ok(())
}
