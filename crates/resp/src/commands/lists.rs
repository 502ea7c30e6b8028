//! Commands on one list.

use std::ops::{ControlFlow, Range};

use isles_replica::{InsertError, ListEnd, ListSide};

use super::list_blocking::{blmove, blmpop, blpop, brpop, brpoplpush};
use super::list_move::{lmove, lmpop, rpoplpush};
use super::list_position::lpos;
use crate::call::{Call, integer, is};
use crate::error::{Failure, Outcome};
use crate::spec::{Family, Run, Spec};

pub(super) const COMMANDS: &[Spec] = &[
    list(
        "blmove",
        6,
        blmove,
        "Pops an element from a list, pushes it to another list and returns it. Blocks until an element is available otherwise. Deletes the list if the last element was moved.",
    )
    .write()
    .no_script()
    .blocking()
    .keys(1, 2, 1),
    list(
        "blmpop",
        -5,
        blmpop,
        "Pops the first element from one of multiple lists. Blocks until an element is available otherwise. Deletes the list if the last element was popped.",
    )
    .write()
    .blocking()
    .counted_keys(2),
    list(
        "blpop",
        -3,
        blpop,
        "Removes and returns the first element in a list. Blocks until an element is available otherwise. Deletes the list if the last element was popped.",
    )
    .write()
    .no_script()
    .blocking()
    .keys(1, -2, 1),
    list(
        "brpop",
        -3,
        brpop,
        "Removes and returns the last element in a list. Blocks until an element is available otherwise. Deletes the list if the last element was popped.",
    )
    .write()
    .no_script()
    .blocking()
    .keys(1, -2, 1),
    list(
        "brpoplpush",
        4,
        brpoplpush,
        "Pops an element from a list, pushes it to another list and returns it. Block until an element is available otherwise. Deletes the list if the last element was popped.",
    )
    .write()
    .no_script()
    .blocking()
    .keys(1, 2, 1),
    list("lindex", 3, lindex, "Returns an element from a list by its index.")
        .read()
        .key(),
    list(
        "linsert",
        5,
        linsert,
        "Inserts an element before or after another element in a list.",
    )
    .write()
    .long()
    .key(),
    list("llen", 2, llen, "Returns the length of a list.")
        .read()
        .fast()
        .key(),
    list(
        "lmove",
        5,
        lmove,
        "Returns an element after popping it from one list and pushing it to another. Deletes the list if the last element was moved.",
    )
    .write()
    .keys(1, 2, 1),
    list(
        "lmpop",
        -4,
        lmpop,
        "Returns multiple elements from a list after removing them. Deletes the list if the last element was popped.",
    )
    .write()
    .counted_keys(1),
    list(
        "lpop",
        -2,
        lpop,
        "Returns the first elements in a list after removing it. Deletes the list if the last element was popped.",
    )
    .write()
    .fast()
    .key(),
    list("lpos", -3, lpos, "Returns the index of matching elements in a list.")
        .read()
        .long()
        .key(),
    list(
        "lpush",
        -3,
        lpush,
        "Prepends one or more elements to a list. Creates the key if it doesn't exist.",
    )
    .write()
    .fast()
    .key(),
    list(
        "lpushx",
        -3,
        lpushx,
        "Prepends one or more elements to a list only when the list exists.",
    )
    .write()
    .fast()
    .key(),
    list("lrange", 4, lrange, "Returns a range of elements from a list.")
        .read()
        .long()
        .key(),
    list(
        "lrem",
        4,
        lrem,
        "Removes elements from a list. Deletes the list if the last element was removed.",
    )
    .write()
    .long()
    .key(),
    list("lset", 4, lset, "Sets the value of an element in a list by its index.")
        .write()
        .key(),
    list(
        "ltrim",
        4,
        ltrim,
        "Removes elements from both ends a list. Deletes the list if all elements were trimmed.",
    )
    .write()
    .long()
    .key(),
    list(
        "rpop",
        -2,
        rpop,
        "Returns and removes the last elements of a list. Deletes the list if the last element was popped.",
    )
    .write()
    .fast()
    .key(),
    list(
        "rpoplpush",
        3,
        rpoplpush,
        "Returns the last element of a list after removing and pushing it to another list. Deletes the list if the last element was popped.",
    )
    .write()
    .keys(1, 2, 1),
    list(
        "rpush",
        -3,
        rpush,
        "Appends one or more elements to a list. Creates the key if it doesn't exist.",
    )
    .write()
    .fast()
    .key(),
    list("rpushx", -3, rpushx, "Appends an element to a list only when the list exists.")
        .write()
        .fast()
        .key(),
];

const fn list(
    name: &'static str,
    arity: i32,
    run: fn(&mut Call<'_, '_>) -> Outcome,
    summary: &'static str,
) -> Spec {
    Spec::new(Family::Lists, name, arity, Run::Data(run), summary)
}

/// Reads LEFT or RIGHT.
pub(super) fn end(word: &[u8]) -> Result<ListEnd, Failure> {
    if is(word, "LEFT") {
        Ok(ListEnd::Front)
    } else if is(word, "RIGHT") {
        Ok(ListEnd::Back)
    } else {
        Err(Failure::Syntax)
    }
}

fn lpush(call: &mut Call<'_, '_>) -> Outcome {
    push(call, ListEnd::Front)
}

fn rpush(call: &mut Call<'_, '_>) -> Outcome {
    push(call, ListEnd::Back)
}

