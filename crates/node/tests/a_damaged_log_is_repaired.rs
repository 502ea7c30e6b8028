//! A log that does not open can be looked at and cut, and its node gets back from its peers what it had told them.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use std::path::Path;

use redis::Commands;
use serde_json::Value;
use support::{Cluster, Node, Options, Stopped, isles, patch};

const KEYS: usize = 100;

fn log(node: &Node, arguments: &[&str]) -> (String, Stopped) {
    let data_dir = node.files.path("data");
    let data_dir = ["--data-dir", data_dir.to_str().unwrap()];
    let arguments = [&["log"], arguments, &data_dir].concat();
    let output = isles(&arguments).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    (told, Stopped::of(&output))
}

fn records(node: &Node, key: &str) -> Vec<Value> {
    let (told, stopped) = log(node, &["dump", "--json", "--key", key]);
    assert!(matches!(stopped.code, Some(0 | 1)), "{}", stopped.complaint);
    let lines = told.lines().map(serde_json::from_str);
    lines.map(Result::unwrap).collect()
}

/// Damages the record that wrote a key, and says which one it is.
fn damage(node: &Node, key: &str) -> u64 {
    let record = &records(node, key)[0];
    let at = |name: &str| record[name].as_u64().unwrap() as usize;
    let segment = node.files.segments()[at("segment") - 1].clone();
    patch(&segment, |bytes| bytes[at("offset") + at("bytes")] ^= 1);
    at("record") as u64
}

fn kept(folder: &Path) -> usize {
    let names = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let names = names.map(|entry| entry.file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("removed-")).count()
}

#[test]
fn what_was_cut_away_comes_back() {
    let mut cluster = Cluster::start(&Options {
        nodes: 2,
        ..Options::default()
    });
    let mut client = cluster.nodes[0].connect();
    for key in 0..KEYS {
        let _: () = client.set(format!("key:{key}"), key).unwrap();
    }
    let before = cluster.await_convergence();
    let replica = |node: &Node| node.status()["replica"].as_str().unwrap().to_owned();
    let old = replica(&cluster.nodes[0]);
    let (_, refused) = log(&cluster.nodes[0], &["verify"]);
    refused.check(1, &["is in use by another process"]);

    let node = &mut cluster.nodes[0];
    node.kill();
    let (told, sound) = log(node, &["verify"]);
    assert_eq!(sound.code, Some(0), "{}", sound.complaint);
    assert!(told.contains("the log is good"), "{told}");
    let number = damage(node, "key:50");
    node.spawn();
    let words = ["is damaged at byte", "isles log verify --data-dir"];
    node.await_end().check(1, &words);
    let (told, found) = log(node, &["verify"]);
    assert!(told.contains("DAMAGED"), "{told}");
    let repair = format!("--truncate-at {number}");
    found.check(1, &["isles log repair --data-dir", &repair]);
    let shown = records(node, "key:10");
    assert_eq!(
        shown[0]["entries"][0]["ops"][0]["parts"][0],
        "register-lww = \"10\""
    );
    assert!(records(node, "key:50").is_empty());

    let beyond = (number + 1).to_string();
    let (_, refused) = log(node, &["repair", "--truncate-at", &beyond]);
    refused.check(1, &["can be read through record", "truncate at"]);
    let (told, done) = log(node, &["repair", "--truncate-at", &number.to_string()]);
    assert_eq!(done.code, Some(0), "{}", done.complaint);
    assert!(
        told.contains(&format!("ends with record {} now", number - 1)),
        "{told}"
    );
    assert_eq!(kept(&node.files.path("data/log")), 1);

    node.start();
    assert_ne!(replica(node), old, "a dot is never used twice");
    assert_eq!(cluster.await_convergence(), before);
}

#[test]
fn the_log_does_not_end_before_its_table() {
    let mut cluster = Cluster::start(&Options {
        nodes: 1,
        ..Options::default()
    });
    let node = &mut cluster.nodes[0];
    let _: () = node.connect().set("key", "value").unwrap();
    node.stop();
    let (_, refused) = log(node, &["repair", "--truncate-at", "1"]);
    refused.check(1, &["the table in", "includes everything through record"]);
    node.start();
    let value: String = node.connect().get("key").unwrap();
    assert_eq!(value, "value");
}

#[test]
fn a_folder_without_a_log() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = [
        "log",
        "verify",
        "--data-dir",
        folder.path().to_str().unwrap(),
    ];
    let output = isles(&arguments).output().unwrap();
    Stopped::of(&output).check(2, &["holds no node's data"]);
}
