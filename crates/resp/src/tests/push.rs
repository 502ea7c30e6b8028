//! Messages that a connection did not ask for at that moment: who gets which, and how they look.

use isles_clock::ReplicaId;
use isles_replica::{Frame, Position, Replica, ReplicaConfig, Scope, UnloggedContent};

use super::{World, check};
use crate::clients::Client;
use crate::engine::ChannelKind;
use crate::hub::Inbox;
use crate::reply::Protocol;
use crate::session::Session;

impl World {
    /// What waits for a client, with a blank for each end of line.
    pub(super) fn letters(client: &Client) -> String {
        let mut out = Vec::new();
        client.outbox.take(&mut out);
        String::from_utf8_lossy(&out)
            .replace("\r\n", " ")
            .trim_end()
            .to_owned()
    }

    fn own_letters(&self) -> String {
        World::letters(&self.session.client)
    }

    /// Another connection that runs these lines; it stays until its session is dropped.
    pub(super) fn other(&mut self, lines: &[&str]) -> Session {
        let earlier = self.reconnect();
        let protocol = std::mem::take(&mut self.reply.protocol);
        for line in lines {
            let answer = self.run(line);
            assert!(!answer.starts_with('-'), "{line}: {answer}");
        }
        self.reply.protocol = protocol;
        std::mem::replace(&mut self.session, earlier)
    }
}

#[test]
fn subscriptions_are_confirmed_and_counted() {
    check(&[
        (
            "SUBSCRIBE a b",
            "*3 $9 subscribe $1 a :1 *3 $9 subscribe $1 b :2",
        ),
        ("SUBSCRIBE a", "*3 $9 subscribe $1 a :2"),
        ("PSUBSCRIBE x*", "*3 $10 psubscribe $2 x* :3"),
        ("SSUBSCRIBE a", "*3 $10 ssubscribe $1 a :1"),
        ("UNSUBSCRIBE nobody", "*3 $11 unsubscribe $6 nobody :3"),
        (
            "UNSUBSCRIBE",
            "*3 $11 unsubscribe $1 a :2 *3 $11 unsubscribe $1 b :1",
        ),
        ("PUNSUBSCRIBE", "*3 $12 punsubscribe $2 x* :0"),
        ("PUNSUBSCRIBE", "*3 $12 punsubscribe $-1 :0"),
        ("SUNSUBSCRIBE", "*3 $12 sunsubscribe $1 a :0"),
        ("PING", "+PONG"),
    ]);
}

#[test]
fn while_a_resp2_client_listens_few_commands_make_sense() {
    let refused = |name| {
        format!(
            "-ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
        )
    };
    check(&[
        ("SUBSCRIBE a", "*3 $9 subscribe $1 a :1"),
        ("PING", "*2 $4 pong $0"),
        ("PING x", "*2 $4 pong $1 x"),
        ("GET a", &refused("get")),
        ("CLIENT ID", &refused("client|id")),
        ("GET", "-ERR wrong number of arguments for 'get' command"),
        ("RESET", "+RESET"),
        ("GET a", "$-1"),
    ]);
    super::check_resp3(&[
        ("SUBSCRIBE a", ">3 $9 subscribe $1 a :1"),
        ("GET a", "_"),
        ("PING", "+PONG"),
    ]);
}

#[test]
fn a_message_reaches_channels_patterns_and_shards() {
    let mut world = World::new();
    let one = world.other(&["SUBSCRIBE news", "PSUBSCRIBE n*"]);
    let two = world.other(&["PSUBSCRIBE [mn]ews", "SSUBSCRIBE news"]);
    assert_eq!(world.run("PUBLISH news hi"), ":3");
    assert_eq!(
        World::letters(&one.client),
        "*3 $7 message $4 news $2 hi *4 $8 pmessage $2 n* $4 news $2 hi"
    );
    assert_eq!(
        World::letters(&two.client),
        "*4 $8 pmessage $7 [mn]ews $4 news $2 hi"
    );
    assert_eq!(world.run("SPUBLISH news ho"), ":1");
    assert_eq!(world.run("PUBLISH other x"), ":0");
    assert_eq!(World::letters(&two.client), "*3 $8 smessage $4 news $2 ho");
    assert_eq!(world.run("PUBSUB NUMSUB news x"), "*4 $4 news :1 $1 x :0");
    assert_eq!(world.run("PUBSUB SHARDNUMSUB news"), "*2 $4 news :1");
    assert_eq!(world.run("PUBSUB CHANNELS n*"), "*1 $4 news");
    assert_eq!(world.run("PUBSUB NUMPAT"), ":2");
    drop(one);
    drop(two);
    assert_eq!(world.run("PUBSUB CHANNELS"), "*0");
    assert_eq!(world.run("PUBLISH news hi"), ":0");
}

