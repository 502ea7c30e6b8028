//! The hybrid logical clock itself.

use crate::Hlc;

/// Where wall time comes from: the operating system in a node, a number in a simulation.
///
/// It may jump in either direction; [`HybridClock`] copes.
pub trait TimeSource {
    /// Milliseconds since 1970.
    fn wall_ms(&self) -> u64;
}

/// A clock that follows wall time when it can and never goes back.
///
/// Each reading is strictly greater than every reading before it and than every remote reading it followed. A remote
/// reading that is further ahead of wall time than the tolerated skew is *not* followed at all: it says that its
/// writer's clock is broken, and nothing about the time. Following it, even part of the way, would let one bad clock
/// expire everybody's data early. Order among writes must therefore never rest on this clock alone: a write that
/// replaces one with a greater stamp takes the successor of that stamp.
///
/// ```
/// use isles_clock::{Hlc, HybridClock};
///
/// let mut clock = HybridClock::new(Hlc::ZERO, 500);
/// let first = clock.now(1_000);
/// let second = clock.now(900); // wall time stepped back
/// assert!(first < second);
///
/// let skew = clock.observe(Hlc::new(1_200, 0), 900);
/// assert_eq!((skew.ahead_ms(), skew.is_followed()), (300, true));
/// assert!(clock.now(900) > Hlc::new(1_200, 0));
///
/// let skew = clock.observe(Hlc::new(86_400_000, 0), 900);
/// assert!(!skew.is_followed());
/// assert!(clock.now(900) < Hlc::new(1_400, 0));
/// ```
#[derive(Clone, Debug)]
pub struct HybridClock {
    // Invariant: no smaller than any reading returned and any remote reading followed.
    latest: Hlc,
    max_skew_ms: u64,
}

/// Wall time is believed up to here (the year 6429). It leaves 2^63 readings above, so that a clock that is hopelessly
/// wrong slows nothing down and still cannot bring the readings to an end.
const WALL_MS_BELIEVED: u64 = (1 << 47) - 1;

impl HybridClock {
    /// A clock whose readings are greater than `latest`, which follows remote readings up to `max_skew_ms` ahead of
    /// wall time. After a restart `latest` is what the last run reserved.
    #[must_use]
    pub const fn new(latest: Hlc, max_skew_ms: u64) -> Self {
        Self {
            latest,
            max_skew_ms,
        }
    }

    /// The next reading: wall time, or the successor of the latest reading where that is greater.
    ///
    /// # Panics
    /// When the clock was started at [`Hlc::MAX`], after which there is no reading.
    #[inline]
    pub fn now(&mut self, wall_ms: u64) -> Hlc {
        let next = self.latest.next();
        assert!(
            next > self.latest,
            "the hybrid clock has run out of readings"
        );
        self.latest = next.max(believed(wall_ms, 0));
        self.latest
    }

    /// Takes note of a remote reading, so that later readings here are greater, and says how far ahead of wall time
    /// it is. It is not followed beyond the tolerated skew.
    #[inline]
    pub fn observe(&mut self, remote: Hlc, wall_ms: u64) -> Skew {
        let limit = believed(wall_ms.saturating_add(self.max_skew_ms), u16::MAX);
        let followed = remote <= limit;
        if followed {
            self.latest = self.latest.max(remote);
        }
        Skew {
            ahead_ms: difference(remote.wall_ms(), wall_ms),
            followed,
        }
    }

    /// The latest reading given or followed.
    #[inline]
    #[must_use]
    pub const fn latest(&self) -> Hlc {
        self.latest
    }
}

fn believed(wall_ms: u64, counter: u16) -> Hlc {
    Hlc::new(wall_ms.min(WALL_MS_BELIEVED), counter)
}

fn difference(left: u64, right: u64) -> i64 {
    let wide = i128::from(left) - i128::from(right);
    i64::try_from(wide).unwrap_or(if wide < 0 { i64::MIN } else { i64::MAX })
}

/// How a remote reading lies to local wall time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skew {
    ahead_ms: i64,
    followed: bool,
}

impl Skew {
    /// By how much the remote reading is ahead of local wall time; negative when it is behind, as a reading that
    /// travelled always is.
    #[inline]
    #[must_use]
    pub const fn ahead_ms(self) -> i64 {
        self.ahead_ms
    }

    /// Whether the reading was within the tolerated skew, so that later local readings are greater.
    #[inline]
    #[must_use]
    pub const fn is_followed(self) -> bool {
        self.followed
    }
}
