//! Counting, finding and combining the bits of strings.

use isles_replica::Expiry;

use super::bitfield::{bitfield, bitfield_ro};
use super::bits::{getbit, setbit};
use crate::call::{Call, integer, is};
use crate::error::{Failure, Outcome};
use crate::spec::{Family, Run, Spec};

pub(super) const COMMANDS: &[Spec] = &[
    bitmap(
        "bitcount",
        -2,
        bitcount,
        "Counts the number of set bits (population counting) in a string.",
    )
    .read()
    .key(),
    bitmap(
        "bitfield",
        -2,
        bitfield,
        "Performs arbitrary bitfield integer operations on strings.",
    )
    .write()
    .key(),
    bitmap(
        "bitfield_ro",
        -2,
        bitfield_ro,
        "Performs arbitrary read-only bitfield integer operations on strings.",
    )
    .read()
    .fast()
    .key(),
    bitmap(
        "bitop",
        -4,
        bitop,
        "Performs bitwise operations on multiple strings, and stores the result.",
    )
    .write()
    .long()
    .keys(2, -1, 1),
    bitmap(
        "bitpos",
        -3,
        bitpos,
        "Finds the first set (1) or clear (0) bit in a string.",
    )
    .read()
    .key(),
    bitmap("getbit", 3, getbit, "Returns a bit value by offset.")
        .read()
        .fast()
        .key(),
    bitmap(
        "setbit",
        4,
        setbit,
        "Sets or clears the bit at offset of the string value.",
    )
    .write()
    .key(),
];

const fn bitmap(
    name: &'static str,
    arity: i32,
    run: fn(&mut Call<'_, '_>) -> Outcome,
    summary: &'static str,
) -> Spec {
    Spec::new(Family::Bitmaps, name, arity, Run::Data(run), summary)
}

/// Bits from `start` to before `end`.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    end: usize,
}

/// Whether a range counts bytes or bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Byte,
    Bit,
}

fn unit(word: &[u8]) -> Result<Unit, Failure> {
    match word {
        _ if is(word, "BYTE") => Ok(Unit::Byte),
        _ if is(word, "BIT") => Ok(Unit::Bit),
        _ => Err(Failure::Syntax),
    }
}

/// The bits of a range, both ends in it and counted from the end if negative; none if it is empty.
fn span(start: i64, end: i64, unit: Unit, bytes: usize) -> Option<Span> {
    let width = match unit {
        Unit::Byte => 8,
        Unit::Bit => 1,
    };
    let total = i64::try_from(bytes * 8 / width).unwrap_or(i64::MAX);
    let from_front = |index: i64| match index < 0 {
        true => index.saturating_add(total).max(0),
        false => index,
    };
    let (start, end) = (from_front(start), from_front(end).min(total - 1));
    // Both lie between zero and the length now.
    (start <= end).then(|| Span {
        start: start as usize * width,
        end: (end as usize + 1) * width,
    })
}

fn bitcount(call: &mut Call<'_, '_>) -> Outcome {
    let value = call.txn.string(call.args[1])?;
    let Some(value) = value.as_deref() else {
        call.reply.integer(0);
        return Ok(());
    };
    let (start, end, unit_word) = match call.args[2..] {
        [] => (0, -1, None),
        [start, end] => (integer(start)?, integer(end)?, None),
        [start, end, word] => (integer(start)?, integer(end)?, Some(word)),
        _ => return Err(Failure::Syntax),
    };
    // What lies before the string is its first byte to BITPOS; to BITCOUNT it is nothing, whatever the unit would be.
    if start < 0 && end < 0 && start > end {
        call.reply.integer(0);
        return Ok(());
    }
    let unit = unit_word.map_or(Ok(Unit::Byte), unit)?;
    let span = span(start, end, unit, value.len());
    call.reply.count(span.map_or(0, |span| ones(value, span)));
    Ok(())
}

