//! What a replica tells of its conflicts, as histograms.

use std::time::Instant;

use isles_replica::Observer;
use isles_resolve::Strategy;
use metrics::Histogram;

#[derive(Debug)]
struct Histograms {
    started: Instant,
    resolution_seconds: [(Strategy, Histogram); Strategy::ALL.len()],
    siblings: Histogram,
    open_seconds: Histogram,
}

/// Handles are looked up once: what is called under the replica's lock only records.
pub(crate) fn observer() -> Box<dyn Observer> {
    let resolution = |strategy: Strategy| {
        let histogram =
            metrics::histogram!("isles_resolution_seconds", "strategy" => strategy.name());
        (strategy, histogram)
    };
    Box::new(Histograms {
        started: Instant::now(),
        resolution_seconds: Strategy::ALL.map(resolution),
        siblings: metrics::histogram!("isles_siblings"),
        open_seconds: metrics::histogram!("isles_conflict_open_seconds"),
    })
}

impl Observer for Histograms {
    fn now_ns(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    fn resolved(&self, strategy: Strategy, ns: u64) {
        let known = self.resolution_seconds.iter();
        if let Some((_, histogram)) = known.clone().find(|(each, _)| *each == strategy) {
            histogram.record(ns as f64 / 1e9);
        }
    }

    fn left_siblings(&self, siblings: usize) {
        self.siblings.record(siblings as f64);
    }

    fn collapsed(&self, open_ms: u64) {
        self.open_seconds.record(open_ms as f64 / 1e3);
    }
}
