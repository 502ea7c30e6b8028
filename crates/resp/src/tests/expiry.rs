//! Who notices that a key has expired, when, and how often.

use isles_replica::{Expiry, Scope};

use super::World;
use super::push::{learn, peer_frame};
use crate::expiry;

fn look(world: &mut World) -> usize {
    expiry::look(&mut world.replica, &world.server, world.wall_ms)
}

#[test]
fn an_expired_key_is_told_with_the_next_command_or_look() {
    let mut world = World::new();
    world.run("CONFIG SET notify-keyspace-events Ex");
    let listener = world.other(&["SUBSCRIBE __keyevent@0__:expired"]);
    for is_look in [true, false] {
        world.run("SET k 1 PX 50");
        world.advance(51);
        match is_look {
            true => assert_eq!(look(&mut world), 1),
            false => assert_eq!(world.run("PING"), "+PONG"),
        }
        assert_eq!(
            World::letters(&listener.client),
            "*3 $7 message $22 __keyevent@0__:expired $1 k"
        );
    }
    assert!(world.run("INFO stats").contains("expired_keys:2"));
}

#[test]
fn what_expires_during_a_pause_is_counted_and_told_afterwards() {
    let mut world = World::new();
    world.run("CONFIG SET notify-keyspace-events Ex");
    let listener = world.other(&["SUBSCRIBE __keyevent@0__:expired"]);
    world.run("SET k 1 PX 50");
    world.run("SET stays 1 PX 5000");
    world.run("CLIENT PAUSE 100000 WRITE");
    world.advance(51);
    assert_eq!(world.run("GET k"), "$-1");
    assert_eq!(look(&mut world), 0);
    let stats = world.run("INFO stats");
    assert!(stats.contains("expired_keys:0 "), "{stats}");
    assert!(stats.contains("expired_stale_perc:50.00 "), "{stats}");
    assert_eq!(World::letters(&listener.client), "");
    world.run("CLIENT UNPAUSE");
    let stats = world.run("INFO stats");
    assert!(stats.contains("expired_keys:1 "), "{stats}");
    assert!(stats.contains("expired_stale_perc:0.00 "), "{stats}");
    assert_eq!(
        World::letters(&listener.client),
        "*3 $7 message $22 __keyevent@0__:expired $1 k"
    );
}

// The first command after a million keys had expired at once waited until all of them were found.
#[test]
fn one_command_finds_few_of_many_expired_keys() {
    let mut world = World::new();
    for number in 0..3000 {
        world.run(&format!("SET {number} 1 PX 50"));
    }
    world.advance(51);
    assert_eq!(world.run("GET 2999"), "$-1");
    // It is counted before it is another key.
    world.run("SET 2998 1");
    let counted = |world: &mut World| {
        let stats = world.run("INFO stats");
        let (_, rest) = stats.split_once("expired_keys:").expect("it is there");
        rest.split(' ').next().and_then(|count| count.parse().ok())
    };
    assert_eq!(counted(&mut world), Some(3 * 64 + 1));
    assert_eq!(look(&mut world), 1000);
    assert_eq!(look(&mut world), 1000);
    look(&mut world);
    assert_eq!(counted(&mut world), Some(3000));
    assert_eq!(world.run("DBSIZE"), ":1");
}

// It was there, so that those who keep it want to know; `del` would be what somebody did.
#[test]
fn a_deadline_that_arrives_late_is_told_as_what_it_has_done() {
    let mut world = World::new();
    world.run("CONFIG SET notify-keyspace-events KEA");
    let listener = world.other(&["PSUBSCRIBE *"]);
    let frame = peer_frame(|replica| {
        for deadline in [false, true] {
            let mut txn = replica.txn(super::START_MS, Scope::Once);
            match deadline {
                true => _ = txn.set_deadline(b"k", Some(super::START_MS + 10)),
                false => txn.set_string(b"k", b"1", Expiry::Clear),
            }
            txn.commit().expect("a small entry");
        }
    });
    world.advance(20);
    learn(&mut world, frame);
    let letters = World::letters(&listener.client);
    assert!(letters.contains("__keyevent@0__:expired $1 k"), "{letters}");
    assert!(!letters.contains("del"), "{letters}");
    assert!(world.run("INFO stats").contains("expired_keys:1 "));
}

// Else the key would seem to be gone to those who hear that it was written first.
#[test]
fn a_peer_writes_a_key_whose_expiry_nobody_was_told_of() {
    let mut world = World::new();
    world.run("CONFIG SET notify-keyspace-events Ex$");
    let listener = world.other(&["PSUBSCRIBE *"]);
    world.run("SET k 1 PX 10");
    World::letters(&listener.client);
    world.advance(20);
    let frame = peer_frame(|replica| {
        let mut txn = replica.txn(super::START_MS + 20, Scope::Once);
        txn.set_string(b"k", b"2", Expiry::At(super::START_MS + 1000));
        txn.commit().expect("a small entry");
    });
    learn(&mut world, frame);
    assert_eq!(look(&mut world), 0);
    let letters = World::letters(&listener.client);
    let expired = letters.find("expired $1 k").expect("it is told");
    let set = letters.find("set $1 k").expect("it is told");
    assert!(expired < set, "{letters}");
    assert!(world.run("INFO stats").contains("expired_keys:1 "));
}
