//! The hybrid logical clock itself.

use crate::Hlc;

/// A clock that follows wall time when it can and never goes back.
///
/// Each reading is strictly greater than every reading before it and than every remote reading it followed. A remote
/// reading that is further ahead of wall time than the tolerated skew is *not* followed at all: it says that its
/// writer's clock is broken, and nothing about the time. Following it, even part of the way, would let one bad clock
/// expire everybody's data early. Order among writes must therefore never rest on this clock alone: a write that
/// replaces one with a greater stamp takes the successor of that stamp.
///
/// ```text
/// wall time   1000   1000   1001    900 (stepped back)      900, told 1200.4    900, told 9999.0
/// reading   1000.0 1000.1 1001.0 1001.1                         1200.5              1200.6
/// ```
///
/// **Bounded drift.** However many peers are wrong, no reading is further ahead of the greatest wall time this clock
/// was told than the tolerated skew, and one millisecond for each 65,536 readings taken within it. What a step back of
/// the local wall time adds cannot be avoided by a clock that never goes back: [`ahead_ms`](Self::ahead_ms) shows it.
///
/// Time is an argument, so that a simulation and a node run the same code. A reading is 8 bytes, the clock 16; taking
/// and following a reading cost a few instructions. See [`AtomicHybridClock`](crate::AtomicHybridClock) for threads.
///
/// **Paper.** Kulkarni et al., *Logical Physical Clocks and Consistent Snapshots in Globally Distributed Databases*,
/// 2014, which masks peers beyond a bound in the same way. A full counter carries into the
/// milliseconds.
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
        self.latest = reading_after(self.latest, wall_ms);
        self.latest
    }

    /// Takes note of a remote reading, so that later readings here are greater, and says how far ahead of wall time
    /// it is. It is not followed beyond the tolerated skew.
    #[inline]
    pub fn observe(&mut self, remote: Hlc, wall_ms: u64) -> Skew {
        let skew = Skew::of(remote, wall_ms, self.max_skew_ms);
        if skew.followed {
            self.latest = self.latest.max(remote);
        }
        skew
    }

    /// The latest reading given or followed.
    #[inline]
    #[must_use]
    pub const fn latest(&self) -> Hlc {
        self.latest
    }

    /// By how much the latest reading is ahead of wall time; negative when it is behind, as in a clock that idles.
    #[inline]
    #[must_use]
    pub fn ahead_ms(&self, wall_ms: u64) -> i64 {
        difference(self.latest.wall_ms(), wall_ms)
    }
}

/// Wall time, or the successor of `latest` where that is greater.
#[inline]
pub(crate) fn reading_after(latest: Hlc, wall_ms: u64) -> Hlc {
    let next = latest.next();
    assert!(next > latest, "the hybrid clock has run out of readings");
    next.max(believed(wall_ms, 0))
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
    #[inline]
    pub(crate) fn of(remote: Hlc, wall_ms: u64, max_skew_ms: u64) -> Self {
        let limit = believed(wall_ms.saturating_add(max_skew_ms), u16::MAX);
        Self {
            ahead_ms: difference(remote.wall_ms(), wall_ms),
            followed: remote <= limit,
        }
    }

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
