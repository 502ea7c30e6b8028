//! A node that was killed and started again is let in by its peers as soon as they see that its old process is gone.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use std::time::Instant;

use redis::Commands;
use support::{Cluster, Options, eventually};

fn set(cluster: &Cluster, node: usize, key: &str) {
    let _: () = cluster.nodes[node].connect().set(key, "value").unwrap();
}

fn arrives(cluster: &Cluster, node: usize, key: &str) {
    let mut connection = cluster.nodes[node].connect();
    eventually(&format!("{key} is at {node}"), || {
        connection.exists(key).unwrap()
    });
}

/// Kills and starts a node; its peers' sessions count as connected until they notice, so what counts is a write.
fn check(victim: usize) {
    let mut cluster = Cluster::start(&Options {
        nodes: 2,
        ..Options::default()
    });
    set(&cluster, 0, "before");
    arrives(&cluster, 1, "before");
    cluster.nodes[victim].kill();
    cluster.nodes[victim].start();
    let started = Instant::now();
    set(&cluster, victim, "after");
    arrives(&cluster, 1 - victim, "after");
    set(&cluster, 1 - victim, "back");
    arrives(&cluster, victim, "back");
    eprintln!("both ways again {:?} after it served", started.elapsed());
    for node in &cluster.nodes {
        assert!(!node.log().contains("one of the two data directories"));
    }
    cluster.await_convergence();
}

#[test]
fn the_one_that_had_dialled() {
    check(0);
}

#[test]
fn the_one_that_was_dialled() {
    check(1);
}
