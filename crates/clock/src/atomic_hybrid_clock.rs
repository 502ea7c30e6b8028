//! A hybrid logical clock that threads share.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::hybrid_clock::reading_after;
use crate::{Hlc, HybridClock, Skew};

/// A [`HybridClock`] that threads share without a lock: a reading is one number, so one atomic holds the clock.
///
/// Each reading is taken by one caller only and is greater than those of every call that ended before this one began.
/// There is one on targets with 64-bit atomics.
///
/// ```text
/// one thread: now(1000) = 1000.0 ---------> now(1000) = 1000.2
/// another:           now(1000) = 1000.1 ->
/// ```
///
/// **Cost.** A reading is one atomic exchange, tried again where another thread came between.
///
/// ```
/// use isles_clock::{AtomicHybridClock, Hlc};
///
/// static CLOCK: AtomicHybridClock = AtomicHybridClock::new(Hlc::ZERO, 500);
///
/// let other = std::thread::spawn(|| CLOCK.now(1_000));
/// let ours = CLOCK.now(1_000);
/// assert_ne!(other.join().expect("the thread ends"), ours);
/// ```
#[derive(Debug)]
pub struct AtomicHybridClock {
    latest: AtomicU64,
    max_skew_ms: u64,
}

// Relaxed is enough throughout: all that must be ordered are the changes of this one number, and a call that happens
// before another one is before it in that order.
impl AtomicHybridClock {
    /// See [`HybridClock::new`].
    #[must_use]
    pub const fn new(latest: Hlc, max_skew_ms: u64) -> Self {
        Self {
            latest: AtomicU64::new(latest.as_u64()),
            max_skew_ms,
        }
    }

    /// See [`HybridClock::now`].
    ///
    /// # Panics
    /// When the clock was started at [`Hlc::MAX`], after which there is no reading.
    #[inline]
    pub fn now(&self, wall_ms: u64) -> Hlc {
        let mut latest = self.latest.load(Ordering::Relaxed);
        loop {
            let next = reading_after(Hlc::from_u64(latest), wall_ms);
            let swapped = self.latest.compare_exchange_weak(
                latest,
                next.as_u64(),
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            match swapped {
                Ok(_) => return next,
                Err(other) => latest = other,
            }
        }
    }

    /// See [`HybridClock::observe`].
    #[inline]
    pub fn observe(&self, remote: Hlc, wall_ms: u64) -> Skew {
        let skew = Skew::of(remote, wall_ms, self.max_skew_ms);
        if skew.is_followed() {
            self.latest.fetch_max(remote.as_u64(), Ordering::Relaxed);
        }
        skew
    }

    /// The latest reading given or followed.
    #[inline]
    #[must_use]
    pub fn latest(&self) -> Hlc {
        Hlc::from_u64(self.latest.load(Ordering::Relaxed))
    }

    /// See [`HybridClock::ahead_ms`].
    #[inline]
    #[must_use]
    pub fn ahead_ms(&self, wall_ms: u64) -> i64 {
        HybridClock::new(self.latest(), self.max_skew_ms).ahead_ms(wall_ms)
    }
}
