//! Rows that nobody has used for a while come to rest: their content in one piece of bytes, in half of the memory or
//! less. Whoever wants such a row opens it, so nobody sees a difference.
//!
//! What rests: strings, counters, and sets, hashes and sorted sets of one page, up to about a kilobyte, once the table has
//! them. Lists, streams and the rest stay open, as does what changes all the time.

use crate::replica::Replica;
pub use crate::row::REST_MS;
use crate::row::Tick;

/// Which rows come to rest, and how far it goes at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resting {
    /// Only those that were not used for so long, to about a second; for up to eight times as long those that were used again
    /// within two minutes whenever they could have come to rest, since to open and pack them each time would cost more.
    pub idle_ms: u64,
    /// So many rows are looked at: a few nanoseconds each.
    pub looked: usize,
    /// So many at most are put to rest: a few hundred nanoseconds each.
    pub rested: usize,
}

/// How far it has gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rested {
    /// Rows that were looked at.
    pub looked: usize,
    /// Rows that were put to rest.
    pub rested: usize,
    /// The round over all rows is complete; the next call begins another one.
    pub is_round: bool,
}

impl Replica {
    /// Goes on with a round over all rows, and puts those to rest that may; ends with the round.
    pub fn rest(&mut self, which: Resting, wall_ms: u64) -> Rested {
        let now_ms = self.latest().wall_ms().max(wall_ms);
        self.rows.rest(Tick::at(now_ms), which)
    }
}
