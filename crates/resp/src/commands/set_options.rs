//! The options of SET and GETEX, and the times of all commands that take one.

use crate::call::{integer, is};
use crate::error::Failure;

/// When a write happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Condition {
    #[default]
    Always,
    IfAbsent,
    IfPresent,
}

/// What becomes of the deadline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Lifetime<'c> {
    /// As the command does it without an option.
    #[default]
    Unsaid,
    Keep,
    Persist,
    /// A time as it was written. It is read last: errors of grammar come before errors of numbers.
    Until(&'c [u8], TimeFormat),
}

/// The options, checked.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SetOptions<'c> {
    pub(super) condition: Condition,
    pub(super) lifetime: Lifetime<'c>,
    /// Answer the old value.
    pub(super) get: bool,
}

/// Which command's options they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grammar {
    Set,
    GetEx,
}

/// How a time is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimeFormat {
    pub(super) seconds: bool,
    pub(super) relative: bool,
}

pub(super) const EX: TimeFormat = TimeFormat {
    seconds: true,
    relative: true,
};
pub(super) const PX: TimeFormat = TimeFormat {
    seconds: false,
    relative: true,
};
pub(super) const EXAT: TimeFormat = TimeFormat {
    seconds: true,
    relative: false,
};
pub(super) const PXAT: TimeFormat = TimeFormat {
    seconds: false,
    relative: false,
};

impl<'c> SetOptions<'c> {
    pub(super) fn parse(options: &[&'c [u8]], grammar: Grammar) -> Result<Self, Failure> {
        let mut parsed = SetOptions::default();
        let mut rest = options.iter();
        while let Some(option) = rest.next() {
            if let Some(format) = time_format(option) {
                let time = rest.next().ok_or(Failure::Syntax)?;
                parsed.choose_lifetime(Lifetime::Until(time, format))?;
            } else if grammar == Grammar::GetEx {
                if !is(option, "PERSIST") {
                    return Err(Failure::Syntax);
                }
                parsed.choose_lifetime(Lifetime::Persist)?;
            } else if is(option, "NX") {
                parsed.choose_condition(Condition::IfAbsent)?;
            } else if is(option, "XX") {
                parsed.choose_condition(Condition::IfPresent)?;
            } else if is(option, "GET") {
                parsed.get = true;
            } else if is(option, "KEEPTTL") {
                parsed.choose_lifetime(Lifetime::Keep)?;
            } else {
                return Err(Failure::Syntax);
            }
        }
        Ok(parsed)
    }

    fn choose_condition(&mut self, condition: Condition) -> Result<(), Failure> {
        if self.condition != Condition::Always && self.condition != condition {
            return Err(Failure::Syntax);
        }
        self.condition = condition;
        Ok(())
    }

    fn choose_lifetime(&mut self, lifetime: Lifetime<'c>) -> Result<(), Failure> {
        let again = self.lifetime == lifetime && !matches!(lifetime, Lifetime::Until(..));
        if self.lifetime != Lifetime::Unsaid && !again {
            return Err(Failure::Syntax);
        }
        self.lifetime = lifetime;
        Ok(())
    }
}

fn time_format(option: &[u8]) -> Option<TimeFormat> {
    [("EX", EX), ("PX", PX), ("EXAT", EXAT), ("PXAT", PXAT)]
        .into_iter()
        .find_map(|(name, format)| is(option, name).then_some(format))
}

/// The deadline that a value gets from the text of a time, which must be positive.
pub(super) fn deadline_ms(
    time: &[u8],
    format: TimeFormat,
    now_ms: u64,
    command: &'static str,
) -> Result<u64, Failure> {
    let time = integer(time)?;
    if time <= 0 {
        return Err(Failure::ExpireTime(command));
    }
    let at_ms = absolute_ms(time, format, now_ms).ok_or(Failure::ExpireTime(command))?;
    u64::try_from(at_ms).map_err(|_| Failure::ExpireTime(command))
}

/// The time in milliseconds since 1970, unless it is too far away.
pub(super) fn absolute_ms(time: i64, format: TimeFormat, now_ms: u64) -> Option<i64> {
    let ms = if format.seconds {
        time.checked_mul(1000)?
    } else {
        time
    };
    if format.relative {
        ms.checked_add(i64::try_from(now_ms).ok()?)
    } else {
        Some(ms)
    }
}
