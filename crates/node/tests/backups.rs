//! A backup is all data as it was at one moment, and a directory restored from it is a node like any other.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use redis::{Commands, pipe};
use serde_json::Value;
use support::{Cluster, Node, Options, Stopped, digest, eventually, isles};

fn run(arguments: &[&str]) -> (String, Stopped) {
    let output = isles(arguments).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    (told, Stopped::of(&output))
}

fn succeed(arguments: &[&str]) -> String {
    let (told, stopped) = run(arguments);
    assert_eq!(
        stopped.code,
        Some(0),
        "{arguments:?}: {}",
        stopped.complaint
    );
    told
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn backup(node: &Node, dir: &Path, name: &str) -> String {
    let address = node.spec.redis.to_string();
    succeed(&[
        "backup",
        "create",
        text(dir),
        "--name",
        name,
        "--redis",
        &address,
    ])
}

/// Puts what a backup holds in the place of a node's data.
fn replace(node: &Node, dir: &Path, name: &str) {
    let data = node.files.path("data");
    fs::remove_dir_all(&data).unwrap();
    succeed(&[
        "restore",
        text(dir),
        "--backup",
        name,
        "--data-dir",
        text(&data),
    ]);
}

fn chunks(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join("chunks")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn fill(node: &Node, rows: usize) {
    let mut client = node.connect();
    for at in (0..rows).step_by(1000) {
        let mut rows = pipe();
        for row in at..at + 1000 {
            rows.set(format!("row:{row}"), format!("{row:0>200}"))
                .ignore();
        }
        let () = rows.query(&mut client).unwrap();
    }
}

#[test]
fn one_moment_of_a_node_that_goes_on() {
    let mut cluster = Cluster::start(&Options {
        nodes: 1,
        durability: "interval",
        ..Options::default()
    });
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("backups");
    let node = &cluster.nodes[0];
    fill(node, 20_000);
    let mut client = node.connect();
    let _: i64 = client.sadd("large", (0..5000).collect::<Vec<_>>()).unwrap();
    redis::cmd("XADD")
        .arg(&["stream", "*", "f", "v"])
        .exec(&mut client)
        .unwrap();
    let (stop, written) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let writer = std::thread::spawn({
        let (stop, written) = (Arc::clone(&stop), Arc::clone(&written));
        let mut client = node.connect();
        move || {
            for number in 1u64.. {
                let mut pair = pipe();
                pair.atomic()
                    .set("a", number)
                    .ignore()
                    .set("b", number)
                    .ignore();
                pair.incr("c", 1).ignore().sadd("s", number).ignore();
                let () = pair.query(&mut client).unwrap();
                written.store(number, Ordering::Release);
                if stop.load(Ordering::Acquire) {
                    return;
                }
            }
        }
    });
    eventually("something is written", || {
        written.load(Ordering::Acquire) > 10
    });
    let before = written.load(Ordering::Acquire);
    let told = backup(node, &dir, "first");
    let after = written.load(Ordering::Acquire);
    assert!(told.starts_with("first: "), "{told}");
    let first = chunks(&dir).len();
    backup(node, &dir, "second");
    stop.store(true, Ordering::Release);
    writer.join().unwrap();
    let second = chunks(&dir).len() - first;
    assert!(second <= first / 2, "{first} chunks, then {second} more");
    let listed = succeed(&["backup", "list", text(&dir), "--json"]);
    let listed: Vec<Value> = listed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        (&listed[0]["name"], &listed[1]["node"]),
        (&"first".into(), &"eu-1".into())
    );
    succeed(&["backup", "verify", text(&dir)]);

    let node = &mut cluster.nodes[0];
    node.stop();
    replace(node, &dir, "first");
    node.start();
    let mut client = node.connect();
    let (a, b, c): (u64, u64, u64) = client.mget(&["a", "b", "c"]).unwrap();
    assert_eq!((a, b), (c, c), "an entry is there whole or not at all");
    assert_eq!(client.scard::<_, u64>("s").unwrap(), c);
    assert!(before <= a && a <= after + 1, "{before} <= {a} <= {after}");
    let (rows, large, stream): (u64, u64, u64) = pipe()
        .cmd("DBSIZE")
        .scard("large")
        .cmd("XLEN")
        .arg("stream")
        .query(&mut client)
        .unwrap();
    assert_eq!((rows, large, stream), (20_000 + 6, 5000, 1));
    // It goes on as any node does, over a restart too.
    let _: u64 = client.incr("c", 1).unwrap();
    node.stop();
    node.start();
    assert_eq!(node.connect().get::<_, u64>("c").unwrap(), c + 1);
}

#[test]
fn a_node_of_a_cluster_is_brought_back_and_hears_of_what_it_missed() {
    let mut cluster = Cluster::start(&Options {
        nodes: 2,
        ..Options::default()
    });
    let folder = tempfile::tempdir().unwrap();
    let mut client = cluster.nodes[0].connect();
    let _: () = client.set("deleted", "since").unwrap();
    for _ in 0..10 {
        let _: i64 = client.incr("counter", 1).unwrap();
    }
    let _: i64 = cluster.nodes[1].connect().incr("counter", 5).unwrap();
    cluster.await_convergence();
    backup(&cluster.nodes[0], folder.path(), "b");
    let _: i64 = client.incr("counter", 100).unwrap();
    let _: i64 = client.del("deleted").unwrap();
    let expected = cluster.await_convergence();
    cluster.nodes[0].stop();
    replace(&cluster.nodes[0], folder.path(), "b");
    cluster.nodes[0].start();
    assert_eq!(cluster.await_convergence(), expected);
    for node in &cluster.nodes {
        let mut client = node.connect();
        let found: (i64, bool) = pipe()
            .get("counter")
            .exists("deleted")
            .query(&mut client)
            .unwrap();
        assert_eq!(found, (115, false), "{:?}", digest(&mut client));
    }
    let _: i64 = cluster.nodes[0].connect().incr("counter", 1).unwrap();
    cluster.await_convergence();
}

#[test]
fn every_node_of_a_new_cluster_begins_with_the_same_backup() {
    let mut cluster = Cluster::start(&Options {
        nodes: 2,
        ..Options::default()
    });
    let folder = tempfile::tempdir().unwrap();
    let _: i64 = cluster.nodes[0].connect().incr("counter", 7).unwrap();
    cluster.await_convergence();
    backup(&cluster.nodes[0], folder.path(), "b");
    cluster.nodes.iter_mut().for_each(Node::stop);
    for node in &mut cluster.nodes {
        replace(node, folder.path(), "b");
        node.spawn();
    }
    cluster.nodes.iter_mut().for_each(Node::await_ready);
    for node in &cluster.nodes {
        let _: i64 = node.connect().incr("counter", 1).unwrap();
    }
    cluster.await_convergence();
    let counter: i64 = cluster.nodes[1].connect().get("counter").unwrap();
    assert_eq!(counter, 9);
}

/// What `restore --into` says of each key.
fn bring_back(node: &Node, dir: &Path, more: &[&str]) -> BTreeMap<String, (String, String)> {
    let address = node.spec.redis.to_string();
    let arguments = ["restore", text(dir), "--into", &address, "--json"];
    let told = succeed(&[&arguments, more].concat());
    let said = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| line[name].as_str().unwrap().to_owned();
        (text("key"), (text("state"), text("outcome")))
    };
    told.lines().map(said).collect()
}

