//! Documents whose differences add up: at several replicas, in a log and in a table.

mod support;

use isles_clock::VectorClock;
use isles_replica::delivery::{Lane, LaneKind, Offer};
use isles_replica::{Expiry, Frame, Migration, Replica, Scope, Txn, WriteRefused};
use isles_resolve::{DIFFERENCES_MAX, Strategy};
use support::{NOW_MS, Table, bytes_of, exchange, hex, receive, replica, run_at, seal, take};

const KEY: &[u8] = b"doc:k";

fn run<R>(replica: &mut Replica, act: impl FnOnce(&mut Txn<'_>) -> R) -> R {
    support::run(replica, Scope::Once, act)
}

fn set(replica: &mut Replica, text: &str) {
    run(replica, |txn| {
        txn.set_string(KEY, text.as_bytes(), Expiry::Clear)
    });
}

fn get(replica: &mut Replica) -> String {
    let text = run(replica, |txn| {
        let value = txn.string(KEY).expect("a string");
        value.map(|value| value.into_owned())
    });
    String::from_utf8(text.unwrap_or_default()).expect("a document")
}

/// Two replicas under one definition, which hold this.
fn islands(text: &str) -> (Replica, Replica) {
    let (mut eu, mut us) = (replica(1), replica(2));
    run(&mut eu, |txn| txn.keyspace_set(b"doc:", Strategy::JsonSum));
    set(&mut eu, text);
    exchange(&mut eu, &mut us);
    (eu, us)
}

/// Both exchange what they have, and then read this.
fn check(eu: &mut Replica, us: &mut Replica, expected: &str) {
    exchange(eu, us);
    for replica in [&mut *eu, us] {
        assert_eq!(get(replica), expected);
        replica.check().expect("what is derived fits the content");
    }
    assert_eq!((eu.digest(), eu.content()), (us.digest(), us.content()));
}

#[test]
fn a_restart_finds_what_is_known() {
    let (mut eu, mut us) = islands(r#"{"stock":10}"#);
    set(&mut eu, r#"{"stock":7}"#);
    set(&mut us, r#"{"stock":8}"#);
    check(&mut eu, &mut us, r#"{"stock":5}"#);
    let mut table = Table::default();
    table.store(&mut us);
    let mut loaded = table.load();
    assert_eq!(loaded.content(), us.content());
    assert_eq!(get(&mut loaded), r#"{"stock":5}"#);
}

#[test]
fn two_differences_add_up() {
    let (mut eu, mut us) = islands(r#"{"stock":10}"#);
    set(&mut eu, r#"{"stock":7}"#);
    set(&mut us, r#"{"stock":8}"#);
    check(&mut eu, &mut us, r#"{"stock":5}"#);
}

#[test]
fn equal_documents_are_two_differences() {
    let (mut eu, mut us) = islands(r#"{"n":{"stock":10}}"#);
    set(&mut eu, r#"{"n":{"stock":9.75}}"#);
    set(&mut us, r#"{"n":{"stock":9.75}}"#);
    check(&mut eu, &mut us, r#"{"n":{"stock":9.5}}"#);
}

#[test]
fn generations_add_up() {
    let (mut eu, mut us) = islands(r#"{"stock":100}"#);
    for round in 1..=20i64 {
        let left = 100 - 3 * (round - 1);
        set(&mut eu, &format!(r#"{{"stock":{}}}"#, left - 1));
        set(&mut us, &format!(r#"{{"stock":{}}}"#, left - 2));
        check(&mut eu, &mut us, &format!(r#"{{"stock":{}}}"#, left - 3));
    }
}

/// One that has seen one of two only writes over it; the other arrives later.
#[test]
fn a_third_region_that_has_seen_one_of_two_counts_neither_twice() {
    let (mut eu, mut us, mut ap) = (replica(1), replica(2), replica(3));
    run(&mut eu, |txn| txn.keyspace_set(b"doc:", Strategy::JsonSum));
    set(&mut eu, r#"{"stock":10}"#);
    for frame in seal(&mut eu) {
        take(&mut us, &frame);
        take(&mut ap, &frame);
    }
    set(&mut eu, r#"{"stock":7}"#);
    set(&mut us, r#"{"stock":8}"#);
    let (from_eu, from_us) = (seal(&mut eu), seal(&mut us));
    from_eu.iter().for_each(|frame| take(&mut ap, frame));
    assert_eq!(get(&mut ap), r#"{"stock":7}"#);
    set(&mut ap, r#"{"stock":6}"#);
    let from_ap = seal(&mut ap);
    from_us.iter().for_each(|frame| take(&mut ap, frame));
    assert_eq!(get(&mut ap), r#"{"stock":4}"#);
    from_eu
        .iter()
        .chain(&from_ap)
        .for_each(|frame| take(&mut us, frame));
    from_us
        .iter()
        .chain(&from_ap)
        .for_each(|frame| take(&mut eu, frame));
    for replica in [&mut eu, &mut us] {
        assert_eq!(get(replica), r#"{"stock":4}"#);
        assert_eq!(replica.digest(), ap.digest());
    }
}

#[test]
fn one_version_is_read_as_it_was_written() {
    let (mut eu, mut us) = islands(r#"{ "stock" : 10 }"#);
    set(&mut eu, r#"{ "stock" : 7.0 }"#);
    check(&mut eu, &mut us, r#"{ "stock" : 7.0 }"#);
}

#[test]
fn a_transaction_makes_one_difference() {
    let (mut eu, mut us) = islands(r#"{"stock":10}"#);
    support::run(&mut eu, Scope::Many, |txn| {
        txn.set_string(KEY, br#"{"stock":1}"#, Expiry::Clear);
        txn.set_string(KEY, br#"{"stock":9}"#, Expiry::Clear);
    });
    set(&mut us, r#"{"stock":8}"#);
    check(&mut eu, &mut us, r#"{"stock":7}"#);
}

/// The plain write that ends the entry takes back what the first one of it knew.
#[test]
fn a_transaction_that_ends_without_the_number_knows_of_no_difference() {
    let (mut eu, mut us) = islands(r#"{"stock":10}"#);
    support::run(&mut eu, Scope::Many, |txn| {
        txn.set_string(KEY, br#"{"stock":1}"#, Expiry::Clear);
        txn.set_string(KEY, b"{}", Expiry::Clear);
    });
    set(&mut us, r#"{"stock":8}"#);
    check(&mut eu, &mut us, r#"{"stock":8}"#);
}

#[test]
fn what_is_deleted_and_created_again_begins_anew() {
    let (mut eu, mut us) = islands(r#"{"stock":10}"#);
    set(&mut eu, r#"{"stock":7}"#);
    support::run(&mut eu, Scope::Many, |txn| {
        assert!(txn.delete(KEY));
        txn.set_string(KEY, br#"{"stock":50}"#, Expiry::Clear);
    });
    set(&mut us, r#"{"stock":8}"#);
    check(&mut eu, &mut us, r#"{"stock":48}"#);
}

#[test]
fn a_deletion_leaves_what_it_has_not_seen() {
    let (mut eu, mut us) = islands(r#"{"stock":10}"#);
    set(&mut us, r#"{"stock":8}"#);
    run(&mut eu, |txn| assert!(txn.delete(KEY)));
    check(&mut eu, &mut us, r#"{"stock":8}"#);
}

#[test]
fn two_beginnings_are_no_differences() {
    let (mut eu, mut us) = islands("{}");
    set(&mut eu, r#"{"stock":10}"#);
    set(&mut us, r#"{"stock":12}"#);
    check(&mut eu, &mut us, r#"{"stock":12}"#);
}

#[test]
fn a_write_with_a_context_counts_against_what_it_replaces() {
    let (mut eu, mut us) = islands(r#"{"stock":10}"#);
    set(&mut eu, r#"{"stock":7}"#);
    let context = run(&mut eu, |txn| {
        txn.siblings(KEY).expect("a register").context
    });
    set(&mut us, r#"{"stock":8}"#);
    exchange(&mut eu, &mut us);
    write_over(&mut us, r#"{"stock":6}"#, &context);
    check(&mut eu, &mut us, r#"{"stock":4}"#);
}

/// What the client had read is not known any more, and so neither is by how much the new value differs from it.
#[test]
fn a_write_over_what_was_replaced_meanwhile_is_a_beginning() {
    let (mut eu, mut us) = islands(r#"{"stock":10}"#);
    let context = run(&mut eu, |txn| {
        txn.siblings(KEY).expect("a register").context
    });
    set(&mut eu, r#"{"stock":7}"#);
    write_over(&mut eu, r#"{"stock":9}"#, &context);
    check(&mut eu, &mut us, r#"{"stock":7}"#);
}

fn write_over(replica: &mut Replica, text: &str, context: &VectorClock) {
    support::run(replica, Scope::Many, |txn| {
        let written = txn.set_string_in_context(KEY, text.as_bytes(), context);
        written.expect("it may stay beside others");
    });
}

/// What was written under another strategy has no differences; its numbers are what all began with.
#[test]
fn a_strategy_can_be_exchanged_at_any_time() {
    let (mut eu, mut us) = islands(r#"{"stock":10}"#);
    run(&mut eu, |txn| txn.keyspace_set(b"doc:", Strategy::Json));
    exchange(&mut eu, &mut us);
    set(&mut eu, r#"{"stock":7}"#);
    set(&mut us, r#"{"stock":8}"#);
    check(&mut eu, &mut us, r#"{"stock":8}"#);
    run(&mut us, |txn| txn.keyspace_set(b"doc:", Strategy::JsonSum));
    exchange(&mut eu, &mut us);
    set(&mut eu, r#"{"stock":6}"#);
    set(&mut us, r#"{"stock":5}"#);
    check(&mut eu, &mut us, r#"{"stock":3}"#);
    run(&mut eu, |txn| txn.keyspace_set(b"doc:", Strategy::Json));
    check(&mut eu, &mut us, r#"{"stock":6}"#);
}

#[test]
fn values_of_the_other_class_follow_when_they_are_migrated() {
    let (mut eu, mut us) = (replica(1), replica(2));
    set(&mut eu, r#"{"stock":10}"#);
    run(&mut eu, |txn| txn.keyspace_set(b"doc:", Strategy::JsonSum));
    exchange(&mut eu, &mut us);
    for replica in [&mut eu, &mut us] {
        let migrated = run(replica, |txn| txn.migrate(KEY));
        assert_eq!(migrated, Migration::Done(12));
    }
    exchange(&mut eu, &mut us);
    set(&mut eu, r#"{"stock":7}"#);
    set(&mut us, r#"{"stock":8}"#);
    check(&mut eu, &mut us, r#"{"stock":5}"#);
}

/// Else both would count the 5 that they replace.
#[test]
fn a_number_that_was_incremented_begins_anew() {
    let (mut eu, mut us) = islands("10");
    run(&mut eu, |txn| assert_eq!(txn.increment(KEY, 5), Ok(15)));
    exchange(&mut eu, &mut us);
    set(&mut eu, "20");
    set(&mut us, "12");
    check(&mut eu, &mut us, "20");
    run(&mut eu, |txn| assert_eq!(txn.increment(KEY, 1), Ok(21)));
    set(&mut us, "18");
    check(&mut eu, &mut us, "19");
}

#[test]
fn what_has_expired_is_no_number_to_differ_from() {
    let (mut eu, mut us) = islands(r#"{"stock":10}"#);
    run(&mut eu, |txn| {
        txn.set_string(KEY, br#"{"stock":7}"#, Expiry::At(NOW_MS + 10))
    });
    exchange(&mut eu, &mut us);
    run_at(&mut eu, NOW_MS + 20, Scope::Once, |txn| {
        txn.set_string(KEY, br#"{"stock":3}"#, Expiry::Clear)
    });
    assert_eq!(sums(&eu), 0);
    check(&mut eu, &mut us, r#"{"stock":3}"#);
}

/// How many differences are known.
fn sums(replica: &Replica) -> usize {
    let content = replica.content();
    let sums = content.values().flat_map(|content| &content.sums);
    sums.map(|(_, sums)| sums.differences()).sum()
}

/// A copy is a document of its own.
#[test]
fn a_copy_knows_of_no_differences() {
    let (mut eu, mut us) = islands(r#"{"stock":10}"#);
    set(&mut eu, r#"{"stock":7}"#);
    set(&mut us, r#"{"stock":8}"#);
    exchange(&mut eu, &mut us);
    support::run(&mut eu, Scope::Many, |txn| {
        assert!(txn.copy(KEY, b"doc:copy"))
    });
    let content = eu.content();
    assert_eq!(content[&b"doc:copy"[..]].sums, []);
    assert_eq!(content[&b"doc:copy"[..]].mv[0].2, br#"{"stock":5}"#);
    assert_eq!(content[KEY].sums.len(), 2);
}

#[test]
fn other_strategies_know_of_nothing() {
    let (mut eu, mut us) = islands(r#"{"name":"lamp"}"#);
    set(&mut eu, r#"{"name":"chair","stock":1}"#);
    check(&mut eu, &mut us, r#"{"name":"chair","stock":1}"#);
    assert_eq!((sums(&eu), sums(&us)), (0, 0));
}

/// A total goes on after a restart: a document that regions write in turns does not grow.
#[test]
fn a_restart_goes_on_with_its_totals() {
    let (mut eu, mut us) = islands(r#"{"stock":10}"#);
    set(&mut eu, r#"{"stock":9}"#);
    exchange(&mut eu, &mut us);
    set(&mut us, r#"{"stock":8}"#);
    exchange(&mut eu, &mut us);
    let before = sums(&us);
    let mut table = Table::default();
    table.store(&mut us);
    let mut us_again = replica(2);
    us_again
        .load_table(&mut |prefix, each| table.scan(prefix, each), NOW_MS)
        .expect("what was written is read");
    set(&mut us_again, r#"{"stock":7}"#);
    assert_eq!((before, sums(&us_again)), (2, 2));
}

#[test]
fn a_document_that_would_remember_too_much_is_refused_and_stays() {
    let fields = |number: i32| {
        let fields = (0..=DIFFERENCES_MAX).map(|field| format!("\"{field}\":{number}"));
        format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
    };
    let (mut eu, mut us) = islands(&fields(1));
    for scope in [Scope::Once, Scope::Many] {
        let mut txn = eu.txn(NOW_MS, scope);
        txn.set_string(KEY, fields(2).as_bytes(), Expiry::Clear);
        let refused = txn.commit().expect_err("one more than there may be");
        assert!(matches!(refused, WriteRefused::Differences(_)), "{refused}");
        assert!(
            refused.to_string().contains("4097 differences"),
            "{refused}"
        );
    }
    check(&mut eu, &mut us, &fields(1));
}

/// A log that is applied again makes the same rows.
#[test]
fn frames_that_come_twice_change_nothing() {
    let (mut eu, mut us) = islands(r#"{"stock":10}"#);
    set(&mut eu, r#"{"stock":7}"#);
    let frames = seal(&mut eu);
    frames.iter().for_each(|frame| take(&mut us, frame));
    let before = us.content();
    for frame in &frames {
        let again = Frame::decode(frame.bytes().to_vec().into()).expect("it is sound");
        let (peer, kind) = (again.replica(), LaneKind::Direct);
        let lane = Lane { peer, kind };
        let offer = us.offer(again, lane).expect("a repetition is no fault");
        assert_ne!(offer, Offer::Accepted);
    }
    assert_eq!(us.content(), before);
}

/// A write that knows of a difference, after one that does not.
fn writer() -> Replica {
    let mut writer = replica(0xa);
    run(&mut writer, |txn| {
        txn.keyspace_set(b"doc:", Strategy::JsonSum)
    });
    set(&mut writer, r#"{"stock":10}"#);
    set(&mut writer, r#"{"stock":7.5}"#);
    writer
}

#[test]
fn frames_are_part_of_the_format() {
    let golden = include_str!("golden/summed_frame_v1.hex");
    let frame = seal(&mut writer()).pop().expect("one frame");
    assert_eq!(hex(frame.bytes()), golden.trim());
    let frame = Frame::decode(bytes_of(golden).into()).expect("version 1 is read");
    let mut reader = replica(0xb);
    receive(&mut reader, &frame);
    assert_eq!(reader.content(), writer().content());
}

#[test]
fn rows_are_part_of_the_format() {
    let golden = include_str!("golden/summed_rows_v1.hex");
    let mut writer = writer();
    seal(&mut writer);
    let mut table = Table::default();
    table.store(&mut writer);
    assert_eq!(table.hex(), golden.trim());
    let lines = golden.lines().filter_map(|line| line.split_once(' '));
    let stored = lines.map(|(key, value)| (bytes_of(key), bytes_of(value)));
    assert_eq!(Table(stored.collect()).load().content(), writer.content());
}