// A client that had left its last channel took a message of it for the answer of its next command.
#[test]
fn what_came_before_goes_before_the_end_of_a_subscription() {
    let mut world = World::new();
    world.run("SUBSCRIBE news");
    Inbox::of(&world.server.hub).deliver(ChannelKind::Plain, b"news", b"late");
    assert_eq!(
        world.run("UNSUBSCRIBE news"),
        "*3 $7 message $4 news $4 late *3 $11 unsubscribe $4 news :0"
    );
    assert_eq!(world.own_letters(), "");
}

#[test]
fn messages_come_although_answers_do_not() {
    let mut world = World::new();
    for line in ["CLIENT REPLY OFF", "PING", "SUBSCRIBE"] {
        assert_eq!(world.run(line), "", "{line}");
    }
    assert_eq!(world.run("SUBSCRIBE a"), "*3 $9 subscribe $1 a :1");
    assert_eq!(world.run("PING"), "");
}

#[test]
fn nobody_hears_of_what_is_not_durable_yet() {
    let mut world = World::new();
    let listener = world.other(&["SUBSCRIBE news"]);
    world.run("SET a 1");
    world.run("PUBLISH news x");
    let mut out = Vec::new();
    let barrier = listener.client.outbox.take(&mut out);
    assert_eq!(barrier, world.session.barrier);
    assert!(barrier > Position::ZERO);
}

#[test]
fn a_client_that_does_not_read_is_disconnected() {
    let mut world = World::with(crate::ServeOptions {
        max_outbox_bytes: 1000,
        ..crate::ServeOptions::default()
    });
    let listener = world.other(&["SUBSCRIBE news"]);
    let text = "x".repeat(400);
    for _ in 0..2 {
        assert_eq!(world.run(&format!("PUBLISH news {text}")), ":1");
        assert!(!listener.client.is_killed());
    }
    world.run(&format!("PUBLISH news {text}"));
    assert!(listener.client.is_killed());
    assert!(
        world
            .run("INFO stats")
            .contains("client_output_buffer_limit_disconnections:1")
    );
}

/// The events that lines cause, as key and name.
fn check_events(flags: &str, before: &[&str], lines: &[&str], expected: &str) {
    let mut world = World::new();
    before.iter().for_each(|line| _ = world.run(line));
    assert_eq!(
        world.run(&format!("CONFIG SET notify-keyspace-events {flags}")),
        "+OK"
    );
    let listener = world.other(&["PSUBSCRIBE *"]);
    for line in lines {
        let answer = world.run(line);
        assert!(!answer.starts_with('-'), "{line}: {answer}");
    }
    let letters = World::letters(&listener.client);
    let mut events = Vec::new();
    for letter in letters.split("*4 $8 pmessage $1 * ").skip(1) {
        let words: Vec<&str> = letter.split(' ').collect();
        events.push(format!("{} {}", words[1].replace("__key", ""), words[3]));
    }
    assert_eq!(events.join(", "), expected, "{lines:?}");
}