fn push(call: &mut Call<'_, '_>, end: ListEnd) -> Outcome {
    let len = call.txn.list_push(call.args[1], end, &call.args[2..])?;
    call.reply.count(len);
    Ok(())
}

fn lpushx(call: &mut Call<'_, '_>) -> Outcome {
    push_if_there(call, ListEnd::Front)
}

fn rpushx(call: &mut Call<'_, '_>) -> Outcome {
    push_if_there(call, ListEnd::Back)
}

fn push_if_there(call: &mut Call<'_, '_>, end: ListEnd) -> Outcome {
    if call.txn.list_len(call.args[1])? > 0 {
        return push(call, end);
    }
    call.reply.integer(0);
    Ok(())
}

fn lpop(call: &mut Call<'_, '_>) -> Outcome {
    pop(call, "lpop", ListEnd::Front)
}

fn rpop(call: &mut Call<'_, '_>) -> Outcome {
    pop(call, "rpop", ListEnd::Back)
}

fn pop(call: &mut Call<'_, '_>, name: &str, end: ListEnd) -> Outcome {
    let key = call.args[1];
    let count = match *call.args {
        [_, _] => {
            let popped = call.txn.list_pop(key, end, 1)?;
            call.reply
                .bulk_or_null(popped.first().map(|element| &**element));
            return Ok(());
        }
        [_, _, count] => count,
        _ => return Err(Failure::arity(name)),
    };
    let count = usize::try_from(integer(count).map_err(|_| Failure::NotPositive)?);
    let count = count.map_err(|_| Failure::NotPositive)?;
    if call.txn.list_len(key)? == 0 {
        call.reply.null_array();
        return Ok(());
    }
    let popped = call.txn.list_pop(key, end, count)?;
    call.reply.array(popped.len());
    popped.iter().for_each(|element| call.reply.bulk(element));
    Ok(())
}

fn llen(call: &mut Call<'_, '_>) -> Outcome {
    call.reply.count(call.txn.list_len(call.args[1])?);
    Ok(())
}

/// The place in a list of this length that an index means, which may count from the end.
fn place(index: i64, len: usize) -> Option<usize> {
    let index = match index {
        0.. => index,
        _ => index.checked_add(i64::try_from(len).ok()?)?,
    };
    usize::try_from(index).ok().filter(|index| *index < len)
}

/// The places from `start` to `stop`, both included, either of which may count from the end.
fn places(start: i64, stop: i64, len: usize) -> Range<usize> {
    let signed = i64::try_from(len).unwrap_or(i64::MAX);
    let from_end = |index: i64| match index {
        0.. => index,
        _ => index.saturating_add(signed),
    };
    let start = from_end(start).clamp(0, signed);
    let end = from_end(stop).saturating_add(1).clamp(start, signed);
    // Both lie between zero and the length.
    start as usize..end as usize
}

fn lindex(call: &mut Call<'_, '_>) -> Outcome {
    let len = call.txn.list_len(call.args[1])?;
    if len == 0 {
        call.reply.null();
        return Ok(());
    }
    let place = place(integer(call.args[2])?, len);
    let element = match place {
        Some(place) => call.txn.list_get(call.args[1], place)?,
        None => None,
    };
    call.reply.bulk_or_null(element);
    Ok(())
}

fn lrange(call: &mut Call<'_, '_>) -> Outcome {
    let (start, stop) = (integer(call.args[2])?, integer(call.args[3])?);
    let len = call.txn.list_len(call.args[1])?;
    let places = places(start, stop, len);
    let reply = &mut *call.reply;
    reply.array(places.len());
    call.txn
        .list_each(call.args[1], places, &mut |_, element| {
            reply.bulk(element);
            ControlFlow::Continue(())
        })?;
    Ok(())
}

fn lset(call: &mut Call<'_, '_>) -> Outcome {
    let len = call.txn.list_len(call.args[1])?;
    if len == 0 {
        return Err(Failure::NoSuchKey);
    }
    let place = place(integer(call.args[2])?, len);
    let place = place.ok_or_else(|| Failure::other("ERR index out of range"))?;
    call.txn.list_set(call.args[1], place, call.args[3])?;
    call.reply.ok();
    Ok(())
}

fn linsert(call: &mut Call<'_, '_>) -> Outcome {
    let side = if is(call.args[2], "BEFORE") {
        ListSide::Before
    } else if is(call.args[2], "AFTER") {
        ListSide::After
    } else {
        return Err(Failure::Syntax);
    };
    let key = call.args[1];
    if call.txn.list_len(key)? == 0 {
        call.reply.integer(0);
        return Ok(());
    }
    match call.txn.list_insert(key, side, call.args[3], call.args[4]) {
        Ok(len) => call.reply.count(len),
        Err(InsertError::NoPivot) => call.reply.integer(-1),
        Err(InsertError::WrongType) => return Err(Failure::WrongType),
        Err(error) => return Err(Failure::other(format!("ERR {error}"))),
    }
    Ok(())
}

fn lrem(call: &mut Call<'_, '_>) -> Outcome {
    let count = integer(call.args[2])?;
    let removed = call.txn.list_remove(call.args[1], count, call.args[3])?;
    call.reply.count(removed);
    Ok(())
}

fn ltrim(call: &mut Call<'_, '_>) -> Outcome {
    let (start, stop) = (integer(call.args[2])?, integer(call.args[3])?);
    let len = call.txn.list_len(call.args[1])?;
    call.txn.list_trim(call.args[1], places(start, stop, len))?;
    call.reply.ok();
    Ok(())
}
