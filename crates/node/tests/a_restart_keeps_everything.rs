//! What a node had before a stop it has after the start: content, deadlines, conflicts, keyspaces.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use redis::{Connection, cmd, pipe};
use support::{Cluster, Conflict, Node, Options, conflicts, digest, eventually};

const MEMBERS: usize = 10_000;

/// Checkpoints all the time, and a log that is let go as soon as it may.
const BUSY: &str = "[log]\nsegment_bytes = \"1MiB\"\nretention_bytes = \"1MiB\"\n\
                    [checkpoint]\ninterval_ms = 200\ndirty_bytes = \"1MiB\"\n";

/// Everything that a client can see of a node.
#[derive(Debug, PartialEq)]
struct Sight {
    digest: (String, String),
    conflicts: BTreeMap<String, Conflict>,
    keyspaces: BTreeSet<BTreeMap<String, String>>,
    deadlines: Vec<i64>,
    keys: usize,
}

fn sight(node: &Node) -> Sight {
    let mut client = node.connect();
    let client = &mut client;
    let keyspaces: Vec<HashMap<String, String>> =
        cmd("ISLES.KEYSPACE").arg("LIST").query(client).unwrap();
    Sight {
        digest: digest(client),
        conflicts: conflicts(client, "*"),
        keyspaces: keyspaces
            .into_iter()
            .map(|keyspace| keyspace.into_iter().collect())
            .collect(),
        deadlines: (0..10)
            .map(|key| {
                cmd("PEXPIRETIME")
                    .arg(format!("deadline:{key}"))
                    .query(client)
                    .unwrap()
            })
            .collect(),
        keys: cmd("DBSIZE").query(client).unwrap(),
    }
}

/// One of everything, with conflicts.
fn fill(cluster: &Cluster) {
    let mut clients = cluster.connect();
    let eu = &mut clients[0];
    run(eu, &["ISLES.KEYSPACE", "SET", "mv:", "multi-value"]);
    run(eu, &["ISLES.KEYSPACE", "SET", "top:", "max"]);
    for key in 0..10 {
        let ttl = (key + 1) * 100_000;
        run(
            eu,
            &[
                "SET",
                &format!("deadline:{key}"),
                "value",
                "PX",
                &ttl.to_string(),
            ],
        );
    }
    run(eu, &["SADD", "set", "a", "b", "c"]);
    run(eu, &["SREM", "set", "b"]);
    run(eu, &["HSET", "hash", "field", "value", "other", "value"]);
    run(eu, &["HINCRBY", "hash", "count", "5"]);
    run(eu, &["SET", "gone", "value"]);
    run(eu, &["DEL", "gone"]);
    run(eu, &["SET", "short", "value", "PX", "1"]);
    cluster.await_convergence();
    cluster.isolate(0);
    for (region, client) in clients.iter_mut().enumerate() {
        run(client, &["SET", "shared", &region.to_string()]);
        run(client, &["SET", "mv:shared", &region.to_string()]);
        run(client, &["SET", "top:shared", &region.to_string()]);
        run(client, &["INCRBY", "counter", "3"]);
        run(client, &["HSET", "hash", "field", &region.to_string()]);
    }
    cluster.rejoin(0);
    cluster.await_convergence();
}

fn run(client: &mut Connection, words: &[&str]) {
    let (name, arguments) = words.split_first().unwrap();
    cmd(name)
        .arg(arguments)
        .exec(client)
        .unwrap_or_else(|error| panic!("{words:?}: {error}"));
}

#[test]
fn after_a_clean_stop_and_after_a_kill() {
    let mut cluster = Cluster::start(&Options {
        nodes: 2,
        relayed: true,
        ..Options::default()
    });
    fill(&cluster);
    let before: Vec<Sight> = cluster.nodes.iter().map(sight).collect();
    assert!(
        before[0].conflicts.len() >= 3 && before[0].keyspaces.len() >= 2,
        "{before:?}"
    );
    cluster.nodes.iter_mut().for_each(Node::stop);
    cluster.nodes.iter_mut().for_each(Node::start);
    let after: Vec<Sight> = cluster.nodes.iter().map(sight).collect();
    assert_eq!(after, before, "after a clean stop");
    cluster.nodes.iter_mut().for_each(Node::kill);
    cluster.nodes.iter_mut().for_each(Node::start);
    let after: Vec<Sight> = cluster.nodes.iter().map(sight).collect();
    assert_eq!(after, before, "after a kill");
    // They go on where they were.
    cluster.await_connected();
    let mut client = cluster.nodes[0].connect();
    run(&mut client, &["INCRBY", "counter", "1"]);
    cluster.await_convergence();
    let counter: i64 = cmd("GET")
        .arg("counter")
        .query(&mut cluster.nodes[1].connect())
        .unwrap();
    assert_eq!(counter, 7);
}