#[test]
fn events_have_redis_names() {
    for (before, lines, expected) in [
        (&[][..], &["SET k 1 EX 10"][..], "k set, k expire"),
        (&[], &["SET k 1", "SET k 2 KEEPTTL"], "k set, k set"),
        (&[], &["MSET a 1 b 2"], "a set, b set"),
        (&[], &["SETEX k 10 v"], "k set, k expire"),
        (&["SET k 1"], &["GET k", "DEL k", "DEL k"], "k del"),
        (&["SET k 1"], &["GETDEL k"], "k del"),
        (
            &["SET k 1"],
            &["EXPIRE k 10", "PERSIST k"],
            "k expire, k persist",
        ),
        (&["SET k 1"], &["EXPIRE k -1"], "k del"),
        (
            &["SET k 1"],
            &["GETEX k EX 9", "GETEX k PERSIST"],
            "k expire, k persist",
        ),
        (&["SET k 1"], &["RENAME k l"], "k rename_from, l rename_to"),
        (&["SET k 1"], &["COPY k l"], "l copy_to"),
        (
            &[],
            &["INCR n", "DECRBY n 2", "INCRBYFLOAT n 1"],
            "n incrby, n incrby, n incrbyfloat",
        ),
        (
            &[],
            &["APPEND k x", "SETRANGE k 0 y"],
            "k append, k setrange",
        ),
        (
            &[],
            &["HSET h f 1", "HINCRBY h f 1", "HDEL h f"],
            "h hset, h hincrby, h hdel, h del",
        ),
        (&[], &["SADD s a b", "SADD s a", "SREM s x"], "s sadd"),
        (&["SADD s a"], &["SREM s a"], "s srem, s del"),
        (&["SADD s a"], &["SPOP s"], "s spop, s del"),
        (&["SADD s a b"], &["SMOVE s t a"], "s srem, t sadd"),
        (&["SADD s a"], &["SUNIONSTORE t s x"], "t sunionstore"),
        (&["SADD t a"], &["SINTERSTORE t x"], "t del"),
        (&["SET k 1"], &["FLUSHALL"], ""),
        // Names of options are options in their places only.
        (
            &["SET persist 1"],
            &["GETEX persist EX 9"],
            "persist expire",
        ),
        (&["SET a 1 EX 9"], &["SET a ex KEEPTTL"], "a set"),
        (&[], &["ZADD z 1 incr"], "z zadd"),
        (&[], &["ZADD z XX 1 a", "ZADD z CH INCR 1 a"], "z zincr"),
        (&["ZADD max 1 a 2 b"], &["ZMPOP 1 max MIN"], "max zpopmin"),
        (&["RPUSH right a b"], &["LMPOP 1 right LEFT"], "right lpop"),
        (&["RPUSH right a b"], &["LMPOP 1 right RIGHT"], "right rpop"),
        (
            &["XADD s 1-0 f v"],
            &["XADD s MAXLEN 1 2-0 f v", "XADD s MAXLEN 9 3-0 f v"],
            "s xadd, s xtrim, s xadd",
        ),
        (
            &["RPUSH m a b"],
            &["LMOVE m m LEFT RIGHT"],
            "m rpush, m lpop",
        ),
        (&["RPUSH m a"], &["RPOPLPUSH m m"], "m lpush, m rpop"),
        (
            &["RPUSH m a"],
            &["LMOVE m q RIGHT RIGHT"],
            "q rpush, m rpop, m del",
        ),
        (
            &[],
            &["MULTI", "SET k 1", "SADD s a", "DEL k", "EXEC"],
            "k set, s sadd, k del",
        ),
    ] {
        let expected = expected
            .split(", ")
            .filter(|event| !event.is_empty())
            .map(|event| format!("space@0__:{event}"))
            .collect::<Vec<_>>()
            .join(", ");
        check_events("KA", before, lines, &expected);
    }
}

#[test]
fn only_what_is_asked_for_is_told() {
    check_events("Kg", &[], &["SET k 1", "DEL k"], "space@0__:k del");
    check_events("Es", &[], &["SET k 1", "SADD s a"], "event@0__:sadd s");
    check_events(
        "En",
        &[],
        &["SET k 1", "SET k 2", "SADD s a"],
        "event@0__:new k, event@0__:new s",
    );
    check_events("$A", &[], &["SET k 1"], "");
    check(&[
        (
            "CONFIG SET notify-keyspace-events Kq",
            "-ERR CONFIG SET failed (possibly related to argument 'notify-keyspace-events') - Invalid event class character. \
             Use 'Ag$lshzxeKEtmdn'.",
        ),
        ("CONFIG SET notify-keyspace-events KA", "+OK"),
        (
            "CONFIG GET notify-keyspace-events",
            "*2 $22 notify-keyspace-events $2 AK",
        ),
    ]);
}

