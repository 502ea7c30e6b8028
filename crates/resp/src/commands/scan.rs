//! KEYS and the four SCANs.

use isles_replica::ValueType;

use super::keys::type_name;
use crate::call::{Call, integer, is};
use crate::double;
use crate::error::{Failure, Outcome};
use crate::glob::{Case, Glob};
use crate::number::Digits;

/// Elements that one call looks at unless told otherwise.
const COUNT_DEFAULT: usize = 10;
/// Elements that one call looks at, whatever it was told: it must not hold the lock for longer.
const COUNT_MAX: usize = 100_000;

struct Options<'c> {
    cursor: u64,
    count: usize,
    glob: Option<Glob>,
    type_name: Option<&'c [u8]>,
}

/// Reads a cursor as C's `strtoul` does: a sign is taken, a negative number wraps around.
fn parse_cursor(text: &[u8]) -> Option<u64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if !digits.iter().all(u8::is_ascii_digit) || (digits.is_empty() && !text.is_empty()) {
        return None;
    }
    let number = digits.iter().try_fold(0u64, |number, digit| {
        number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })?;
    Some(if negative {
        number.wrapping_neg()
    } else {
        number
    })
}

impl<'c> Options<'c> {
    fn parse(cursor: &[u8], words: &[&'c [u8]], with_type: bool) -> Result<Options<'c>, Failure> {
        let cursor = parse_cursor(cursor).ok_or(Failure::Cursor)?;
        let mut options = Options {
            cursor,
            count: COUNT_DEFAULT,
            glob: None,
            type_name: None,
        };
        for option in words.chunks(2) {
            match *option {
                [word, count] if is(word, "COUNT") => {
                    let count = integer(count)?;
                    if count < 1 {
                        return Err(Failure::Syntax);
                    }
                    options.count = usize::try_from(count).unwrap_or(COUNT_MAX).min(COUNT_MAX);
                }
                [word, pattern] if is(word, "MATCH") => {
                    options.glob = Some(Glob::new(pattern, Case::Sensitive)?);
                }
                [word, name] if with_type && is(word, "TYPE") => options.type_name = Some(name),
                _ => return Err(Failure::Syntax),
            }
        }
        Ok(options)
    }

    fn matches(&self, name: &[u8]) -> bool {
        self.glob.as_ref().is_none_or(|glob| glob.matches(name))
    }

    fn has_type(&self, value_type: ValueType) -> bool {
        self.type_name
            .is_none_or(|name| is(name, type_name(value_type)))
    }
}

/// From where a SCAN goes on, and for how many keys, if it is understood.
pub(crate) fn range(cursor: &[u8], words: &[&[u8]]) -> Option<(u64, usize)> {
    let options = Options::parse(cursor, words, true).ok()?;
    Some((options.cursor, options.count))
}

pub(super) fn scan(call: &mut Call<'_, '_>) -> Outcome {
    let options = Options::parse(call.args[1], &call.args[2..], true)?;
    let mut keys: Vec<Box<[u8]>> = Vec::new();
    let listing = &call.session.errands.given.listing;
    let mut each = |key: &[u8], value_type| {
        if options.matches(key) && options.has_type(value_type) {
            keys.push(key.into());
        }
    };
    let txn = &mut *call.txn;
    let next = txn.scan(options.cursor, options.count, listing, &mut each);
    answer(call, next, &keys);
    Ok(())
}

/// Of what scans a key Redis looks at the cursor first, then at the key, and only then at the options.
fn check_cursor(call: &Call<'_, '_>) -> Outcome {
    parse_cursor(call.args[2]).ok_or(Failure::Cursor)?;
    Ok(())
}

pub(super) fn sscan(call: &mut Call<'_, '_>) -> Outcome {
    check_cursor(call)?;
    if call.txn.set_len(call.args[1])? == 0 {
        answer(call, 0, &[]);
        return Ok(());
    }
    let options = Options::parse(call.args[2], &call.args[3..], false)?;
    let mut members: Vec<Box<[u8]>> = Vec::new();
    let next = call
        .txn
        .set_scan(call.args[1], options.cursor, options.count, &mut |member| {
            if options.matches(member) {
                members.push(member.into());
            }
        })?;
    answer(call, next, &members);
    Ok(())
}

pub(super) fn hscan(call: &mut Call<'_, '_>) -> Outcome {
    check_cursor(call)?;
    if call.txn.hash_len(call.args[1])? == 0 {
        answer(call, 0, &[]);
        return Ok(());
    }
    let options = Options::parse(call.args[2], &call.args[3..], false)?;
    let mut pairs: Vec<Box<[u8]>> = Vec::new();
    let next = call.txn.hash_scan(
        call.args[1],
        options.cursor,
        options.count,
        &mut |field, value| {
            if options.matches(field) {
                pairs.extend([field.into(), value.into()]);
            }
        },
    )?;
    answer(call, next, &pairs);
    Ok(())
}

pub(super) fn zscan(call: &mut Call<'_, '_>) -> Outcome {
    check_cursor(call)?;
    if call.txn.sorted_set(call.args[1])?.is_none() {
        answer(call, 0, &[]);
        return Ok(());
    }
    let options = Options::parse(call.args[2], &call.args[3..], false)?;
    let mut pairs: Vec<Box<[u8]>> = Vec::new();
    let set = call.txn.sorted_set(call.args[1])?;
    let next = set.map_or(0, |set| {
        set.scan(options.cursor, options.count, &mut |name, score| {
            if options.matches(name) {
                let score = double::to_text(score.get()).into_bytes();
                pairs.extend([name.into(), score.into_boxed_slice()]);
            }
        })
    });
    answer(call, next, &pairs);
    Ok(())
}

fn answer(call: &mut Call<'_, '_>, next: u64, elements: &[Box<[u8]>]) {
    call.reply.array(2);
    call.reply.bulk(Digits::of_unsigned(next).as_bytes());
    call.reply.array(elements.len());
    elements.iter().for_each(|element| call.reply.bulk(element));
}

pub(super) fn keys(call: &mut Call<'_, '_>) -> Outcome {
    let glob = Glob::new(call.args[1], Case::Sensitive)?;
    let mark = call.reply.mark();
    let (mut cursor, mut count) = (0, 0);
    loop {
        let reply = &mut *call.reply;
        let listing = &call.session.errands.given.listing;
        cursor = call.txn.scan(cursor, COUNT_MAX, listing, &mut |key, _| {
            if glob.matches(key) {
                reply.bulk(key);
                count += 1;
            }
        });
        if cursor == 0 || call.txn.refusal().is_some() {
            break;
        }
    }
    call.reply.array_at(mark, count);
    Ok(())
}
