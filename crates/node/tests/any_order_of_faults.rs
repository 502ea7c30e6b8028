//! Kills, stops and cuts in any order, under load: nothing that was acknowledged is lost, and all agree in the end.
//!
//! `ISLES_TEST_SEED` chooses another order, `ISLES_TEST_FAULTS` how many.

mod support;

use support::{Cluster, Load, Options};

/// Acknowledged by some node between two faults.
const WRITES: u64 = 100;

/// Checkpoints all the time, and a log that is let go as soon as it may.
const BUSY: &str = "[log]\nsegment_bytes = \"1MiB\"\nretention_bytes = \"1MiB\"\n\
                    [checkpoint]\ninterval_ms = 150\n";

fn check(seed: u64, durability: &'static str) {
    let (mut random, faults) = (
        number("ISLES_TEST_SEED").unwrap_or(seed),
        number("ISLES_TEST_FAULTS").unwrap_or(25),
    );
    eprintln!("seed {random}");
    let mut next = |below: u64| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    let mut cluster = Cluster::start(&Options {
        durability,
        relayed: true,
        more: BUSY.to_owned(),
        ..Options::default()
    });
    let load = Load::start(&cluster, 2);
    let mut up = [true; 3];
    for _ in 0..faults {
        let node = next(3) as usize;
        match (next(4), up[node]) {
            (0, true) => {
                cluster.nodes[node].kill();
                up[node] = false;
            }
            (1, true) => {
                cluster.nodes[node].stop();
                up[node] = false;
            }
            (_, false) => {
                cluster.nodes[node].start();
                up[node] = true;
            }
            (2, true) => cluster.link(node, (node + 1) % 3).cut(),
            (_, true) => cluster.link(node, (node + 1) % 3).heal(),
        }
        eprintln!("up {up:?}");
        if let Some(serving) = up.iter().position(|up| *up) {
            load.await_more(serving, WRITES);
        }
    }
    (0..3).for_each(|node| cluster.rejoin(node));
    for (node, up) in cluster.nodes.iter_mut().zip(up) {
        if !up {
            node.start();
        }
    }
    load.await_more_everywhere(WRITES);
    let ledger = load.finish();
    cluster.await_convergence();
    ledger.check_everywhere(&cluster);
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn with_a_sync_before_every_answer() {
    check(1, "always");
}

#[test]
fn with_a_sync_now_and_then() {
    check(2, "interval");
}
