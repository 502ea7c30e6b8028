//! LPOS.

use std::ops::ControlFlow;

use crate::call::{Call, integer, is};
use crate::error::{Failure, Outcome};

/// Which of the matching elements LPOS answers.
struct Search {
    /// How many matches are passed over.
    skip: u64,
    backward: bool,
    /// None: one, and not as an array.
    count: Option<usize>,
    /// Elements to look at.
    look: usize,
}

impl Search {
    fn parse(options: &[&[u8]]) -> Result<Search, Failure> {
        let mut search = Search {
            skip: 0,
            backward: false,
            count: None,
            look: usize::MAX,
        };
        for option in options.chunks(2) {
            let [word, value] = *option else {
                return Err(Failure::Syntax);
            };
            if is(word, "RANK") {
                let rank = rank(value)?;
                (search.skip, search.backward) = (rank.unsigned_abs() - 1, rank < 0);
            } else if is(word, "COUNT") {
                search.count = Some(unlimited_if_zero(value, "COUNT")?);
            } else if is(word, "MAXLEN") {
                search.look = unlimited_if_zero(value, "MAXLEN")?;
            } else {
                return Err(Failure::Syntax);
            }
        }
        Ok(search)
    }
}

fn rank(text: &[u8]) -> Result<i64, Failure> {
    match integer(text)? {
        0 => Err(Failure::other(
            "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start \
             from the end of the list",
        )),
        i64::MIN => Err(Failure::other(
            "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        )),
        rank => Ok(rank),
    }
}

fn unlimited_if_zero(text: &[u8], name: &str) -> Result<usize, Failure> {
    let number = integer(text)
        .ok()
        .and_then(|number| usize::try_from(number).ok());
    match number {
        Some(0) => Ok(usize::MAX),
        Some(number) => Ok(number),
        None => Err(Failure::other(format!("ERR {name} can't be negative"))),
    }
}

pub(super) fn lpos(call: &mut Call<'_, '_>) -> Outcome {
    let (key, element) = (call.args[1], call.args[2]);
    let search = Search::parse(&call.args[3..])?;
    let (most, mut skip, mut looked) = (search.count.unwrap_or(1), search.skip, 0);
    let mut found = Vec::new();
    let look = &mut |index: usize, other: &[u8]| {
        looked += 1;
        if *other == *element {
            match skip.checked_sub(1) {
                Some(less) => skip = less,
                None => found.push(index),
            }
        }
        match found.len() < most && looked < search.look {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    };
    if search.backward {
        call.txn.list_each_back(key, look)?;
    } else {
        call.txn.list_each(key, 0..usize::MAX, look)?;
    }
    if search.count.is_some() {
        call.reply.array(found.len());
        found.iter().for_each(|index| call.reply.count(*index));
    } else {
        match found.first() {
            Some(index) => call.reply.count(*index),
            None => call.reply.null(),
        }
    }
    Ok(())
}
