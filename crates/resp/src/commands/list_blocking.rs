//! Commands that wait for an element.

use std::time::Duration;

use isles_replica::{ListEnd, ValueType};

use super::list_move::{ManyPop, move_element};
use super::lists::end;
use crate::call::Call;
use crate::double::parse_bound;
use crate::error::{Failure, Outcome};

/// Reads a time in seconds, which may have fractions; none, if it is zero, for ever.
pub(super) fn timeout(text: &[u8]) -> Result<Option<Duration>, Failure> {
    let out_of_range = || Failure::other("ERR timeout is out of range");
    let seconds = parse_bound(text)
        .ok_or_else(|| Failure::other("ERR timeout is not a float or out of range"))?;
    if seconds < 0.0 {
        return Err(Failure::other("ERR timeout is negative"));
    }
    let ms = (seconds * 1000.0).ceil();
    // Beyond that Redis's clock in milliseconds ends.
    if ms >= i64::MAX as f64 {
        return Err(out_of_range());
    }
    let timeout = Duration::from_millis(ms as u64);
    Ok((!timeout.is_zero()).then_some(timeout))
}

pub(super) fn blpop(call: &mut Call<'_, '_>) -> Outcome {
    pop(call, ListEnd::Front)
}

pub(super) fn brpop(call: &mut Call<'_, '_>) -> Outcome {
    pop(call, ListEnd::Back)
}

fn pop(call: &mut Call<'_, '_>, end: ListEnd) -> Outcome {
    let last = call.args.len() - 1;
    let (keys, timeout) = (&call.args[1..last], timeout(call.args[last])?);
    for key in keys {
        if !call.looks_at(key) {
            continue;
        }
        if let Some(element) = call.txn.list_pop(key, end, 1)?.first() {
            call.reply.array(2);
            call.reply.bulk(key);
            call.reply.bulk(element);
            return Ok(());
        }
    }
    call.reply.null_array();
    call.wait(keys, ValueType::List, timeout);
    Ok(())
}

pub(super) fn blmpop(call: &mut Call<'_, '_>) -> Outcome {
    let timeout = timeout(call.args[1])?;
    let args = call.args;
    let pop = ManyPop::parse(&args[2..])?;
    if !pop.run(call)? {
        call.wait(pop.keys, ValueType::List, timeout);
    }
    Ok(())
}

pub(super) fn blmove(call: &mut Call<'_, '_>) -> Outcome {
    let (from, to) = (end(call.args[3])?, end(call.args[4])?);
    let timeout = timeout(call.args[5])?;
    wait_to_move(call, from, to, timeout)
}

pub(super) fn brpoplpush(call: &mut Call<'_, '_>) -> Outcome {
    let timeout = timeout(call.args[3])?;
    wait_to_move(call, ListEnd::Back, ListEnd::Front, timeout)
}

fn wait_to_move(
    call: &mut Call<'_, '_>,
    from: ListEnd,
    to: ListEnd,
    timeout: Option<Duration>,
) -> Outcome {
    let moved = move_element(call, from, to)?;
    if moved.is_none() && !call.session.executing {
        // What a client is told that has waited in vain; inside a transaction it is told what LMOVE tells.
        call.reply.null_array();
        let source = call.args[1];
        call.wait(&[source], ValueType::List, timeout);
    } else {
        call.reply.bulk_or_null(moved.as_deref());
    }
    Ok(())
}
