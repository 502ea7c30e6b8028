//! Concurrent writes of one key leave exactly one record per write that lost, under one id in every region.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use redis::{Commands, FromRedisValue, Value, cmd};
use support::{Cluster, Conflict, Options, conflicts, digest};

const KEYS: usize = 20;

/// Three regions, all cut from each other, that have just converged.
fn apart(prepare: impl FnOnce(&mut redis::Connection)) -> (Cluster, Vec<redis::Connection>) {
    let cluster = Cluster::start(&Options {
        relayed: true,
        ..Options::default()
    });
    let mut clients = cluster.connect();
    prepare(&mut clients[0]);
    cluster.await_convergence();
    (0..3).for_each(|node| cluster.isolate(node));
    (cluster, clients)
}

fn heal(cluster: &Cluster) {
    (0..3).for_each(|node| cluster.rejoin(node));
    cluster.await_convergence();
}

/// What each region's journal says about keys; must be the same everywhere, but for the moment of detection.
fn journal(clients: &mut [redis::Connection], pattern: &str) -> BTreeMap<String, Conflict> {
    let journals: Vec<_> = clients
        .iter_mut()
        .map(|client| conflicts(client, pattern))
        .collect();
    let ids =
        |journal: &BTreeMap<String, Conflict>| journal.keys().cloned().collect::<BTreeSet<_>>();
    for other in &journals[1..] {
        assert_eq!(
            ids(other),
            ids(&journals[0]),
            "every region lists the same conflicts"
        );
    }
    journals.into_iter().next().unwrap()
}

#[test]
fn registers_written_in_three_regions_at_once() {
    let (cluster, mut clients) = apart(|_| {});
    for key in 0..KEYS {
        for (region, client) in clients.iter_mut().enumerate() {
            let _: () = client
                .set(format!("shared:{key}"), format!("{key} from {region}"))
                .unwrap();
        }
    }
    heal(&cluster);
    let journal = journal(&mut clients, "shared:*");
    assert_eq!(journal.len(), 2 * KEYS);
    for key in 0..KEYS {
        let name = format!("shared:{key}");
        let answers: BTreeSet<String> = clients
            .iter_mut()
            .map(|client| client.get(&name).unwrap())
            .collect();
        assert_eq!(answers.len(), 1, "one answer everywhere");
        let of_key = journal.values().filter(|record| record.key == name);
        let losers: BTreeSet<String> = of_key.map(|record| record.loser.clone().unwrap()).collect();
        let written: BTreeSet<String> = (0..3)
            .map(|region| format!("{key} from {region}"))
            .collect();
        let expected: BTreeSet<String> = written.difference(&answers).cloned().collect();
        assert_eq!(losers, expected, "every write that lost, and no other");
        assert!(journal.values().all(|record| record.kind == "write-write"));
    }
}

#[test]
fn an_overwrite_of_what_one_has_seen_is_no_conflict() {
    let (cluster, mut clients) = apart(|client| {
        for key in 0..KEYS {
            let _: () = client.set(format!("seen:{key}"), "first").unwrap();
        }
    });
    for key in 0..KEYS {
        let client = &mut clients[key % 3];
        let _: () = client.set(format!("seen:{key}"), "second").unwrap();
        let _: () = client.set(format!("seen:{key}"), "third").unwrap();
    }
    heal(&cluster);
    assert_eq!(journal(&mut clients, "seen:*"), BTreeMap::new());
    let values: Vec<String> = (0..KEYS)
        .map(|key| clients[key % 3].get(format!("seen:{key}")).unwrap())
        .collect();
    assert!(values.iter().all(|value| value == "third"));
}

#[test]
fn a_deletion_against_a_write_is_told_of() {
    let (cluster, mut clients) = apart(|client| {
        let _: () = client.set("doomed", "first").unwrap();
    });
    let _: () = clients[0].del("doomed").unwrap();
    let _: () = clients[1].set("doomed", "second").unwrap();
    heal(&cluster);
    let journal = journal(&mut clients, "doomed");
    assert_eq!(journal.len(), 1);
    assert!(
        journal.values().all(|record| record.kind == "write-delete"),
        "{journal:?}"
    );
}

#[test]
fn siblings_stay_until_a_write_that_has_seen_them() {
    let (cluster, mut clients) = apart(|client| {
        let _: () = cmd("ISLES.KEYSPACE")
            .arg("SET")
            .arg("mv:")
            .arg("multi-value")
            .query(client)
            .unwrap();
    });
    for (region, client) in clients.iter_mut().enumerate() {
        let _: () = client.set("mv:cart", format!("from {region}")).unwrap();
    }
    heal(&cluster);
    let mut token = String::new();
    for client in &mut clients {
        let (values, context) = siblings(client, "mv:cart");
        assert_eq!(
            values,
            BTreeSet::from(["from 0", "from 1", "from 2"].map(str::to_owned))
        );
        token = context;
    }
    journal(&mut clients, "mv:*");
    let merged = cmd("ISLES.SET")
        .arg("mv:cart")
        .arg("merged")
        .arg("CONTEXT")
        .arg(&token)
        .exec(&mut clients[2]);
    merged.unwrap();
    cluster.await_convergence();
    for client in &mut clients {
        assert_eq!(
            siblings(client, "mv:cart").0,
            BTreeSet::from(["merged".to_owned()]),
            "{:?}",
            digest(client)
        );
    }
}

/// The values of a key, and the context to overwrite them with.
fn siblings(client: &mut redis::Connection, key: &str) -> (BTreeSet<String>, String) {
    let mut answer: HashMap<String, Value> = cmd("ISLES.SIBLINGS").arg(key).query(client).unwrap();
    let mut field = |name: &str| answer.remove(name).unwrap();
    let versions = Vec::<HashMap<String, Value>>::from_redis_value(field("siblings")).unwrap();
    let value = |mut version: HashMap<String, Value>| {
        String::from_redis_value(version.remove("value").unwrap()).unwrap()
    };
    (
        versions.into_iter().map(value).collect(),
        String::from_redis_value(field("context")).unwrap(),
    )
}
