//! What loses leaves a record, under one id in both regions: a case for each kind of loss, and one for each that is none.

use isles_crdt::sorted_set::Score;
use isles_replica::{
    AddIf, Answer, ConflictKind, Expiry, JournalRecord, ListEnd, Migration, NewStreamId, RestoreIf,
    ScoreIf, StreamId, Txn,
};
use isles_resolve::Strategy;

use crate::island::{Island, NOW_MS, meet, meet_all, pair};

/// What must be recorded: the component, what met what, and what was lost.
type Loss = (&'static str, ConflictKind, Option<&'static str>);

/// The second of two regions writes 5 ms later than the first.
fn lost(
    before: impl FnOnce(&mut Txn<'_>),
    first: impl FnOnce(&mut Txn<'_>),
    second: impl FnOnce(&mut Txn<'_>),
) -> Vec<(String, ConflictKind, Option<String>)> {
    let (mut a, mut b) = pair();
    a.run(before);
    meet(&mut a, &mut b);
    a.now_ms += 10;
    b.now_ms += 15;
    a.run(first);
    b.run(second);
    meet(&mut a, &mut b);
    let ids = |island: &Island| {
        let mut ids: Vec<u128> = island.records().iter().map(|record| record.id).collect();
        ids.sort_unstable();
        ids
    };
    assert_eq!(ids(&a), ids(&b), "both have the same records");
    let records = a.records();
    let losses = records.iter().map(|record| {
        let value = record.loser.value.as_ref();
        let value = value.map(|value| String::from_utf8_lossy(value).into_owned());
        (record.component_name().to_owned(), record.kind, value)
    });
    losses.collect()
}

fn check(
    what: &str,
    before: impl FnOnce(&mut Txn<'_>),
    first: impl FnOnce(&mut Txn<'_>),
    second: impl FnOnce(&mut Txn<'_>),
    expected: &[Loss],
) {
    let found = lost(before, first, second);
    let expected: Vec<_> = expected
        .iter()
        .map(|(component, kind, value)| ((*component).to_owned(), *kind, value.map(str::to_owned)))
        .collect();
    assert_eq!(found, expected, "{what}");
}

fn nothing(_: &mut Txn<'_>) {}

fn set(key: &'static str, value: &'static str) -> impl FnOnce(&mut Txn<'_>) {
    move |txn| txn.set_string(key.as_bytes(), value.as_bytes(), Expiry::Clear)
}

fn delete(key: &'static str) -> impl FnOnce(&mut Txn<'_>) {
    move |txn| assert!(txn.delete(key.as_bytes()))
}

fn put(field: &'static str, value: &'static str) -> impl FnOnce(&mut Txn<'_>) {
    move |txn| {
        let pairs = [(field.as_bytes(), value.as_bytes())];
        txn.hash_put(b"h", &pairs).expect("it is a hash");
    }
}

fn score(member: &'static str, score: f64) -> impl FnOnce(&mut Txn<'_>) {
    move |txn| {
        let score = Score::try_from(score).expect("a number");
        let pairs = [(member.as_bytes(), score)];
        let added = txn.sorted_set_add(b"z", &pairs, AddIf::Always, ScoreIf::Any);
        added.expect("it is a sorted set");
    }
}

fn add(key: &'static str, member: &'static str) -> impl FnOnce(&mut Txn<'_>) {
    move |txn| {
        _ = txn
            .set_add(key.as_bytes(), &[member.as_bytes()])
            .expect("a set")
    }
}

fn until(key: &'static str, at_ms: u64) -> impl FnOnce(&mut Txn<'_>) {
    move |txn| assert!(txn.set_deadline(key.as_bytes(), Some(at_ms)))
}

fn increment(key: &'static str, by: i64) -> impl FnOnce(&mut Txn<'_>) {
    move |txn| _ = txn.increment(key.as_bytes(), by).expect("an integer")
}

use ConflictKind::{Expiry as Deadline, Type, WriteDelete, WriteWrite};

#[test]
fn registers() {
    let older = ("register-lww", WriteWrite, Some("older"));
    check(
        "two writes",
        nothing,
        set("k", "older"),
        set("k", "newer"),
        &[older],
    );
    let write = ("register-lww", WriteDelete, Some("older"));
    check(
        "a deletion wins",
        set("k", "0"),
        set("k", "older"),
        delete("k"),
        &[write],
    );
    let deletion = ("register-lww", WriteDelete, None);
    check(
        "a write wins",
        set("k", "0"),
        delete("k"),
        set("k", "newer"),
        &[deletion],
    );
    check(
        "two deletions",
        set("k", "0"),
        delete("k"),
        delete("k"),
        &[],
    );
    check(
        "an empty value",
        nothing,
        set("k", ""),
        set("k", "newer"),
        &[("register-lww", WriteWrite, Some(""))],
    );
}

#[test]
fn siblings() {
    let define = |txn: &mut Txn<'_>| txn.keyspace_set(b"mv:", Strategy::MultiValue);
    let kept = ("register-mv", WriteWrite, Some("older"));
    check(
        "siblings",
        define,
        set("mv:k", "older"),
        set("mv:k", "newer"),
        &[kept],
    );
}

#[test]
fn fields_members_and_elements() {
    check(
        "fields",
        nothing,
        put("f", "older"),
        put("f", "newer"),
        &[("map", WriteWrite, Some("older"))],
    );
    check("other fields", nothing, put("f", "1"), put("g", "2"), &[]);
    let remove = |txn: &mut Txn<'_>| _ = txn.hash_remove(b"h", &[b"f"]).expect("a hash");
    check(
        "an update beats a removal",
        put("f", "0"),
        put("f", "1"),
        remove,
        &[],
    );
    check(
        "scores",
        nothing,
        score("m", 1.5),
        score("m", 2.0),
        &[("sorted-set", WriteWrite, Some("1.5"))],
    );
    let push = |txn: &mut Txn<'_>| _ = txn.list_push(b"l", ListEnd::Back, &[b"0"]).expect("a list");
    let write = |value: &'static str| {
        move |txn: &mut Txn<'_>| assert!(txn.list_set(b"l", 0, value.as_bytes()).expect("a list"))
    };
    check(
        "elements",
        push,
        write("older"),
        write("newer"),
        &[("list", WriteWrite, Some("older"))],
    );
    check(
        "members of a set",
        nothing,
        add("s", "a"),
        add("s", "b"),
        &[],
    );
}

#[test]
fn ids_of_stream_entries() {
    let entry = |value: &'static str| {
        move |txn: &mut Txn<'_>| {
            let id = NewStreamId::Given(StreamId::new(5, 5));
            let fields: [&[u8]; 2] = [b"f", value.as_bytes()];
            let added = txn.stream_add(b"x", id, &fields, None);
            added.expect("the id is free");
        }
    };
    check(
        "two entries",
        nothing,
        entry("older"),
        entry("newer"),
        &[("stream", WriteWrite, Some("f older"))],
    );
}

#[test]
fn types() {
    check(
        "a string hides a set",
        nothing,
        add("k", "m"),
        set("k", "v"),
        &[("set-aw", Type, Some("set-aw"))],
    );
    check(
        "also if it came first",
        nothing,
        set("k", "v"),
        add("k", "m"),
        &[("set-aw", Type, Some("set-aw"))],
    );
    // A key that was overwritten with another type while a third region added to the old one: nothing was reported, since
    // there were as many types as before.
    check(
        "an overwrite beside an addition",
        add("k", "m"),
        set("k", "v"),
        add("k", "n"),
        &[("set-aw", Type, Some("set-aw"))],
    );
}

// The third type of a key was lost without a word.
#[test]
fn three_types_leave_two_records_everywhere() {
    let mut islands = [Island::new(1), Island::new(2), Island::new(3)];
    let [a, b, c] = &mut islands;
    a.run(set("k", "v"));
    b.run(add("k", "m"));
    c.run(|txn| {
        let score = Score::try_from(1.0).expect("a number");
        let pairs = [(&b"m"[..], score)];
        let added = txn.sorted_set_add(b"k", &pairs, AddIf::Always, ScoreIf::Any);
        added.expect("the key is free");
    });
    meet_all(&mut islands);
    for island in &islands {
        let mut lost: Vec<&str> = Vec::new();
        let records = island.records();
        lost.extend(records.iter().map(|record| record.component_name()));
        lost.sort_unstable();
        assert_eq!(lost, ["set-aw", "sorted-set"]);
    }
}

#[test]
fn deadlines() {
    let (soon, later) = (NOW_MS + 60_000, NOW_MS + 90_000);
    let lost = |value| [("deadline", Deadline, value)];
    check(
        "two",
        set("k", "v"),
        until("k", soon),
        until("k", later),
        &lost(Some("1700000060000")),
    );
    check(
        "the same",
        set("k", "v"),
        until("k", soon),
        until("k", soon),
        &[],
    );
    let limited = |txn: &mut Txn<'_>| txn.set_string(b"k", b"v", Expiry::At(soon));
    let persist = |txn: &mut Txn<'_>| assert!(txn.set_deadline(b"k", None));
    check(
        "against taking it away",
        limited,
        until("k", later),
        persist,
        &lost(Some("1700000090000")),
    );
    check(
        "taking it away against one",
        limited,
        persist,
        until("k", later),
        &lost(None),
    );
    check(
        "against an overwrite",
        set("k", "v"),
        until("k", soon),
        set("k", "w"),
        &lost(Some("1700000060000")),
    );
    let keep = |txn: &mut Txn<'_>| txn.set_string(b"k", b"w", Expiry::Keep);
    check("beside an edit", set("k", "v"), until("k", soon), keep, &[]);
    let both = |value: &'static str, at_ms| {
        move |txn: &mut Txn<'_>| txn.set_string(b"k", value.as_bytes(), Expiry::At(at_ms))
    };
    let value = ("register-lww", WriteWrite, Some("older"));
    check(
        "with its value",
        nothing,
        both("older", soon),
        both("newer", later),
        &[value],
    );
}

#[test]
fn what_outlives_its_deadline() {
    let (mut a, mut b) = pair();
    a.run(add("s", "seen"));
    a.run(until("s", NOW_MS + 100));
    meet(&mut a, &mut b);
    a.now_ms += 50;
    a.run(add("s", "unseen"));
    b.now_ms += 200;
    b.run(add("s", "new"));
    meet(&mut a, &mut b);
    let record = a.only();
    assert_eq!(
        (record.component_name(), record.kind),
        ("deadline", Deadline)
    );
    assert_eq!(record.loser.value.as_deref(), Some(&b"1700000000100"[..]));
    // Only who meets the creation after the write can tell that it was one.
    assert!(b.records().is_empty());
}

#[test]
fn a_deadline_that_a_creator_had_not_seen_outlives_nothing() {
    let (mut a, mut b) = pair();
    let at_ms = NOW_MS + 50;
    a.run(|txn| txn.set_string(b"k", b"v", Expiry::At(at_ms)));
    a.run(until("k", at_ms));
    b.now_ms += 5000;
    b.run(add("k", "new"));
    meet(&mut a, &mut b);
    let open = |island: &Island| {
        let open = island.records().into_iter().filter(JournalRecord::is_open);
        let mut open: Vec<_> = open
            .map(|record| (record.loser.dot.sequence, record.component_name()))
            .collect();
        open.sort_unstable();
        open
    };
    // The second of two equal deadlines is the one that was lost; a region that has met them one by one has settled the first.
    assert_eq!(open(&a), [(1, "set-aw"), (2, "deadline")]);
    assert_eq!(open(&b), open(&a));
}

#[test]
fn increments_beside_text() {
    let lost = ("counter", WriteWrite, Some("5"));
    check(
        "an increment first",
        set("n", "1"),
        increment("n", 5),
        set("n", "text"),
        &[lost],
    );
    check(
        "text first",
        set("n", "1"),
        set("n", "text"),
        increment("n", 5),
        &[lost],
    );
    check(
        "integers add up",
        set("n", "1"),
        increment("n", 5),
        set("n", "7"),
        &[],
    );
    let count = |txn: &mut Txn<'_>| {
        txn.hash_increment(b"h", b"f", 5).expect("an integer");
    };
    let lost = ("map", WriteWrite, Some("5"));
    check(
        "in a field",
        put("f", "1"),
        count,
        put("f", "text"),
        &[lost],
    );
    check(
        "in a field, text first",
        put("f", "1"),
        put("f", "text"),
        count,
        &[lost],
    );
}

#[test]
fn two_kinds_of_register_under_one_key_are_two_types() {
    check(
        "one region has another rule for the key",
        nothing,
        |txn| {
            txn.keyspace_set(b"k", Strategy::MultiValue);
            txn.set_string(b"k", b"9", Expiry::Clear);
        },
        set("k", "8"),
        &[("register-mv", ConflictKind::Type, Some("register-mv"))],
    );
}

// Regions that met both writes had no open record: the first was settled by the second, which had none.
#[test]
fn the_last_of_several_hidden_strings_is_open_everywhere() {
    let (mut a, mut b) = pair();
    a.run(|txn| txn.keyspace_set(b"k", Strategy::MultiValue));
    a.run(set("k", "first"));
    a.run(set("k", "second"));
    b.run(set("k", "seen"));
    meet(&mut a, &mut b);
    let open = |island: &Island| -> Vec<u128> {
        let records = island.records();
        let open = records.iter().filter(|record| record.settled().is_none());
        open.map(|record| record.id).collect()
    };
    assert_eq!(open(&a).len(), 1);
    assert_eq!(open(&a), open(&b));
    for island in [&mut a, &mut b] {
        assert_eq!(island.string("k"), Some("seen".into()));
    }
    let id = open(&b)[0];
    b.run(|txn| txn.restore_loser(id, RestoreIf::Same))
        .expect("the register can be taken away");
    meet(&mut a, &mut b);
    for island in [&mut a, &mut b] {
        assert_eq!(island.string("k"), Some("second".into()));
        assert!(open(island).is_empty());
    }
}

// The migration overwrote it, and no record had its value.
#[test]
fn a_migration_leaves_a_key_alone_that_hides_a_value() {
    let (mut a, mut b) = pair();
    a.run(|txn| txn.keyspace_set(b"k", Strategy::Json));
    a.run(set("k", "{}"));
    b.run(set("k", "[]"));
    meet(&mut a, &mut b);
    assert_eq!(b.run(|txn| txn.migrate(b"k")), Migration::HasSiblings);
    assert_eq!(b.string("k"), Some("[]".into()));
    let id = b.only().id;
    b.run(|txn| txn.restore_loser(id, RestoreIf::Same))
        .expect("the register can be taken away");
    assert_eq!(b.string("k"), Some("{}".into()));
}

// Of two siblings that a string of the other kind hides, the earlier one had a record already, and was named once more.
#[test]
fn siblings_that_another_kind_hides_have_a_record_where_they_met_before() {
    let mut islands = [1, 2, 3].map(Island::new);
    let define = |txn: &mut Txn<'_>| txn.keyspace_set(b"k", Strategy::MultiValue);
    let [eu, us, ap] = &mut islands;
    // The replica with the greater id writes first.
    ap.run(define);
    ap.run(set("k", "first"));
    us.now_ms += 5;
    us.run(define);
    us.run(set("k", "second"));
    meet(us, ap);
    eu.run(set("k", "seen"));
    meet_all(&mut islands);
    for island in &mut islands {
        assert_eq!(island.string("k"), Some("seen".into()));
        let types = |record: &&JournalRecord| record.kind == ConflictKind::Type;
        assert_ne!(island.records().iter().filter(types).count(), 0);
        let siblings = island.run(|txn| txn.siblings(b"k").expect("there are three"));
        let values = siblings.versions.iter().map(|version| &version.value[..]);
        assert_eq!(values.collect::<Vec<_>>()[0], b"seen");
        assert_eq!(siblings.versions.len(), 3);
    }
    let eu = &mut islands[0];
    let winner = eu.records()[0].winner.dot;
    eu.run(|txn| txn.resolve_key(b"k", Answer::Dot(winner), RestoreIf::Same))
        .expect("it is what is read");
    assert_eq!(eu.string("k"), Some("seen".into()));
}
