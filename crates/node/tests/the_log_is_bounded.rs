//! Segments of the log go when the table covers them, every peer holds them, and they are past what is kept anyway; until then they
//! stay, and it shows for whose sake.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use redis::pipe;
use support::{Cluster, Node, Options, eventually, metric};

const SEGMENT_BYTES: u64 = 1 << 20;
/// Checkpoints are taken when the test asks for them.
const CONFIG: &str = "[log]\nsegment_bytes = \"1MiB\"\nretention_bytes = \"2MiB\"\n\
                      [checkpoint]\ninterval_ms = 86400000\ndirty_bytes = \"1024GiB\"\n";
/// What is kept, what is being written, and what a segment lacks in order to be whole.
const SEGMENTS_KEPT: usize = 4;

fn cluster(nodes: usize) -> Cluster {
    Cluster::start(&Options {
        nodes,
        durability: "interval",
        relayed: nodes > 1,
        more: CONFIG.to_owned(),
    })
}

/// Eight segments of writes to few keys.
fn write(node: &Node) {
    let mut client = node.connect();
    for round in 0..80 {
        let mut some = pipe();
        for key in 0..100 {
            some.set(format!("key:{key}"), format!("{round:0>1000}"))
                .ignore();
        }
        let () = some.query(&mut client).unwrap();
    }
}

fn save(node: &Node) {
    redis::cmd("SAVE").exec(&mut node.connect()).unwrap();
}

fn log_bytes(node: &Node) -> u64 {
    let info: String = redis::cmd("INFO")
        .arg("persistence")
        .query(&mut node.connect())
        .unwrap();
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("isles_log_bytes:"));
    let shown = line.unwrap().trim().parse().unwrap();
    assert_eq!(metric(node, "isles_log_bytes"), shown as f64);
    shown
}

fn segments(node: &Node) -> usize {
    node.files.segments().len()
}

#[test]
fn what_the_table_covers_goes() {
    let cluster = cluster(1);
    let node = &cluster.nodes[0];
    write(node);
    assert!(segments(node) >= 8, "no checkpoint, so nothing goes");
    assert!(log_bytes(node) > 7 * SEGMENT_BYTES);
    // However much is written, the log is no longer than what is kept.
    for _ in 0..3 {
        save(node);
        eventually("the log is short again", || segments(node) <= SEGMENTS_KEPT);
        assert!(log_bytes(node) >= 2 * SEGMENT_BYTES, "and not shorter");
        assert!(log_bytes(node) <= SEGMENTS_KEPT as u64 * SEGMENT_BYTES);
        write(node);
    }
}

#[test]
fn what_a_peer_lacks_stays() {
    let cluster = cluster(2);
    let node = &cluster.nodes[0];
    cluster.link(0, 1).cut();
    write(node);
    save(node);
    eventually("it shows for whose sake the log stays", || {
        metric(node, "isles_stability_blocked_bytes{member=\"us-1\"}") > 6.0 * SEGMENT_BYTES as f64
    });
    assert!(segments(node) >= 8, "{} segments are left", segments(node));
    cluster.link(0, 1).heal();
    cluster.await_convergence();
    eventually("what the peer has acknowledged goes", || {
        save(node);
        segments(node) <= SEGMENTS_KEPT
    });
}

#[test]
fn what_is_written_is_counted() {
    let cluster = cluster(1);
    let node = &cluster.nodes[0];
    let table_before = metric(node, "isles_table_written_bytes_total");
    write(node);
    let values = f64::from(80 * 100 * 1000);
    let log = metric(node, "isles_log_written_bytes_total");
    assert!((values..values * 1.2).contains(&log), "{log} bytes");
    // The table gets each key once, however often it was written since the last checkpoint.
    save(node);
    let table = metric(node, "isles_table_written_bytes_total") - table_before;
    let values = f64::from(100 * 1000);
    assert!((values..values * 1.5).contains(&table), "{table} bytes");
}
