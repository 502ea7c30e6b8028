//! The hybrid clock never goes back, whatever wall time and peers do, and never runs away with a peer.

use isles_clock::{Hlc, HybridClock};
use proptest::prelude::*;

const MAX_SKEW_MS: u64 = 500;

#[derive(Clone, Debug)]
enum Step {
    Now {
        wall_ms: u64,
    },
    Observe {
        remote: Hlc,
        wall_ms: u64,
    },
    /// A restart that knows only the last reading.
    Restart,
}

/// Mostly near each other, so that counters and skew matter; sometimes anything at all.
fn wall_ms() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 10_000u64..12_000, 1 => any::<u64>(), 1 => prop_oneof![Just(0), Just(u64::MAX)]]
}

fn step() -> impl Strategy<Value = Step> {
    let near = (10_000u64..13_000, any::<u16>()).prop_map(|(ms, counter)| Hlc::new(ms, counter));
    let remote =
        prop_oneof![4 => near, 1 => any::<u64>().prop_map(Hlc::from_u64), 1 => Just(Hlc::MAX)];
    prop_oneof![
        3 => wall_ms().prop_map(|wall_ms| Step::Now { wall_ms }),
        3 => (remote, wall_ms()).prop_map(|(remote, wall_ms)| Step::Observe { remote, wall_ms }),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #[test]
    fn readings_only_grow_and_follow_no_further_than_allowed(steps in prop::collection::vec(step(), 1..60)) {
        let mut clock = HybridClock::new(Hlc::ZERO, MAX_SKEW_MS);
        let mut greatest = Hlc::ZERO;
        for step in steps {
            match step {
                Step::Now { wall_ms } => {
                    let now = clock.now(wall_ms);
                    prop_assert!(now > greatest);
                    prop_assert!(now <= greatest.next().max(Hlc::new(wall_ms, 0)));
                    greatest = now;
                }
                Step::Observe { remote, wall_ms } => {
                    let skew = clock.observe(remote, wall_ms);
                    if skew.is_followed() {
                        prop_assert!(skew.ahead_ms() <= MAX_SKEW_MS as i64);
                        greatest = greatest.max(remote);
                    }
                }
                Step::Restart => clock = HybridClock::new(clock.latest(), MAX_SKEW_MS),
            }
            prop_assert_eq!(clock.latest(), greatest);
        }
    }

    #[test]
    fn remote_readings_within_the_skew_are_followed(wall_ms in 0u64..1 << 40, ahead_ms in -1000i64..1000, counter: u16) {
        let mut clock = HybridClock::new(Hlc::ZERO, MAX_SKEW_MS);
        let remote = Hlc::new(wall_ms.saturating_add_signed(ahead_ms), counter);
        let skew = clock.observe(remote, wall_ms);
        prop_assert_eq!(skew.ahead_ms(), remote.wall_ms() as i64 - wall_ms as i64);
        prop_assert_eq!(skew.is_followed(), ahead_ms <= MAX_SKEW_MS as i64);
        prop_assert_eq!(clock.now(wall_ms) > remote, skew.is_followed() || remote < Hlc::new(wall_ms, 0));
    }
}

#[test]
fn a_restart_continues_after_what_was_reserved() {
    let reserved = Hlc::new(5_000, 9);
    let mut clock = HybridClock::new(reserved, MAX_SKEW_MS);
    assert_eq!(clock.now(4_000), reserved.next()); // wall time stepped back meanwhile
    assert_eq!(clock.now(6_000), Hlc::new(6_000, 0));
}

#[test]
fn a_day_ahead_is_reported_and_not_followed() {
    const DAY_MS: u64 = 86_400_000;
    let mut clock = HybridClock::new(Hlc::ZERO, MAX_SKEW_MS);
    let skew = clock.observe(Hlc::new(1_000 + DAY_MS, 0), 1_000);
    assert_eq!(
        (skew.is_followed(), skew.ahead_ms()),
        (false, DAY_MS as i64)
    );
    assert_eq!(clock.now(1_000), Hlc::new(1_000, 0));
}

#[test]
fn a_wall_clock_at_the_end_of_time_leaves_readings() {
    let mut clock = HybridClock::new(Hlc::ZERO, u64::MAX);
    let first = clock.now(u64::MAX);
    assert!(clock.now(u64::MAX) > first);
    assert!(!clock.observe(Hlc::MAX, u64::MAX).is_followed());
}

#[test]
#[should_panic(expected = "run out of readings")]
fn a_clock_started_at_the_last_reading_has_none_left() {
    HybridClock::new(Hlc::MAX, 0).now(0);
}
