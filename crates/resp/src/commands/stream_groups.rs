//! XINFO, and what becomes of commands on consumer groups, which Isles does not have.

use isles_replica::{StreamId, StreamInfo};

use super::config::help;
use super::stream_read::Span;
use crate::call::{Call, integer, is};
use crate::error::{Failure, Outcome, preview};
use crate::spec::Subcommand;

pub(super) const XGROUP: &[Subcommand] = &[
    ("create", -5),
    ("createconsumer", 5),
    ("delconsumer", 5),
    ("destroy", 4),
    ("help", 2),
    ("setid", -5),
];

pub(super) const XINFO: &[Subcommand] =
    &[("consumers", 4), ("groups", 3), ("help", 2), ("stream", -3)];

/// Entries that XINFO STREAM … FULL shows if the client does not say.
const FULL_COUNT: usize = 10;

pub(super) fn refuse(_: &mut Call<'_, '_>) -> Outcome {
    Err(Failure::other(
        "ERR consumer groups are not supported: which consumer has which entry would have to be agreed on between regions; \
         use XREAD with an ID per consumer",
    ))
}

pub(super) fn xgroup(call: &mut Call<'_, '_>) -> Outcome {
    if is(call.args[1], "HELP") {
        help(call, "XGROUP", &[]);
        return Ok(());
    }
    refuse(call)
}

pub(super) fn xinfo(call: &mut Call<'_, '_>) -> Outcome {
    let subcommand = call.args[1];
    if is(subcommand, "HELP") {
        let lines = [
            "CONSUMERS <key> <groupname>",
            "GROUPS <key>",
            "STREAM <key> [FULL [COUNT <count>]]",
        ];
        help(call, "XINFO", &lines);
        return Ok(());
    }
    let Some(key) = call.args.get(2).copied() else {
        return Err(Failure::subcommand(subcommand, "XINFO"));
    };
    let info = call.txn.stream_info(key)?.ok_or(Failure::NoSuchKey)?;
    match *call.args {
        [_, _, _] if is(subcommand, "GROUPS") => call.reply.array(0),
        [_, _, _, group] if is(subcommand, "CONSUMERS") => {
            return Err(Failure::other(format!(
                "NOGROUP No such consumer group '{}' for key name '{}'",
                preview(group),
                preview(key)
            )));
        }
        [_, _, _] => summary(call, key, &info)?,
        [_, _, _, full] if is(full, "FULL") => details(call, key, &info, Some(FULL_COUNT))?,
        [_, _, _, full, word, count] if is(full, "FULL") && is(word, "COUNT") => {
            // As in Redis: zero for all, and less for the default.
            let count = match integer(count)? {
                0 => None,
                count => Some(usize::try_from(count).unwrap_or(FULL_COUNT)),
            };
            details(call, key, &info, count)?;
        }
        _ => return Err(Failure::Syntax),
    }
    Ok(())
}

fn summary(call: &mut Call<'_, '_>, key: &[u8], info: &StreamInfo) -> Outcome {
    call.reply.map(10);
    head(call, info);
    call.reply.text("groups");
    call.reply.integer(0);
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
    call.reply.array(0);
    Ok(())
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
