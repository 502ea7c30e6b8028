//! A node whose log has lost its end goes on under a new identity, and gets what it has lost from those it had told.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use redis::{Commands, cmd};
use support::{Cluster, Node, Options, digest, patch};

const KEYS: usize = 100;

/// As after a power failure: the last record is there in part.
fn tear(node: &Node) {
    let segment = node.files.segments().pop().unwrap();
    patch(&segment, |bytes| {
        let last = bytes.iter().rposition(|byte| *byte != 0).unwrap();
        bytes[last] ^= 0xff;
    });
}

fn replica(node: &Node) -> String {
    node.status()["replica"].as_str().unwrap().to_owned()
}

#[test]
fn what_others_have_comes_back() {
    let mut cluster = Cluster::start(&Options {
        durability: "never",
        ..Options::default()
    });
    let mut client = cluster.nodes[0].connect();
    for key in 0..KEYS {
        let _: () = client.set(format!("key:{key}"), key).unwrap();
        let _: i64 = client.incr("counter", 1).unwrap();
    }
    let before = cluster.await_convergence();
    let old = replica(&cluster.nodes[0]);
    cluster.nodes[0].kill();
    tear(&cluster.nodes[0]);
    cluster.nodes[0].start();
    let new = replica(&cluster.nodes[0]);
    assert_ne!(new, old, "a dot is never used twice");
    let log = cluster.nodes[0].log();
    assert!(
        log.contains(&format!("this node goes on as replica {new}, was {old}")),
        "{log}"
    );
    assert_eq!(cluster.await_convergence(), before);
    // It writes on, also the counter that its old self has a part in.
    let mut client = cluster.nodes[0].connect();
    let _: i64 = client.incr("counter", 1).unwrap();
    let _: () = client.set("key:0", "new").unwrap();
    cluster.await_convergence();
    for node in &cluster.nodes {
        let mut client = node.connect();
        let found: (i64, String) = redis::pipe()
            .get("counter")
            .get("key:0")
            .query(&mut client)
            .unwrap();
        assert_eq!(
            found,
            (KEYS as i64 + 1, "new".to_owned()),
            "{:?}",
            digest(&mut client)
        );
    }
    // The new identity stays over a clean stop.
    cluster.nodes[0].stop();
    cluster.nodes[0].start();
    assert_eq!(replica(&cluster.nodes[0]), new);
    cmd("SET")
        .arg("last")
        .arg("1")
        .exec(&mut cluster.nodes[0].connect())
        .unwrap();
    cluster.await_convergence();
}
