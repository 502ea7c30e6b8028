//! Sets in which a removal wins: at several replicas, in a log and in a table.

mod support;

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use isles_replica::op::Kind;
use isles_replica::{Expiry, Frame, Replica, Scope, SetRule, Txn};
use isles_resolve::Strategy;
use support::{NOW_MS, Table, bytes_of, exchange, hex, receive, replica, seal, take};

const KEY: &[u8] = b"ban:k";

fn run<R>(replica: &mut Replica, act: impl FnOnce(&mut Txn<'_>) -> R) -> R {
    support::run(replica, Scope::Many, act)
}

fn add(replica: &mut Replica, members: &[&[u8]]) -> usize {
    run(replica, |txn| txn.set_add(KEY, members).expect("a set"))
}

fn remove(replica: &mut Replica, members: &[&[u8]]) -> usize {
    run(replica, |txn| txn.set_remove(KEY, members).expect("a set"))
}

fn members(replica: &mut Replica) -> BTreeSet<Vec<u8>> {
    let mut found = BTreeSet::new();
    run(replica, |txn| {
        let each = &mut |member: &[u8]| {
            found.insert(member.to_vec());
            ControlFlow::Continue(())
        };
        txn.set_members(KEY, each).expect("a set");
        assert_eq!(txn.set_len(KEY), Ok(found.len()));
    });
    found
}

fn names(names: &[&str]) -> BTreeSet<Vec<u8>> {
    names.iter().map(|name| name.as_bytes().to_vec()).collect()
}

/// Two replicas under one definition, which hold `x` and `y`.
fn islands() -> (Replica, Replica) {
    let (mut eu, mut us) = (replica(1), replica(2));
    run(&mut eu, |txn| {
        txn.keyspace_define(b"ban:", Strategy::Lww, SetRule::RemoveWins);
        assert_eq!(txn.set_add(KEY, &[b"x", b"y"]), Ok(2));
        assert_eq!(txn.kinds(KEY), [Kind::SetRw]);
    });
    exchange(&mut eu, &mut us);
    (eu, us)
}

/// Both exchange what they have, and then hold these members.
fn check(mut eu: Replica, mut us: Replica, expected: &[&str]) {
    exchange(&mut eu, &mut us);
    for replica in [&mut eu, &mut us] {
        assert_eq!(members(replica), names(expected));
        replica.check().expect("what is derived fits the content");
    }
    assert_eq!((eu.digest(), eu.content()), (us.digest(), us.content()));
    let mut table = Table::default();
    table.store(&mut us);
    let mut loaded = table.load();
    assert_eq!(loaded.content(), us.content());
    assert_eq!(members(&mut loaded), names(expected));
}

#[test]
fn a_removal_beats_a_concurrent_addition() {
    let (mut eu, mut us) = islands();
    assert_eq!(add(&mut eu, &[b"x"]), 0);
    assert_eq!(remove(&mut us, &[b"x"]), 1);
    check(eu, us, &["y"]);
}

#[test]
fn also_of_a_member_that_was_not_there() {
    let (mut eu, mut us) = islands();
    assert_eq!(add(&mut eu, &[b"z"]), 1);
    assert_eq!(remove(&mut us, &[b"z"]), 0);
    check(eu, us, &["x", "y"]);
}

#[test]
fn also_of_a_key_that_was_not_there() {
    let (mut eu, mut us) = islands();
    exchange(&mut eu, &mut us);
    let other: &[u8] = b"ban:other";
    run(&mut eu, |txn| {
        assert_eq!(txn.set_add(other, &[b"x"]), Ok(1))
    });
    run(&mut us, |txn| {
        assert_eq!(txn.set_remove(other, &[b"x"]), Ok(0))
    });
    exchange(&mut eu, &mut us);
    for replica in [&mut eu, &mut us] {
        assert_eq!(run(replica, |txn| txn.set_len(other)), Ok(0));
        assert!(run(replica, |txn| txn.value_type(other)).is_none());
    }
    assert_eq!(eu.digest(), us.digest());
}

#[test]
fn an_addition_that_has_seen_the_removal_counts() {
    let (mut eu, mut us) = islands();
    add(&mut eu, &[b"x"]);
    remove(&mut us, &[b"x"]);
    assert_eq!(add(&mut us, &[b"x"]), 1);
    check(eu, us, &["x", "y"]);
}

#[test]
fn a_removal_is_remembered_by_whoever_has_added_since() {
    let (mut eu, mut us) = islands();
    remove(&mut eu, &[b"x"]);
    add(&mut eu, &[b"x"]);
    run(&mut eu, |txn| assert!(txn.delete(KEY)));
    add(&mut us, &[b"x", b"z"]);
    check(eu, us, &["z"]);
}

#[test]
fn a_deletion_removes_the_members_that_are_there_and_no_others() {
    let (mut eu, mut us) = islands();
    run(&mut eu, |txn| assert!(txn.delete(KEY)));
    assert_eq!(add(&mut us, &[b"x", b"z"]), 1);
    check(eu, us, &["z"]);
}

#[test]
fn so_does_a_value_that_takes_its_place() {
    let (mut eu, mut us) = islands();
    run(&mut eu, |txn| txn.set_replace(KEY, &[b"y", b"w"]));
    assert_eq!(add(&mut us, &[b"x", b"z"]), 1);
    check(eu, us, &["w", "y", "z"]);
}

#[test]
fn clearing_everything_takes_away_only_what_it_has_seen() {
    let (mut eu, mut us) = islands();
    run(&mut eu, |txn| {
        txn.clear().expect("nothing was written before")
    });
    add(&mut us, &[b"x"]);
    check(eu, us, &["x"]);
}

#[test]
fn what_has_expired_was_removed_by_nobody() {
    let (mut eu, mut us) = islands();
    run(&mut eu, |txn| {
        assert!(txn.set_deadline(KEY, Some(NOW_MS - 1)))
    });
    assert_eq!(add(&mut eu, &[b"z"]), 1);
    run(&mut us, |txn| assert_eq!(txn.set_add(KEY, &[b"x"]), Ok(0)));
    check(eu, us, &["x", "z"]);
}

#[test]
fn an_entry_has_one_effect_on_each_member() {
    let (mut eu, mut us) = islands();
    run(&mut eu, |txn| {
        assert_eq!(txn.set_remove(KEY, &[b"x"]), Ok(1));
        assert_eq!(txn.set_add(KEY, &[b"x", b"v"]), Ok(2));
        assert_eq!(txn.set_add(KEY, &[b"w"]), Ok(1));
        assert_eq!(txn.set_remove(KEY, &[b"w", b"u"]), Ok(1));
        assert_eq!(txn.set_len(KEY), Ok(3));
    });
    add(&mut us, &[b"w", b"u"]);
    check(eu, us, &["v", "x", "y"]);
}

#[test]
fn an_entry_that_deletes_removes_what_it_has_named() {
    let (mut eu, mut us) = islands();
    run(&mut eu, |txn| {
        assert_eq!(txn.set_remove(KEY, &[b"u"]), Ok(0));
        assert_eq!(txn.set_add(KEY, &[b"v", b"w"]), Ok(2));
        assert!(txn.delete(KEY));
        assert_eq!(txn.set_add(KEY, &[b"w"]), Ok(1));
    });
    add(&mut us, &[b"u", b"v", b"w", b"x", b"z"]);
    check(eu, us, &["w", "z"]);
}

#[test]
fn a_string_hides_nothing_of_what_was_removed() {
    let (mut eu, mut us) = islands();
    run(&mut eu, |txn| {
        txn.set_string(KEY, b"v", Expiry::Clear);
        assert!(txn.delete(KEY));
    });
    add(&mut us, &[b"x"]);
    check(eu, us, &[]);
}

#[test]
fn what_changes_no_member_is_not_seen() {
    let (mut eu, _) = islands();
    let before = eu.version(KEY, NOW_MS);
    add(&mut eu, &[b"x"]);
    remove(&mut eu, &[b"z"]);
    assert_eq!(eu.version(KEY, NOW_MS), before);
    add(&mut eu, &[b"z"]);
    assert_ne!(eu.version(KEY, NOW_MS), before);
}

#[test]
fn a_definition_counts_for_sets_that_are_created_from_then_on() {
    let mut eu = replica(1);
    add(&mut eu, &[b"x"]);
    run(&mut eu, |txn| {
        txn.keyspace_define(b"ban:", Strategy::Max, SetRule::RemoveWins);
        assert_eq!(txn.keyspace_of(KEY).1, Strategy::Max);
        assert_eq!(txn.set_rule_of(KEY), SetRule::RemoveWins);
        assert_eq!(txn.kinds(KEY), [Kind::SetAw]);
        assert!(txn.copy(KEY, b"ban:copy"));
        assert_eq!(txn.kinds(b"ban:copy"), [Kind::SetRw]);
        assert!(txn.copy(b"ban:copy", b"plain"));
        assert_eq!(txn.kinds(b"plain"), [Kind::SetAw]);
        txn.keyspace_set(b"ban:", Strategy::Max);
        assert_eq!(txn.set_rule_of(KEY), SetRule::AddWins);
        assert_eq!(txn.kinds(b"ban:copy"), [Kind::SetRw]);
    });
}

#[test]
fn members_are_drawn_among_many_that_were_removed() {
    let (mut eu, _) = islands();
    let gone: Vec<Vec<u8>> = (0..2000).map(|n| format!("m{n}").into_bytes()).collect();
    let gone: Vec<&[u8]> = gone.iter().map(Vec::as_slice).collect();
    add(&mut eu, &gone);
    remove(&mut eu, &gone);
    let mut drawn = BTreeSet::new();
    run(&mut eu, |txn| {
        for seed in 0..64u64 {
            let random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            drawn.extend(txn.set_random(KEY, random).expect("a set"));
        }
        let (mut cursor, mut scanned) = (0, BTreeSet::new());
        loop {
            let each = &mut |member: &[u8]| {
                scanned.insert(member.to_vec());
            };
            cursor = txn.set_scan(KEY, cursor, 50, each).expect("a set");
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(scanned, names(&["x", "y"]));
    });
    assert_eq!(drawn, names(&["x", "y"]));
    // In pages, and what is left of them.
    let mut table = Table::default();
    assert!(table.store(&mut eu) > 2);
    let mut loaded = table.load();
    assert_eq!(loaded.content(), eu.content());
    assert_eq!(members(&mut loaded), names(&["x", "y"]));
}

/// Random entries at three replicas, delivered in another order to each, with a restart from table or log in between.
#[test]
fn three_replicas_agree_whatever_the_order() {
    for seed in 0..200u64 {
        let mut random = seed.wrapping_mul(2).wrapping_add(1);
        let mut below = move |bound: u64| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (random >> 33) % bound
        };
        let mut all = [replica(1), replica(2), replica(3)];
        let define = |txn: &mut Txn<'_>| {
            txn.keyspace_define(b"ban:", Strategy::Lww, SetRule::RemoveWins);
        };
        all.iter_mut().for_each(|replica| run(replica, define));
        let mut frames: Vec<Vec<Frame>> = all.iter_mut().map(seal).collect();
        let mut seen = [[0; 3]; 3];
        for _ in 0..24 {
            let at = below(3) as usize;
            if below(3) == 0 {
                let from = below(3) as usize;
                if from != at && seen[at][from] < frames[from].len() {
                    take(&mut all[at], &frames[from][seen[at][from]]);
                    seen[at][from] += 1;
                }
                continue;
            }
            run(&mut all[at], |txn| {
                for _ in 0..=below(3) {
                    let member = [b'a' + below(3) as u8];
                    match below(9) {
                        0..=3 => drop(txn.set_add(KEY, &[&member]).expect("a set")),
                        4..=6 => drop(txn.set_remove(KEY, &[&member]).expect("a set")),
                        7 => drop(txn.delete(KEY)),
                        _ => txn.set_replace(KEY, &[&member]),
                    }
                }
            });
            frames[at].extend(seal(&mut all[at]));
        }
        for at in 0..3 {
            for from in (0..3).filter(|from| *from != at) {
                for frame in &frames[from][seen[at][from]..] {
                    receive(&mut all[at], frame);
                }
            }
            seal(&mut all[at]);
        }
        let [one, two, three] = &mut all;
        let expected = (one.digest(), one.content());
        for replica in [two, three] {
            assert_eq!(
                (replica.digest(), replica.content()),
                expected,
                "seed {seed}"
            );
            replica.check().expect("what is derived fits the content");
        }
        let mut table = Table::default();
        table.store(one);
        let loaded = table.load();
        assert_eq!(loaded.content(), expected.1, "seed {seed}");
    }
}

