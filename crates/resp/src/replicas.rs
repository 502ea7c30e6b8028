//! `min-replicas-to-write`: whether enough peers have acknowledged something recently for writes to be taken.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::engine::Host;
use crate::server::ServeOptions;

/// What is asked for. It takes one look at a word while that is nothing.
#[derive(Debug)]
pub(crate) struct Replicas {
    least: AtomicUsize,
    max_lag_s: AtomicU64,
}

impl Replicas {
    pub(crate) fn new(options: &ServeOptions) -> Replicas {
        Replicas {
            least: AtomicUsize::new(options.min_replicas_to_write),
            max_lag_s: AtomicU64::new(options.min_replicas_max_lag.as_secs()),
        }
    }

    /// Whether there are too few. As in Redis, no lag at all turns it off.
    #[inline]
    pub(crate) fn are_lacking(&self, host: &dyn Host) -> bool {
        match self.least.load(Ordering::Relaxed) {
            0 => false,
            least => match self.max_lag_s.load(Ordering::Relaxed) {
                0 => false,
                seconds => host.good_peers(Duration::from_secs(seconds)) < least,
            },
        }
    }

    pub(crate) fn set_least(&self, least: usize) {
        self.least.store(least, Ordering::Relaxed);
    }

    pub(crate) fn set_max_lag_s(&self, seconds: u64) {
        self.max_lag_s.store(seconds, Ordering::Relaxed);
    }

    /// How many are good now, where anybody asks for some.
    pub(crate) fn good(&self, host: &dyn Host) -> Option<usize> {
        let seconds = self.max_lag_s.load(Ordering::Relaxed);
        (self.least.load(Ordering::Relaxed) > 0 && seconds > 0)
            .then(|| host.good_peers(Duration::from_secs(seconds)))
    }
}
