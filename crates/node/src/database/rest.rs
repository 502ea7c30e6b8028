//! Puts rows to rest that nobody has used for a while, so that they take less memory; a few per hold of the lock.

use std::time::{Duration, Instant};

use isles_replica::{REST_MS, Resting};

use super::Database;

/// What one hold does: a few tens of microseconds.
const PER_HOLD: Resting = Resting {
    idle_ms: REST_MS,
    looked: 1 << 10,
    rested: 64,
};
/// Rows looked at in one go: each is a wait for memory, and most of them are in use.
const LOOKED_MAX: usize = 1 << 14;
/// How long one go takes at most: a tenth of the time between two of them.
const LONGEST: Duration = Duration::from_millis(10);
/// How long after a round has begun the next one begins at the earliest: what is in use is not looked at all the time.
const ROUND: Duration = Duration::from_secs(4);

/// The rounds over all rows.
pub(super) struct Rounds {
    begun: Option<Instant>,
    is_done: bool,
}

impl Rounds {
    pub(super) fn new() -> Self {
        Rounds {
            begun: None,
            is_done: true,
        }
    }

    /// Goes on with the round, or begins one if it is time.
    pub(super) fn go_on(&mut self, database: &Database) {
        let now = Instant::now();
        if self.is_done {
            let is_early = self.begun.is_some_and(|begun| now - begun < ROUND);
            if is_early {
                return;
            }
            self.begun = Some(now);
            self.is_done = false;
        }
        let mut looked = 0;
        while looked < LOOKED_MAX && now.elapsed() < LONGEST && !self.is_done {
            let done = database.hold(|replica, wall_ms| replica.rest(PER_HOLD, wall_ms));
            looked += done.looked;
            self.is_done = done.is_round;
        }
    }
}
