//! Consumer groups on several replicas: three states, which only go up, whatever the order of delivery.

mod support;

use std::ops::ControlFlow;

use isles_clock::ReplicaId;
use isles_replica::image::TableChange;
use isles_replica::{
    Acknowledged, Frame, GroupError, GroupStart, NewStreamId, PendingQuery, Replica, Scope,
    StreamClaim, StreamId, Txn,
};
use support::{NOW_MS, Table, hex, replica, seal};

const FROM_ZERO: GroupStart = GroupStart::After(StreamId::ZERO);

fn run<R>(replica: &mut Replica, at_ms: u64, act: impl FnOnce(&mut Txn<'_>) -> R) -> R {
    support::run_at(replica, NOW_MS + at_ms, Scope::Once, act)
}

fn add(replica: &mut Replica, ms: u64) {
    run(replica, 0, |txn| {
        let id = NewStreamId::Given(StreamId::new(ms, 0));
        txn.stream_add(b"s", id, &[b"f", b"v"], None)
            .expect("the id is greater");
    });
}

fn create(replica: &mut Replica, start: GroupStart) -> Result<(), GroupError> {
    run(replica, 0, |txn| {
        txn.group_create(b"s", b"g", start, true, None)
    })
}

fn read(replica: &mut Replica, consumer: &str, at_ms: u64) -> Vec<u64> {
    let mut ids = Vec::new();
    run(replica, at_ms, |txn| {
        let each = &mut |id: StreamId, _: &mut dyn Iterator<Item = &[u8]>| {
            ids.push(id.ms);
            ControlFlow::Continue(())
        };
        txn.group_read(
            b"s",
            b"g",
            consumer.as_bytes(),
            None,
            Acknowledged::Later,
            each,
        )
    })
    .expect("the group is there");
    ids
}

fn ack(replica: &mut Replica, ms: u64) -> usize {
    let ids = [StreamId::new(ms, 0)];
    run(replica, 0, |txn| txn.group_ack(b"s", b"g", &ids)).expect("the group is there")
}

fn claim(replica: &mut Replica, consumer: &str, ms: u64, claim: StreamClaim) -> usize {
    let ids = [StreamId::new(ms, 0)];
    let claimed = run(replica, 9, |txn| {
        txn.group_claim(b"s", b"g", consumer.as_bytes(), &ids, claim)
    });
    claimed.expect("the group is there").len()
}

/// What is pending at whom, and how often it was delivered.
fn pending(replica: &mut Replica) -> Vec<(u64, String, u64)> {
    let query = PendingQuery {
        from: StreamId::ZERO,
        to: StreamId::MAX,
        count: usize::MAX,
        idle_ms_min: 0,
        consumer: None,
    };
    let rows = run(replica, 0, |txn| txn.group_pending(b"s", b"g", query));
    let rows = rows.expect("the group is there").into_iter();
    rows.map(|row| {
        let consumer = String::from_utf8(row.consumer).expect("a name of letters");
        (row.id.ms, consumer, row.count)
    })
    .collect()
}

fn at(ms: u64, consumer: &str) -> (u64, String, u64) {
    (ms, consumer.to_owned(), 1)
}

fn take(replica: &mut Replica, frames: &[Frame]) {
    frames
        .iter()
        .for_each(|frame| support::receive(replica, frame));
}

/// Everybody hears of everything.
fn exchange<const N: usize>(replicas: [&mut Replica; N]) {
    let mut replicas = replicas;
    let written = replicas
        .iter_mut()
        .map(|replica| (replica.id(), seal(replica)));
    let all: Vec<(ReplicaId, Vec<Frame>)> = written.collect();
    for replica in &mut replicas {
        let own = replica.id();
        for (_, other) in all.iter().filter(|(id, _)| *id != own) {
            take(replica, other);
        }
        replica.check().expect("sums add up");
    }
    let content = replicas[0].content();
    assert!(replicas.iter().all(|replica| replica.content() == content));
}

/// Two replicas with entries 1, 2 and 3 and a group that begins before them.
fn pair() -> [Replica; 2] {
    let [mut a, mut b] = [replica(1), replica(2)];
    (1..=3).for_each(|ms| add(&mut a, ms));
    create(&mut a, FROM_ZERO).expect("a new group");
    exchange([&mut a, &mut b]);
    [a, b]
}

#[test]
fn what_one_region_has_delivered_is_not_handed_out_again() {
    let [mut a, mut b] = pair();
    assert_eq!(read(&mut a, "alice", 0), [1, 2, 3]);
    exchange([&mut a, &mut b]);
    assert_eq!(read(&mut b, "bob", 0), Vec::<u64>::new());
    assert_eq!(
        pending(&mut b),
        [at(1, "alice"), at(2, "alice"), at(3, "alice")]
    );
    assert_eq!(ack(&mut b, 2), 1);
    exchange([&mut a, &mut b]);
    assert_eq!(pending(&mut a), [at(1, "alice"), at(3, "alice")]);
    assert_eq!(ack(&mut a, 2), 0);
}

#[test]
fn an_entry_that_arrives_below_what_is_delivered_is_handed_out() {
    let [mut a, mut b] = pair();
    add(&mut b, 5);
    add(&mut a, 9);
    assert_eq!(read(&mut a, "alice", 0), [1, 2, 3, 9]);
    exchange([&mut a, &mut b]);
    assert_eq!(read(&mut a, "alice", 0), [5]);
    exchange([&mut a, &mut b]);
    assert_eq!(read(&mut b, "bob", 0), Vec::<u64>::new());
}

#[test]
fn of_two_deliveries_the_later_one_has_the_entry() {
    let [mut a, mut b] = pair();
    assert_eq!(read(&mut a, "alice", 0), [1, 2, 3]);
    assert_eq!(read(&mut b, "bob", 5), [1, 2, 3]);
    exchange([&mut a, &mut b]);
    assert_eq!(pending(&mut a), [at(1, "bob"), at(2, "bob"), at(3, "bob")]);
}

#[test]
fn an_acknowledgement_wins_over_deliveries_and_claims_in_any_order() {
    for order in [[0, 1, 2], [0, 2, 1], [2, 0, 1]] {
        let [mut a, mut b, mut c] = [replica(1), replica(2), replica(3)];
        (1..=3).for_each(|ms| add(&mut a, ms));
        create(&mut a, FROM_ZERO).expect("a new group");
        exchange([&mut a, &mut b, &mut c]);
        read(&mut a, "alice", 0);
        let delivered = seal(&mut a);
        ack(&mut a, 1);
        let acknowledged = seal(&mut a);
        read(&mut b, "bob", 5);
        let elsewhere = seal(&mut b);
        let all = [&delivered, &acknowledged, &elsewhere];
        order.into_iter().for_each(|part| take(&mut c, all[part]));
        take(&mut a, &elsewhere);
        take(&mut b, &delivered);
        take(&mut b, &acknowledged);
        for replica in [&mut a, &mut b, &mut c] {
            assert_eq!(pending(replica), [at(2, "bob"), at(3, "bob")]);
        }
        claim(&mut b, "carol", 2, StreamClaim::default());
        ack(&mut a, 2);
        exchange([&mut a, &mut b, &mut c]);
        assert_eq!(pending(&mut c), [at(3, "bob")]);
    }
}

#[test]
fn a_destroyed_group_takes_what_others_do_to_it_with_it() {
    let [mut a, mut b] = pair();
    read(&mut a, "alice", 0);
    assert_eq!(
        run(&mut b, 0, |txn| txn.group_destroy(b"s", b"g")),
        Ok(true)
    );
    exchange([&mut a, &mut b]);
    let refused = run(&mut a, 0, |txn| txn.group_ack(b"s", b"g", &[]));
    assert_eq!(refused, Err(GroupError::NoGroup));
    create(&mut a, FROM_ZERO).expect("the name is free");
    exchange([&mut a, &mut b]);
    assert_eq!(read(&mut b, "bob", 0), [1, 2, 3]);
}

#[test]
fn groups_that_were_created_apart_are_read_as_one() {
    let [mut a, mut b] = [replica(1), replica(2)];
    (1..=3).for_each(|ms| add(&mut a, ms));
    exchange([&mut a, &mut b]);
    create(&mut a, GroupStart::After(StreamId::new(2, 0))).expect("a new group");
    create(&mut b, FROM_ZERO).expect("a new group");
    assert_eq!(read(&mut a, "alice", 0), [3]);
    exchange([&mut a, &mut b]);
    // What both passed over is nothing, and 3 is handed out.
    assert_eq!(read(&mut b, "bob", 0), [1, 2]);
    exchange([&mut a, &mut b]);
    assert_eq!(
        pending(&mut a),
        [at(1, "bob"), at(2, "bob"), at(3, "alice")]
    );
    assert_eq!(ack(&mut a, 1), 1);
    exchange([&mut a, &mut b]);
    assert_eq!(pending(&mut b), [at(2, "bob"), at(3, "alice")]);
    run(&mut b, 0, |txn| txn.group_destroy(b"s", b"g")).expect("a stream");
    exchange([&mut a, &mut b]);
    assert_eq!(create(&mut a, FROM_ZERO), Ok(()));
}

#[test]
fn set_id_hands_out_again_and_forgets_what_comes_again() {
    let [mut a, mut b] = pair();
    read(&mut a, "alice", 0);
    exchange([&mut a, &mut b]);
    let back = GroupStart::After(StreamId::new(1, 0));
    run(&mut a, 0, |txn| txn.group_set_id(b"s", b"g", back, None)).expect("a group");
    ack(&mut b, 3);
    exchange([&mut a, &mut b]);
    assert_eq!(pending(&mut b), [at(1, "alice")]);
    assert_eq!(read(&mut b, "bob", 0), [2, 3]);
}

#[test]
fn a_forced_claim_begins_another_life() {
    let [mut a, mut b] = pair();
    read(&mut a, "alice", 0);
    ack(&mut a, 1);
    exchange([&mut a, &mut b]);
    let forced = StreamClaim {
        is_forced: true,
        is_quiet: true,
        ..StreamClaim::default()
    };
    assert_eq!(claim(&mut a, "carol", 1, StreamClaim::default()), 0);
    assert_eq!(claim(&mut a, "carol", 1, forced), 1);
    assert_eq!(ack(&mut b, 1), 0);
    exchange([&mut a, &mut b]);
    assert_eq!(pending(&mut b)[0], at(1, "carol"));
    assert_eq!(ack(&mut b, 1), 1);
    exchange([&mut a, &mut b]);
    assert_eq!(pending(&mut a), [at(2, "alice"), at(3, "alice")]);
}

#[test]
fn what_is_gone_from_the_stream_for_one_reader_stays_pending_nowhere() {
    let [mut a, mut b] = pair();
    let gone = [StreamId::new(1, 0)];
    run(&mut b, 0, |txn| txn.stream_remove(b"s", &gone)).expect("a stream");
    assert_eq!(read(&mut b, "bob", 0), [2, 3]);
    assert_eq!(read(&mut a, "alice", 5), [1, 2, 3]);
    exchange([&mut a, &mut b]);
    assert_eq!(pending(&mut a), [at(2, "alice"), at(3, "alice")]);
}

#[test]
fn groups_survive_in_the_table() {
    let [mut a, _] = pair();
    read(&mut a, "alice", 0);
    ack(&mut a, 2);
    claim(&mut a, "bob", 3, StreamClaim::default());
    seal(&mut a);
    let mut table = Table::default();
    table.store(&mut a);
    assert_eq!(table.load().content(), a.content());
}

/// Differences mean that nodes of two versions do not understand each other, or their own disks.
#[test]
fn the_bytes_of_groups_are_fixed() {
    let [mut a, _] = pair();
    read(&mut a, "alice", 0);
    ack(&mut a, 2);
    claim(&mut a, "bob", 3, StreamClaim::default());
    let forced = StreamClaim {
        is_forced: true,
        ..StreamClaim::default()
    };
    claim(&mut a, "bob", 2, forced);
    run(&mut a, 0, |txn| txn.consumer_remove(b"s", b"g", b"alice")).expect("a group");
    run(&mut a, 0, |txn| {
        txn.group_create(b"s", b"h", GroupStart::Last, false, Some(3))
    })
    .expect("a new group");
    run(&mut a, 0, |txn| {
        txn.group_set_id(b"s", b"h", FROM_ZERO, None)
    })
    .expect("a group");
    let frame = seal(&mut a).pop().expect("one frame");
    let mut rows = Vec::new();
    a.take_images(usize::MAX).encode(&mut |change| {
        if let TableChange::Put(key, value) = change
            && !support::is_index(&key)
        {
            rows.push(format!("{} {}", hex(&key), hex(&value)));
        }
    });
    let golden_frame = include_str!("golden/groups_frame_v1.hex");
    let golden_rows = include_str!("golden/groups_rows_v1.hex");
    assert_eq!(hex(frame.bytes()), golden_frame.trim());
    assert_eq!(rows.join("\n"), golden_rows.trim());
}

#[test]
fn a_transaction_reads_what_it_has_added() {
    let mut a = replica(1);
    let mut txn = a.txn(NOW_MS, Scope::Many);
    txn.group_create(b"s", b"g", GroupStart::Last, true, None)
        .expect("a new group");
    let id = NewStreamId::Given(StreamId::new(1, 0));
    txn.stream_add(b"s", id, &[b"f", b"v"], None)
        .expect("the id is greater");
    let each = &mut |_: StreamId, _: &mut dyn Iterator<Item = &[u8]>| ControlFlow::Continue(());
    let handed = txn.group_read(b"s", b"g", b"alice", None, Acknowledged::Later, each);
    assert_eq!(handed, Ok(1));
    txn.commit().expect("a small entry");
    let mut b = replica(2);
    exchange([&mut a, &mut b]);
    assert_eq!(pending(&mut b), [at(1, "alice")]);
    assert!(read(&mut b, "bob", 0).is_empty());
}
