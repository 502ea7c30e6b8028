//! Commands that take elements of a list and put them, or find them, elsewhere.

use std::sync::Arc;

use isles_replica::ListEnd;

use super::lists::end;
use crate::call::{Call, integer, is};
use crate::error::{Failure, Outcome};

pub(super) fn lmove(call: &mut Call<'_, '_>) -> Outcome {
    let (from, to) = (end(call.args[3])?, end(call.args[4])?);
    answer_moved(call, from, to)
}

pub(super) fn rpoplpush(call: &mut Call<'_, '_>) -> Outcome {
    answer_moved(call, ListEnd::Back, ListEnd::Front)
}

fn answer_moved(call: &mut Call<'_, '_>, from: ListEnd, to: ListEnd) -> Outcome {
    let moved = move_element(call, from, to)?;
    call.reply.bulk_or_null(moved.as_deref());
    Ok(())
}

/// Moves an element from the list of the first argument to that of the second; none if there is none.
pub(super) fn move_element(
    call: &mut Call<'_, '_>,
    from: ListEnd,
    to: ListEnd,
) -> Result<Option<Arc<[u8]>>, Failure> {
    let (source, destination) = (call.args[1], call.args[2]);
    Ok(call.txn.list_move(source, from, destination, to)?)
}

/// What LMPOP and BLMPOP ask for.
pub(super) struct ManyPop<'c> {
    pub(super) keys: &'c [&'c [u8]],
    end: ListEnd,
    count: usize,
}

impl<'c> ManyPop<'c> {
    /// Reads the arguments from the number of keys on.
    pub(super) fn parse(args: &'c [&'c [u8]]) -> Result<ManyPop<'c>, Failure> {
        let positive = |text: &[u8], what: &str| {
            let number = integer(text)
                .ok()
                .and_then(|number| usize::try_from(number).ok());
            let number = number.filter(|number| *number > 0);
            number.ok_or_else(|| Failure::other(format!("ERR {what} should be greater than 0")))
        };
        let len = positive(args[0], "numkeys")?;
        let rest = &args[1..];
        let (keys, rest) = rest.split_at_checked(len).ok_or(Failure::Syntax)?;
        let (word, options) = rest.split_first().ok_or(Failure::Syntax)?;
        let end = end(word)?;
        let count = match *options {
            [] => 1,
            [word, count] if is(word, "COUNT") => positive(count, "count")?,
            _ => return Err(Failure::Syntax),
        };
        Ok(ManyPop { keys, end, count })
    }

    /// Pops from the first list that has elements; says whether there was one.
    pub(super) fn run(&self, call: &mut Call<'_, '_>) -> Result<bool, Failure> {
        for key in self.keys {
            if !call.looks_at(key) {
                continue;
            }
            let popped = call.txn.list_pop(key, self.end, self.count)?;
            if popped.is_empty() {
                continue;
            }
            call.reply.array(2);
            call.reply.bulk(key);
            call.reply.array(popped.len());
            popped.iter().for_each(|element| call.reply.bulk(element));
            return Ok(true);
        }
        call.reply.null_array();
        Ok(false)
    }
}

pub(super) fn lmpop(call: &mut Call<'_, '_>) -> Outcome {
    ManyPop::parse(&call.args[1..])?.run(call)?;
    Ok(())
}