#[test]
fn nothing_is_noted_once_nobody_wants_to_know() {
    let mut world = World::new();
    assert!(!world.replica.observes_changes());
    world.run("CONFIG SET notify-keyspace-events KA");
    assert!(world.replica.observes_changes());
    world.run("CONFIG SET notify-keyspace-events ''");
    world.run("SET k 1");
    assert!(!world.replica.observes_changes());
}

/// A world whose client speaks RESP3 and has run these lines.
fn caching(lines: &[&str]) -> World {
    let mut world = World::resp3();
    world.session.client.note_protocol(Protocol::Resp3);
    for line in lines {
        let answer = world.run(line);
        assert!(!answer.starts_with('-'), "{line}: {answer}");
    }
    world
}

#[test]
fn what_was_read_is_invalidated_once() {
    let mut world = caching(&["CLIENT TRACKING ON", "MGET a b"]);
    drop(world.other(&["SET a 1", "SET a 2", "SET c 1"]));
    assert_eq!(world.own_letters(), ">2 $10 invalidate *1 $1 a");
    world.run("DEL b");
    assert_eq!(world.own_letters(), "", "it was not there");
    world.run("SET b 1");
    assert_eq!(world.own_letters(), ">2 $10 invalidate *1 $1 b");
    world.run("GET a");
    world.run("FLUSHALL");
    assert_eq!(world.own_letters(), ">2 $10 invalidate _");
    world.run("CLIENT TRACKING OFF");
    world.run("SET a 1");
    assert_eq!(world.own_letters(), "");
    assert_eq!(world.server.hub.tracking.figures(), Default::default());
}

#[test]
fn whoever_asks_how_a_key_is_kept_has_read_it() {
    for line in ["OBJECT ENCODING a", "MEMORY USAGE a", "OBJECT IDLETIME a"] {
        let mut world = caching(&["SET a 1", "CLIENT TRACKING ON", line]);
        drop(world.other(&["SET a 2"]));
        assert_eq!(world.own_letters(), ">2 $10 invalidate *1 $1 a", "{line}");
    }
}

#[test]
fn an_expired_key_is_no_longer_good() {
    let mut world = caching(&["CLIENT TRACKING ON NOLOOP", "SET a 1 PX 10", "GET a"]);
    world.advance(11);
    world.run("PING");
    assert_eq!(world.own_letters(), ">2 $10 invalidate *1 $1 a");
}

#[test]
fn opting_in_and_out_is_for_one_command() {
    let mut world = caching(&[
        "CLIENT TRACKING ON OPTIN",
        "GET a",
        "CLIENT CACHING YES",
        "GET b",
        "GET c",
    ]);
    drop(world.other(&["MSET a 1 b 1 c 1"]));
    assert_eq!(world.own_letters(), ">2 $10 invalidate *1 $1 b");
    let mut world = caching(&[
        "CLIENT TRACKING ON OPTOUT",
        "GET a",
        "CLIENT CACHING NO",
        "GET b",
    ]);
    drop(world.other(&["MSET a 1 b 1"]));
    assert_eq!(world.own_letters(), ">2 $10 invalidate *1 $1 a");
    let mut world = caching(&[
        "CLIENT TRACKING ON OPTIN",
        "CLIENT CACHING YES",
        "MULTI",
        "GET a",
        "GET b",
        "EXEC",
        "GET c",
    ]);
    drop(world.other(&["MSET a 1 b 1 c 1"]));
    assert_eq!(
        world.own_letters(),
        ">2 $10 invalidate *1 $1 a >2 $10 invalidate *1 $1 b"
    );
}

#[test]
fn who_names_prefixes_is_told_of_all_their_keys_at_once() {
    let mut world = caching(&["CLIENT TRACKING ON BCAST PREFIX a PREFIX b NOLOOP"]);
    drop(world.other(&["MSET a2 1 a1 1 b1 1 c1 1"]));
    assert_eq!(
        world.own_letters(),
        ">2 $10 invalidate *2 $2 a1 $2 a2 >2 $10 invalidate *1 $2 b1"
    );
    world.run("SET a1 2");
    assert_eq!(world.own_letters(), "", "its own");
    assert_eq!(
        world.run("CLIENT TRACKING ON BCAST PREFIX ab"),
        "-ERR Prefix 'ab' overlaps with an existing prefix 'a'. Prefixes for a single client must not overlap."
    );
}

