//! Leaders that are killed under load come back with every write that they had acknowledged, and so do the others.

mod support;

use support::{Cluster, Load, Node, Options};

/// Acknowledged by each node in each phase.
const WRITES: u64 = 200;

/// Checkpoints all the time, so that kills meet them too, and a log that is let go as soon as it may.
const BUSY: &str = "[log]\nsegment_bytes = \"1MiB\"\nretention_bytes = \"1MiB\"\n\
                    [checkpoint]\ninterval_ms = 100\n";

fn check(durability: &'static str, more: &str) {
    let mut cluster = Cluster::start(&Options {
        durability,
        more: more.to_owned(),
        ..Options::default()
    });
    let load = Load::start(&cluster, 2);
    for victim in 0..3 {
        load.await_more_everywhere(WRITES);
        cluster.nodes[victim].kill();
        load.await_more((victim + 1) % 3, WRITES);
        load.await_more((victim + 2) % 3, WRITES);
        cluster.nodes[victim].start();
    }
    // Once more as soon as it serves, two at once, a clean stop between, and then all.
    cluster.nodes[0].kill();
    cluster.nodes[1].kill();
    load.await_more(2, WRITES);
    cluster.nodes[1].start();
    cluster.nodes[0].start();
    load.await_more_everywhere(WRITES);
    cluster.nodes[2].stop();
    cluster.nodes[2].start();
    load.await_more_everywhere(WRITES);
    cluster.nodes.iter_mut().for_each(Node::kill);
    cluster.nodes.iter_mut().for_each(Node::start);
    load.await_more_everywhere(WRITES);
    let ledger = load.finish();
    let digest = cluster.await_convergence();
    ledger.check_everywhere(&cluster);
    cluster.nodes.iter_mut().for_each(Node::kill);
    cluster.nodes.iter_mut().for_each(Node::start);
    assert_eq!(cluster.await_convergence(), digest, "at rest");
    ledger.check_everywhere(&cluster);
}

#[test]
fn with_a_sync_before_every_answer() {
    check("always", "");
}

// A kill leaves what was handed to the operating system.
#[test]
fn with_a_sync_now_and_then() {
    check("interval", "");
}

#[test]
fn in_the_middle_of_checkpoints() {
    check("interval", BUSY);
}

/// Kills of one node, each after another number of acknowledged writes, also none: while it still replays, or begins a
/// segment, or moves a checkpoint.
const ROUNDS: u64 = 200;

#[test]
fn at_two_hundred_moments() {
    let mut cluster = Cluster::start(&Options {
        nodes: 1,
        durability: "interval",
        more: BUSY.to_owned(),
        ..Options::default()
    });
    let load = Load::start(&cluster, 4);
    for round in 0..ROUNDS {
        // Weyl's sequence: every part of the range is met.
        let writes = (round * 61) % 97;
        load.await_more(0, writes);
        cluster.nodes[0].kill();
        cluster.nodes[0].start();
    }
    load.await_more(0, WRITES);
    let ledger = load.finish();
    ledger.check_everywhere(&cluster);
    cluster.nodes[0].kill();
    cluster.nodes[0].start();
    ledger.check_everywhere(&cluster);
}
