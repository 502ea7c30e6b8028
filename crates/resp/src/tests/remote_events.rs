//! How the writes of other regions are called.

use isles_clock::ReplicaId;
use isles_replica::{Replica, ReplicaConfig, UnloggedContent};

use super::World;
use super::push::learn;

/// The events that a peer's lines cause here.
fn check(before: &[&str], lines: &[&str], expected: &str) {
    let mut peer = World::new();
    peer.replica = Replica::new(ReplicaId::from_u128(2), ReplicaConfig::default());
    let mut here = World::new();
    let mut chain = 0;
    let mut sent = |peer: &mut World| {
        let unlogged = peer.replica.take_unlogged();
        let frames = unlogged.into_iter().map(|unlogged| match unlogged.content {
            UnloggedContent::Own(open) => {
                let frame = open.seal(chain);
                chain = frame.chain();
                frame
            }
            other => panic!("an own frame was written, not {other:?}"),
        });
        frames.collect::<Vec<_>>()
    };
    before.iter().for_each(|line| _ = peer.run(line));
    for frame in sent(&mut peer) {
        learn(&mut here, frame);
    }
    assert_eq!(here.run("CONFIG SET notify-keyspace-events EA"), "+OK");
    let listener = here.other(&["PSUBSCRIBE *"]);
    for line in lines {
        let answer = peer.run(line);
        assert!(!answer.starts_with('-'), "{line}: {answer}");
    }
    for frame in sent(&mut peer) {
        learn(&mut here, frame);
    }
    let letters = World::letters(&listener.client);
    let events = letters.split("*4 $8 pmessage $1 * ").skip(1);
    let events = events.filter_map(|letter| {
        let channel = letter.split(' ').nth(1)?;
        channel.strip_prefix("__keyevent@0__:").map(str::to_owned)
    });
    let events: Vec<String> = events.collect();
    assert_eq!(events.join(" "), expected, "{lines:?}");
}

#[test]
fn a_peers_write_has_the_name_of_the_nearest_event() {
    let list = ["RPUSH k a b c"];
    check(&[], &list, "rpush");
    check(&list, &["LPUSH k x"], "rpush");
    check(&list, &["LSET k 0 x"], "lset");
    check(&list, &["LREM k 0 a"], "lrem");
    check(&list, &["LPOP k"], "lrem");
    check(&list, &["LTRIM k 1 1"], "lrem");
    check(&list, &["DEL k"], "del");
    let sorted = ["ZADD k 1 a 2 b"];
    check(&sorted, &["ZADD k 3 c"], "zadd");
    check(&sorted, &["ZINCRBY k 3 a"], "zincr");
    check(&sorted, &["ZREM k a"], "zrem");
    check(&sorted, &["ZREMRANGEBYRANK k 0 0"], "zrem");
    let stream = ["XADD k 1-0 f v", "XADD k 2-0 f v"];
    check(&stream, &["XADD k 3-0 f v"], "xadd");
    check(&stream, &["XADD k MAXLEN 1 3-0 f v"], "xadd xtrim");
    check(&stream, &["XDEL k 1-0"], "xdel");
    check(&stream, &["XTRIM k MAXLEN 1"], "xtrim");
    check(&stream, &["XSETID k 9-0"], "xsetid");
    check(&stream, &["XGROUP CREATE k g 0"], "xgroup-create");
}

#[test]
fn what_a_group_reads_is_no_event() {
    let group = ["XADD k 1-0 f v", "XGROUP CREATE k g 0"];
    let read = "XREADGROUP GROUP g c STREAMS k >";
    check(&group, &[read, "XACK k g 1-0"], "");
    check(&group, &["XGROUP DESTROY k g"], "xgroup-destroy");
}

#[test]
fn of_a_remove_wins_set_what_readers_see_is_told() {
    let set = ["ISLES.KEYSPACE SET k lww SETS remove-wins", "SADD k a b"];
    check(&set, &["SADD k c"], "sadd");
    check(&set, &["SADD k a"], "");
    check(&set, &["SREM k a"], "srem");
    check(&set, &["SREM k none"], "");
    check(&set, &["SET k v"], "set");
    check(&set, &["DEL k"], "del");
}

#[test]
fn of_a_set_of_both_rules_a_removal_is_told_once_and_a_migration_never() {
    let set = ["SADD k a b c", "ISLES.KEYSPACE SET k lww SETS remove-wins"];
    check(&set, &["SREM k a"], "srem");
    check(&set, &["SREM k none"], "");
    check(&set, &["SADD k a"], "");
    check(&set, &["ISLES.KEYSPACE MIGRATE k COUNT 1000"], "");
    check(&set, &["DEL k"], "del");
}
