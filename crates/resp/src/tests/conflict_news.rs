//! Who hears that a write lost, and what.

use isles_clock::ReplicaId;
use isles_replica::Origin;
use serde_json::Value as Json;

use super::isles::learn_from;
use super::{SYNTAX, TestHost, World, check, check_in};
use crate::clients::Client;
use crate::engine::ChannelKind;
use crate::hub::Inbox;
use crate::reply::Protocol;
use crate::resp3::{self, Value};
use crate::session::Session;

const ASKING: [&str; 2] = ["HELLO 3", "ISLES.NOTIFY ON"];

/// Applies what the other region wrote without having seen anything of ours, and puts it into the log.
fn meet(world: &mut World, line: &str) {
    learn_from(world, 2, line);
    world.replica.take_unlogged();
}

/// What waits for a client, message by message.
fn messages(client: &Client) -> Vec<Vec<Value>> {
    let mut out = Vec::new();
    client.outbox.take(&mut out);
    let mut rest = &out[..];
    let mut messages = Vec::new();
    while !rest.is_empty() {
        let message = resp3::read(&mut rest).expect("a message");
        messages.push(message.items().to_vec());
    }
    messages
}

/// The channels on which a record was published to a client, and its key, in order.
fn heard(client: &Client) -> Vec<(String, String)> {
    let record = |message: Vec<Value>| {
        let [.., channel, line] = &message[..] else {
            panic!("no message of a channel: {message:?}");
        };
        let line: Json = serde_json::from_str(&line.text()).expect("a line of JSON");
        (channel.text(), line["key"].to_string().replace('"', ""))
    };
    messages(client).into_iter().map(record).collect()
}

/// Keys, losers and winners of what a client was pushed.
fn told(session: &Session) -> Vec<String> {
    let push = |message: Vec<Value>| {
        let [word, record] = &message[..] else {
            panic!("no push: {message:?}");
        };
        assert_eq!(word.text(), "isles-conflict");
        let of = |name| record.get(name).get("value").text();
        let key = record.get("key").text();
        format!("{key}: {} to {}", of("loser"), of("winner"))
    };
    messages(&session.client).into_iter().map(push).collect()
}

#[test]
fn a_record_is_heard_as_the_line_that_lists_show() {
    let mut world = World::new();
    for (id, region) in [(1, "eu"), (2, "us")] {
        let origin = Origin {
            node: format!("{region}-1"),
            region: region.to_owned(),
            ahead_ms: None,
        };
        world.replica.note_origin(ReplicaId::from_u128(id), origin);
    }
    let listener = world.other(&["SUBSCRIBE isles:conflicts"]);
    world.run("SET k mine");
    meet(&mut world, "SET k \"their\\nown\"");
    let message = messages(&listener.client).remove(0);
    let line = message[2].bytes().expect("a text").to_vec();
    assert!(!line.contains(&b'\n'));
    let list = crate::read_conflicts(
        &world.replica,
        &TestHost::default(),
        world.wall_ms,
        &[b"LIST"],
    );
    let list = Value::decode(&list.expect("a list").finish()).expect("an answer");
    let listed = list.get("records").items()[0].to_json();
    assert_eq!(listed.to_string().as_bytes(), line);
    assert_eq!(listed["winner"]["region"], "us");
}

#[test]
fn each_keyspace_has_a_channel() {
    let mut world = World::new();
    check_in(&mut world, &[("ISLES.KEYSPACE SET cart: lww", "+OK")]);
    let all = world.other(&["SUBSCRIBE isles:conflicts"]);
    let carts = world.other(&["SUBSCRIBE isles:conflicts:cart:"]);
    let others = world.other(&["SUBSCRIBE isles:conflicts:"]);
    let each = world.other(&["PSUBSCRIBE isles:conflicts:*"]);
    let nobody = world.other(&["SUBSCRIBE isles:conflicts:none", "PSUBSCRIBE news*"]);
    for key in ["cart:1", "k"] {
        world.run(&format!("SET {key} mine"));
    }
    meet(
        &mut world,
        "MULTI\r\nSET cart:1 theirs\r\nSET k theirs\r\nEXEC",
    );
    let pair = |channel: &str, key: &str| (channel.to_owned(), key.to_owned());
    let (cart, other) = (
        pair("isles:conflicts:cart:", "cart:1"),
        pair("isles:conflicts:", "k"),
    );
    assert_eq!(
        heard(&all.client),
        [
            pair("isles:conflicts", "cart:1"),
            pair("isles:conflicts", "k")
        ]
    );
    assert_eq!(heard(&carts.client), std::slice::from_ref(&cart));
    assert_eq!(heard(&others.client), std::slice::from_ref(&other));
    assert_eq!(heard(&each.client), [cart, other]);
    assert!(heard(&nobody.client).is_empty());
}

