//! More data than memory: nobody can tell, but by how long it takes.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use std::collections::BTreeSet;

use redis::{Commands, Connection, pipe};

use support::{Cluster, Node, Options, Ports, Spec, digest, eventually, metric};

/// With values of this size the keys take about twice the memory that there is.
const KEYS: usize = 200_000;
const VALUE_BYTES: usize = 500;

const LITTLE: &str = "[memory]\nmax = \"64MiB\"\n";

fn alone(folder: &std::path::Path, more: &str) -> Node {
    let mut ports = Ports::take();
    let mut spec = Spec::alone("eu-1", "eu", &mut ports);
    spec.durability = "interval";
    spec.more = more.to_owned();
    Node::alone(folder, spec)
}

fn value(key: usize, round: usize) -> String {
    format!("{round}:{key:0>width$}", width = VALUE_BYTES)
}

fn fill(client: &mut Connection, keys: std::ops::Range<usize>, round: usize) {
    for from in keys.clone().step_by(1000) {
        let mut some = pipe();
        for key in from..(from + 1000).min(keys.end) {
            some.set(format!("key:{key}"), value(key, round)).ignore();
        }
        let () = some.query(client).unwrap();
    }
}

/// Every key is what it was set to, read in another order than it was written in.
fn check(client: &mut Connection, round: impl Fn(usize) -> usize) {
    for from in (0..KEYS).step_by(500) {
        let keys: Vec<usize> = (from..from + 500).map(|key| key * 7919 % KEYS).collect();
        let mut some = pipe();
        for key in &keys {
            some.get(format!("key:{key}"));
        }
        let found: Vec<Option<String>> = some.query(client).unwrap();
        for (key, found) in keys.iter().zip(found) {
            assert_eq!(found, Some(value(*key, round(*key))), "key:{key}");
        }
    }
}

fn cold_rows(node: &Node) -> f64 {
    metric(node, "isles_cold_rows")
}

fn scan(client: &mut Connection, count: usize) -> BTreeSet<String> {
    let (mut cursor, mut seen) = (0u64, BTreeSet::new());
    loop {
        let (next, keys): (u64, Vec<String>) = redis::cmd("SCAN")
            .arg(cursor)
            .arg("COUNT")
            .arg(count)
            .query(client)
            .unwrap();
        seen.extend(keys);
        cursor = next;
        if cursor == 0 {
            return seen;
        }
    }
}

#[test]
fn twice_as_much_as_there_is_memory() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = alone(folder.path(), LITTLE);
    let mut client = node.connect();
    fill(&mut client, 0..KEYS, 0);
    eventually("rows have left memory", || cold_rows(&node) > 50_000.0);
    let limit = f64::from(64 << 20);
    eventually("there is no more in memory than there may be", || {
        metric(&node, "isles_memory_allocated_bytes") < limit * 1.05
    });
    check(&mut client, |_| 0);
    assert_eq!(redis::cmd("DBSIZE").query(&mut client), Ok(KEYS));
    // Writes over what is not in memory, and of what has never been.
    fill(&mut client, 0..KEYS / 4, 1);
    let _: i64 = client.sadd("set", &["a", "b"]).unwrap();
    let _: i64 = client.del("key:100000").unwrap();
    assert_eq!(client.incr("counter", 5), Ok(5));
    assert_eq!(client.exists("never"), Ok(false));
    let seen = scan(&mut client, 5_000);
    assert_eq!(seen.len(), KEYS + 1);
    assert!(!seen.contains("key:100000"));
    let matching: Vec<String> = client.keys("key:1999?9").unwrap();
    assert_eq!(matching.len(), 10);
    let some: String = redis::cmd("RANDOMKEY").query(&mut client).unwrap();
    assert!(seen.contains(&some));
    let () = client.set("key:100000", value(100_000, 0)).unwrap();

    let (_, sum) = digest(&mut client);
    node.stop();
    node.start();
    client = node.connect();
    assert_eq!(digest(&mut client).1, sum, "a restart changes nothing");
    check(&mut client, |key| usize::from(key < KEYS / 4));
    fill(&mut client, 0..2_000, 2);
    let (_, sum) = digest(&mut client);
    node.kill();
    node.start();
    client = node.connect();
    assert_eq!(digest(&mut client).1, sum, "nor does a kill");
    check(&mut client, |key| match key {
        0..2_000 => 2,
        _ => usize::from(key < KEYS / 4),
    });
    assert_eq!(scan(&mut client, 1_000).len(), KEYS + 2);

    redis::cmd("FLUSHALL").exec(&mut client).unwrap();
    assert_eq!(redis::cmd("DBSIZE").query(&mut client), Ok(0));
    assert_eq!(scan(&mut client, 1_000).len(), 0);
    assert_eq!(client.exists("key:7"), Ok(false));
}

