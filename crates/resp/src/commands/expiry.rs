//! Commands on deadlines.

use super::set_options::{EX, EXAT, PX, PXAT, TimeFormat, absolute_ms};
use crate::call::{Call, integer, is};
use crate::error::{Failure, Outcome, preview};

pub(super) fn expire(call: &mut Call<'_, '_>) -> Outcome {
    set_deadline(call, EX, "expire")
}

pub(super) fn pexpire(call: &mut Call<'_, '_>) -> Outcome {
    set_deadline(call, PX, "pexpire")
}

pub(super) fn expireat(call: &mut Call<'_, '_>) -> Outcome {
    set_deadline(call, EXAT, "expireat")
}

pub(super) fn pexpireat(call: &mut Call<'_, '_>) -> Outcome {
    set_deadline(call, PXAT, "pexpireat")
}

/// Which deadlines may be replaced.
#[derive(Clone, Copy, Debug, Default)]
struct Conditions {
    none: bool,
    some: bool,
    later: bool,
    earlier: bool,
}

impl Conditions {
    fn parse(words: &[&[u8]]) -> Result<Conditions, Failure> {
        let mut conditions = Conditions::default();
        for word in words {
            let condition = if is(word, "NX") {
                &mut conditions.none
            } else if is(word, "XX") {
                &mut conditions.some
            } else if is(word, "GT") {
                &mut conditions.later
            } else if is(word, "LT") {
                &mut conditions.earlier
            } else {
                return Err(Failure::other(format!(
                    "ERR Unsupported option {}",
                    preview(word)
                )));
            };
            *condition = true;
        }
        conditions.check()
    }

    fn check(self) -> Result<Conditions, Failure> {
        if self.none && (self.some || self.later || self.earlier) {
            let text = "ERR NX and XX, GT or LT options at the same time are not compatible";
            return Err(Failure::other(text));
        }
        if self.later && self.earlier {
            return Err(Failure::other(
                "ERR GT and LT options at the same time are not compatible",
            ));
        }
        Ok(self)
    }

    /// No deadline counts as the latest of all.
    fn allow(self, current_ms: Option<u64>, new_ms: i64) -> bool {
        let current = current_ms.map(|at_ms| i64::try_from(at_ms).unwrap_or(i64::MAX));
        !(self.none && current.is_some()
            || self.some && current.is_none()
            || self.later && current.is_none_or(|current| new_ms <= current)
            || self.earlier && current.is_some_and(|current| new_ms >= current))
    }
}

fn set_deadline(call: &mut Call<'_, '_>, format: TimeFormat, command: &'static str) -> Outcome {
    let key = call.args[1];
    let conditions = Conditions::parse(&call.args[3..])?;
    let time = integer(call.args[2])?;
    let at_ms = absolute_ms(time, format, call.txn.now_ms()).ok_or(Failure::ExpireTime(command))?;
    let done = match call.txn.deadline_ms(key) {
        Some(current_ms) if conditions.allow(current_ms, at_ms) => apply(call, key, at_ms),
        _ => false,
    };
    call.reply.flag(done);
    Ok(())
}

/// A deadline in the past deletes at once.
fn apply(call: &mut Call<'_, '_>, key: &[u8], at_ms: i64) -> bool {
    match u64::try_from(at_ms) {
        Ok(at_ms) if at_ms > call.txn.now_ms() => call.txn.set_deadline(key, Some(at_ms)),
        _ => call.txn.delete(key),
    }
}

pub(super) fn persist(call: &mut Call<'_, '_>) -> Outcome {
    let had_deadline = matches!(call.txn.deadline_ms(call.args[1]), Some(Some(_)));
    if had_deadline {
        call.txn.set_deadline(call.args[1], None);
    }
    call.reply.flag(had_deadline);
    Ok(())
}

pub(super) fn ttl(call: &mut Call<'_, '_>) -> Outcome {
    let now_ms = call.txn.now_ms();
    answer_time(call, |at_ms| (at_ms.saturating_sub(now_ms) + 500) / 1000)
}

pub(super) fn pttl(call: &mut Call<'_, '_>) -> Outcome {
    let now_ms = call.txn.now_ms();
    answer_time(call, |at_ms| at_ms.saturating_sub(now_ms))
}

pub(super) fn expiretime(call: &mut Call<'_, '_>) -> Outcome {
    answer_time(call, |at_ms| at_ms.saturating_add(500) / 1000)
}

pub(super) fn pexpiretime(call: &mut Call<'_, '_>) -> Outcome {
    answer_time(call, |at_ms| at_ms)
}

/// What a key without a deadline answers.
const NO_DEADLINE: i64 = -1;
/// What an absent key answers.
const NO_KEY: i64 = -2;

fn answer_time(call: &mut Call<'_, '_>, show: impl Fn(u64) -> u64) -> Outcome {
    call.reply
        .integer(match call.txn.deadline_ms(call.args[1]) {
            None => NO_KEY,
            Some(None) => NO_DEADLINE,
            Some(Some(at_ms)) => i64::try_from(show(at_ms)).unwrap_or(i64::MAX),
        });
    Ok(())
}
