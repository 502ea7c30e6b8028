//! Which records are meant: the filters that subcommands share.

use isles_replica::{ConflictKind, Contender, JournalRecord};

use super::Reading;
use crate::call::{integer, is};
use crate::error::{Failure, preview};
use crate::glob::{Case, Glob};

/// Records that one answer holds unless told otherwise.
pub(super) const COUNT_DEFAULT: usize = 20;
/// Records that one answer holds at most.
pub(super) const COUNT_MAX: usize = 1000;
/// Records that one question looks at, so that nobody waits for it: an answer may hold fewer than it could.
pub(super) const SCANNED_MAX: usize = 4096;

/// Which records are wanted, by what has become of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    All,
    Open,
    Resolved,
}

/// A question to the journal.
#[derive(Debug)]
pub(super) struct Query<'q> {
    key: Glob,
    keyspace: Option<&'q [u8]>,
    kind: Option<ConflictKind>,
    region: Option<&'q [u8]>,
    loser: Option<&'q [u8]>,
    winner: Option<&'q [u8]>,
    since_ms: u64,
    until_ms: u64,
    state: State,
    pub(super) count: usize,
    /// Where the last page ended, under whichever word the subcommand has for it.
    pub(super) cursor: Option<u64>,
    /// For REPLAY.
    pub(super) strategy: Option<&'q [u8]>,
}

/// The words of a subcommand besides the filters.
pub(super) struct Words {
    pub(super) subcommand: &'static str,
    pub(super) cursor: &'static str,
    pub(super) strategy: bool,
}

impl<'q> Query<'q> {
    /// Reads options, each a word and its value.
    pub(super) fn parse(
        options: &[&'q [u8]],
        words: &Words,
        now_ms: u64,
    ) -> Result<Query<'q>, Failure> {
        let mut query = Query {
            key: Glob::new(b"*", Case::Sensitive)?,
            keyspace: None,
            kind: None,
            region: None,
            loser: None,
            winner: None,
            since_ms: 0,
            until_ms: u64::MAX,
            state: State::All,
            count: COUNT_DEFAULT,
            cursor: None,
            strategy: None,
        };
        for option in options.chunks(2) {
            let [word, value] = *option else {
                return Err(Failure::other(format!(
                    "ERR option '{}' of ISLES.CONFLICTS {} needs a value after it",
                    preview(option[0]),
                    words.subcommand
                )));
            };
            query.set(word, value, words, now_ms)?;
        }
        Ok(query)
    }

    fn set(
        &mut self,
        word: &'q [u8],
        value: &'q [u8],
        words: &Words,
        now_ms: u64,
    ) -> Result<(), Failure> {
        if is(word, "KEY") {
            self.key = Glob::new(value, Case::Sensitive)?;
        } else if is(word, "KEYSPACE") {
            self.keyspace = Some(value);
        } else if is(word, "KIND") {
            self.kind = Some(kind(value)?);
        } else if is(word, "REGION") {
            self.region = Some(value);
        } else if is(word, "LOSER") {
            self.loser = Some(value);
        } else if is(word, "WINNER") {
            self.winner = Some(value);
        } else if is(word, "SINCE") {
            self.since_ms = time_ms(value, now_ms)?;
        } else if is(word, "UNTIL") {
            self.until_ms = time_ms(value, now_ms)?;
        } else if is(word, "STATE") {
            self.state = state(value)?;
        } else if is(word, "COUNT") {
            let count = usize::try_from(integer(value)?)
                .ok()
                .filter(|count| *count > 0);
            self.count = count.ok_or(Failure::NotPositive)?.min(COUNT_MAX);
        } else if is(word, words.cursor) {
            let cursor = u64::try_from(integer(value)?).map_err(|_| Failure::Cursor)?;
            self.cursor = Some(cursor);
        } else if is(word, "STRATEGY") && words.strategy {
            self.strategy = Some(value);
        } else {
            return Err(Failure::other(format!(
                "ERR ISLES.CONFLICTS {} has no option '{}'; there are {}KEY, KEYSPACE, KIND, REGION, LOSER, WINNER, SINCE, UNTIL, \
                 STATE, COUNT and {}",
                words.subcommand,
                preview(word),
                if words.strategy { "STRATEGY, " } else { "" },
                words.cursor
            )));
        }
        Ok(())
    }