#[test]
fn a_replayed_log_gives_the_same() {
    let (mut eu, mut us) = islands();
    remove(&mut us, &[b"x", b"u"]);
    run(&mut us, |txn| assert!(txn.delete(KEY)));
    add(&mut us, &[b"y"]);
    let theirs = seal(&mut us);
    add(&mut eu, &[b"u", b"y"]);
    let own = seal(&mut eu);
    theirs.iter().for_each(|frame| take(&mut eu, frame));
    let mut again = replica(1);
    let mut first = replica(1);
    run(&mut first, |txn| {
        txn.keyspace_define(b"ban:", Strategy::Lww, SetRule::RemoveWins);
        assert_eq!(txn.set_add(KEY, &[b"x", b"y"]), Ok(2));
    });
    let frames = seal(&mut first).into_iter().chain(own).chain(theirs);
    for (number, frame) in frames.enumerate() {
        let number = number as u64 + 1;
        again
            .replay(number, &frame, NOW_MS)
            .expect("the log is sound");
    }
    assert_eq!(again.content(), eu.content());
    assert_eq!(again.digest(), eu.digest());
}

/// A replica that has written a small set in two entries.
fn writer() -> Replica {
    let mut replica = replica(0xa);
    run(&mut replica, |txn| {
        txn.keyspace_define(b"ban:", Strategy::Lww, SetRule::RemoveWins);
        txn.set_add(KEY, &[b"x", b"y"]).expect("a set");
    });
    run(&mut replica, |txn| {
        txn.set_remove(KEY, &[b"y", b"z"]).expect("a set");
        txn.set_add(KEY, &[b"z"]).expect("a set");
    });
    remove(&mut replica, &[b"z"]);
    add(&mut replica, &[b"z"]);
    replica
}

#[test]
fn the_bytes_of_a_frame_are_fixed() {
    let golden = include_str!("golden/set_rw_frame_v1.hex");
    let frame = seal(&mut writer()).pop().expect("one frame");
    assert_eq!(hex(frame.bytes()), golden.trim());
    let frame = Frame::decode(bytes_of(golden).into()).expect("version 1 is read");
    assert_eq!(frame.entries().filter(Result::is_ok).count(), 4);
}

#[test]
fn the_bytes_of_table_rows_are_fixed() {
    let golden = include_str!("golden/set_rw_rows_v1.hex");
    let (mut replica, mut table) = (writer(), Table::default());
    table.store(&mut replica);
    assert_eq!(table.hex(), golden.trim());
    let mut stored = Table::default();
    let lines = golden.lines().filter_map(|line| line.split_once(' '));
    stored
        .0
        .extend(lines.map(|(key, value)| (bytes_of(key), bytes_of(value))));
    let loaded = stored.load();
    assert_eq!(loaded.digest(), replica.digest());
    assert_eq!(loaded.content(), replica.content());
}