#[test]
fn somebody_else_can_be_told() {
    let mut world = World::new();
    let listener = world.other(&["SUBSCRIBE __redis__:invalidate"]);
    let id = listener.client.id;
    assert_eq!(
        world.run(&format!("CLIENT TRACKING ON REDIRECT {id}")),
        "+OK"
    );
    assert_eq!(world.run("CLIENT GETREDIR"), format!(":{id}"));
    world.run("GET a");
    world.run("SET a 1");
    assert_eq!(
        World::letters(&listener.client),
        "*3 $7 message $20 __redis__:invalidate *1 $1 a"
    );
    world.run("GET a");
    world.server.clients.remove(id);
    world.session.client.note_protocol(Protocol::Resp3);
    world.run("SET a 2");
    assert_eq!(
        world.own_letters(),
        format!(">2 $21 tracking-redir-broken :{id}")
    );
    assert_eq!(
        world.run("CLIENT TRACKINGINFO"),
        format!("*6 $5 flags *2 $2 on $15 broken_redirect $8 redirect :{id} $8 prefixes *0")
    );
}

#[test]
fn the_table_stays_within_its_bounds() {
    let mut world = caching(&["CLIENT TRACKING ON", "MGET a b c"]);
    world.run("CONFIG SET tracking-table-max-keys 1");
    assert_eq!(
        world.own_letters(),
        ">2 $10 invalidate *1 $1 a >2 $10 invalidate *1 $1 b"
    );
    assert!(world.run("INFO stats").contains("tracking_total_keys:1"));
}

#[test]
fn a_peers_write_is_told_too() {
    let mut world = caching(&[
        "CLIENT TRACKING ON",
        "GET k",
        "CONFIG SET notify-keyspace-events KEA",
    ]);
    let listener = world.other(&["PSUBSCRIBE *"]);
    let frame = peer_frame(|replica| {
        let mut txn = replica.txn(super::START_MS, Scope::Once);
        txn.set_string(b"k", b"1", isles_replica::Expiry::Clear);
        txn.commit().expect("a small entry");
    });
    learn(&mut world, frame);
    assert_eq!(world.own_letters(), ">2 $10 invalidate *1 $1 k");
    let letters = World::letters(&listener.client);
    assert!(letters.contains("__keyspace@0__:k $3 set"), "{letters}");
    assert!(letters.contains("__keyevent@0__:set $1 k"), "{letters}");
}

/// Applies what a peer has sent.
pub(super) fn learn(world: &mut World, frame: Frame) {
    let lane = isles_replica::delivery::Lane {
        peer: frame.replica(),
        kind: isles_replica::delivery::LaneKind::Direct,
    };
    // What is open goes to the log first, as a node does it.
    world.replica.take_unlogged();
    let offer = world.replica.offer(frame, lane).expect("a frame");
    assert_eq!(offer, isles_replica::delivery::Offer::Accepted);
    assert_eq!(world.replica.apply_ready(world.wall_ms), 1);
}

/// What another replica has written.
pub(super) fn peer_frame(write: impl FnOnce(&mut Replica)) -> Frame {
    let mut replica = Replica::new(ReplicaId::from_u128(2), ReplicaConfig::default());
    write(&mut replica);
    let mut unlogged = replica.take_unlogged();
    match unlogged.remove(0).content {
        UnloggedContent::Own(open) => open.seal(0),
        other => panic!("an own frame was written, not {other:?}"),
    }
}

#[test]
fn monitors_see_what_runs_in_the_order_in_which_it_does() {
    let mut world = World::new();
    let monitor = world.other(&["MONITOR"]);
    for line in [
        "SET a 1",
        "GET",
        "CONFIG GET port",
        "MULTI",
        "GET a",
        "EXEC",
        "AUTH secret",
        "EVAL \"return redis.call('GET', 'b')\" 0",
    ] {
        world.run(line);
    }
    let letters = World::letters(&monitor.client);
    let shown: Vec<&str> = letters
        .split('+')
        .skip(1)
        .filter_map(|line| line.split_once("] "))
        .map(|(_, command)| command.trim_end())
        .collect();
    assert_eq!(
        shown,
        [
            "\"SET\" \"a\" \"1\"",
            "\"MULTI\"",
            "\"GET\" \"a\"",
            "\"EXEC\"",
            "\"AUTH\" \"(redacted)\"",
            "\"EVAL\" \"return redis.call('GET', 'b')\" \"0\"",
            "\"GET\" \"b\""
        ]
    );
    drop(monitor);
    assert!(!world.server.hub.monitors.are_on());
}