fn ones(bytes: &[u8], span: Span) -> usize {
    let (first, last) = (span.start / 8, (span.end - 1) / 8);
    let ones = bytes[first..=last]
        .iter()
        .map(|byte| byte.count_ones() as usize);
    let before = bytes[first]
        .checked_shr(8 - (span.start % 8) as u32)
        .unwrap_or(0);
    let after = match span.end % 8 {
        0 => 0,
        used => bytes[last] & (0xFF >> used),
    };
    ones.sum::<usize>() - before.count_ones() as usize - after.count_ones() as usize
}

fn bitpos(call: &mut Call<'_, '_>) -> Outcome {
    let wanted = match integer(call.args[2])? {
        0 => false,
        1 => true,
        _ => return Err(Failure::other("ERR The bit argument must be 1 or 0.")),
    };
    let value = call.txn.string(call.args[1])?;
    let Some(value) = value.as_deref() else {
        call.reply.integer(if wanted { -1 } else { 0 });
        return Ok(());
    };
    let (start, end, unit) = match call.args[3..] {
        [] => (0, None, Unit::Byte),
        [start] => (integer(start)?, None, Unit::Byte),
        [start, end] => (integer(start)?, Some(integer(end)?), Unit::Byte),
        [start, end, word] => {
            // Redis looks at the unit before the end.
            let (start, unit) = (integer(start)?, unit(word)?);
            (start, Some(integer(end)?), unit)
        }
        _ => return Err(Failure::Syntax),
    };
    let found = span(start, end.unwrap_or(-1), unit, value.len()).map(|span| {
        match first(value, span, wanted) {
            Some(bit) => bit as i64,
            // Without an end the string goes on with zeros.
            None if !wanted && end.is_none() => (value.len() * 8) as i64,
            None => -1,
        }
    });
    call.reply.integer(found.unwrap_or(-1));
    Ok(())
}

/// The first bit of this value in a span.
fn first(bytes: &[u8], span: Span, wanted: bool) -> Option<usize> {
    let without = if wanted { 0 } else { 0xFF };
    let mut bit = span.start;
    while bit < span.end {
        let byte = bytes[bit / 8];
        if byte == without {
            bit = (bit / 8 + 1) * 8;
            continue;
        }
        if (byte & 0x80 >> (bit % 8) != 0) == wanted {
            return Some(bit);
        }
        bit += 1;
    }
    None
}

/// How two bytes are combined.
type Combine = fn(u8, u8) -> u8;

fn bitop(call: &mut Call<'_, '_>) -> Outcome {
    let (name, to, sources) = (call.args[1], call.args[2], &call.args[3..]);
    let combine: Option<Combine> = match name {
        _ if is(name, "AND") => Some(|a, b| a & b),
        _ if is(name, "OR") => Some(|a, b| a | b),
        _ if is(name, "XOR") => Some(|a, b| a ^ b),
        _ if is(name, "NOT") => None,
        _ => return Err(Failure::Syntax),
    };
    if combine.is_none() && sources.len() != 1 {
        return Err(Failure::other(
            "ERR BITOP NOT must be called with a single source key.",
        ));
    }
    let mut result = string_of(call, sources[0])?;
    match combine {
        None => result.iter_mut().for_each(|byte| *byte = !*byte),
        Some(combine) => {
            for source in &sources[1..] {
                let mut other = string_of(call, source)?;
                // What is shorter goes on with zeros.
                let length = result.len().max(other.len());
                result.resize(length, 0);
                other.resize(length, 0);
                for (ours, theirs) in result.iter_mut().zip(other) {
                    *ours = combine(*ours, theirs);
                }
            }
        }
    }
    match result.is_empty() {
        true => _ = call.txn.delete(to),
        false => call.txn.set_string(to, &result, Expiry::Clear),
    }
    call.reply.count(result.len());
    Ok(())
}

fn string_of(call: &mut Call<'_, '_>, key: &[u8]) -> Result<Vec<u8>, Failure> {
    let value = call.txn.string(key)?;
    Ok(value.map_or_else(Vec::new, |value| value.into_owned()))
}