/// Large collections and enough besides to fill a few segments.
fn fill_segments(client: &mut Connection, round: usize) {
    for start in (0..MEMBERS).step_by(1000) {
        let (mut add, mut put) = (cmd("SADD"), cmd("HSET"));
        add.arg("large:set");
        put.arg("large:hash");
        for index in start..start + 1000 {
            add.arg(format!("member {index}"));
            put.arg(format!("field {index}"))
                .arg(format!("value {index} of round {round}"));
        }
        pipe()
            .add_command(add)
            .ignore()
            .add_command(put)
            .ignore()
            .exec(client)
            .unwrap();
    }
    let value = "x".repeat(20_000);
    for key in 0..100 {
        run(
            client,
            &["SET", &format!("filler:{key}"), &format!("{round} {value}")],
        );
    }
}

fn check_large(node: &Node, round: usize) {
    let mut client = node.connect();
    let members: BTreeSet<String> = cmd("SMEMBERS").arg("large:set").query(&mut client).unwrap();
    assert_eq!(members.len(), MEMBERS, "{}", node.spec.node);
    let fields: HashMap<String, String> =
        cmd("HGETALL").arg("large:hash").query(&mut client).unwrap();
    let right = |index: &usize| {
        fields[&format!("field {index}")] == format!("value {index} of round {round}")
    };
    assert!(
        fields.len() == MEMBERS && (0..MEMBERS).all(|index| right(&index)),
        "{}",
        node.spec.node
    );
    let filler: String = cmd("GET").arg("filler:99").query(&mut client).unwrap();
    assert!(filler.starts_with(&format!("{round} ")));
}

fn first_record(node: &Node) -> u64 {
    node.status()["log"]["first"].as_u64().unwrap()
}

fn busy(nodes: usize) -> Options {
    Options {
        nodes,
        durability: "interval",
        more: BUSY.to_owned(),
        ..Options::default()
    }
}

#[test]
fn after_the_log_was_trimmed() {
    let mut cluster = Cluster::start(&busy(2));
    for round in 0..3 {
        fill_segments(&mut cluster.nodes[round % 2].connect(), round);
        cluster.await_convergence();
    }
    for node in &cluster.nodes {
        eventually(&format!("{} has trimmed its log", node.spec.node), || {
            first_record(node) > 1
        });
    }
    let before = cluster.await_convergence();
    cluster.nodes.iter_mut().for_each(Node::kill);
    cluster.nodes.iter_mut().for_each(Node::start);
    assert_eq!(cluster.await_convergence(), before, "after a kill");
    cluster.nodes.iter().for_each(|node| check_large(node, 2));
    cluster.nodes.iter_mut().for_each(Node::stop);
    cluster.nodes.iter_mut().for_each(Node::start);
    assert_eq!(cluster.await_convergence(), before, "after a clean stop");
    cluster.nodes.iter().for_each(|node| check_large(node, 2));
    // What was removed stays so, although the log that said it is gone.
    let mut client = cluster.nodes[0].connect();
    run(&mut client, &["SREM", "large:set", "member 5"]);
    run(&mut client, &["DEL", "large:hash"]);
    cluster.await_connected();
    cluster.await_convergence();
    let mut other = cluster.nodes[1].connect();
    let left: (usize, usize) = pipe()
        .cmd("SCARD")
        .arg("large:set")
        .cmd("HLEN")
        .arg("large:hash")
        .query(&mut other)
        .unwrap();
    assert_eq!(left, (MEMBERS - 1, 0));
}

// The others are restarted too, so that nothing of it is in their memory.
#[test]
fn a_peer_that_was_away_catches_up_from_disk() {
    let mut cluster = Cluster::start(&busy(3));
    fill_segments(&mut cluster.nodes[0].connect(), 0);
    cluster.await_convergence();
    cluster.nodes[2].kill();
    fill_segments(&mut cluster.nodes[0].connect(), 1);
    fill_segments(&mut cluster.nodes[1].connect(), 2);
    cluster.nodes[0].stop();
    cluster.nodes[1].kill();
    cluster.nodes[0].start();
    cluster.nodes[1].start();
    cluster.nodes[2].start();
    cluster.await_convergence();
    cluster.nodes.iter().for_each(|node| check_large(node, 2));
}
