//! BITFIELD: integers of any width in a string. The whole string is one register.

use isles_replica::Expiry;

use super::strings::{check_length, owned};
use crate::call::{Call, integer, is};
use crate::error::{Failure, Outcome};
use crate::number::parse_i64;

/// What happens to a value that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

/// Where an integer is, and how wide.
#[derive(Clone, Copy, Debug)]
struct Field {
    signed: bool,
    bits: u32,
    offset: u64,
}

#[derive(Clone, Copy, Debug)]
enum Action {
    Get,
    Set(i64),
    Add(i64),
}

#[derive(Clone, Copy, Debug)]
struct Operation {
    field: Field,
    action: Action,
    overflow: Overflow,
}

pub(super) fn bitfield(call: &mut Call<'_, '_>) -> Outcome {
    let operations = parse(&call.args[2..])?;
    run(call, &operations)
}

pub(super) fn bitfield_ro(call: &mut Call<'_, '_>) -> Outcome {
    let operations = parse(&call.args[2..])?;
    let only_reads = |operation: &Operation| matches!(operation.action, Action::Get);
    if !operations.iter().all(only_reads) {
        return Err(Failure::other(
            "ERR BITFIELD_RO only supports the GET subcommand",
        ));
    }
    run(call, &operations)
}

fn parse(words: &[&[u8]]) -> Result<Vec<Operation>, Failure> {
    let (mut operations, mut overflow, mut rest) = (Vec::new(), Overflow::Wrap, words);
    while let [word, after @ ..] = rest {
        let (action, field, left) = match *after {
            [how, ref left @ ..] if is(word, "OVERFLOW") => {
                overflow = overflow_named(how)?;
                rest = left;
                continue;
            }
            [kind, offset, ref left @ ..] if is(word, "GET") => {
                (Action::Get, field(kind, offset)?, left)
            }
            [kind, offset, value, ref left @ ..] if is(word, "SET") => {
                let field = field(kind, offset)?;
                (Action::Set(integer(value)?), field, left)
            }
            [kind, offset, by, ref left @ ..] if is(word, "INCRBY") => {
                let field = field(kind, offset)?;
                (Action::Add(integer(by)?), field, left)
            }
            _ => return Err(Failure::Syntax),
        };
        operations.push(Operation {
            field,
            action,
            overflow,
        });
        rest = left;
    }
    Ok(operations)
}

fn overflow_named(word: &[u8]) -> Result<Overflow, Failure> {
    [
        ("WRAP", Overflow::Wrap),
        ("SAT", Overflow::Saturate),
        ("FAIL", Overflow::Fail),
    ]
    .into_iter()
    .find_map(|(name, overflow)| is(word, name).then_some(overflow))
    .ok_or_else(|| Failure::other("ERR Invalid OVERFLOW type specified"))
}

fn field(kind: &[u8], offset: &[u8]) -> Result<Field, Failure> {
    let (signed, bits_max) = match kind.first() {
        Some(b'i') => (true, 64),
        Some(b'u') => (false, 63),
        _ => (false, 0),
    };
    // As all integers of Redis these have neither a plus nor zeros in front.
    let natural = |text: &[u8]| parse_i64(text).and_then(|number| u64::try_from(number).ok());
    let bits = kind.get(1..).and_then(natural).unwrap_or(0);
    if bits < 1 || bits > bits_max {
        return Err(Failure::other(
            "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
        ));
    }
    let (factor, number) = match offset.strip_prefix(b"#") {
        Some(number) => (bits, number),
        None => (1, offset),
    };
    let offset = natural(number)
        .and_then(|number| number.checked_mul(factor))
        .filter(|offset| *offset <= OFFSET_MAX)
        .ok_or_else(|| Failure::other("ERR bit offset is not an integer or out of range"))?;
    let bits = bits as u32;
    Ok(Field {
        signed,
        bits,
        offset,
    })
}

/// Offsets reach as far as in a string of 512 MiB.
const OFFSET_MAX: u64 = u32::MAX as u64;

impl Field {
    /// The bytes that a string must have for the field to lie in it.
    fn end_bytes(self) -> usize {
        (self.offset + u64::from(self.bits)).div_ceil(8) as usize
    }

    /// Bits beyond the end are zero.
    fn read(self, bytes: &[u8]) -> i128 {
        let mut value = 0u64;
        for bit in self.offset..self.offset + u64::from(self.bits) {
            let byte = bytes.get((bit >> 3) as usize).copied().unwrap_or(0);
            value = value << 1 | u64::from(byte >> (7 - (bit & 7)) & 1);
        }
        self.extend(value)
    }

    fn write(self, bytes: &mut [u8], value: i128) {
        for index in 0..self.bits {
            let bit = self.offset + u64::from(self.bits - 1 - index);
            let mask = 0x80 >> (bit & 7);
            let byte = &mut bytes[(bit >> 3) as usize];
            *byte = match value >> index & 1 {
                0 => *byte & !mask,
                _ => *byte | mask,
            };
        }
    }

    /// The number that these low bits stand for.
    fn extend(self, bits: u64) -> i128 {
        let unused = 64 - self.bits;
        match self.signed {
            true => i128::from((bits << unused) as i64 >> unused),
            false => i128::from(bits << unused >> unused),
        }
    }

    fn range(self) -> (i128, i128) {
        match self.signed {
            true => (-(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1),
            false => (0, (1 << self.bits) - 1),
        }
    }

    /// A number as it fits the field; none if it does not and must.
    fn fit(self, value: i128, overflow: Overflow) -> Option<i128> {
        let (least, greatest) = self.range();
        if (least..=greatest).contains(&value) {
            return Some(value);
        }
        match overflow {
            Overflow::Wrap => Some(self.extend(value as u64)),
            Overflow::Saturate => Some(value.clamp(least, greatest)),
            Overflow::Fail => None,
        }
    }
}

fn run(call: &mut Call<'_, '_>, operations: &[Operation]) -> Outcome {
    let key = call.args[1];
    let writes = |operation: &&Operation| !matches!(operation.action, Action::Get);
    let ends = operations
        .iter()
        .filter(writes)
        .map(|operation| operation.field.end_bytes());
    let end = ends.max();
    let length = call.txn.string_len(key)?;
    if let Some(end) = end {
        check_length(call, end)?;
    }
    let mut bytes = owned(call, key, end.unwrap_or(0).saturating_sub(length))?;
    bytes.resize(length.max(end.unwrap_or(0)), 0);
    call.reply.array(operations.len());
    for operation in operations {
        match act(operation, &mut bytes) {
            Some(answer) => call.reply.integer(answer),
            None => call.reply.null(),
        }
    }
    // As SETBIT: what changes nothing is no write.
    let is_changed = call.txn.string(key)?.as_deref().unwrap_or_default() != bytes;
    if end.is_some() && is_changed {
        call.txn.set_string(key, &bytes, Expiry::Keep);
    }
    Ok(())
}

/// What one operation answers; none if its result does not fit.
fn act(operation: &Operation, bytes: &mut [u8]) -> Option<i64> {
    let Operation {
        field,
        action,
        overflow,
    } = *operation;
    let old = field.read(bytes);
    let new = match action {
        Action::Get => return i64::try_from(old).ok(),
        Action::Set(value) if field.signed => i128::from(value),
        // As Redis: a negative number is a very large one.
        Action::Set(value) => i128::from(value as u64),
        Action::Add(by) => old + i128::from(by),
    };
    let new = field.fit(new, overflow)?;
    field.write(bytes, new);
    let answer = match action {
        Action::Add(_) => new,
        _ => old,
    };
    i64::try_from(answer).ok()
}
