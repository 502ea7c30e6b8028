//! Commands that wait, without sockets: a waiting command leaves a ticket, and what it is served lies in it.

use super::*;
use crate::waiting::Ticket;

/// Runs a line that must wait; its client is another one than the world's.
fn wait(world: &mut World, line: &str) -> (Session, Ticket) {
    let own = world.reconnect();
    let (answer, stop) = world.run_buffer(format!("{line}\r\n").into_bytes());
    assert_eq!((answer.as_str(), stop), ("", Stop::Wait), "{line}");
    let ticket = world.session.ticket.take().expect("who waits has a ticket");
    (std::mem::replace(&mut world.session, own), ticket)
}

/// What the ticket's client has been told, if its wait has ended.
fn told(ticket: &mut Ticket) -> Option<String> {
    let end = ticket.end.try_recv().ok()?;
    let text = String::from_utf8_lossy(&end.answer).replace("\r\n", " ");
    Some(text.trim_end().to_owned())
}

#[test]
fn who_waits_is_served_in_the_order_of_arrival() {
    let world = &mut World::new();
    let (_first, mut first) = wait(world, "BLPOP a b 0");
    let (_second, mut second) = wait(world, "BRPOP b 0");
    let (_third, mut third) = wait(world, "BLMPOP 0 1 b LEFT COUNT 10");
    check_in(world, &[("RPUSH b 1 2 3 4", ":4"), ("EXISTS b", ":0")]);
    assert_eq!(told(&mut first).as_deref(), Some("*2 $1 b $1 1"));
    assert_eq!(told(&mut second).as_deref(), Some("*2 $1 b $1 4"));
    assert_eq!(told(&mut third).as_deref(), Some("*2 $1 b *2 $1 2 $1 3"));
    assert_eq!(world.server.waiting.len(), 0);
    check_in(world, &[("RPUSH a 1", ":1"), ("RPUSH b 1", ":1")]);
    assert_eq!(world.replica.waited_for(), 0);
}

#[test]
fn what_a_transaction_leaves_is_what_counts() {
    let world = &mut World::new();
    let (_waits, mut ticket) = wait(world, "BLPOP l 0");
    check_in(
        world,
        &[
            ("MULTI", "+OK"),
            ("RPUSH l a", "+QUEUED"),
            ("DEL l", "+QUEUED"),
            ("EXEC", "*2 :1 :1"),
        ],
    );
    assert_eq!(told(&mut ticket), None);
    check_in(
        world,
        &[
            ("MULTI", "+OK"),
            ("RPUSH l a", "+QUEUED"),
            ("LPUSH l b", "+QUEUED"),
            ("EXEC", "*2 :1 :2"),
        ],
    );
    assert_eq!(told(&mut ticket).as_deref(), Some("*2 $1 l $1 b"));
}

#[test]
fn a_key_of_another_type_is_as_good_as_none() {
    let world = &mut World::new();
    let (_waits, mut ticket) = wait(world, "BLPOP a b 0");
    check_in(world, &[("SET a v", "+OK"), ("SADD b m", ":1")]);
    assert_eq!(told(&mut ticket), None);
    check_in(world, &[("DEL b", ":1"), ("RPUSH b x", ":1")]);
    assert_eq!(told(&mut ticket).as_deref(), Some("*2 $1 b $1 x"));
}

#[test]
fn what_one_is_served_serves_the_next() {
    let world = &mut World::new();
    let (_first, mut first) = wait(world, "BLMOVE a b LEFT RIGHT 0");
    let (_second, mut second) = wait(world, "BRPOPLPUSH b c 0");
    let (_third, mut third) = wait(world, "BLPOP c 0");
    check_in(world, &[("RPUSH a x", ":1"), ("DBSIZE", ":0")]);
    for ticket in [&mut first, &mut second] {
        assert_eq!(told(ticket).as_deref(), Some("$1 x"));
    }
    assert_eq!(told(&mut third).as_deref(), Some("*2 $1 c $1 x"));
}

#[test]
fn a_destination_of_another_type_ends_the_wait_with_an_error() {
    let world = &mut World::new();
    let (_waits, mut ticket) = wait(world, "BLMOVE a s LEFT RIGHT 0");
    check_in(world, &[("SET s v", "+OK"), ("RPUSH a x", ":1")]);
    assert_eq!(told(&mut ticket).as_deref(), Some(WRONG_TYPE));
    check_in(world, &[("LRANGE a 0 -1", "*1 $1 x")]);
    let info = world.run("INFO commandstats errorstats");
    for counted in [
        "rejected_calls=0,failed_calls=1",
        "errorstat_WRONGTYPE:count=1",
    ] {
        assert!(info.contains(counted), "{info}");
    }
}