#[test]
fn only_isles_publishes_records() {
    let refused = "-ERR on channels that begin with isles:conflicts only Isles publishes: the records of its journal";
    let mut world = World::new();
    let listener = world.other(&["PSUBSCRIBE isles:*", "SSUBSCRIBE isles:conflicts"]);
    check_in(
        &mut world,
        &[
            ("PUBLISH isles:conflicts {}", refused),
            ("PUBLISH isles:conflicts:cart: {}", refused),
            ("SPUBLISH isles:conflicts {}", refused),
            ("PUBLISH isles:other x", ":1"),
            ("MULTI", "+OK"),
            ("PUBLISH isles:conflicts {}", "+QUEUED"),
            ("EXEC", &format!("*1 {refused}")),
        ],
    );
    let script = world.run("EVAL \"return redis.call('PUBLISH', 'isles:conflicts', '{}')\" 0");
    assert!(script.starts_with(refused), "{script}");
    let inbox = Inbox::of(&world.server.hub);
    assert_eq!(
        inbox.deliver(ChannelKind::Plain, b"isles:conflicts", b"{}"),
        0
    );
    assert_eq!(messages(&listener.client).len(), 1);
}

#[test]
fn nobody_is_told_before_it_is_durable_or_once_nobody_listens() {
    let mut world = World::new();
    assert!(!world.replica.observes_journal());
    let listener = world.other(&["SUBSCRIBE isles:conflicts"]);
    assert!(world.replica.observes_journal());
    world.run("SET k mine");
    learn_from(&mut world, 2, "SET k theirs");
    assert!(
        !listener.client.outbox.has_letters(),
        "the log knows nothing yet"
    );
    let noted = world.replica.take_unlogged().pop().expect("a note");
    let barrier = listener.client.outbox.take(&mut Vec::new());
    assert_eq!(barrier.frame(), noted.number);
    drop(listener);
    crate::expiry::look(&mut world.replica, &world.server, world.wall_ms);
    assert!(!world.replica.observes_journal());
}

#[test]
fn a_connection_asks_for_notices() {
    check(&[
        ("ISLES.NOTIFY", "$3 off"),
        (
            "ISLES.NOTIFY ON",
            "-ERR ISLES.NOTIFY needs RESP3, whose messages cannot be taken for answers: send HELLO 3 first",
        ),
        ("ISLES.NOTIFY OFF", "+OK"),
        ("ISLES.NOTIFY MAYBE", SYNTAX),
        (
            "ISLES.NOTIFY ON ON",
            "-ERR wrong number of arguments for 'isles.notify' command",
        ),
    ]);
    let mut world = World::resp3();
    for (leave, protocol) in [
        ("ISLES.NOTIFY OFF", Protocol::Resp3),
        ("HELLO 2", Protocol::Resp2),
        ("RESET", Protocol::Resp2),
    ] {
        world.run("HELLO 3");
        check_in(
            &mut world,
            &[("ISLES.NOTIFY ON", "+OK"), ("ISLES.NOTIFY", "$2 on")],
        );
        world.run(leave);
        assert_eq!(world.reply.protocol, protocol);
        assert!(!world.server.hub.notices.are_on(), "{leave}");
        check_in(&mut world, &[("ISLES.NOTIFY", "$3 off")]);
    }
}

