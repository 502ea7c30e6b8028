//! A table that cannot be used is an event: it is made anew of the log, or of a backup and the log.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use redis::{Commands, pipe};
use support::{Cluster, Node, Options, Stopped, digest, eventually, isles};

fn run(arguments: &[&str]) -> (String, Stopped) {
    let output = isles(arguments).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    (told, Stopped::of(&output))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn fill(node: &Node, from: usize, to: usize) {
    let mut client = node.connect();
    for at in (from..to).step_by(500) {
        let mut rows = pipe();
        for row in at..at + 500 {
            rows.set(format!("row:{row}"), format!("{row:0>1000}"))
                .ignore();
            rows.incr("counter", 1).ignore();
        }
        let () = rows.query(&mut client).unwrap();
    }
}

fn save(node: &Node) {
    redis::cmd("SAVE").exec(&mut node.connect()).unwrap();
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}

/// Every file of the table reads as something else, but for what says which format it has.
fn rot(table: &Path) {
    for file in files(table) {
        let mut bytes = fs::read(&file).unwrap();
        bytes.iter_mut().skip(64).for_each(|byte| *byte ^= 0x55);
        fs::write(&file, bytes).unwrap();
    }
}

fn aside(node: &Node) -> usize {
    let names = fs::read_dir(node.files.path("data")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .filter(|name| name.starts_with("table.damaged-"))
        .count()
}

#[test]
fn of_the_whole_log() {
    let mut cluster = Cluster::start(&Options {
        nodes: 1,
        durability: "interval",
        ..Options::default()
    });
    let node = &mut cluster.nodes[0];
    fill(node, 0, 2000);
    save(node);
    fill(node, 2000, 3000);
    let before = digest(&mut node.connect());
    let table = node.files.path("data/table");
    for what in ["rotten", "removed"] {
        node.stop();
        match what {
            "rotten" => rot(&table),
            _ => fs::remove_dir_all(&table).unwrap(),
        }
        node.start();
        assert_eq!(digest(&mut node.connect()), before, "{what}");
        assert!(
            node.log().contains("it is made anew from the log"),
            "{}",
            node.log()
        );
    }
    assert!(aside(node) >= 1);
    // The new one is a table like any other.
    fill(node, 3000, 4000);
    save(node);
    let before = digest(&mut node.connect());
    node.kill();
    node.start();
    assert_eq!(digest(&mut node.connect()), before);
}

#[test]
fn of_a_backup_and_the_log_behind_it() {
    let more = "[log]\nsegment_bytes = \"1MiB\"\nretention_bytes = \"2MiB\"\n".to_owned();
    let mut cluster = Cluster::start(&Options {
        nodes: 1,
        durability: "interval",
        more: more.clone(),
        ..Options::default()
    });
    let mut other = Cluster::start(&Options {
        nodes: 1,
        durability: "interval",
        more,
        ..Options::default()
    });
    let folder = tempfile::tempdir().unwrap();
    let (own, others) = (folder.path().join("own"), folder.path().join("others"));
    for (cluster, dir) in [(&cluster, &own), (&other, &others)] {
        let node = &cluster.nodes[0];
        fill(node, 0, 8000);
        save(node);
        eventually("the log is trimmed", || {
            node.status()["log"]["first"].as_u64().unwrap() > 1
        });
        let address = node.spec.redis.to_string();
        let (_, made) = run(&["backup", "create", text(dir), "--redis", &address]);
        assert_eq!(made.code, Some(0), "{}", made.complaint);
    }
    other.nodes[0].stop();
    let node = &mut cluster.nodes[0];
    fill(node, 8000, 8500);
    let _: i64 = node.connect().del("row:17").unwrap();
    save(node);
    let before = digest(&mut node.connect());
    node.stop();
    rot(&node.files.path("data/table"));
    node.spawn();
    let words = ["the log begins at record", "isles table rebuild --data-dir"];
    node.await_end().check(1, &words);
    assert_eq!(aside(node), 0, "nothing is moved by a start that fails");
    let data = node.files.path("data");
    let rebuild = |dir: &Path| {
        run(&[
            "table",
            "rebuild",
            "--data-dir",
            text(&data),
            "--backup",
            text(dir),
        ])
    };
    rebuild(&others)
        .1
        .check(1, &["no backup in", "can be the beginning of this log"]);
    let (told, done) = rebuild(&own);
    assert_eq!(done.code, Some(0), "{}", done.complaint);
    assert!(told.contains("is made anew of backup"), "{told}");
    assert_eq!(aside(node), 1);
    node.start();
    let mut client = node.connect();
    assert_eq!(digest(&mut client), before);
    let found: (i64, bool) = pipe()
        .get("counter")
        .exists("row:17")
        .query(&mut client)
        .unwrap();
    assert_eq!(found, (8500, false));
}
