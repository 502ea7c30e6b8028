//! Sets with members of both rules under one key, which readers see as one: at several replicas, in a log and in a table.

mod support;

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use isles_replica::op::Kind;
use isles_replica::{Expiry, Frame, Migration, Replica, Scope, SetRule, Txn, ValueType};
use isles_resolve::Strategy;
use support::{NOW_MS, Table, exchange, receive, replica, run_at, seal, take};

const KEY: &[u8] = b"ban:k";

fn run<R>(replica: &mut Replica, act: impl FnOnce(&mut Txn<'_>) -> R) -> R {
    support::run(replica, Scope::Many, act)
}

fn define(replica: &mut Replica, rule: SetRule) {
    run(replica, |txn| {
        txn.keyspace_define(b"ban:", Strategy::Lww, rule)
    });
}

fn add(replica: &mut Replica, members: &[&[u8]]) -> usize {
    run(replica, |txn| txn.set_add(KEY, members).expect("a set"))
}

fn remove(replica: &mut Replica, members: &[&[u8]]) -> usize {
    run(replica, |txn| txn.set_remove(KEY, members).expect("a set"))
}

fn migrate(replica: &mut Replica) -> Migration {
    run(replica, |txn| txn.migrate(KEY))
}

fn kinds(replica: &mut Replica) -> Vec<Kind> {
    run(replica, |txn| txn.kinds(KEY))
}

/// The members, as every reader sees them.
fn members(replica: &mut Replica) -> BTreeSet<Vec<u8>> {
    let mut found = BTreeSet::new();
    run(replica, |txn| {
        let each = &mut |member: &[u8]| {
            assert!(found.insert(member.to_vec()), "each member is visited once");
            ControlFlow::Continue(())
        };
        txn.set_members(KEY, each).expect("a set");
        assert_eq!(txn.set_len(KEY), Ok(found.len()));
        for member in &found {
            assert_eq!(txn.set_contains(KEY, member), Ok(true));
        }
        assert_eq!(scanned(txn, 1), found);
    });
    replica.check().expect("what is derived fits the content");
    found
}

fn scanned(txn: &mut Txn<'_>, count: usize) -> BTreeSet<Vec<u8>> {
    let (mut cursor, mut found) = (0, BTreeSet::new());
    loop {
        let each = &mut |member: &[u8]| {
            found.insert(member.to_vec());
        };
        cursor = txn.set_scan(KEY, cursor, count, each).expect("a set");
        if cursor == 0 {
            return found;
        }
    }
}

fn names(names: &[&str]) -> BTreeSet<Vec<u8>> {
    names.iter().map(|name| name.as_bytes().to_vec()).collect()
}

/// Two replicas which hold `x` where additions win and `y` where removals do, and `both` under either rule.
fn islands(rule: SetRule) -> (Replica, Replica) {
    let (mut eu, mut us) = (replica(1), replica(2));
    define(&mut eu, SetRule::RemoveWins);
    add(&mut eu, &[b"y", b"both"]);
    add(&mut us, &[b"x", b"both"]);
    exchange(&mut eu, &mut us);
    define(&mut eu, rule);
    exchange(&mut eu, &mut us);
    (eu, us)
}

/// Two replicas that know of a set of three members under one rule, and that its keyspace has another one now.
fn before_migration(rule: SetRule) -> (Replica, Replica) {
    let (mut eu, mut us) = (replica(1), replica(2));
    let other = match rule {
        SetRule::AddWins => SetRule::RemoveWins,
        SetRule::RemoveWins => SetRule::AddWins,
    };
    define(&mut eu, other);
    add(&mut eu, &[b"x", b"y", b"z"]);
    define(&mut eu, rule);
    exchange(&mut eu, &mut us);
    (eu, us)
}

/// Both exchange what they have, and then hold these members, also as a table has them.
fn check(eu: &mut Replica, us: &mut Replica, expected: &[&str]) {
    exchange(eu, us);
    for replica in [&mut *eu, &mut *us] {
        assert_eq!(members(replica), names(expected));
    }
    assert_eq!((eu.digest(), eu.content()), (us.digest(), us.content()));
    let mut table = Table::default();
    table.store(us);
    let mut loaded = table.load();
    assert_eq!(loaded.content().get(KEY), us.content().get(KEY));
    assert_eq!(members(&mut loaded), names(expected));
}

#[test]
fn members_of_both_rules_are_one_set_without_a_conflict() {
    let (mut eu, mut us) = islands(SetRule::RemoveWins);
    for replica in [&mut eu, &mut us] {
        assert_eq!(kinds(replica), [Kind::SetAw, Kind::SetRw]);
        assert_eq!(replica.conflicts().open_of(KEY).count(), 0);
        let value_type = run(replica, |txn| txn.value_type(KEY));
        assert_eq!(value_type, Some(ValueType::Set));
    }
    check(&mut eu, &mut us, &["both", "x", "y"]);
}

#[test]
fn another_type_beside_them_is_still_a_conflict() {
    let (mut eu, mut us) = islands(SetRule::RemoveWins);
    let mut ap = replica(3);
    run(&mut ap, |txn| txn.set_string(KEY, b"text", Expiry::Clear));
    let frames = seal(&mut ap);
    for replica in [&mut eu, &mut us] {
        frames.iter().for_each(|frame| take(replica, frame));
        assert_eq!(replica.conflicts().open_of(KEY).count(), 1);
        let value_type = run(replica, |txn| txn.value_type(KEY));
        assert_eq!(value_type, Some(ValueType::String));
    }
}

#[test]
fn additions_go_where_the_keyspace_says_now() {
    for (rule, kind) in [
        (SetRule::AddWins, Kind::SetAw),
        (SetRule::RemoveWins, Kind::SetRw),
    ] {
        let (mut eu, mut us) = islands(rule);
        assert_eq!(add(&mut eu, &[b"w", b"x", b"both"]), 1);
        let content = eu.content().remove(KEY).expect("a key");
        let found = match kind {
            Kind::SetAw => content.set.contains_key(&b"w"[..]),
            _ => content.set_rw.contains_key(&b"w"[..]),
        };
        assert!(found, "{kind:?}: {content:?}");
        check(&mut eu, &mut us, &["both", "w", "x", "y"]);
    }
}

#[test]
fn a_removal_takes_a_member_out_of_both() {
    for rule in [SetRule::AddWins, SetRule::RemoveWins] {
        let (mut eu, mut us) = islands(rule);
        assert_eq!(remove(&mut eu, &[b"both", b"none"]), 1);
        assert_eq!(remove(&mut us, &[b"x"]), 1);
        check(&mut eu, &mut us, &["y"]);
    }
}

#[test]
fn each_rule_judges_what_was_added_under_it() {
    let (mut eu, mut us) = islands(SetRule::RemoveWins);
    // Under the rule by which removals win, and then under the other one.
    assert_eq!(remove(&mut eu, &[b"both", b"new"]), 1);
    add(&mut us, &[b"both", b"new"]);
    check(&mut eu, &mut us, &["x", "y"]);
    define(&mut us, SetRule::AddWins);
    exchange(&mut eu, &mut us);
    assert_eq!(remove(&mut eu, &[b"x", b"new"]), 1);
    add(&mut us, &[b"x", b"new"]);
    check(&mut eu, &mut us, &["new", "x", "y"]);
}

#[test]
fn a_deletion_removes_all_of_both() {
    for rule in [SetRule::AddWins, SetRule::RemoveWins] {
        let (mut eu, mut us) = islands(rule);
        run(&mut eu, |txn| assert!(txn.delete(KEY)));
        check(&mut eu, &mut us, &[]);
        let (mut eu, mut us) = islands(rule);
        run(&mut eu, |txn| txn.set_replace(KEY, &[b"x", b"n"]));
        check(&mut eu, &mut us, &["n", "x"]);
        let (mut eu, mut us) = islands(rule);
        run(&mut us, |txn| {
            assert!(txn.copy(KEY, b"ban:copy"));
            assert_eq!(txn.set_len(b"ban:copy"), Ok(3));
            assert_eq!(txn.kinds(b"ban:copy").len(), 1);
            txn.clear().expect("nothing of it is large");
        });
        check(&mut eu, &mut us, &[]);
    }
}

#[test]
fn what_changes_no_member_of_either_is_not_seen() {
    let (mut eu, _) = islands(SetRule::RemoveWins);
    let mut before = eu.version(KEY, NOW_MS);
    for seen in [false, true] {
        // One is there under the other rule, one is not there at all, and one is under both.
        add(&mut eu, &[b"x"]);
        remove(&mut eu, &[b"none"]);
        migrate(&mut eu);
        assert_eq!(eu.version(KEY, NOW_MS), before, "{seen}");
        add(&mut eu, &[b"n"]);
        assert_ne!(eu.version(KEY, NOW_MS), before);
        before = eu.version(KEY, NOW_MS);
        remove(&mut eu, &[b"n"]);
        assert_ne!(eu.version(KEY, NOW_MS), before);
        before = eu.version(KEY, NOW_MS);
    }
}

#[test]
fn members_are_drawn_from_both() {
    let (mut eu, _) = islands(SetRule::RemoveWins);
    let mut counts = [0; 3];
    run(&mut eu, |txn| {
        for seed in 0..3000u64 {
            let random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (seed << 7);
            let member = txn.set_random(KEY, random).expect("a set");
            let place = ["both", "x", "y"].map(|name| member.as_deref() == Some(name.as_bytes()));
            counts[place.iter().position(|it| *it).expect("a member")] += 1;
        }
    });
    assert!(counts.iter().all(|count| *count > 600), "{counts:?}");
}

/// Many members under each rule, of which some are under both and some were removed; in many pages of different number.
fn large() -> (Replica, BTreeSet<Vec<u8>>) {
    let (mut eu, mut us) = (replica(1), replica(2));
    define(&mut eu, SetRule::RemoveWins);
    let name = |number: u32| format!("m{number}").into_bytes();
    let all = |range: std::ops::Range<u32>| range.map(name).collect::<Vec<_>>();
    let [few, many, gone] = [all(0..100), all(50..3000), all(40..60)];
    let run_on = |replica: &mut Replica, names: &[Vec<u8>], is_removal: bool| {
        let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
        match is_removal {
            false => add(replica, &names),
            true => remove(replica, &names),
        }
    };
    run_on(&mut eu, &few, false);
    run_on(&mut us, &many, false);
    exchange(&mut eu, &mut us);
    run_on(&mut eu, &gone, true);
    let mut expected: BTreeSet<Vec<u8>> = few.into_iter().chain(many).collect();
    expected.retain(|name| !gone.contains(name));
    (eu, expected)
}

#[test]
fn a_scan_finds_every_member_that_stays_while_they_move() {
    let (mut eu, expected) = large();
    assert_eq!(members(&mut eu), expected);
    for count in [1, 10, 100] {
        for rule in [SetRule::AddWins, SetRule::RemoveWins] {
            let (mut cursor, mut found, mut calls) = (0, BTreeSet::new(), 0);
            loop {
                let each = &mut |member: &[u8]| {
                    found.insert(member.to_vec());
                };
                cursor = run(&mut eu, |txn| {
                    txn.set_scan(KEY, cursor, count, each).expect("a set")
                });
                calls += 1;
                if cursor == 0 {
                    break;
                }
                if calls == 3 {
                    define(&mut eu, rule);
                    assert!(matches!(migrate(&mut eu), Migration::Done(_)));
                }
            }
            assert!(calls > 3);
            assert_eq!(found, expected);
            assert_eq!(members(&mut eu), expected);
        }
    }
}

#[test]
fn a_table_has_both_in_pages() {
    let (mut eu, expected) = large();
    let mut table = Table::default();
    assert!(table.store(&mut eu) > 4);
    let mut loaded = table.load();
    assert_eq!(loaded.content(), eu.content());
    assert_eq!(members(&mut loaded), expected);
}

#[test]
fn migrating_changes_the_rule_and_no_member() {
    for (rule, kind) in [
        (SetRule::AddWins, Kind::SetAw),
        (SetRule::RemoveWins, Kind::SetRw),
    ] {
        for (mut eu, mut us) in [before_migration(rule), islands(rule)] {
            let expected = members(&mut us);
            let expected: Vec<&str> = expected
                .iter()
                .map(|name| std::str::from_utf8(name).expect("text"))
                .collect();
            run(&mut eu, |txn| {
                assert!(txn.set_deadline(KEY, Some(NOW_MS + 1000)))
            });
            assert!(matches!(migrate(&mut eu), Migration::Done(_)));
            assert_eq!(migrate(&mut eu), Migration::NotNeeded);
            assert_eq!(kinds(&mut eu), [kind]);
            check(&mut eu, &mut us, &expected);
            let deadline = run(&mut us, |txn| txn.deadline_ms(KEY));
            assert_eq!(deadline, Some(Some(NOW_MS + 1000)));
            assert_eq!(kinds(&mut us), [kind]);
        }
    }
}

#[test]
fn what_is_added_meanwhile_stays_beside_it_until_the_next_time() {
    for rule in [SetRule::AddWins, SetRule::RemoveWins] {
        let (mut eu, mut us) = before_migration(rule);
        migrate(&mut eu);
        assert_eq!(add(&mut us, &[b"w", b"x"]), 1);
        check(&mut eu, &mut us, &["w", "x", "y", "z"]);
        migrate(&mut us);
        assert_eq!(kinds(&mut us).len(), 1);
        check(&mut eu, &mut us, &["w", "x", "y", "z"]);
    }
}

#[test]
fn a_removal_beside_a_migration_to_remove_wins_stays() {
    let (mut eu, mut us) = before_migration(SetRule::RemoveWins);
    migrate(&mut eu);
    assert_eq!(remove(&mut us, &[b"x"]), 1);
    check(&mut eu, &mut us, &["y", "z"]);
}

#[test]
fn so_do_a_deletion_and_what_takes_the_place_of_the_set() {
    let (mut eu, mut us) = before_migration(SetRule::RemoveWins);
    migrate(&mut eu);
    run(&mut us, |txn| assert!(txn.delete(KEY)));
    check(&mut eu, &mut us, &[]);
    let (mut eu, mut us) = before_migration(SetRule::RemoveWins);
    migrate(&mut eu);
    run(&mut us, |txn| txn.set_replace(KEY, &[b"y", b"w"]));
    check(&mut eu, &mut us, &["w", "y"]);
    let (mut eu, mut us) = before_migration(SetRule::RemoveWins);
    migrate(&mut eu);
    run(&mut us, |txn| {
        txn.set_string(KEY, b"text", Expiry::Clear);
        assert!(txn.delete(KEY));
    });
    check(&mut eu, &mut us, &[]);
}

#[test]
fn beside_a_migration_to_add_wins_additions_win() {
    let (mut eu, mut us) = before_migration(SetRule::AddWins);
    migrate(&mut eu);
    assert_eq!(remove(&mut us, &[b"x"]), 1);
    run(&mut us, |txn| assert!(txn.delete(KEY)));
    check(&mut eu, &mut us, &["x", "y", "z"]);
}

#[test]
fn a_removal_by_whoever_does_not_know_the_rule_yet_is_undone() {
    let (mut eu, mut us) = (replica(1), replica(2));
    add(&mut eu, &[b"x", b"y"]);
    exchange(&mut eu, &mut us);
    define(&mut eu, SetRule::RemoveWins);
    migrate(&mut eu);
    assert_eq!(remove(&mut us, &[b"x"]), 1);
    check(&mut eu, &mut us, &["x", "y"]);
}

#[test]
fn two_regions_that_migrate_at_once_lose_nothing() {
    for rule in [SetRule::AddWins, SetRule::RemoveWins] {
        for (mut eu, mut us) in [before_migration(rule), islands(rule)] {
            let expected = members(&mut us);
            migrate(&mut eu);
            migrate(&mut us);
            exchange(&mut eu, &mut us);
            assert_eq!(members(&mut eu), expected);
            assert_eq!(members(&mut us), expected);
            assert_eq!(kinds(&mut eu).len(), 1);
        }
    }
}

#[test]
fn to_and_fro_at_once_loses_nothing() {
    let (mut eu, mut us) = islands(SetRule::RemoveWins);
    define(&mut us, SetRule::AddWins);
    migrate(&mut eu);
    migrate(&mut us);
    check(&mut eu, &mut us, &["both", "x", "y"]);
    assert_eq!(remove(&mut us, &[b"x", b"y", b"both"]), 3);
    check(&mut eu, &mut us, &[]);
}

#[test]
fn to_and_back_again_a_set_is_as_it_was() {
    let (mut eu, mut us) = before_migration(SetRule::RemoveWins);
    for rule in [SetRule::RemoveWins, SetRule::AddWins].repeat(3) {
        define(&mut eu, rule);
        migrate(&mut eu);
        assert_eq!(remove(&mut eu, &[b"z"]), 1);
        assert_eq!(add(&mut eu, &[b"z"]), 1);
        check(&mut eu, &mut us, &["x", "y", "z"]);
        assert_eq!(kinds(&mut us).len(), 1);
    }
}

#[test]
fn a_large_set_is_migrated_in_parts() {
    let mut eu = replica(1);
    let names: Vec<Vec<u8>> = (0..25_000).map(|n| format!("m{n}").into_bytes()).collect();
    let slices: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
    add(&mut eu, &slices);
    for rule in [SetRule::RemoveWins, SetRule::AddWins] {
        define(&mut eu, rule);
        let mut parts = 0;
        while matches!(migrate(&mut eu), Migration::Begun(_)) {
            parts += 1;
            assert_eq!(kinds(&mut eu).len(), 2);
            assert_eq!(run(&mut eu, |txn| txn.set_len(KEY)), Ok(25_000));
        }
        assert_eq!(parts, 2);
        assert_eq!(kinds(&mut eu).len(), 1);
        assert_eq!(run(&mut eu, |txn| txn.set_len(KEY)), Ok(25_000));
        eu.check().expect("what is derived fits the content");
    }
}

#[test]
fn what_has_expired_is_not_migrated() {
    let (mut eu, _) = before_migration(SetRule::RemoveWins);
    run(&mut eu, |txn| {
        assert!(txn.set_deadline(KEY, Some(NOW_MS + 10)))
    });
    let migrated = run_at(&mut eu, NOW_MS + 10, Scope::Many, |txn| txn.migrate(KEY));
    assert_eq!(migrated, Migration::NotNeeded);
}

#[test]
fn an_entry_has_one_effect_on_the_members_of_both() {
    for rule in [SetRule::AddWins, SetRule::RemoveWins] {
        let (mut eu, mut us) = islands(rule);
        run(&mut eu, |txn| {
            assert_eq!(txn.set_remove(KEY, &[b"both", b"x"]), Ok(2));
            assert_eq!(txn.set_add(KEY, &[b"both", b"n"]), Ok(2));
            assert_eq!(txn.set_remove(KEY, &[b"n"]), Ok(1));
            assert!(matches!(
                txn.migrate(KEY),
                Migration::Done(_) | Migration::NotNeeded
            ));
            assert_eq!(txn.set_remove(KEY, &[b"y"]), Ok(1));
            assert_eq!(txn.set_add(KEY, &[b"x"]), Ok(1));
            assert_eq!(txn.set_len(KEY), Ok(2));
        });
        check(&mut eu, &mut us, &["both", "x"]);
    }
}

#[test]
fn many_removals_in_one_entry_are_each_of_both() {
    let (mut eu, mut expected) = large();
    let gone: Vec<Vec<u8>> = expected.iter().take(2000).cloned().collect();
    run(&mut eu, |txn| {
        for name in &gone {
            assert_eq!(txn.set_remove(KEY, &[name]), Ok(1));
        }
    });
    expected.retain(|name| !gone.contains(name));
    assert_eq!(members(&mut eu), expected);
}

/// Random entries at three replicas, whose keyspace changes, delivered in another order to each.
#[test]
fn three_replicas_agree_whatever_the_order() {
    let mut both = 0;
    for seed in 0..200u64 {
        let mut random = seed.wrapping_mul(2).wrapping_add(1);
        let mut below = move |bound: u64| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (random >> 33) % bound
        };
        let mut all = [replica(1), replica(2), replica(3)];
        define(&mut all[0], SetRule::RemoveWins);
        add(&mut all[0], &[b"a", b"b"]);
        add(&mut all[1], &[b"b", b"c"]);
        let mut frames: Vec<Vec<Frame>> = all.iter_mut().map(seal).collect();
        let mut seen = [[0; 3]; 3];
        for _ in 0..30 {
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
                    match below(20) {
                        0..=7 => drop(txn.set_add(KEY, &[&member]).expect("a set")),
                        8..=13 => drop(txn.set_remove(KEY, &[&member]).expect("a set")),
                        14 => drop(txn.delete(KEY)),
                        15 => txn.set_replace(KEY, &[&member]),
                        16..=17 => drop(txn.migrate(KEY)),
                        n => {
                            let rule = [SetRule::AddWins, SetRule::RemoveWins][n as usize % 2];
                            txn.keyspace_define(b"ban:", Strategy::Lww, rule);
                        }
                    }
                }
            });
            frames[at].extend(seal(&mut all[at]));
            both += usize::from(kinds(&mut all[at]).len() == 2);
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
        }
        let mut table = Table::default();
        table.store(one);
        let mut loaded = table.load();
        assert_eq!(loaded.content(), expected.1, "seed {seed}");
        assert_eq!(members(&mut loaded), members(one), "seed {seed}");
    }
    assert!(
        both > 100,
        "only {both} times there were members of both rules"
    );
}
