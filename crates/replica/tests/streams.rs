//! Streams in the table and byte for byte, in large transactions, and as conflicts.

mod support;

use std::ops::ControlFlow;

use isles_replica::{
    ConflictKind, Expiry, Frame, NewStreamId, Replica, Scope, StreamId, StreamTrim,
    StreamTrimBound, Txn,
};
use support::{NOW_MS, Table, hex, replica, run, seal};

const GENERATED: NewStreamId = NewStreamId::Generated;

fn add(txn: &mut Txn<'_>, id: NewStreamId, value: &str) -> StreamId {
    txn.stream_add(b"s", id, &[b"f", value.as_bytes()], None)
        .expect("the id is greater")
}

fn given(ms: u64) -> NewStreamId {
    NewStreamId::Given(StreamId::new(ms, 0))
}

fn values(replica: &mut Replica) -> Vec<String> {
    let mut values = Vec::new();
    let (from, to) = (StreamId::ZERO, StreamId::MAX);
    run(replica, Scope::Once, |txn| {
        txn.stream_range(b"s", from, to, &mut |_, texts| {
            let value = texts.nth(1).expect("a field and its value");
            values.push(String::from_utf8_lossy(value).into_owned());
            ControlFlow::Continue(())
        })
    })
    .expect("a stream");
    values
}

fn take(replica: &mut Replica, frames: &[Frame]) {
    frames
        .iter()
        .for_each(|frame| support::receive(replica, frame));
}

#[test]
fn a_large_stream_lies_in_pages_of_which_the_changed_ones_are_written() {
    let (mut eu, mut table) = (replica(1), Table::default());
    for number in 0..5_000 {
        run(&mut eu, Scope::Once, |txn| {
            add(txn, GENERATED, &number.to_string())
        });
    }
    assert!(table.store(&mut eu) > 50);
    run(&mut eu, Scope::Once, |txn| add(txn, GENERATED, "last"));
    assert_eq!(table.store(&mut eu), 2, "its row and one page");
    let trim = StreamTrim {
        bound: StreamTrimBound::Len(1000),
        units: None,
    };
    run(&mut eu, Scope::Once, |txn| txn.stream_trim(b"s", trim)).expect("a stream");
    assert!(table.store(&mut eu) <= 2);
    let mut loaded = table.load();
    assert_eq!(loaded.digest(), eu.digest());
    assert_eq!(values(&mut loaded), values(&mut eu));
    run(&mut eu, Scope::Once, |txn| txn.delete(b"s"));
    run(&mut eu, Scope::Once, |txn| add(txn, given(1), "small"));
    table.store(&mut eu);
    assert_eq!(table.len(), 1, "no page is left behind");
    assert_eq!(values(&mut table.load()), ["small"]);
}

#[test]
fn a_transaction_of_many_additions_is_one_entry_and_arrives() {
    let (mut eu, mut us) = (replica(1), replica(2));
    let last = run(&mut eu, Scope::Many, |txn| {
        txn.set_string(b"other", b"v", Expiry::Clear);
        let last = (0..3_000).map(|number| add(txn, GENERATED, &number.to_string()));
        let ids: Vec<StreamId> = last.collect();
        assert!(ids.is_sorted_by(|one, other| one < other));
        txn.stream_remove(b"s", &ids[..2]).expect("a stream");
        ids[2_999]
    });
    assert_eq!(eu.applied().get(eu.id()), 1);
    take(&mut us, &seal(&mut eu));
    assert_eq!(eu.digest(), us.digest());
    let info = run(&mut us, Scope::Once, |txn| txn.stream_info(b"s"));
    let info = info.expect("a stream").expect("it is there");
    assert_eq!((info.len, info.last, info.added), (2_998, last, 3_000));
}

// What a script had added before it met its limit was undone here, and logged all the same: others would have had it.
#[test]
fn what_is_rolled_back_is_not_logged() {
    let (mut eu, mut us) = (replica(1), replica(2));
    run(&mut eu, Scope::Many, |txn| {
        add(txn, given(1), "stays");
        add(txn, given(2), "stays too");
        let point = txn.savepoint();
        add(txn, given(3), "goes");
        txn.stream_remove(b"s", &[StreamId::new(1, 0)])
            .expect("a stream");
        txn.roll_back(point);
    });
    take(&mut us, &seal(&mut eu));
    assert_eq!(values(&mut eu), ["stays", "stays too"]);
    assert_eq!(values(&mut us), ["stays", "stays too"]);
    assert_eq!(eu.digest(), us.digest());
}

