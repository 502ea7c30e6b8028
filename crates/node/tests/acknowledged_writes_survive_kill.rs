//! A leader that is killed under load comes back with every write that it had acknowledged, and so do the others.

mod support;

use support::{Cluster, Load, Options};

/// Acknowledged by each node in each phase.
const WRITES: u64 = 400;

fn check(durability: &'static str) {
    let mut cluster = Cluster::start(&Options {
        durability,
        ..Options::default()
    });
    let load = Load::start(&cluster, 2);
    load.await_more_everywhere(WRITES);
    cluster.nodes[0].kill();
    load.await_more(1, WRITES);
    load.await_more(2, WRITES);
    cluster.nodes[0].start();
    load.await_more_everywhere(WRITES);
    // Once more, as soon as it writes again: recovery itself is interrupted by nothing but this.
    cluster.nodes[0].kill();
    cluster.nodes[0].start();
    load.await_more_everywhere(WRITES / 4);
    let ledger = load.finish();
    cluster.await_convergence();
    ledger.check_everywhere(&cluster);
}

#[test]
fn with_a_sync_before_every_answer() {
    check("always");
}

// A kill leaves what was handed to the operating system.
#[test]
fn with_a_sync_now_and_then() {
    check("interval");
}
