//! Clusters of real processes, and what tests do to them.
//!
//! In reading order: `cluster`, nodes that know each other, over links that can be cut; `node`, one process with its
//! folder and its log; `ports`, so that tests that run at once do not meet; `load`, clients that write and remember
//! what was acknowledged; `answers`, the commands that tests ask most; `raw`, bytes on a socket.

#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    reason = "each test binary uses a part of it, and a test stops at the first surprise"
)]

mod answers;
mod cluster;
mod load;
mod node;
mod ports;
mod raw;

use std::time::{Duration, Instant};

pub(crate) use answers::{Conflict, conflicts, digest, metric};
pub(crate) use cluster::{Cluster, Options};
pub(crate) use load::{Ledger, Load};
pub(crate) use node::{Files, Node, Spec, Stopped, isles, patch};
pub(crate) use ports::Ports;
pub(crate) use raw::Raw;

/// Long enough for a busy machine: it is reached only by a test that fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// Waits until something holds.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    eventually_some(what, || condition().then_some(()));
}

/// Waits until there is something, and gives it.
pub(crate) fn eventually_some<T>(what: &str, mut find: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(
            start.elapsed() < DEADLINE,
            "not within {DEADLINE:?}: {what}"
        );
        std::thread::park_timeout(LOOK);
    }
}
