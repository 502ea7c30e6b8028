//! How long to wait before dialling again.

use std::time::Duration;

/// Waits that double from 50 ms to 5 s, each shortened by up to half at random, so that nodes that lost each other
/// at one moment do not come back at one moment. Deterministic: the same seed gives the same waits.
///
/// ```
/// use isles_transport_quic::Backoff;
///
/// let mut backoff = Backoff::new(7);
/// let first = backoff.next_wait();
/// assert!(first <= Backoff::FIRST);
/// for _ in 0..20 {
///     assert!(backoff.next_wait() <= Backoff::LONGEST);
/// }
/// backoff.reset();
/// assert!(backoff.next_wait() <= Backoff::FIRST);
/// ```
#[derive(Clone, Debug)]
pub struct Backoff {
    failures: u32,
    random: u64,
}

impl Backoff {
    /// The longest that the first wait can be.
    pub const FIRST: Duration = Duration::from_millis(50);
    /// The longest that any wait can be.
    pub const LONGEST: Duration = Duration::from_secs(5);

    /// Starts with short waits; `seed` chooses the randomness.
    pub const fn new(seed: u64) -> Self {
        Self {
            failures: 0,
            random: seed,
        }
    }

    /// How long to wait now that another attempt has failed.
    pub fn next_wait(&mut self) -> Duration {
        let doubled = Self::FIRST.saturating_mul(1 << self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        let whole = doubled.min(Self::LONGEST);
        let half = whole / 2;
        half + half.mul_f64(self.next_fraction())
    }

    /// Starts again with short waits: call it when a connection has succeeded.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }

    /// SplitMix64 (Steele, Lea, Flood 2014), reduced to 0..1.
    fn next_fraction(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        (mixed >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(seed: u64, count: usize) -> Vec<Duration> {
        let mut backoff = Backoff::new(seed);
        (0..count).map(|_| backoff.next_wait()).collect()
    }

    #[test]
    fn waits_double_up_to_the_longest_and_stay_there() {
        let mut whole = Backoff::FIRST;
        for wait in waits(1, 100) {
            assert!(whole / 2 <= wait && wait <= whole, "{wait:?} of {whole:?}");
            whole = (whole * 2).min(Backoff::LONGEST);
        }
    }

    #[test]
    fn the_seed_decides() {
        assert_eq!(waits(3, 20), waits(3, 20));
        assert_ne!(waits(3, 20), waits(4, 20));
    }

    #[test]
    fn success_starts_over() {
        let mut backoff = Backoff::new(9);
        for _ in 0..30 {
            backoff.next_wait();
        }
        backoff.reset();
        assert!(backoff.next_wait() <= Backoff::FIRST);
    }
}
