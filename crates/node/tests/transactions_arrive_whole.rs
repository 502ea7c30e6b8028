//! Nobody in another region ever sees half of a MULTI/EXEC.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use std::sync::atomic::{AtomicBool, Ordering};

use redis::{Connection, cmd, pipe};
use support::{Cluster, Options, eventually};

/// Transactions in a row.
const ROUNDS: u64 = 200;
/// More than one frame holds of small entries: a large one must still come in one piece.
const WIDE: usize = 600;

/// Writes the same number to all keys, and to a field and a set of its own, at once.
fn write(client: &mut Connection, keys: &[String], number: u64) {
    let mut transaction = pipe();
    transaction.atomic();
    for key in keys {
        transaction.cmd("SET").arg(key).arg(number).ignore();
    }
    transaction
        .cmd("HSET")
        .arg("whole:hash")
        .arg("number")
        .arg(number)
        .ignore();
    let _: () = transaction.query(client).unwrap();
}

/// Reads all keys at once; they must be equal.
fn read(client: &mut Connection, keys: &[String]) -> Option<u64> {
    let (values, field): (Vec<Option<u64>>, Option<u64>) = pipe()
        .atomic()
        .cmd("MGET")
        .arg(keys)
        .cmd("HGET")
        .arg("whole:hash")
        .arg("number")
        .query(client)
        .unwrap();
    let torn = values.iter().any(|value| *value != values[0]) || field != values[0];
    assert!(
        !torn,
        "half a transaction is visible: {field:?} beside {values:?}"
    );
    values[0]
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|index| format!("whole:{index}")).collect()
}

/// One region writes, another reads all the time.
fn check_one_writer(keys: &[String], rounds: u64) {
    let cluster = Cluster::start(&Options {
        nodes: 2,
        ..Options::default()
    });
    let (mut writer, mut reader) = (cluster.nodes[0].connect(), cluster.nodes[1].connect());
    std::thread::scope(|scope| {
        scope.spawn(|| (1..=rounds).for_each(|number| write(&mut writer, keys, number)));
        let mut last = None;
        eventually("the last transaction has arrived", || {
            let now = read(&mut reader, keys);
            assert!(now >= last, "{now:?} after {last:?}");
            last = now;
            now == Some(rounds)
        });
    });
}

#[test]
fn of_a_few_keys() {
    check_one_writer(&names(3), ROUNDS);
}

#[test]
fn of_more_keys_than_a_frame_holds() {
    check_one_writer(&names(WIDE), ROUNDS / 10);
}

// Two that write the same keys at once: each key goes to the same of the two.
#[test]
fn of_two_writers_one_wins_as_a_whole() {
    let cluster = Cluster::start(&Options::default());
    let (keys, done) = (names(3), AtomicBool::new(false));
    let mut clients = cluster.connect();
    let [one, other, reader] = &mut clients[..] else {
        panic!("three nodes")
    };
    let (keys, done) = (&keys, &done);
    std::thread::scope(|scope| {
        let writers = [(one, 0), (other, 1)].map(|(client, parity)| {
            scope.spawn(move || {
                (1..=ROUNDS).for_each(|number| write(client, keys, 2 * number + parity))
            })
        });
        let reading = scope.spawn(move || {
            while !done.load(Ordering::Relaxed) {
                read(reader, keys);
            }
        });
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
        reading.join().unwrap();
    });
    cluster.await_convergence();
    for client in &mut clients {
        assert!(read(client, keys) >= Some(2 * ROUNDS));
    }
}

// A transaction that is discarded, or that its watch forbids, leaves no trace anywhere.
#[test]
fn of_an_aborted_one_nothing_arrives() {
    let cluster = Cluster::start(&Options {
        nodes: 2,
        ..Options::default()
    });
    let (mut one, mut other) = (cluster.nodes[0].connect(), cluster.nodes[0].connect());
    cmd("SET").arg("guard").arg("1").exec(&mut one).unwrap();
    cmd("WATCH").arg("guard").exec(&mut one).unwrap();
    cmd("SET").arg("guard").arg("2").exec(&mut other).unwrap();
    let aborted: Option<Vec<String>> = pipe()
        .atomic()
        .cmd("SET")
        .arg("trace")
        .arg("1")
        .query(&mut one)
        .unwrap();
    assert_eq!(aborted, None);
    cluster.await_convergence();
    let exists: bool = cmd("EXISTS")
        .arg("trace")
        .query(&mut cluster.nodes[1].connect())
        .unwrap();
    assert!(!exists);
}
