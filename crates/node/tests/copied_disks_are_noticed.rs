//! A data directory that was copied, or restored from an older copy, is noticed before it does harm.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use std::path::Path;
use std::process::Command;

use redis::Commands;
use support::{Cluster, Node, Options, Stopped, eventually, isles};

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
    // Copied without the name of its node, which the start would notice by itself.
    std::fs::remove_file(cluster.nodes[1].files.path("data/node.toml")).unwrap();
    cluster.nodes.iter_mut().for_each(Node::spawn);
    let words = "one of the two data directories is a copy";
    await_told(&cluster.nodes, words);
    // Whoever asks before giving them traffic is told.
    for node in &cluster.nodes {
        eventually(&format!("{} is not ready", node.spec.node), || {
            let answer = node.admin("/readyz");
            answer.starts_with("not ready") && answer.contains(words)
        });
    }
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
    // What it wrote now would have numbers that others know for something else.
    check_ends(
        &mut cluster.nodes[0],
        "an older copy of its data directory was restored",
    );
    await_told(
        &cluster.nodes,
        "an older copy of its data directory was restored",
    );
    assert_eq!(get(&cluster.nodes[1], "key").as_deref(), Some("new"));
}

/// The node starts, hears this from its peers, and takes no more writes.
fn check_ends(node: &mut Node, words: &str) {
    node.spawn();
    node.await_end().check(1, &[words]);
}

fn renew(node: &Node) -> Stopped {
    let config = node.files.config();
    let output = isles(&["identity", "renew", "--config", config.to_str().unwrap()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    Stopped {
        complaint: Stopped::of(&output).complaint + &said,
        code: output.status.code(),
    }
}

// The way out of a restored copy: a new id, and what the old one had written since comes back from the peers.
#[test]
fn an_older_copy_with_a_new_id() {
    let mut cluster = Cluster::start(&Options {
        nodes: 2,
        relayed: true,
        ..Options::default()
    });
    set(&cluster.nodes[0], "key", "old");
    cluster.await_convergence();
    let (data, backup) = (
        cluster.nodes[0].files.path("data"),
        cluster.nodes[0].files.path("backup"),
    );
    // Nobody else has this one.
    cluster.link(0, 1).cut();
    set(&cluster.nodes[0], "alone", "kept");
    cluster.nodes[0].stop();
    copy(&data, &backup);
    cluster.nodes[0].start();
    cluster.link(0, 1).heal();
    cluster.await_connected();
    set(&cluster.nodes[0], "key", "new");
    cluster.await_convergence();
    renew(&cluster.nodes[0]).check(1, &["another process"]);
    cluster.nodes[0].stop();
    copy(&backup, &data);
    check_ends(&mut cluster.nodes[0], "isles identity renew");
    let old = cluster.nodes[1].status()["peers"][0]["node"].clone();
    assert_eq!(old, "eu-1");
    renew(&cluster.nodes[0]).check(0, &["goes on as replica", "through entry 2"]);
    cluster.nodes[0].start();
    cluster.await_connected();
    set(&cluster.nodes[0], "after", "value");
    cluster.await_convergence();
    for node in &cluster.nodes {
        for (key, value) in [("key", "new"), ("alone", "kept"), ("after", "value")] {
            assert_eq!(get(node, key).as_deref(), Some(value), "{key}");
        }
    }
}

// Entries of the old id that nobody else has are fetched by its peers, although it no longer sends them by itself.
#[test]
fn what_only_a_renewed_node_has_reaches_its_peers() {
    let mut cluster = Cluster::start(&Options {
        nodes: 2,
        relayed: true,
        ..Options::default()
    });
    cluster.link(0, 1).cut();
    set(&cluster.nodes[0], "alone", "kept");
    cluster.nodes[0].stop();
    renew(&cluster.nodes[0]).check(0, &["goes on as replica"]);
    cluster.nodes[0].start();
    cluster.link(0, 1).heal();
    cluster.await_connected();
    cluster.await_convergence();
    assert_eq!(get(&cluster.nodes[1], "alone").as_deref(), Some("kept"));
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
    let words = "was restored or copied and then written";
    cluster.nodes[0].await_end().check(1, &[words]);
    await_told(&cluster.nodes, words);
    // A new id does not mend that, as `isles identity renew` says.
    renew(&cluster.nodes[0]).check(0, &["A new id cannot mend that"]);
    cluster.nodes[0].start();
    assert_eq!(get(&cluster.nodes[1], "key").as_deref(), Some("new"));
    assert_eq!(get(&cluster.nodes[1], "other:1"), None);
    assert_eq!(get(&cluster.nodes[0], "key").as_deref(), Some("old"));
}
