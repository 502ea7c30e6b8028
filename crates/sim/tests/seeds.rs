//! Five hundred seeds: nothing breaks. `cargo xtask sim --seeds A..B` runs more of them, and says more of each.

use isles_sim::run::silence_panics;
use isles_sim::{Options, examine, run_seed};

fn check(seeds: std::ops::Range<u64>) {
    silence_panics();
    for seed in seeds {
        let options = Options::of_seed(seed);
        if let Err(report) = examine(&options, seed) {
            let _ = std::panic::take_hook();
            panic!(
                "seed {seed}: {}\nshrunk to {:#?}\nof {options:?}: {}",
                report.failure, report.steps, report.shrunk
            );
        }
    }
}

#[test]
fn nothing_breaks_in_seeds_0_to_99() {
    check(0..100);
}

#[test]
fn nothing_breaks_in_seeds_100_to_199() {
    check(100..200);
}

#[test]
fn nothing_breaks_in_seeds_200_to_299() {
    check(200..300);
}

#[test]
fn nothing_breaks_in_seeds_300_to_399() {
    check(300..400);
}

#[test]
fn nothing_breaks_in_seeds_400_to_499() {
    check(400..500);
}

#[test]
fn rows_leave_memory_and_are_missed() {
    let counts = (0..30).filter_map(|seed| run_seed(&Options::of_seed(seed), seed).ok());
    let missed: Vec<(u64, u64)> = counts
        .map(|counts| (counts.evicted, counts.misses))
        .filter(|(evicted, misses)| *evicted > 0 && *misses > 0)
        .collect();
    assert!(missed.len() >= 5, "in few runs only: {missed:?}");
}

#[test]
fn a_seed_is_a_run() {
    for seed in [3, 14, 159] {
        let options = Options::of_seed(seed);
        let first = run_seed(&options, seed);
        assert_eq!(first, run_seed(&options, seed));
        assert!(first.is_ok_and(|counts| counts.commands > 0 && counts.frames > 0));
    }
}
