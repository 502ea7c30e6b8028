//! What a client has read stays, on the node where it was read and on the one that wrote it, whoever is killed.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::ScopedJoinHandle;

use redis::{Commands, pipe};
use support::{Cluster, Node, Options, eventually};

const ROUNDS: usize = 3;
/// Increments sent at once: much is applied and not yet in the log when the kill comes.
const PIPELINED: usize = 200;
/// Increments that a reader elsewhere must have seen before the kill.
const SEEN: i64 = 1_000;

/// Increments until the node goes.
fn write(node: &Node) {
    let Ok(mut client) = node.try_connect() else {
        return;
    };
    let mut increments = pipe();
    for _ in 0..PIPELINED {
        increments.incr("counter", 1).ignore();
    }
    while increments.exec(&mut client).is_ok() {}
}

/// Reads until it is told to stop or the node goes; leaves the greatest answer.
fn read(node: &Node, stop: &AtomicBool, greatest: &AtomicI64) {
    let Ok(mut client) = node.try_connect() else {
        return;
    };
    while !stop.load(Ordering::Relaxed) {
        let Ok(found) = client.get::<_, Option<i64>>("counter") else {
            return;
        };
        greatest.fetch_max(found.unwrap_or(0), Ordering::Relaxed);
    }
}

fn check(durability: &'static str) {
    let mut cluster = Cluster::start(&Options {
        nodes: 2,
        durability,
        ..Options::default()
    });
    for round in 0..ROUNDS {
        let (stop, here, there) = (AtomicBool::new(false), AtomicI64::new(0), AtomicI64::new(0));
        let (first, rest) = cluster.nodes.split_at_mut(1);
        let (writing, other) = (&mut first[0], &rest[0]);
        let before: Option<i64> = other.connect().get("counter").unwrap();
        std::thread::scope(|scope| {
            let node = &*writing;
            let clients: [ScopedJoinHandle<'_, ()>; 3] = [
                scope.spawn(|| write(node)),
                scope.spawn(|| read(node, &stop, &here)),
                scope.spawn(|| read(other, &stop, &there)),
            ];
            let goal = before.unwrap_or(0) + SEEN;
            eventually("increments are seen elsewhere", || {
                there.load(Ordering::Relaxed) >= goal
            });
            node.kill_now();
            stop.store(true, Ordering::Relaxed);
            clients
                .into_iter()
                .for_each(|client| client.join().unwrap());
        });
        writing.kill();
        writing.start();
        let now: i64 = writing.connect().get("counter").unwrap();
        let read = here.into_inner().max(there.into_inner());
        assert!(
            now >= read,
            "round {round}: {now} is left, but {read} was read before the kill"
        );
    }
    cluster.await_connected();
    cluster.await_convergence();
}

#[test]
fn with_a_sync_before_every_answer() {
    check("always");
}

#[test]
fn with_a_sync_when_the_system_likes() {
    check("never");
}