#[test]
fn keys_come_back_into_a_cluster_that_lives_on() {
    let mut cluster = Cluster::start(&Options {
        nodes: 2,
        relayed: true,
        ..Options::default()
    });
    let folder = tempfile::tempdir().unwrap();
    let mut clients = cluster.connect();
    let keys = ["same", "changed", "deleted", "expired"];
    for key in keys {
        let _: () = clients[0].set(key, "then").unwrap();
    }
    let _: i64 = clients[0].incr("counter", 3).unwrap();
    let _: bool = clients[0].pexpire("expired", 1).unwrap();
    let _: () = clients[0].set_ex("leased", "then", 1000).unwrap();
    cluster.isolate(0);
    // Each region has its own first, and both have the same.
    for (client, from) in clients.iter_mut().zip(["here", "there"]) {
        let members: Vec<String> = (0..5).map(|number| format!("{from}{number}")).collect();
        let _: i64 = client.sadd("same-set", &members).unwrap();
        let fields: Vec<_> = members.iter().map(|member| (member, "then")).collect();
        let _: () = client.hset_multiple("same-hash", &fields).unwrap();
    }
    cluster.rejoin(0);
    cluster.await_convergence();
    cluster.isolate(0);
    let _: () = clients[0].set("lost", "then").unwrap();
    let _: i64 = clients[0].sadd("lost-set", &["a", "b"]).unwrap();
    backup(&cluster.nodes[0], folder.path(), "b");
    let node = &cluster.nodes[1];
    let _: () = clients[1].set("changed", "now").unwrap();
    let _: i64 = clients[1].del(&["deleted", "leased"]).unwrap();
    let _: i64 = clients[1].incr("counter", 4).unwrap();

    let as_said = |said: &[(&str, &str, &str)]| -> BTreeMap<_, _> {
        let said = said.iter().map(|(key, state, outcome)| {
            (
                (*key).to_owned(),
                ((*state).to_owned(), (*outcome).to_owned()),
            )
        });
        said.collect()
    };
    let preview = as_said(&[
        ("changed", "changed", "left"),
        ("counter", "changed", "left"),
        ("deleted", "deleted", "left"),
        ("leased", "deleted", "left"),
        ("lost", "lost", "would be restored"),
        ("lost-set", "lost", "would be restored"),
    ]);
    assert_eq!(bring_back(node, folder.path(), &["--dry-run"]), preview);
    assert!(!clients[1].exists::<_, bool>("lost").unwrap());
    let done = bring_back(node, folder.path(), &[]);
    assert_eq!(done["lost"], ("lost".to_owned(), "restored".to_owned()));
    assert_eq!(
        done["deleted"].1, "left",
        "what was deleted since does not come back"
    );
    let only = bring_back(node, folder.path(), &["--key", "l*", "--deleted"]);
    assert_eq!(only, as_said(&[("leased", "deleted", "restored")]));
    let ttl: i64 = clients[1].ttl("leased").unwrap();
    assert!((1..=1000).contains(&ttl), "{ttl}");
    let values: (String, String, i64) = clients[1].mget(&["changed", "lost", "counter"]).unwrap();
    assert_eq!(
        values,
        ("now".to_owned(), "then".to_owned(), 7),
        "nothing is counted twice"
    );
    let forced = bring_back(node, folder.path(), &["--changed", "--key", "changed"]);
    assert_eq!(forced["changed"].1, "restored");
    assert_eq!(clients[1].get::<_, String>("changed").unwrap(), "then");

    cluster.rejoin(0);
    cluster.await_convergence();
    let members: BTreeSet<String> = clients[0].smembers("lost-set").unwrap();
    assert_eq!(members.len(), 2);
    cluster.nodes.iter_mut().for_each(Node::stop);
}