#[test]
fn scripts_transactions_and_clients_that_wait_get_what_is_not_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = alone(folder.path(), LITTLE);
    let mut client = node.connect();
    let _: i64 = client.rpush("destination", &["old"]).unwrap();
    let _: i64 = client.sadd("set", &["one", "two"]).unwrap();
    fill(&mut client, 0..KEYS, 0);
    node.stop();
    node.start();
    client = node.connect();
    eventually("rows stay in the table", || cold_rows(&node) > 50_000.0);
    let cold = scan(&mut client, 10_000);
    assert_eq!(cold.len(), KEYS + 2);
    // Keys that a script does not declare, and a message that it sends once, however often it runs.
    let mut listener = node.connect();
    let mut listener = listener.as_pubsub();
    listener.subscribe("news").unwrap();
    let script = "redis.call('PUBLISH', 'news', 'ran'); local sum = 0; \
                  for i = 1, 50 do sum = sum + #redis.call('GET', 'key:' .. i * 3989) end; return sum";
    let sum: usize = redis::cmd("EVAL")
        .arg(script)
        .arg(0)
        .query(&mut client)
        .unwrap();
    assert_eq!(sum, 50 * (VALUE_BYTES + 2));
    let () = redis::cmd("PUBLISH")
        .arg(&["news", "end"])
        .exec(&mut client)
        .unwrap();
    let heard = [(); 2].map(|()| listener.get_message().unwrap());
    assert_eq!(
        heard.map(|message| message.get_payload::<String>().unwrap()),
        ["ran", "end"]
    );
    let count: usize = redis::cmd("EVAL")
        .arg("return #redis.call('KEYS', 'key:12345*')")
        .arg(0)
        .query(&mut client)
        .unwrap();
    assert_eq!(count, 11);
    let (one, members, all): (String, BTreeSet<String>, bool) = pipe()
        .atomic()
        .get("key:77777")
        .smembers("set")
        .exists("key:66666")
        .query(&mut client)
        .unwrap();
    assert_eq!((one, all), (value(77_777, 0), true));
    assert_eq!(
        members,
        BTreeSet::from(["one".to_owned(), "two".to_owned()])
    );
    // What is cleared cannot be taken back if a later command of the transaction misses something.
    let () = redis::cmd("MULTI").exec(&mut client).unwrap();
    let () = redis::cmd("FLUSHALL").exec(&mut client).unwrap();
    let refused = redis::cmd("EXEC").exec(&mut client).unwrap_err();
    let refused = refused.to_string();
    assert!(refused.contains("outside of transactions"), "{refused}");
    assert_eq!(redis::cmd("DBSIZE").query(&mut client), Ok(KEYS + 2));
    // The list to which a waiting client moves is not in memory when its turn comes.
    let mut waiter = node.connect();
    let moved = std::thread::spawn(move || {
        redis::cmd("BLMOVE")
            .arg(&["source", "destination", "LEFT", "RIGHT", "30"])
            .query::<String>(&mut waiter)
            .unwrap()
    });
    eventually("a client waits", || {
        let info: String = redis::cmd("INFO")
            .arg("clients")
            .query(&mut client)
            .unwrap();
        info.contains("blocked_clients:1")
    });
    let _: i64 = client.rpush("source", &["new"]).unwrap();
    assert_eq!(moved.join().unwrap(), "new");
    assert_eq!(
        client.lrange("destination", 0, -1),
        Ok(vec!["old".to_owned(), "new".to_owned()])
    );
}

#[test]
fn deadlines_pass_where_only_the_table_has_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let node = alone(folder.path(), LITTLE);
    let mut client = node.connect();
    for from in (0..2_000).step_by(1_000) {
        let mut some = pipe();
        for key in from..from + 1_000 {
            let command = some.cmd("SET").arg(format!("mortal:{key}")).arg("v");
            command.arg("PX").arg(15_000).ignore();
        }
        let () = some.query(&mut client).unwrap();
    }
    fill(&mut client, 0..KEYS, 0);
    eventually("keys with a deadline have left memory", || {
        cold_rows(&node) > 100_000.0
    });
    eventually("they expire", || {
        redis::cmd("DBSIZE").query(&mut client) == Ok(KEYS)
    });
    let info: String = redis::cmd("INFO").arg("stats").query(&mut client).unwrap();
    assert!(info.contains("expired_keys:2000"), "{info}");
    assert_eq!(client.exists("mortal:7"), Ok(false));
}

#[test]
fn regions_with_little_memory_converge() {
    let cluster = Cluster::start(&Options {
        nodes: 2,
        durability: "interval",
        more: LITTLE.to_owned(),
        ..Options::default()
    });
    cluster.await_connected();
    let mut clients = cluster.connect();
    fill(&mut clients[0], 0..KEYS, 0);
    cluster.await_convergence();
    let [left, right] = &mut clients[..] else {
        unreachable!("there are two")
    };
    fill(left, 0..KEYS / 8, 1);
    fill(right, KEYS / 8..KEYS / 4, 1);
    for key in (0..KEYS).step_by(4_001) {
        let _: i64 = left.del(format!("key:{key}")).unwrap();
    }
    cluster.await_convergence();
    assert!(cold_rows(&cluster.nodes[0]) > 10_000.0);
    assert!(cold_rows(&cluster.nodes[1]) > 10_000.0);
    let deleted = KEYS.div_ceil(4_001);
    for client in &mut clients {
        assert_eq!(redis::cmd("DBSIZE").query(client), Ok(KEYS - deleted));
        assert_eq!(client.get("key:20001"), Ok(value(20_001, 1)));
        assert_eq!(client.exists("key:4001"), Ok(false));
    }
    cluster.check_health();
}
