//! Commands on strings.

use isles_replica::Expiry;

use super::lcs::lcs;
use super::set_options::{
    Condition, EX, Grammar, Lifetime, PX, SetOptions, TimeFormat, deadline_ms,
};
use crate::call::{Call, integer};
use crate::decimal::Number;
use crate::error::{Failure, Outcome};
use crate::spec::{Family, Run, Spec};

pub(super) const COMMANDS: &[Spec] = &[
    string("append", 3, append, "Appends a string to the value of a key. Creates the key if it doesn't exist.").write().fast().key(),
    string("decr", 2, decr, "Decrements the integer value of a key by one. Uses 0 as initial value if the key doesn't exist.")
        .write()
        .fast()
        .key(),
    string("decrby", 3, decrby, "Decrements a number from the integer value of a key.").write().fast().key(),
    string("get", 2, get, "Returns the string value of a key.").read().fast().key(),
    string("getdel", 2, getdel, "Returns the string value of a key after deleting the key.").write().fast().key(),
    string("getex", -2, getex, "Returns the string value of a key after setting its expiration time.").write().fast().key(),
    string("getrange", 4, getrange, "Returns a substring of the string stored at a key.").read().key(),
    string("getset", 3, getset, "Returns the previous string value of a key after setting it to a new value.").write().fast().key(),
    string("incr", 2, incr, "Increments the integer value of a key by one. Uses 0 as initial value if the key doesn't exist.")
        .write()
        .fast()
        .key(),
    string("incrby", 3, incrby, "Increments the integer value of a key by a number.").write().fast().key(),
    string("incrbyfloat", 3, incrbyfloat, "Increments the floating point value of a key by a number.").write().fast().key(),
    string("lcs", -3, lcs, "Finds the longest common substring.").read().long().keys(1, 2, 1),
    string("mget", -2, mget, "Atomically returns the string values of one or more keys.").read().fast().keys(1, -1, 1),
    string("mset", -3, mset, "Atomically creates or modifies the string values of one or more keys.")
        .write()
        .many()
        .keys(1, -1, 2),
    string("msetnx", -3, msetnx, "Atomically modifies the string values of one or more keys only when all keys don't exist.")
        .write()
        .many()
        .keys(1, -1, 2),
    string("psetex", 4, psetex, "Sets both string value and expiration time in milliseconds of a key.").write().key(),
    string("set", -3, set, "Sets the string value of a key, ignoring its type. The key is created if it doesn't exist.")
        .write()
        .key(),
    string("setex", 4, setex, "Sets the string value and expiration time of a key.").write().key(),
    string("setnx", 3, setnx, "Sets the string value of a key only when the key doesn't exist.").write().fast().key(),
    string("setrange", 4, setrange, "Overwrites a part of a string value with another by an offset.").write().key(),
    string("strlen", 2, strlen, "Returns the length of a string value.").read().fast().key(),
    string("substr", 4, getrange, "Returns a substring from a string value.").read().key(),
];

const fn string(
    name: &'static str,
    arity: i32,
    run: fn(&mut Call<'_, '_>) -> Outcome,
    summary: &'static str,
) -> Spec {
    Spec::new(Family::Strings, name, arity, Run::Data(run), summary)
}

fn get(call: &mut Call<'_, '_>) -> Outcome {
    call.reply
        .bulk_or_null(call.txn.string(call.args[1])?.as_deref());
    Ok(())
}

fn set(call: &mut Call<'_, '_>) -> Outcome {
    let (key, value) = (call.args[1], call.args[2]);
    if call.args.len() == 3 {
        call.txn.set_string(key, value, Expiry::Clear);
        call.reply.ok();
        return Ok(());
    }
    let options = SetOptions::parse(&call.args[3..], Grammar::Set)?;
    let expiry = match options.lifetime {
        Lifetime::Keep => Expiry::Keep,
        Lifetime::Until(time, format) => {
            Expiry::At(deadline_ms(time, format, call.txn.now_ms(), "set")?)
        }
        Lifetime::Unsaid | Lifetime::Persist => Expiry::Clear,
    };
    if options.get {
        call.reply.bulk_or_null(call.txn.string(key)?.as_deref());
    }
    let refused = match options.condition {
        Condition::Always => false,
        Condition::IfAbsent => call.txn.value_type(key).is_some(),
        Condition::IfPresent => call.txn.value_type(key).is_none(),
    };
    if !refused {
        write_until(call, key, value, expiry);
    }
    match (options.get, refused) {
        (true, _) => {}
        (false, true) => call.reply.null(),
        (false, false) => call.reply.ok(),
    }
    Ok(())
}

