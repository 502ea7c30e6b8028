//! Single bits of strings. A string is one register, so of two concurrent writes of different bits one is lost.

use isles_replica::Expiry;

use super::strings::{check_length, owned};
use crate::call::{Call, integer};
use crate::error::{Failure, Outcome};

/// Offsets reach as far as in a string of 512 MiB.
const OFFSET_MAX: i64 = u32::MAX as i64;

pub(super) fn getbit(call: &mut Call<'_, '_>) -> Outcome {
    let (byte, mask) = offset(call.args[2])?;
    let value = call.txn.string(call.args[1])?;
    let found = value
        .as_deref()
        .and_then(|value| value.get(byte))
        .copied()
        .unwrap_or(0);
    call.reply.flag(found & mask != 0);
    Ok(())
}

pub(super) fn setbit(call: &mut Call<'_, '_>) -> Outcome {
    let key = call.args[1];
    let (byte, mask) = offset(call.args[2])?;
    let on = match call.args[3] {
        b"0" => false,
        b"1" => true,
        _ => return Err(Failure::other("ERR bit is not an integer or out of range")),
    };
    let length = call.txn.string_len(key)?;
    check_length(call, byte + 1)?;
    let mut value = owned(call, key, (byte + 1).saturating_sub(length))?;
    if value.len() <= byte {
        value.resize(byte + 1, 0);
    }
    let was_on = value[byte] & mask != 0;
    if was_on != on || value.len() > length {
        value[byte] ^= if was_on != on { mask } else { 0 };
        call.txn.set_string(key, &value, Expiry::Keep);
    }
    call.reply.flag(was_on);
    Ok(())
}

/// The byte that a bit is in, and the bit's mask there; the first bit is the most significant one.
fn offset(text: &[u8]) -> Result<(usize, u8), Failure> {
    let offset = integer(text)
        .ok()
        .filter(|offset| (0..=OFFSET_MAX).contains(offset));
    let offset =
        offset.ok_or_else(|| Failure::other("ERR bit offset is not an integer or out of range"))?;
    Ok(((offset >> 3) as usize, 0x80 >> (offset & 7)))
}