#[test]
fn what_was_read_is_forgotten_with_the_last_client_that_tracks() {
    let mut world = World::new();
    world.run("HELLO 3");
    world.run("CLIENT TRACKING ON");
    world.run("GET a");
    world.run("CLIENT TRACKING OFF");
    world.run("CLIENT TRACKING ON");
    assert_eq!(world.server.hub.tracking.figures().items, 0);
    world.other(&["SET a 1"]);
    assert_eq!(world.own_letters(), "");
}

#[test]
fn the_keys_of_a_script_are_tracked_if_it_reads_something() {
    let mut world = World::new();
    world.run("HELLO 3");
    world.run("CLIENT TRACKING ON");
    world.run("EVAL_RO \"return redis.call('PING')\" 1 a");
    world.other(&["SET a 1"]);
    assert_eq!(world.own_letters(), "");
    world.run("EVAL_RO \"return redis.call('GET', 'b')\" 1 a");
    world.other(&["SET a 2"]);
    assert_eq!(world.own_letters(), ">2 $10 invalidate *1 $1 a");
}

#[test]
fn a_command_that_has_waited_is_slow_when_it_is_served() {
    let mut world = World::new();
    world.run("CONFIG SET slowlog-log-slower-than 0");
    let waiter = world.other(&["BLPOP l 0"]);
    world.run("SLOWLOG RESET");
    world.run("RPUSH l x");
    let log = world.run("SLOWLOG GET");
    assert_eq!(log.matches("$5 BLPOP").count(), 1, "{log}");
    drop(waiter);
}

#[test]
fn what_exec_scripts_and_served_waiters_change_is_told_in_their_order() {
    let mut world = World::new();
    world.run("CONFIG SET notify-keyspace-events AE");
    let waiter = world.other(&["BLPOP l 0"]);
    let listener = world.other(&["PSUBSCRIBE *"]);
    World::letters(&listener.client);
    world.run("MULTI");
    world.run("SET a 1");
    world.run("EVAL \"redis.call('RPUSH', 'l', 'x', 'y') redis.call('INCR', 'a')\" 0");
    world.run("EXEC");
    let letters = World::letters(&listener.client);
    let events: Vec<&str> = letters
        .split("__keyevent@0__:")
        .skip(1)
        .filter_map(|event| event.split_whitespace().next())
        .collect();
    assert_eq!(events, ["set", "rpush", "incrby", "lpop"], "{letters}");
    drop(waiter);
}

#[test]
fn while_writes_are_paused_scripts_that_only_read_go_on() {
    let mut world = World::new();
    let reads = "#!lua flags=no-writes\nreturn 1";
    let digest = world.run("SCRIPT LOAD \"#!lua flags=no-writes\\nreturn 1\"");
    let digest = digest.trim_start_matches("$40 ").to_owned();
    world.run("CLIENT PAUSE 100000 WRITE");
    for (words, held_back) in [
        (["EVAL", reads, "0"], false),
        (["EVALSHA", &digest, "0"], false),
        (["EVAL", "return 1", "0"], true),
        (["EVALSHA", "none", "0"], true),
        (["FCALL", "none", "0"], true),
    ] {
        let line = words.join(" ");
        let words = words.map(str::as_bytes);
        let command = crate::table::find(words[0]);
        let watch = crate::watch::Watch::of(&world.server, &super::TestHost::default());
        assert_eq!(
            watch.holds_back(command, &words, &world.session, &world.server),
            held_back,
            "{line}"
        );
    }
}