#[test]
fn generated_ids_of_two_replicas_differ_and_rise_although_a_clock_is_behind() {
    let (mut eu, mut us) = (replica(1), replica(2));
    let theirs = run(&mut eu, Scope::Once, |txn| add(txn, GENERATED, "eu"));
    let ours = run(&mut us, Scope::Once, |txn| add(txn, GENERATED, "us"));
    assert_ne!(theirs, ours);
    assert_eq!((theirs.ms, ours.ms), (NOW_MS, NOW_MS));
    run(&mut eu, Scope::Once, |txn| {
        add(txn, given(NOW_MS + 60_000), "ahead")
    });
    // What peers have sent is applied between own frames.
    seal(&mut us);
    take(&mut us, &seal(&mut eu));
    let next = run(&mut us, Scope::Once, |txn| add(txn, GENERATED, "after"));
    assert!(next > StreamId::new(NOW_MS + 60_000, 0));
}

#[test]
fn one_id_for_two_entries_is_a_conflict_of_which_both_are_kept() {
    let (mut eu, mut us) = (replica(1), replica(2));
    run(&mut eu, Scope::Once, |txn| add(txn, given(5), "eu"));
    run(&mut us, Scope::Once, |txn| add(txn, given(5), "us"));
    let (from_eu, from_us) = (seal(&mut eu), seal(&mut us));
    take(&mut eu, &from_us);
    take(&mut us, &from_eu);
    let ids = [&eu, &us].map(|replica| {
        let record = replica.conflicts().iter().next().expect("one conflict");
        assert_eq!((record.kind, record.kept), (ConflictKind::WriteWrite, true));
        assert_eq!(record.field.as_deref(), Some(&b"5-0"[..]));
        assert_eq!(record.loser.value.as_deref(), Some(&b"f eu"[..]));
        record.id
    });
    assert_eq!(ids[0], ids[1]);
    assert_eq!(values(&mut eu), ["eu", "us"]);
    // A copy has both too.
    run(&mut us, Scope::Many, |txn| txn.copy(b"s", b"t"));
    let len = run(&mut us, Scope::Once, |txn| txn.stream_len(b"t"));
    assert_eq!(len, Ok(2));
    run(&mut us, Scope::Many, |txn| txn.copy(b"t", b"s"));
    assert_eq!(values(&mut us), ["eu", "us"]);
    take(&mut eu, &seal(&mut us));
    assert_eq!(eu.digest(), us.digest());
}

/// Differences mean that nodes of two versions do not understand each other, or their own disks.
#[test]
fn the_bytes_of_ops_and_rows_are_fixed() {
    let mut eu = replica(0xa);
    run(&mut eu, Scope::Many, |txn| {
        add(txn, GENERATED, "one");
        add(txn, given(NOW_MS + 1), "two");
        txn.stream_add(
            b"s",
            NewStreamId::InMs(NOW_MS + 1),
            &[b"f", b"", b"g", b"x"],
            None,
        )
        .expect("the id is greater");
    });
    run(&mut eu, Scope::Once, |txn| {
        txn.stream_remove(b"s", &[StreamId::new(NOW_MS + 1, 0)])
    })
    .expect("a stream");
    let trim = Some(StreamTrim {
        bound: StreamTrimBound::Len(2),
        units: None,
    });
    run(&mut eu, Scope::Once, |txn| {
        txn.stream_add(b"s", GENERATED, &[b"f", b"three"], trim)
    })
    .expect("the id is greater");
    let frame = seal(&mut eu).pop().expect("one frame");
    let mut table = Table::default();
    table.store(&mut eu);
    let golden_frame = include_str!("golden/stream_frame_v1.hex");
    let golden_rows = include_str!("golden/stream_rows_v1.hex");
    assert_eq!(hex(frame.bytes()), golden_frame.trim());
    assert_eq!(table.hex(), golden_rows.trim());
    assert_eq!(table.load().digest(), eu.digest());
}
