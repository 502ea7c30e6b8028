//! A machine's clock steps back by a minute, and a peer's clock is a day ahead. Readings go on growing, and follow
//! neither further than they must.
//!
//! `cargo run -p isles-clock --example clock_step`
#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use isles_clock::{Hlc, HybridClock};

const START_MS: u64 = 1_700_000_000_000;
const MAX_SKEW_MS: u64 = 500;
const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;

fn main() {
    // Wall time is an argument: here it is a list, in a service `std::time::SystemTime`.
    let mut clock = HybridClock::new(Hlc::ZERO, MAX_SKEW_MS);
    let mut latest = Hlc::ZERO;
    let mut read = |clock: &mut HybridClock, wall_ms: u64| {
        let reading = clock.now(wall_ms);
        assert!(reading > latest);
        latest = reading;
        println!(
            "wall {wall_ms}  reading {reading}  ahead by {} ms",
            clock.ahead_ms(wall_ms)
        );
    };

    println!("time passes, or stands for a while");
    for passed_ms in [0, 1, 1, 2] {
        read(&mut clock, START_MS + passed_ms);
    }

    println!("someone sets the clock back by a minute, and it runs until it is right again");
    for passed_ms in [3, 10_000, 59_999, 60_003] {
        read(&mut clock, START_MS + passed_ms - MINUTE_MS);
    }

    println!(
        "a peer is 200 ms ahead: what is written here after its message has a greater reading"
    );
    let now_ms = START_MS + 100;
    let message = Hlc::new(now_ms + 200, 3);
    assert!(clock.observe(message, now_ms).is_followed());
    read(&mut clock, now_ms);
    assert!(clock.latest() > message);

    println!("another is a day ahead: its clock is broken, and stays its own problem");
    let skew = clock.observe(Hlc::new(now_ms + DAY_MS, 0), now_ms);
    assert!(!skew.is_followed());
    println!("refused: {} ms ahead", skew.ahead_ms());
    read(&mut clock, now_ms);

    println!("a restart goes on from the last reading that was written down");
    let mut restarted = HybridClock::new(clock.latest(), MAX_SKEW_MS);
    read(&mut restarted, now_ms);
}
