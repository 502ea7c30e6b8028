//! What a replica tells of its conflicts, as histograms.

use std::time::Instant;

use isles_replica::{Lens, Observer};
use isles_resolve::Strategy;
use metrics::Histogram;

#[derive(Debug)]
struct Histograms {
    started: Instant,
    resolution_seconds: [(Strategy, Histogram); Strategy::ALL.len()],
    /// Of all modules, whose names come and go.
    module_seconds: Histogram,
    siblings: Histogram,
    open_seconds: Histogram,
}

/// Handles are looked up once: what is called under the replica's lock only records.
pub(crate) fn observer() -> Box<dyn Observer> {
    let resolution = |name| metrics::histogram!("isles_resolution_seconds", "strategy" => name);
    Box::new(Histograms {
        started: Instant::now(),
        resolution_seconds: Strategy::ALL.map(|strategy| (strategy, resolution(strategy.name()))),
        module_seconds: resolution("wasm"),
        siblings: metrics::histogram!("isles_siblings"),
        open_seconds: metrics::histogram!("isles_conflict_open_seconds"),
    })
}

impl Observer for Histograms {
    fn now_ns(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    fn resolved(&self, lens: &Lens, ns: u64) {
        let mut known = self.resolution_seconds.iter();
        let histogram = match lens {
            Lens::BuiltIn(strategy) => known
                .find(|(each, _)| each == strategy)
                .map(|(_, histogram)| histogram),
            Lens::Module(_) => Some(&self.module_seconds),
        };
        if let Some(histogram) = histogram {
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
