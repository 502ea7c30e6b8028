//! A data directory that was copied, or restored from an older copy, is noticed before it does harm.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use std::path::Path;
use std::process::Command;

use redis::Commands;
use support::{Cluster, Node, Options, eventually};

fn copy(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    let done = Command::new("cp")
        .arg("-r")
        .args([from, to])
        .status()
        .unwrap();
    assert!(done.success());
}

fn set(node: &Node, key: &str, value: &str) {
    let _: () = node.connect().set(key, value).unwrap();
}

fn get(node: &Node, key: &str) -> Option<String> {
    node.connect().get(key).unwrap()
}

fn await_told(nodes: &[Node], words: &str) {
    for node in nodes {
        eventually(&format!("{} logs: {words}", node.spec.node), || {
            node.log().contains(words)
        });
    }
}

#[test]
fn a_copy_beside_its_original() {
    let mut cluster = Cluster::start(&Options {
        nodes: 2,
        ..Options::default()
    });
    set(&cluster.nodes[0], "key", "value");
    cluster.await_convergence();
    cluster.nodes.iter_mut().for_each(Node::stop);
    copy(
        &cluster.nodes[0].files.path("data"),
        &cluster.nodes[1].files.path("data"),
    );
    cluster.nodes.iter_mut().for_each(Node::start);
    await_told(&cluster.nodes, "one of the two data directories is a copy");
    set(&cluster.nodes[0], "here", "1");
    set(&cluster.nodes[1], "there", "1");
    assert_eq!(get(&cluster.nodes[0], "there"), None);
    assert_eq!(get(&cluster.nodes[1], "here"), None);
}

#[test]
fn an_older_copy_of_a_node_that_went_on() {
    let mut cluster = Cluster::start(&Options {
        nodes: 2,
        ..Options::default()
    });
    set(&cluster.nodes[0], "key", "old");
    cluster.await_convergence();
    let (data, backup) = (
        cluster.nodes[0].files.path("data"),
        cluster.nodes[0].files.path("backup"),
    );
    cluster.nodes[0].stop();
    copy(&data, &backup);
    cluster.nodes[0].start();
    set(&cluster.nodes[0], "key", "new");
    cluster.await_connected();
    cluster.await_convergence();
    cluster.nodes[0].stop();
    copy(&backup, &data);
    cluster.nodes[0].start();
    await_told(
        &cluster.nodes,
        "an older copy of its data directory was restored",
    );
    // What it writes now has numbers that others know for something else.
    set(&cluster.nodes[0], "other", "value");
    assert_eq!(get(&cluster.nodes[1], "other"), None);
    assert_eq!(get(&cluster.nodes[1], "key").as_deref(), Some("new"));
}

// It went on writing before anybody saw it again: one number, two entries.
#[test]
fn an_older_copy_that_was_written_to() {
    let mut cluster = Cluster::start(&Options {
        nodes: 2,
        ..Options::default()
    });
    set(&cluster.nodes[0], "key", "old");
    cluster.await_convergence();
    let (data, backup) = (
        cluster.nodes[0].files.path("data"),
        cluster.nodes[0].files.path("backup"),
    );
    cluster.nodes[0].stop();
    copy(&data, &backup);
    cluster.nodes[0].start();
    cluster.await_connected();
    set(&cluster.nodes[0], "key", "new");
    cluster.await_convergence();
    cluster.nodes.iter_mut().for_each(Node::stop);
    copy(&backup, &data);
    cluster.nodes[0].start();
    for number in 0..20 {
        set(&cluster.nodes[0], &format!("other:{number}"), "value");
    }
    cluster.nodes[1].start();
    await_told(&cluster.nodes, "was restored or copied and then written");
    assert_eq!(get(&cluster.nodes[1], "key").as_deref(), Some("new"));
    assert_eq!(get(&cluster.nodes[1], "other:1"), None);
    assert_eq!(get(&cluster.nodes[0], "key").as_deref(), Some("old"));
}