#[test]
fn slow_commands_are_kept_without_their_secrets() {
    let mut world = World::new();
    world.run("CLIENT SETNAME me");
    world.run("DEBUG SLEEP 0.02");
    let shown = world.run("SLOWLOG GET");
    assert!(shown.starts_with("*1 *6 :0 :1790000000 :20"), "{shown}");
    assert!(
        shown.ends_with("*3 $5 DEBUG $5 SLEEP $4 0.02 $11 127.0.0.1:1 $2 me"),
        "{shown}"
    );
    world.run("CONFIG SET slowlog-log-slower-than 0");
    world.run("CONFIG SET slowlog-max-len 2");
    for line in ["GET a", "AUTH secret", "MULTI", "GET b", "EXEC"] {
        world.run(line);
    }
    let shown = world.run("SLOWLOG GET -1");
    assert!(
        shown.contains("$5 MULTI") && shown.contains("$1 b"),
        "{shown}"
    );
    assert!(!shown.contains("EXEC"), "{shown}");
    assert_eq!(world.run("SLOWLOG LEN"), ":2");
    assert_eq!(
        world.run("SLOWLOG GET -2"),
        "-ERR count should be greater than or equal to -1"
    );
}

#[test]
fn latency_is_watched_above_a_threshold() {
    let mut world = World::new();
    world.run("DEBUG SLEEP 0.2");
    assert_eq!(world.run("LATENCY LATEST"), "*0");
    world.run("CONFIG SET latency-monitor-threshold 100");
    world.run("DEBUG SLEEP 0.2");
    assert_eq!(
        world.run("LATENCY LATEST"),
        "*1 *4 $7 command :1790000000 :200 :200"
    );
    assert_eq!(
        world.run("LATENCY HISTORY command"),
        "*1 *2 :1790000000 :200"
    );
    assert!(world.run("LATENCY DOCTOR").contains("200 ms at worst"));
    assert_eq!(
        world.run("LATENCY GRAPH x"),
        "-ERR No samples available for event 'x'"
    );
    assert_eq!(world.run("LATENCY RESET"), ":1");
}

#[test]
fn calls_are_counted_by_command_and_subcommand() {
    let mut world = World::new();
    for line in [
        "SET a 1",
        "SET a 2",
        "SET a",
        "CLIENT ID",
        "SADD a x",
        "MULTI",
        "GET a",
        "EXEC",
    ] {
        world.run(line);
    }
    let stats = world.run("INFO commandstats");
    for (name, calls, rejected, failed) in [
        ("set", 2, 1, 0),
        ("client|id", 1, 0, 0),
        ("sadd", 1, 0, 1),
        ("get", 1, 0, 0),
        ("exec", 1, 0, 0),
    ] {
        let line = stats
            .split(' ')
            .find(|line| line.starts_with(&format!("cmdstat_{name}:")))
            .unwrap_or_else(|| panic!("{name} is missing in {stats}"));
        assert!(line.contains(&format!(":calls={calls},")), "{line}");
        assert!(
            line.ends_with(&format!("rejected_calls={rejected},failed_calls={failed}")),
            "{line}"
        );
    }
    world.run("CONFIG RESETSTAT");
    assert_eq!(
        world.run("LATENCY HISTOGRAM"),
        "*2 $16 config|resetstat *4 $5 calls :1 $14 histogram_usec *0"
    );
}

#[test]
fn a_pause_holds_back_what_it_says() {
    let mut world = World::new();
    let stop = |world: &mut World, line: &str| world.run_buffer(format!("{line}\r\n").into_bytes());
    world.run("CLIENT PAUSE 100000 WRITE");
    assert_eq!(world.run("GET a"), "$-1");
    assert_eq!(
        world.run("SET a"),
        "-ERR wrong number of arguments for 'set' command"
    );
    for line in ["SET a 1", "PUBLISH a b", "PFCOUNT a"] {
        let paused = (String::new(), crate::execute::Stop::Paused);
        assert_eq!(stop(&mut world, line), paused, "{line}");
    }
    assert_eq!(world.run("CLIENT UNPAUSE"), "+OK");
    assert_eq!(world.run("SET a 1"), "+OK");
    assert_eq!(
        world.run("CLIENT PAUSE 1 SOME"),
        "-ERR CLIENT PAUSE mode must be WRITE or ALL"
    );
    assert_eq!(world.run("CLIENT PAUSE -1"), "-ERR timeout is negative");
    let (answer, stopped) = stop(&mut world, "CLIENT PAUSE 100000\r\nPING");
    assert_eq!((&*answer, stopped), ("+OK", crate::execute::Stop::Paused));
}
