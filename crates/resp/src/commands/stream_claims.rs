//! XCLAIM and XAUTOCLAIM.

use isles_replica::{StreamClaim, StreamId};

use super::stream_groups::{Lacking, refused};
use super::stream_read::{entry, start};
use super::streams::id;
use crate::call::{Call, is};
use crate::error::{Failure, Outcome, preview};
use crate::number::parse_i64;

/// What XAUTOCLAIM claims if the client does not say.
const AUTO_COUNT: i64 = 100;
/// What it claims at most, as in Redis.
const AUTO_COUNT_MAX: i64 = i64::MAX / 16;

fn number(text: &[u8], what: &str, command: &str) -> Result<i64, Failure> {
    let invalid = || Failure::other(format!("ERR Invalid {what} argument for {command}"));
    parse_i64(text).ok_or_else(invalid)
}

pub(super) fn xclaim(call: &mut Call<'_, '_>) -> Outcome {
    let (key, name, consumer) = (call.args[1], call.args[2], call.args[3]);
    let refuse = |error| refused(error, Lacking::KeyOrGroup, key, name);
    call.txn.group_pending_span(key, name).map_err(refuse)?;
    let idle = number(call.args[4], "min-idle-time", "XCLAIM")?;
    let rest = &call.args[5..];
    let ids: Vec<StreamId> = rest.iter().map_while(|text| id(text, 0).ok()).collect();
    let now_ms = call.txn.now_ms();
    let mut claim = options(&rest[ids.len()..], now_ms)?;
    claim.idle_ms_min = u64::try_from(idle).unwrap_or(0);
    let claimed = call
        .txn
        .group_claim(key, name, consumer, &ids, claim)
        .map_err(refuse)?;
    claimed_entries(call, key, &claimed, claim.is_quiet)
}

fn options(words: &[&[u8]], now_ms: u64) -> Result<StreamClaim, Failure> {
    let mut claim = StreamClaim::default();
    // A time that cannot be is now, since clients compute it from clocks of their own.
    let sane = |at_ms: i64| u64::try_from(at_ms).ok().filter(|at_ms| *at_ms <= now_ms);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if is(word, "FORCE") {
            claim.is_forced = true;
        } else if is(word, "JUSTID") {
            claim.is_quiet = true;
        } else if is(word, "IDLE")
            && let Some(text) = words.next()
        {
            let idle_ms = number(text, "IDLE option", "XCLAIM")?;
            claim.at_ms = sane((now_ms as i64).saturating_sub(idle_ms));
        } else if is(word, "TIME")
            && let Some(text) = words.next()
        {
            claim.at_ms = sane(number(text, "TIME option", "XCLAIM")?);
        } else if is(word, "RETRYCOUNT")
            && let Some(text) = words.next()
        {
            claim.count = u64::try_from(number(text, "RETRYCOUNT option", "XCLAIM")?).ok();
        } else if is(word, "LASTID")
            && let Some(text) = words.next()
        {
            claim.last = id(text, 0)?;
        } else {
            let word = preview(word);
            return Err(Failure::other(format!(
                "ERR Unrecognized XCLAIM option '{word}'"
            )));
        }
    }
    Ok(claim)
}

pub(super) fn xautoclaim(call: &mut Call<'_, '_>) -> Outcome {
    let (key, name, consumer) = (call.args[1], call.args[2], call.args[3]);
    let idle = number(call.args[4], "min-idle-time", "XAUTOCLAIM")?;
    let from = start(call.args[5])?;
    let mut claim = StreamClaim {
        idle_ms_min: u64::try_from(idle).unwrap_or(0),
        ..StreamClaim::default()
    };
    let mut count = AUTO_COUNT;
    let mut words = call.args[6..].iter();
    while let Some(word) = words.next() {
        if is(word, "JUSTID") {
            claim.is_quiet = true;
        } else if is(word, "COUNT")
            && let Some(text) = words.next()
        {
            let given = parse_i64(text).filter(|count| (1..=AUTO_COUNT_MAX).contains(count));
            count = given.ok_or_else(|| Failure::other("ERR COUNT must be > 0"))?;
        } else {
            return Err(Failure::Syntax);
        }
    }
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let done = call
        .txn
        .group_auto_claim(key, name, consumer, from, count, claim);
    let done = done.map_err(|error| refused(error, Lacking::KeyOrGroup, key, name))?;
    call.reply.array(3);
    call.reply.text(done.next.unwrap_or_default().to_string());
    claimed_entries(call, key, &done.claimed, claim.is_quiet)?;
    call.reply.array(done.deleted.len());
    done.deleted
        .iter()
        .for_each(|id| call.reply.text(id.to_string()));
    Ok(())
}

/// The entries with these ids, or the ids alone.
fn claimed_entries(
    call: &mut Call<'_, '_>,
    key: &[u8],
    ids: &[StreamId],
    is_quiet: bool,
) -> Outcome {
    if is_quiet {
        call.reply.array(ids.len());
        ids.iter().for_each(|id| call.reply.text(id.to_string()));
        return Ok(());
    }
    let (mark, mut written) = (call.reply.mark(), 0);
    let mut last = None;
    for id in ids.iter().filter(|id| last.replace(**id) != Some(**id)) {
        let reply = &mut *call.reply;
        call.txn.stream_range(key, *id, *id, &mut |id, texts| {
            entry(reply, id, texts);
            written += 1;
            std::ops::ControlFlow::Continue(())
        })?;
    }
    call.reply.array_at(mark, written);
    Ok(())
}
