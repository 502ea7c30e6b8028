//! Puts rows to rest that nobody has used for a while, so that they take less memory; a few per hold of the lock.

use std::time::{Duration, Instant};

use isles_replica::Resting;

use super::Database;

/// What one hold does: a few tens of microseconds.
const PER_HOLD: Resting = Resting {
    idle_ms: 10 << 10,
    looked: 1 << 12,
    rested: 64,
};
/// Rows looked at in one go, so that rounds over many rows that rest already cost next to nothing.
const LOOKED_MAX: usize = 1 << 16;
/// How long one go takes at most: a tenth of the time between two of them.
const LONGEST: Duration = Duration::from_millis(10);

/// Goes on with the round over all rows.
pub(super) fn go_on(database: &Database) {
    let (begun, mut looked) = (Instant::now(), 0);
    while looked < LOOKED_MAX && begun.elapsed() < LONGEST {
        let done = database.hold(|replica, wall_ms| replica.rest(PER_HOLD, wall_ms));
        if done.is_round {
            return;
        }
        looked += done.looked;
    }
}