    pub(super) fn matches(&self, record: &JournalRecord, reading: &Reading<'_>) -> bool {
        let state = match self.state {
            State::All => true,
            State::Open => record.is_open(),
            State::Resolved => !record.is_open(),
        };
        let is_of = |wanted: Option<&[u8]>, contenders: &[&Contender]| {
            wanted.is_none_or(|wanted| {
                let mut regions = contenders.iter().map(|each| region_of(each, reading));
                regions.any(|region| region.is_some_and(|region| region.as_bytes() == wanted))
            })
        };
        state
            && (self.since_ms..=self.until_ms).contains(&record.detected_ms)
            && self.kind.is_none_or(|kind| kind == record.kind)
            && self.keyspace.is_none_or(|prefix| prefix == record.keyspace)
            && is_of(self.loser, &[&record.loser])
            && is_of(self.winner, &[&record.winner])
            && is_of(self.region, &[&record.winner, &record.loser])
            && self.key.matches(&record.key)
    }

    /// Whether all records before this one are too old to be meant.
    pub(super) fn is_past(&self, record: &JournalRecord) -> bool {
        record.detected_ms < self.since_ms
    }
}

/// The region of a contender's writer: as it was known when the conflict was detected, or else as it is known now.
pub(super) fn region_of(contender: &Contender, reading: &Reading<'_>) -> Option<String> {
    let then = contender.origin.as_ref();
    let then = then.map(|origin| origin.region.clone());
    then.or_else(|| Some(reading.writer(contender.dot.replica)?.region))
}

fn kind(name: &[u8]) -> Result<ConflictKind, Failure> {
    let mut kinds = ConflictKind::ALL.into_iter();
    kinds.find(|kind| is(name, kind.name())).ok_or_else(|| {
        let known = ConflictKind::ALL.map(ConflictKind::name);
        Failure::other(format!(
            "ERR unknown kind of conflict '{}', expected one of: {}",
            preview(name),
            known.join(", ")
        ))
    })
}

fn state(name: &[u8]) -> Result<State, Failure> {
    if is(name, "ALL") {
        Ok(State::All)
    } else if is(name, "OPEN") {
        Ok(State::Open)
    } else if is(name, "RESOLVED") {
        Ok(State::Resolved)
    } else {
        Err(Failure::other(format!(
            "ERR unknown state '{}', expected one of: open, resolved, all",
            preview(name)
        )))
    }
}

/// Milliseconds since 1970, or how long ago: `90s`, `15m`, `1h`, `7d`.
fn time_ms(text: &[u8], now_ms: u64) -> Result<u64, Failure> {
    let bad = || {
        Failure::other(format!(
            "ERR '{}' is no time: give milliseconds since 1970, or how long ago, such as 90s, 15m, 1h or 7d",
            preview(text)
        ))
    };
    let text = std::str::from_utf8(text).map_err(|_| bad())?;
    let units = [
        ("s", 1_000),
        ("m", 60_000),
        ("h", 3_600_000),
        ("d", 86_400_000),
    ];
    let unit = units
        .iter()
        .find_map(|(unit, ms)| Some((text.strip_suffix(unit)?, *ms)));
    let Some((number, unit_ms)) = unit else {
        return text.parse().map_err(|_| bad());
    };
    let number: u64 = number.parse().map_err(|_| bad())?;
    Ok(now_ms.saturating_sub(number.saturating_mul(unit_ms)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_moments_or_ages() {
        for (text, expected) in [
            ("1700000000000", Some(1_700_000_000_000)),
            ("90s", Some(10_000)),
            ("1m", Some(40_000)),
            ("1h", Some(0)),
            ("7d", Some(0)),
            ("", None),
            ("h", None),
            ("-5s", None),
            ("1w", None),
            ("99999999999999999999d", None),
        ] {
            assert_eq!(time_ms(text.as_bytes(), 100_000).ok(), expected, "{text}");
        }
    }
}