#[test]
fn keys_that_come_by_other_ways_serve_too() {
    for way in ["RENAME from l", "COPY from l"] {
        let world = &mut World::new();
        check_in(world, &[("RPUSH from x", ":1")]);
        let (_waits, mut ticket) = wait(world, "BLPOP l 0");
        world.run(way);
        assert_eq!(told(&mut ticket).as_deref(), Some("*2 $1 l $1 x"), "{way}");
    }
}

#[test]
fn inside_a_transaction_nothing_waits() {
    check(&[
        ("MULTI", "+OK"),
        ("BLPOP a 0", "+QUEUED"),
        ("BLMOVE a b LEFT LEFT 0", "+QUEUED"),
        ("BLMPOP 0 1 a LEFT", "+QUEUED"),
        ("EXEC", "*3 *-1 $-1 *-1"),
        // What a transaction would have waited for is forgotten.
        ("RPUSH a x", ":1"),
        ("BLPOP a 0", "*2 $1 a $1 x"),
    ]);
}

#[test]
fn a_client_can_be_unblocked() {
    let world = &mut World::new();
    let (waits, mut ticket) = wait(world, "BLPOP l 0");
    let line = waits.client.line(world.wall_ms, None);
    assert!(
        line.contains(" flags=b ") && line.contains(" cmd="),
        "{line}"
    );
    assert!(world.run("INFO clients").contains("blocked_clients:1"));
    let id = waits.client.id;
    check_in(world, &[("CLIENT UNBLOCK 999", ":0")]);
    check_in(world, &[(&format!("CLIENT UNBLOCK {id}"), ":1")]);
    assert_eq!(told(&mut ticket).as_deref(), Some("*-1"));
    let (waits, mut ticket) = wait(world, "BLMOVE a b LEFT LEFT 0");
    let id = waits.client.id;
    check_in(world, &[(&format!("CLIENT UNBLOCK {id} ERROR"), ":1")]);
    assert_eq!(
        told(&mut ticket).as_deref(),
        Some("-UNBLOCKED client unblocked via CLIENT UNBLOCK")
    );
    check_in(
        world,
        &[
            (&format!("CLIENT UNBLOCK {id}"), ":0"),
            ("RPUSH a x", ":1"),
            ("LLEN a", ":1"),
        ],
    );
    assert!(world.run("INFO clients").contains("blocked_clients:0"));
}

#[test]
fn who_has_left_is_not_served() {
    let world = &mut World::new();
    let (_first, first) = wait(world, "BLPOP l 0");
    let (_second, mut second) = wait(world, "BLPOP l 0");
    assert!(world.server.waiting.leave(first.number));
    assert!(!world.server.waiting.leave(first.number));
    check_in(world, &[("RPUSH l x", ":1")]);
    assert_eq!(told(&mut second).as_deref(), Some("*2 $1 l $1 x"));
    let (_third, third) = wait(world, "BLPOP l 1");
    let in_vain = world.server.waiting.give_up(third.number);
    assert_eq!(in_vain.as_deref(), Some(&b"*-1\r\n"[..]));
    for line in ["BLMOVE l m LEFT LEFT 1", "BRPOPLPUSH l m 1"] {
        let (_waits, ticket) = wait(world, line);
        let in_vain = world.server.waiting.give_up(ticket.number);
        assert_eq!(in_vain.as_deref(), Some(&b"*-1\r\n"[..]), "{line}");
    }
}

#[test]
fn keys_that_nobody_waits_for_any_more_are_forgotten() {
    let world = &mut World::new();
    let (_stays, _ticket) = wait(world, "BLPOP stays 0");
    for number in 0..5_000 {
        let (_waits, ticket) = wait(world, &format!("BLPOP key-{number} 0"));
        world.server.waiting.leave(ticket.number);
    }
    assert!(
        world.replica.waited_for() < 2_000,
        "{}",
        world.replica.waited_for()
    );
    check_in(world, &[("RPUSH stays x", ":1"), ("LLEN stays", ":0")]);
}

#[test]
fn times_are_checked() {
    check(&[
        ("RPUSH l a", ":1"),
        ("BLPOP l 0.001", "*2 $1 l $1 a"),
        ("BLPOP l -1", "-ERR timeout is negative"),
        ("BLPOP l x", "-ERR timeout is not a float or out of range"),
        ("BLPOP l nan", "-ERR timeout is not a float or out of range"),
        ("BLPOP l 0x7FFFFFFFFFFFFFFF", "-ERR timeout is out of range"),
        ("BLPOP l inf", "-ERR timeout is out of range"),
        ("BLMPOP 0 0 l LEFT", "-ERR numkeys should be greater than 0"),
    ]);
}

