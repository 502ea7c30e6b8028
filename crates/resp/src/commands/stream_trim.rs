//! MAXLEN, MINID and LIMIT of XADD and XTRIM.

use isles_replica::{StreamTrim, StreamTrimBound, StreamTrimUnits};

use super::streams::id;
use crate::call::{Call, integer, is};
use crate::error::Failure;
use crate::number::parse_u64;

/// Entries of a unit in which `~` trims, where the setting says that there is no limit.
const UNIT_ENTRIES: usize = 100;
/// Units that `~` trims at most if the client does not say.
const UNITS_MAX: usize = 100;
/// Entries that `~` trims at most if the client does not say.
const LIMIT_MAX: usize = 1_000_000;

/// What a command has said of trimming.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TrimWords {
    bound: Option<StreamTrimBound>,
    is_approximate: bool,
    limit: Option<usize>,
}

impl TrimWords {
    /// Reads one option, if it is one: says how many arguments it takes up.
    pub(super) fn take(&mut self, word: &[u8], more: &[&[u8]]) -> Result<Option<usize>, Failure> {
        let by_length = is(word, "MAXLEN");
        if more.is_empty() {
            return Ok(None);
        }
        if by_length || is(word, "MINID") {
            if self.bound.is_some() {
                return Err(Failure::other(
                    "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
                ));
            }
            let (manner, value) = match *more {
                [manner @ (b"~" | b"="), value, ..] => (Some(manner), value),
                _ => (None, more[0]),
            };
            self.is_approximate = manner == Some(b"~");
            self.bound = Some(match by_length {
                true => StreamTrimBound::Len(length(value, "MAXLEN")?),
                false => StreamTrimBound::Id(id(value, 0)?),
            });
            return Ok(Some(2 + usize::from(manner.is_some())));
        }
        if is(word, "LIMIT") {
            self.limit = Some(length(more[0], "LIMIT")?);
            return Ok(Some(2));
        }
        Ok(None)
    }

    /// The trim that the command has asked for, if it has.
    pub(super) fn trim(self, call: &Call<'_, '_>) -> Result<Option<StreamTrim>, Failure> {
        let Some(bound) = self.bound else {
            return match self.limit {
                Some(1..) => Err(Failure::other(
                    "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
                )),
                Some(0) => Err(limit_without_approximation()),
                None => Ok(None),
            };
        };
        if self.limit.is_some() && !self.is_approximate {
            return Err(limit_without_approximation());
        }
        let units = self.is_approximate.then(|| {
            let settings = &call.surroundings.server.settings;
            let entries = settings.get("stream-node-max-entries");
            let entries = entries.and_then(|text| parse_u64(text.as_bytes()));
            let entries = entries.and_then(|entries| usize::try_from(entries).ok());
            let entries = entries.filter(|entries| *entries > 0);
            let entries = entries.unwrap_or(UNIT_ENTRIES);
            let limit = match self.limit {
                Some(0) => None,
                Some(limit) => Some(limit),
                None => Some(entries.saturating_mul(UNITS_MAX).min(LIMIT_MAX)),
            };
            StreamTrimUnits { entries, limit }
        });
        Ok(Some(StreamTrim { bound, units }))
    }
}

fn length(text: &[u8], option: &str) -> Result<usize, Failure> {
    usize::try_from(integer(text)?)
        .map_err(|_| Failure::other(format!("ERR The {option} argument must be >= 0.")))
}

fn limit_without_approximation() -> Failure {
    Failure::other("ERR syntax error, LIMIT cannot be used without the special ~ option")
}