/// Writes a value with its deadline; one that has passed leaves nothing behind.
fn write_until(call: &mut Call<'_, '_>, key: &[u8], value: &[u8], expiry: Expiry) {
    if matches!(expiry, Expiry::At(at_ms) if at_ms <= call.txn.now_ms()) {
        call.txn.delete(key);
    } else {
        call.txn.set_string(key, value, expiry);
    }
}

fn setex(call: &mut Call<'_, '_>) -> Outcome {
    set_for(call, EX, "setex")
}

fn psetex(call: &mut Call<'_, '_>) -> Outcome {
    set_for(call, PX, "psetex")
}

fn set_for(call: &mut Call<'_, '_>, format: TimeFormat, command: &'static str) -> Outcome {
    let at_ms = deadline_ms(call.args[2], format, call.txn.now_ms(), command)?;
    call.txn
        .set_string(call.args[1], call.args[3], Expiry::At(at_ms));
    call.reply.ok();
    Ok(())
}

fn setnx(call: &mut Call<'_, '_>) -> Outcome {
    let absent = call.txn.value_type(call.args[1]).is_none();
    if absent {
        call.txn
            .set_string(call.args[1], call.args[2], Expiry::Clear);
    }
    call.reply.flag(absent);
    Ok(())
}

fn getset(call: &mut Call<'_, '_>) -> Outcome {
    get(call)?;
    call.txn
        .set_string(call.args[1], call.args[2], Expiry::Clear);
    Ok(())
}

fn getdel(call: &mut Call<'_, '_>) -> Outcome {
    get(call)?;
    call.txn.delete(call.args[1]);
    Ok(())
}

fn getex(call: &mut Call<'_, '_>) -> Outcome {
    let options = SetOptions::parse(&call.args[2..], Grammar::GetEx)?;
    let key = call.args[1];
    let value = call.txn.string(key)?;
    call.reply.bulk_or_null(value.as_deref());
    if value.is_none() {
        return Ok(());
    }
    match options.lifetime {
        Lifetime::Persist => {
            // Persisting what has no deadline would be a write that changes nothing.
            if let Some(Some(_)) = call.txn.deadline_ms(key) {
                call.txn.set_deadline(key, None);
            }
        }
        Lifetime::Until(time, format) => {
            let now_ms = call.txn.now_ms();
            let at_ms = deadline_ms(time, format, now_ms, "getex")?;
            if at_ms <= now_ms {
                call.txn.delete(key);
            } else {
                call.txn.set_deadline(key, Some(at_ms));
            }
        }
        Lifetime::Unsaid | Lifetime::Keep => {}
    }
    Ok(())
}

fn mget(call: &mut Call<'_, '_>) -> Outcome {
    call.reply.array(call.args.len() - 1);
    for key in &call.args[1..] {
        match call.txn.string(key) {
            Ok(value) => call.reply.bulk_or_null(value.as_deref()),
            Err(_) => call.reply.null(),
        }
    }
    Ok(())
}

fn mset(call: &mut Call<'_, '_>) -> Outcome {
    set_pairs(call, "mset")?;
    call.reply.ok();
    Ok(())
}

fn msetnx(call: &mut Call<'_, '_>) -> Outcome {
    if call.args.len().is_multiple_of(2) {
        return Err(Failure::arity("msetnx"));
    }
    let absent = call.args[1..]
        .iter()
        .step_by(2)
        .all(|key| call.txn.value_type(key).is_none());
    if absent {
        set_pairs(call, "msetnx")?;
    }
    call.reply.flag(absent);
    Ok(())
}

fn set_pairs(call: &mut Call<'_, '_>, command: &str) -> Outcome {
    if call.args.len().is_multiple_of(2) {
        return Err(Failure::arity(command));
    }
    for pair in call.args[1..].chunks_exact(2) {
        call.txn.set_string(pair[0], pair[1], Expiry::Clear);
    }
    Ok(())
}

fn strlen(call: &mut Call<'_, '_>) -> Outcome {
    call.reply.count(call.txn.string_len(call.args[1])?);
    Ok(())
}

