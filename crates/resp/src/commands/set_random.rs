//! SPOP and SRANDMEMBER.

use std::collections::HashSet;
use std::ops::ControlFlow;

use crate::call::{Call, integer};
use crate::error::{Failure, Outcome};
use crate::number::parse_i64;
use crate::reply::Reply;

/// Answers with repetition are as long as the client says, so there is a limit to it.
pub(super) const REPEATED_MAX: u64 = 16 << 20;

pub(super) fn spop(call: &mut Call<'_, '_>) -> Outcome {
    match call.args.len() {
        2 => pop_one(call),
        3 => pop_some(call),
        _ => Err(Failure::Syntax),
    }
}

fn pop_one(call: &mut Call<'_, '_>) -> Outcome {
    let key = call.args[1];
    let member = call.txn.set_random(key, call.session.random.next())?;
    if let Some(member) = &member {
        call.txn.set_remove(key, &[member.as_slice()])?;
    }
    call.reply.bulk_or_null(member.as_deref());
    Ok(())
}

fn pop_some(call: &mut Call<'_, '_>) -> Outcome {
    let key = call.args[1];
    let count = integer(call.args[2])
        .ok()
        .and_then(|count| usize::try_from(count).ok())
        .ok_or(Failure::NotPositive)?;
    let popped = distinct(call, count)?;
    if !popped.is_empty() {
        let members: Vec<&[u8]> = popped.iter().map(|member| &**member).collect();
        call.txn.set_remove(key, &members)?;
    }
    call.reply.set(popped.len());
    popped.iter().for_each(|member| call.reply.bulk(member));
    Ok(())
}

pub(super) fn srandmember(call: &mut Call<'_, '_>) -> Outcome {
    match call.args.len() {
        2 => {
            let member = call
                .txn
                .set_random(call.args[1], call.session.random.next())?;
            call.reply.bulk_or_null(member.as_deref());
            Ok(())
        }
        3 => random_some(call),
        _ => Err(Failure::Syntax),
    }
}

fn random_some(call: &mut Call<'_, '_>) -> Outcome {
    let count = count_in_range(call.args[2])?;
    if count >= 0 {
        let members = distinct(call, usize::try_from(count).unwrap_or(usize::MAX))?;
        call.reply.array(members.len());
        members.iter().for_each(|member| call.reply.bulk(member));
        return Ok(());
    }
    let repeated = repeated_count(count)?;
    let members = members(call)?;
    if members.is_empty() {
        call.reply.array(0);
        return Ok(());
    }
    call.reply.array(repeated);
    repeat(
        repeated,
        call.surroundings.server.options.max_reply_bytes,
        call.reply,
        |reply| {
            reply.bulk(&members[call.session.random.below(members.len())]);
        },
    );
    Ok(())
}

/// Writes `count` picks; stops when the answer is too large to be sent anyway.
pub(super) fn repeat(
    count: usize,
    bytes_max: usize,
    reply: &mut Reply,
    mut pick: impl FnMut(&mut Reply),
) {
    for _ in 0..count {
        if reply.len() > bytes_max {
            return;
        }
        pick(reply);
    }
}

/// Members without repetition, each subset equally likely.
fn distinct(call: &mut Call<'_, '_>, count: usize) -> Result<Vec<Box<[u8]>>, Failure> {
    if count == 0 {
        call.txn.set_len(call.args[1])?;
        return Ok(Vec::new());
    }
    if count < call.txn.set_len(call.args[1])? / SPARSE {
        return sparse(call, count);
    }
    let mut members = members(call)?;
    if count < members.len() {
        call.session.random.choose(&mut members, count);
        members.truncate(count);
    }
    Ok(members)
}

/// Where fewer than one member in so many is wanted, picking and throwing away repetitions beats copying them all.
const SPARSE: usize = 4;

fn sparse(call: &mut Call<'_, '_>, count: usize) -> Result<Vec<Box<[u8]>>, Failure> {
    let mut picked: HashSet<Box<[u8]>> = HashSet::with_capacity(count);
    while picked.len() < count {
        let member = call
            .txn
            .set_random(call.args[1], call.session.random.next())?;
        picked.extend(member.map(Vec::into_boxed_slice));
    }
    Ok(picked.into_iter().collect())
}

fn members(call: &mut Call<'_, '_>) -> Result<Vec<Box<[u8]>>, Failure> {
    let mut members = Vec::with_capacity(call.txn.set_len(call.args[1])?);
    call.txn.set_members(call.args[1], &mut |member| {
        members.push(member.into());
        ControlFlow::Continue(())
    })?;
    Ok(members)
}

/// A count whose negative is a number too.
pub(super) fn count_in_range(count: &[u8]) -> Result<i64, Failure> {
    let count = parse_i64(count).ok_or(Failure::NotAnInteger)?;
    if count == i64::MIN {
        let (least, most) = (-i64::MAX, i64::MAX);
        return Err(Failure::other(format!(
            "ERR value is out of range, value must between {least} and {most}"
        )));
    }
    Ok(count)
}

/// How many picks a negative count asks for.
pub(super) fn repeated_count(count: i64) -> Result<usize, Failure> {
    let repeated = count.unsigned_abs();
    if repeated > REPEATED_MAX {
        Err(Failure::OutOfRange)
    } else {
        Ok(repeated as usize)
    }
}
