//! HRANDFIELD.

use std::ops::ControlFlow;

use super::set_random::{count_in_range, repeat, repeated_count};
use crate::call::{Call, is};
use crate::error::{Failure, Outcome};
use crate::reply::{Protocol, Reply};

type Pair = (Box<[u8]>, Box<[u8]>);

/// Whether the answer holds the values as well.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Show {
    Fields,
    Pairs,
}

pub(super) fn hrandfield(call: &mut Call<'_, '_>) -> Outcome {
    let (count, show) = match *call.args {
        [_, key] => {
            let pair = call.txn.hash_random(key, call.session.random.next())?;
            call.reply
                .bulk_or_null(pair.as_ref().map(|(field, _)| field.as_slice()));
            return Ok(());
        }
        [_, _, count] => (count_in_range(count)?, Show::Fields),
        [_, _, count, word] if is(word, "WITHVALUES") => (count_in_range(count)?, Show::Pairs),
        _ => {
            count_in_range(call.args[2])?;
            return Err(Failure::Syntax);
        }
    };
    if show == Show::Pairs && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(Failure::OutOfRange);
    }
    if count < 0 {
        repeated(call, count, show)
    } else {
        distinct(call, count, show)
    }
}

fn distinct(call: &mut Call<'_, '_>, count: i64, show: Show) -> Outcome {
    let mut pairs = pairs(call)?;
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    if count < pairs.len() {
        call.session.random.choose(&mut pairs, count);
        pairs.truncate(count);
    }
    call.reply.array(elements(call.reply, pairs.len(), show));
    pairs.iter().for_each(|pair| write(call.reply, pair, show));
    Ok(())
}

fn repeated(call: &mut Call<'_, '_>, count: i64, show: Show) -> Outcome {
    let count = repeated_count(count)?;
    let pairs = pairs(call)?;
    if pairs.is_empty() {
        call.reply.array(0);
        return Ok(());
    }
    let count = elements(call.reply, count, show);
    let step = if is_flat(call.reply, show) { 2 } else { 1 };
    let bytes_max = call.surroundings.server.options.max_reply_bytes;
    let random = &mut call.session.random;
    let mut pick = |reply: &mut Reply| write(reply, &pairs[random.below(pairs.len())], show);
    call.reply.array(count);
    repeat(count / step, bytes_max, call.reply, &mut pick);
    Ok(())
}

/// To RESP2 clients fields and values are one flat array.
fn is_flat(reply: &Reply, show: Show) -> bool {
    show == Show::Pairs && reply.protocol == Protocol::Resp2
}

fn elements(reply: &Reply, pairs: usize, show: Show) -> usize {
    if is_flat(reply, show) {
        pairs * 2
    } else {
        pairs
    }
}

fn write(reply: &mut Reply, (field, value): &Pair, show: Show) {
    if show == Show::Pairs && reply.protocol == Protocol::Resp3 {
        reply.array(2);
    }
    reply.bulk(field);
    if show == Show::Pairs {
        reply.bulk(value);
    }
}

fn pairs(call: &mut Call<'_, '_>) -> Result<Vec<Pair>, Failure> {
    let mut pairs = Vec::with_capacity(call.txn.hash_len(call.args[1])?);
    call.txn.hash_each(call.args[1], &mut |field, value| {
        pairs.push((field.into(), value.into()));
        ControlFlow::Continue(())
    })?;
    Ok(pairs)
}