fn append(call: &mut Call<'_, '_>) -> Outcome {
    let (key, tail) = (call.args[1], call.args[2]);
    let present = call.txn.value_type(key).is_some();
    let mut value = owned(call, key, tail.len())?;
    check_length(call, value.len() + tail.len())?;
    value.extend_from_slice(tail);
    if !present || !tail.is_empty() {
        call.txn.set_string(key, &value, Expiry::Keep);
    }
    call.reply.count(value.len());
    Ok(())
}

fn setrange(call: &mut Call<'_, '_>) -> Outcome {
    let (key, patch) = (call.args[1], call.args[3]);
    let offset = integer(call.args[2])?;
    let offset =
        usize::try_from(offset).map_err(|_| Failure::other("ERR offset is out of range"))?;
    let length = call.txn.string_len(key)?;
    if patch.is_empty() {
        call.reply.count(length);
        return Ok(());
    }
    let end = offset.saturating_add(patch.len());
    check_length(call, end)?;
    let mut value = owned(call, key, end.saturating_sub(length))?;
    value.resize(value.len().max(end), 0);
    value[offset..end].copy_from_slice(patch);
    call.txn.set_string(key, &value, Expiry::Keep);
    call.reply.count(value.len());
    Ok(())
}

/// A copy of the value with room for more.
pub(super) fn owned(call: &mut Call<'_, '_>, key: &[u8], room: usize) -> Result<Vec<u8>, Failure> {
    let value = call.txn.string(key)?;
    let value = value.as_deref().unwrap_or_default();
    let mut copy = Vec::with_capacity(value.len().saturating_add(room.min(1 << 20)));
    copy.extend_from_slice(value);
    Ok(copy)
}

pub(super) fn check_length(call: &Call<'_, '_>, length: usize) -> Outcome {
    let limits = &call.surroundings.server.options;
    if length > limits.max_request_bytes.min(limits.max_entry_bytes) {
        Err(Failure::StringTooLong)
    } else {
        Ok(())
    }
}

fn getrange(call: &mut Call<'_, '_>) -> Outcome {
    let (start, end) = (integer(call.args[2])?, integer(call.args[3])?);
    let value = call.txn.string(call.args[1])?;
    let value = value.as_deref().unwrap_or_default();
    call.reply.bulk(slice(value, start, end));
    Ok(())
}

/// The bytes from `start` to `end`, both counted from the end if negative.
fn slice(value: &[u8], start: i64, end: i64) -> &[u8] {
    let length = i64::try_from(value.len()).unwrap_or(i64::MAX);
    if start < 0 && end < 0 && start > end {
        return b"";
    }
    let from_front = |index: i64| {
        if index < 0 {
            index.saturating_add(length).max(0)
        } else {
            index
        }
    };
    let (start, end) = (from_front(start), from_front(end).min(length - 1));
    if start > end || length == 0 {
        return b"";
    }
    // Both lie between 0 and the length now.
    &value[start as usize..=end as usize]
}

fn incr(call: &mut Call<'_, '_>) -> Outcome {
    add(call, 1)
}

fn decr(call: &mut Call<'_, '_>) -> Outcome {
    add(call, -1)
}

fn incrby(call: &mut Call<'_, '_>) -> Outcome {
    add(call, integer(call.args[2])?)
}

fn decrby(call: &mut Call<'_, '_>) -> Outcome {
    let by = integer(call.args[2])?
        .checked_neg()
        .ok_or_else(|| Failure::other("ERR decrement would overflow"))?;
    add(call, by)
}

fn add(call: &mut Call<'_, '_>, by: i64) -> Outcome {
    let sum = call.txn.increment(call.args[1], by)?;
    call.reply.integer(sum);
    Ok(())
}

fn incrbyfloat(call: &mut Call<'_, '_>) -> Outcome {
    let key = call.args[1];
    let value = match call.txn.string(key)? {
        Some(value) => Number::parse(&value).ok_or(Failure::NotAFloat)?,
        None => Number::Exact {
            mantissa: 0,
            scale: 0,
        },
    };
    let by = Number::parse(call.args[2]).ok_or(Failure::NotAFloat)?;
    let sum = value
        .add(by)
        .ok_or_else(|| Failure::other("ERR increment would produce NaN or Infinity"))?
        .to_text();
    call.txn.set_string(key, sum.as_bytes(), Expiry::Keep);
    call.reply.text(sum);
    Ok(())
}
