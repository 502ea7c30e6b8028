//! Every short history of a hybrid clock, none left out: wall time that stands, steps forwards and steps back, and
//! peers behind, at and beyond the tolerated skew, with empty and with full counters.

use isles_clock::{AtomicHybridClock, Hlc, HybridClock};

const MAX_SKEW_MS: u64 = 5;
const START_MS: u64 = 1_000;
const DEPTH: usize = 5;

const WALL_STEPS_MS: [i64; 4] = [0, 1, 20, -20];
/// What a peer says, relative to wall time.
const REMOTES: [(i64, u16); 5] = [
    (-1, 0),
    (0, u16::MAX),
    (MAX_SKEW_MS as i64, 0),
    (MAX_SKEW_MS as i64, u16::MAX),
    (MAX_SKEW_MS as i64 + 1, 0),
];

#[derive(Clone)]
struct History {
    clock: HybridClock,
    wall_ms: u64,
    /// The greatest wall time that was ever told.
    wall_ms_max: u64,
    /// The greatest reading given or followed, as kept by the test.
    greatest: Hlc,
}

impl History {
    fn start(latest: Hlc) -> Self {
        Self {
            clock: HybridClock::new(latest, MAX_SKEW_MS),
            wall_ms: START_MS,
            wall_ms_max: START_MS.max(latest.wall_ms()),
            greatest: latest,
        }
    }

    fn stepped(&self, step_ms: i64) -> Self {
        let mut next = self.clone();
        next.wall_ms = self.wall_ms.saturating_add_signed(step_ms);
        next.wall_ms_max = next.wall_ms_max.max(next.wall_ms);
        next
    }

    fn read(&mut self) {
        let reading = self.clock.now(self.wall_ms);
        assert!(reading > self.greatest, "readings only grow");
        let least = self.greatest.next().max(Hlc::new(self.wall_ms, 0));
        assert_eq!(reading, least, "and no further than they must");
        self.greatest = reading;
    }

    fn hear(&mut self, (ahead_ms, counter): (i64, u16)) {
        let remote = Hlc::new(self.wall_ms.saturating_add_signed(ahead_ms), counter);
        let skew = self.clock.observe(remote, self.wall_ms);
        assert_eq!(skew.ahead_ms(), ahead_ms);
        assert_eq!(skew.is_followed(), ahead_ms <= MAX_SKEW_MS as i64);
        if skew.is_followed() {
            self.greatest = self.greatest.max(remote);
        }
    }

    fn check(&self, events: usize) {
        assert_eq!(self.clock.latest(), self.greatest);
        let bound = Hlc::new(self.wall_ms_max + MAX_SKEW_MS, u16::MAX).as_u64() + events as u64;
        assert!(self.greatest.as_u64() <= bound, "the drift is bounded");
        let ahead_ms = self.greatest.wall_ms() as i64 - self.wall_ms as i64;
        assert_eq!(self.clock.ahead_ms(self.wall_ms), ahead_ms);
    }

    fn explore(&self, events: usize) -> usize {
        self.check(events);
        if events == DEPTH {
            return 1;
        }
        let mut histories = 0;
        for step_ms in WALL_STEPS_MS {
            let mut read = self.stepped(step_ms);
            read.read();
            histories += read.explore(events + 1);
            for remote in REMOTES {
                let mut heard = self.stepped(step_ms);
                heard.hear(remote);
                histories += heard.explore(events + 1);
            }
        }
        histories
    }
}

#[test]
fn every_short_history_grows_and_keeps_the_bound() {
    let histories = (WALL_STEPS_MS.len() * (1 + REMOTES.len())).pow(DEPTH as u32);
    assert_eq!(History::start(Hlc::ZERO).explore(0), histories);
}

/// One reading short of a full counter, so that the carry happens on every path.
#[test]
fn every_short_history_survives_a_full_counter() {
    History::start(Hlc::new(START_MS, u16::MAX - 1)).explore(0);
}

#[test]
fn every_short_history_after_a_restart_ahead_of_time() {
    History::start(Hlc::new(START_MS + 50, u16::MAX)).explore(1);
}

/// The shared clock is the same machine: one thread cannot tell the two apart.
#[test]
fn the_atomic_clock_takes_the_same_steps() {
    let shared = AtomicHybridClock::new(Hlc::ZERO, MAX_SKEW_MS);
    let mut own = HybridClock::new(Hlc::ZERO, MAX_SKEW_MS);
    let mut wall_ms = START_MS;
    for step_ms in WALL_STEPS_MS.into_iter().cycle().take(64) {
        wall_ms = wall_ms.saturating_add_signed(step_ms);
        assert_eq!(shared.now(wall_ms), own.now(wall_ms));
        for (ahead_ms, counter) in REMOTES {
            let remote = Hlc::new(wall_ms.saturating_add_signed(ahead_ms), counter);
            assert_eq!(
                shared.observe(remote, wall_ms),
                own.observe(remote, wall_ms)
            );
            assert_eq!(shared.latest(), own.latest());
            assert_eq!(shared.ahead_ms(wall_ms), own.ahead_ms(wall_ms));
        }
    }
}

#[test]
fn threads_never_share_a_reading() {
    const THREADS: usize = 4;
    const READINGS: usize = 10_000;
    let clock = AtomicHybridClock::new(Hlc::ZERO, MAX_SKEW_MS);
    let take = || {
        (0..READINGS)
            .map(|_| clock.now(START_MS))
            .collect::<Vec<_>>()
    };
    let taken: Vec<Vec<Hlc>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(take)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no thread panics"))
            .collect()
    });
    assert!(
        taken
            .iter()
            .all(|readings| readings.windows(2).all(|pair| pair[0] < pair[1]))
    );
    let mut all: Vec<Hlc> = taken.concat();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), THREADS * READINGS);
}