#[test]
fn the_rest_of_a_pipeline_waits_behind_the_command() {
    let world = &mut World::new();
    let (answer, stop) = world.run_buffer(b"SET a 1\r\nBLPOP l 0\r\nGET a\r\n".to_vec());
    assert_eq!((answer.as_str(), stop), ("+OK", Stop::Wait));
}

#[test]
fn an_answer_that_is_not_wanted_is_not_given() {
    let world = &mut World::new();
    let own = world.reconnect();
    let (_, stop) = world.run_buffer(b"CLIENT REPLY SKIP\r\nBLPOP l 0\r\n".to_vec());
    assert_eq!(stop, Stop::Wait);
    let mut ticket = world.session.ticket.take().expect("who waits has a ticket");
    let _waits = std::mem::replace(&mut world.session, own);
    check_in(world, &[("RPUSH l x", ":1"), ("LLEN l", ":0")]);
    assert_eq!(told(&mut ticket).as_deref(), Some(""));
}

#[test]
fn who_waits_for_members_is_served_those_of_sorted_sets() {
    let world = &mut World::new();
    let (_first, mut first) = wait(world, "BZPOPMIN y z 0");
    let (_list, mut list) = wait(world, "BLPOP z 0");
    let (_second, mut second) = wait(world, "BZPOPMAX z 0");
    let (_third, mut third) = wait(world, "BZMPOP 0 2 y z MIN COUNT 5");
    check_in(
        world,
        &[("ZADD z 1 a 2 b 3 c 4 d", ":4"), ("EXISTS z", ":0")],
    );
    assert_eq!(told(&mut first).as_deref(), Some("*3 $1 z $1 a $1 1"));
    assert_eq!(told(&mut second).as_deref(), Some("*3 $1 z $1 d $1 4"));
    let rest = "*2 $1 z *2 *2 $1 b $1 2 *2 $1 c $1 3";
    assert_eq!(told(&mut third).as_deref(), Some(rest));
    assert_eq!(told(&mut list), None);
    check_in(
        world,
        &[
            ("ZADD z 1 a", ":1"),
            ("BZPOPMIN y z 1", "*3 $1 z $1 a $1 1"),
            ("BZPOPMIN z -1", "-ERR timeout is negative"),
            ("BZMPOP 0 1 z LEAST", "-ERR syntax error"),
            ("SET t v", "+OK"),
            ("BZPOPMIN t 0", WRONG_TYPE),
            ("MULTI", "+OK"),
            ("BZPOPMIN z 0", "+QUEUED"),
            ("EXEC", "*1 *-1"),
        ],
    );
}

#[test]
fn a_reader_of_a_group_is_woken_by_an_entry_and_has_it_pending() {
    let world = &mut World::new();
    check_in(world, &[("XGROUP CREATE s g $ MKSTREAM", "+OK")]);
    let (_first, mut first) = wait(world, "XREADGROUP GROUP g alice BLOCK 0 STREAMS s >");
    let (_second, mut second) = wait(world, "XREADGROUP GROUP g bob BLOCK 0 STREAMS s >");
    check_in(world, &[("XADD s 1-0 f a", "$3 1-0")]);
    let entry = |id: &str, value: &str| {
        let fields = format!("*2 $1 f $1 {value}");
        format!("*1 *2 $1 s *1 *2 $3 {id} {fields}")
    };
    // One entry is for one of them, the one that has waited longer.
    assert_eq!(told(&mut first), Some(entry("1-0", "a")));
    assert_eq!(told(&mut second), None);
    check_in(world, &[("XADD s 2-0 f b", "$3 2-0")]);
    assert_eq!(told(&mut second), Some(entry("2-0", "b")));
    assert_eq!(world.server.waiting.len(), 0);
    let pending = "*4 :2 $3 1-0 $3 2-0 *2 *2 $5 alice $1 1 *2 $3 bob $1 1";
    check_in(
        world,
        &[("XPENDING s g", pending), ("XACK s g 1-0 2-0", ":2")],
    );
}

#[test]
fn a_reader_of_a_group_is_told_when_what_it_waits_for_is_gone() {
    for (command, answer, expected) in [
        (
            "XGROUP DESTROY s g",
            ":1",
            "-NOGROUP the consumer group this client was blocked on no longer exists",
        ),
        ("DEL s", ":1", "-UNBLOCKED the stream key no longer exists"),
        (
            "SET s v",
            "+OK",
            "-UNBLOCKED the stream key no longer exists",
        ),
    ] {
        let world = &mut World::new();
        check_in(world, &[("XGROUP CREATE s g $ MKSTREAM", "+OK")]);
        let (_waits, mut ticket) = wait(world, "XREADGROUP GROUP g alice BLOCK 0 STREAMS s >");
        check_in(world, &[(command, answer)]);
        assert_eq!(told(&mut ticket).as_deref(), Some(expected), "{command}");
    }
}