#[test]
fn mistakes_are_explained() {
    let cluster = Cluster::start(&Options {
        nodes: 1,
        ..Options::default()
    });
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("backups");
    let node = &cluster.nodes[0];
    let _: () = node.connect().set("key", "value").unwrap();
    backup(node, &dir, "b");
    let address = node.spec.redis.to_string();
    let refused = |arguments: &[&str], code, words: &[&str]| run(arguments).1.check(code, words);
    let (dir, data) = (text(&dir), node.files.path("data"));
    refused(
        &["backup", "create", dir, "--name", "b", "--redis", &address],
        1,
        &["there is a backup 'b' already"],
    );
    refused(
        &[
            "backup", "create", dir, "--name", "a/b", "--redis", &address,
        ],
        1,
        &["is no name of a backup"],
    );
    refused(
        &["backup", "create", dir, "--redis", "127.0.0.1:1"],
        1,
        &["no answer from 127.0.0.1:1"],
    );
    refused(
        &["backup", "list", text(folder.path())],
        1,
        &["is no folder of backups"],
    );
    refused(
        &["restore", dir, "--data-dir", text(&data)],
        1,
        &["is not empty"],
    );
    let new = folder.path().join("new");
    refused(
        &["restore", dir, "--backup", "c", "--data-dir", text(&new)],
        1,
        &["there is no backup 'c'"],
    );
    refused(&["restore", dir], 2, &["--data-dir", "--into"]);
    refused(
        &["restore", dir, "--into", "127.0.0.1:1"],
        1,
        &["no answer from 127.0.0.1:1"],
    );
    let told = succeed(&["restore", dir, "--data-dir", text(&new), "--dry-run"]);
    assert!(
        told.contains("Nothing was restored") && !new.exists(),
        "{told}"
    );
    let chunk = &chunks(Path::new(dir))[0];
    let sound = fs::read(chunk).unwrap();
    fs::write(chunk, &sound[..sound.len() - 1]).unwrap();
    refused(
        &["backup", "verify", dir],
        1,
        &["1 of 1 backups are damaged"],
    );
    refused(
        &["restore", dir, "--data-dir", text(&new)],
        1,
        &[text(chunk), "is damaged"],
    );
    assert!(!new.exists());
    let mut client = node.connect();
    for (words, error) in [
        (&["NEXT", "1"][..], "there is no such backup under way"),
        (&["NEXT", "x"], "not an integer"),
        (&["NEXT"], "syntax error"),
        (&["BEGIN", "1"], "syntax error"),
    ] {
        let answer = redis::cmd("ISLES.BACKUP")
            .arg(words)
            .query::<redis::Value>(&mut client);
        assert!(answer.unwrap_err().to_string().contains(error), "{words:?}");
    }
}
