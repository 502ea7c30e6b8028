//! How many bytes of values the journal takes in, so that a storm of conflicts shortens values and loses no record.
//!
//! A token bucket. Values may take the whole journal in [`FILL_MS`] and a quarter of it at once; what comes faster is kept
//! by its first bytes. The choice holds for all that is detected between two looks at the log, and is logged with it: a
//! replay keeps what was kept before.

use crate::conflict::{CONTENDER_BYTES_MAX, CONTENDER_BYTES_TERSE};

/// Values may fill the journal in this time.
const FILL_MS: u64 = 64_000;
/// Values may take this part of the journal at once.
const BURST_PART: u64 = 4;

#[derive(Clone, Debug)]
pub(super) struct Budget {
    journal_bytes: u64,
    /// What may be taken in now; negative after a burst.
    left: i64,
    as_of_ms: u64,
}

impl Budget {
    pub(super) fn new(journal_bytes: usize) -> Self {
        let journal_bytes = journal_bytes as u64;
        Budget {
            journal_bytes,
            left: i64::try_from(journal_bytes / BURST_PART).unwrap_or(i64::MAX),
            as_of_ms: 0,
        }
    }

    /// How many bytes of a value are kept now.
    pub(super) fn kept_bytes(&self) -> usize {
        match self.left > 0 {
            true => CONTENDER_BYTES_MAX,
            false => CONTENDER_BYTES_TERSE,
        }
    }

    /// Time has gone on.
    pub(super) fn refill(&mut self, now_ms: u64) {
        let elapsed_ms = now_ms.saturating_sub(self.as_of_ms).min(FILL_MS);
        let earned = (self.journal_bytes / FILL_MS).saturating_mul(elapsed_ms);
        if earned == 0 {
            return;
        }
        self.as_of_ms = now_ms;
        let full = self.journal_bytes / BURST_PART;
        let left = self.left.saturating_add_unsigned(earned);
        self.left = left.min(i64::try_from(full).unwrap_or(i64::MAX));
    }

    pub(super) fn spend(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub_unsigned(bytes as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_is_kept_short_and_calm_is_not() {
        let mut budget = Budget::new(64 << 20);
        budget.refill(1_000_000);
        assert_eq!(budget.kept_bytes(), CONTENDER_BYTES_MAX);
        budget.spend(16 << 20);
        assert_eq!(budget.kept_bytes(), CONTENDER_BYTES_TERSE);
        budget.refill(1_000_001);
        assert_eq!(
            budget.kept_bytes(),
            CONTENDER_BYTES_MAX,
            "1 MiB in a second"
        );
        budget.spend(2 << 20);
        budget.refill(1_001_001);
        assert_eq!(budget.kept_bytes(), CONTENDER_BYTES_TERSE);
        budget.refill(1_003_000);
        assert_eq!(budget.kept_bytes(), CONTENDER_BYTES_MAX);
    }
}