#[test]
fn the_connection_whose_write_lost_is_told_and_no_other() {
    let mut world = World::new();
    let writer = world.other(&["HELLO 3", "SET early mine", "ISLES.NOTIFY ON", "SET k mine"]);
    let other = world.other(&ASKING);
    let silent = world.other(&["HELLO 3", "SET silent mine"]);
    meet(
        &mut world,
        "MULTI\r\nSET early theirs\r\nSET k theirs\r\nSET silent theirs\r\nEXEC",
    );
    assert_eq!(told(&writer), ["k: mine to theirs"]);
    assert!(told(&other).is_empty() && told(&silent).is_empty());
    // What wins is no news.
    world.advance(1_000);
    world.session = writer;
    world.run("SET won mine");
    learn_from(&mut world, 3, "SET lost theirs");
    world.wall_ms -= 1_000;
    meet_as(&mut world, 4, "SET won theirs");
    assert!(told(&world.session).is_empty());
    assert_eq!(world.replica.conflicts().len(), 4);
}

/// The same from another region.
fn meet_as(world: &mut World, id: u128, line: &str) {
    learn_from(world, id, line);
    world.replica.take_unlogged();
}

#[test]
fn who_asks_no_more_is_not_told_of_what_it_wrote_before() {
    let mut world = World::new();
    let writer = world.other(&[
        ASKING[0],
        ASKING[1],
        "SET a mine",
        "ISLES.NOTIFY OFF",
        "SET b mine",
        "ISLES.NOTIFY ON",
        "SET c mine",
    ]);
    meet(
        &mut world,
        "MULTI\r\nSET a theirs\r\nSET b theirs\r\nSET c theirs\r\nEXEC",
    );
    assert_eq!(told(&writer), ["c: mine to theirs"]);
    drop(writer);
    assert!(!world.server.hub.notices.are_on());
}

#[test]
fn whatever_wrote_for_the_connection_counts() {
    let mut world = World::new();
    let writer = world.other(&[
        ASKING[0],
        ASKING[1],
        "MULTI",
        "SET a mine",
        "HSET h f mine",
        "EXEC",
        "EVAL \"redis.call('SET', KEYS[1], 'mine')\" 1 b",
    ]);
    meet(
        &mut world,
        "MULTI\r\nSET a theirs\r\nHSET h f theirs\r\nSET b theirs\r\nEXEC",
    );
    assert_eq!(
        told(&writer),
        [
            "a: mine to theirs",
            "h: mine to theirs",
            "b: mine to theirs"
        ]
    );
    // A command that waited writes when somebody else's lets it.
    let waiter = world.other(&[ASKING[0], ASKING[1], "BLPOP l 0"]);
    let next = |world: &World| world.replica.applied().get(world.replica.id()) + 1;
    let pushed = next(&world);
    world.run("RPUSH l x");
    let author = |sequence| world.server.hub.notices.author_of(sequence);
    assert!(author(pushed).is_none());
    let popped = author(pushed + 1).expect("it was served");
    assert_eq!(popped.id, waiter.client.id);
}

#[test]
fn a_sibling_that_stays_is_told_as_kept() {
    let mut world = World::new();
    let keyspace = "ISLES.KEYSPACE SET cart: multi-value";
    check_in(&mut world, &[(keyspace, "+OK")]);
    let writer = world.other(&[ASKING[0], ASKING[1], "SET cart:1 mine"]);
    meet(
        &mut world,
        &format!("MULTI\r\n{keyspace}\r\nSET cart:1 theirs\r\nEXEC"),
    );
    let message = messages(&writer.client).remove(0);
    assert_eq!(message[1].get("kept"), &Value::Boolean(true));
    assert_eq!(message[1].get("strategy").text(), "multi-value");
}

// Under `fww` nobody reads the later one.
#[test]
fn the_writer_of_the_later_sibling_is_told_too() {
    let mut world = World::new();
    let keyspace = "ISLES.KEYSPACE SET cart: fww";
    check_in(&mut world, &[(keyspace, "+OK")]);
    world.advance(1_000);
    let writer = world.other(&[ASKING[0], ASKING[1], "SET cart:1 mine"]);
    world.wall_ms -= 1_000;
    let earlier = format!("MULTI\r\n{keyspace}\r\nSET cart:1 theirs\r\nEXEC");
    meet_as(&mut world, 3, &earlier);
    check_in(&mut world, &[("GET cart:1", "$6 theirs")]);
    assert_eq!(told(&writer), ["cart:1: theirs to mine"]);
}
