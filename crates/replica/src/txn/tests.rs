//! Commands on two replicas that exchange frames: what one writes is what the other reads.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use isles_clock::ReplicaId;
use isles_resolve::Strategy as Resolution;
use proptest::prelude::*;

use crate::delivery::{Lane, LaneKind};
use crate::{
    AddIf, ConflictKind, Expiry, Frame, Lens, Observer, Replica, ReplicaConfig, Scope, Score,
    ScoreIf, Txn, UnloggedContent,
};

mod size;

const NOW_MS: u64 = 1_700_000_000_000;

/// A replica and everything that it has logged.
struct Island {
    replica: Replica,
    frames: Vec<Frame>,
    chain: u64,
    now_ms: u64,
}

impl Island {
    fn new(id: u128) -> Self {
        let replica = Replica::new(ReplicaId::from_u128(id), ReplicaConfig::default());
        Island {
            replica,
            frames: Vec::new(),
            chain: 0,
            now_ms: NOW_MS,
        }
    }

    fn run<R>(&mut self, scope: Scope, act: impl FnOnce(&mut Txn<'_>) -> R) -> R {
        let mut txn = self.replica.txn(self.now_ms, scope);
        let result = act(&mut txn);
        txn.commit().expect("the entry is small");
        result
    }

    /// Makes everything durable.
    fn flush(&mut self) {
        let taken = self.replica.take_unlogged();
        let Some(last) = taken.last().map(|unlogged| unlogged.number) else {
            return;
        };
        let mut logged = Vec::new();
        for unlogged in taken {
            match unlogged.content {
                UnloggedContent::Own(open) => {
                    let frame = open.seal(self.chain);
                    self.chain = frame.chain();
                    self.frames.push(frame.clone());
                    logged.push(frame);
                }
                UnloggedContent::Remote(frame) => logged.push(frame),
                UnloggedContent::Note(_) => {}
            }
        }
        self.replica.note_durable(last, &logged);
    }

    /// Takes everything that `other` has written itself.
    fn learn(&mut self, other: &mut Island) {
        other.flush();
        self.flush();
        let lane = Lane {
            peer: other.replica.id(),
            kind: LaneKind::Direct,
        };
        for frame in &other.frames {
            let bytes = frame.bytes().clone();
            let frame = Frame::decode(bytes).expect("what was sealed decodes");
            _ = self
                .replica
                .offer(frame, lane)
                .expect("what was sealed is known");
        }
        while self.replica.apply_ready(self.now_ms) > 0 {}
        self.flush();
    }

    fn string(&mut self, key: &str) -> Option<String> {
        self.run(Scope::Once, |txn| {
            let value = txn.string(key.as_bytes()).expect("it is a string");
            value.map(|value| String::from_utf8_lossy(&value).into_owned())
        })
    }

    fn members(&mut self, key: &str) -> Vec<String> {
        self.run(Scope::Once, |txn| {
            let mut members = Vec::new();
            txn.set_members(key.as_bytes(), &mut |member| {
                members.push(String::from_utf8_lossy(member).into_owned());
                ControlFlow::Continue(())
            })
            .expect("it is a set");
            members.sort();
            members
        })
    }

    fn set(&mut self, key: &str, value: &str) {
        self.run(Scope::Once, |txn| {
            txn.set_string(key.as_bytes(), value.as_bytes(), Expiry::Clear)
        });
    }
}

fn pair() -> (Island, Island) {
    (Island::new(1), Island::new(2))
}

fn meet(a: &mut Island, b: &mut Island) {
    a.learn(b);
    b.learn(a);
    assert_eq!(a.replica.applied(), b.replica.applied());
    assert_eq!(
        a.replica.digest(),
        b.replica.digest(),
        "equal clocks, different content"
    );
    a.replica.check().expect("what is derived fits the content");
    b.replica.check().expect("what is derived fits the content");
}

#[test]
fn the_later_write_wins_and_the_loser_is_on_record_in_both() {
    let (mut a, mut b) = pair();
    a.set("k", "from a");
    b.now_ms += 5;
    b.set("k", "from b");
    meet(&mut a, &mut b);
    assert_eq!(
        (a.string("k"), b.string("k")),
        (Some("from b".into()), Some("from b".into()))
    );
    let record = |island: &Island| {
        let [record] = &island
            .replica
            .conflicts()
            .iter()
            .cloned()
            .collect::<Vec<_>>()[..]
        else {
            panic!("one write was lost, so there is one record");
        };
        (record.id, record.kind, record.loser.value.clone())
    };
    assert_eq!(record(&a), record(&b));
    assert_eq!(record(&a).1, ConflictKind::WriteWrite);
    assert_eq!(record(&a).2.as_deref(), Some(&b"from a"[..]));
}

#[test]
fn a_write_that_has_seen_the_other_is_no_conflict_although_its_clock_is_behind() {
    let (mut a, mut b) = pair();
    a.now_ms += 60_000;
    a.set("k", "ahead of time");
    meet(&mut a, &mut b);
    b.set("k", "later");
    meet(&mut a, &mut b);
    assert_eq!(a.string("k"), Some("later".into()));
    assert!(a.replica.conflicts().is_empty() && b.replica.conflicts().is_empty());
}

#[test]
fn increments_of_both_sides_count_and_a_delete_takes_what_it_saw() {
    let (mut a, mut b) = pair();
    a.run(Scope::Once, |txn| txn.increment(b"n", 5))
        .expect("a counter");
    meet(&mut a, &mut b);
    b.run(Scope::Once, |txn| txn.delete(b"n"));
    a.run(Scope::Once, |txn| txn.increment(b"n", 3))
        .expect("a counter");
    meet(&mut a, &mut b);
    assert_eq!(
        (a.string("n"), b.string("n")),
        (Some("3".into()), Some("3".into()))
    );
}

#[test]
fn an_integer_string_and_its_increments_are_one_number() {
    let (mut a, mut b) = pair();
    a.set("n", "10");
    meet(&mut a, &mut b);
    a.run(Scope::Once, |txn| txn.increment(b"n", 1))
        .expect("an integer");
    b.run(Scope::Once, |txn| txn.increment(b"n", 2))
        .expect("an integer");
    meet(&mut a, &mut b);
    assert_eq!(a.string("n"), Some("13".into()));
    b.set("n", "0");
    meet(&mut a, &mut b);
    assert_eq!(a.string("n"), Some("0".into()));
}

#[test]
fn an_addition_beats_a_concurrent_removal() {
    let (mut a, mut b) = pair();
    a.run(Scope::Once, |txn| txn.set_add(b"s", &[b"x", b"y"]))
        .expect("a set");
    meet(&mut a, &mut b);
    a.run(Scope::Once, |txn| txn.set_add(b"s", &[b"x"]))
        .expect("a set");
    b.run(Scope::Once, |txn| txn.set_remove(b"s", &[b"x", b"y"]))
        .expect("a set");
    meet(&mut a, &mut b);
    assert_eq!(a.members("s"), ["x"]);
    assert_eq!(b.members("s"), ["x"]);
}

#[test]
fn siblings_stay_until_a_write_that_has_seen_them() {
    let (mut a, mut b) = pair();
    a.run(Scope::Once, |txn| {
        txn.keyspace_set(b"mv:", Resolution::MultiValue)
    });
    meet(&mut a, &mut b);
    a.set("mv:k", "one");
    b.set("mv:k", "two");
    meet(&mut a, &mut b);
    let siblings = a
        .run(Scope::Once, |txn| txn.siblings(b"mv:k"))
        .expect("a register");
    assert_eq!(siblings.versions.len(), 2);
    b.run(Scope::Once, |txn| {
        txn.set_string_in_context(b"mv:k", b"both", &siblings.context)
    })
    .expect("the context has arrived");
    meet(&mut a, &mut b);
    let siblings = a
        .run(Scope::Once, |txn| txn.siblings(b"mv:k"))
        .expect("a register");
    assert_eq!(siblings.versions.len(), 1);
    assert_eq!(a.string("mv:k"), Some("both".into()));
}

/// Writes down what it is told; its clock goes on by a microsecond with each look.
#[derive(Clone, Debug, Default)]
struct Told {
    lines: Arc<Mutex<Vec<String>>>,
    now_ns: Arc<AtomicU64>,
}

impl Told {
    fn note(&self, line: String) {
        self.lines.lock().expect("no test panics here").push(line);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.lines.lock().expect("no test panics here"))
    }
}

impl Observer for Told {
    fn now_ns(&self) -> u64 {
        self.now_ns.fetch_add(1_000, Ordering::Relaxed)
    }

    fn resolved(&self, lens: &Lens, ns: u64) {
        self.note(format!("{lens} took {ns} ns"));
    }

    fn left_siblings(&self, siblings: usize) {
        self.note(format!("{siblings} siblings"));
    }

    fn collapsed(&self, open_ms: u64) {
        self.note(format!("open for {open_ms} ms"));
    }
}

#[test]
fn an_observer_is_told_what_becomes_of_conflicts_and_of_nothing_else() {
    let (mut a, mut b) = pair();
    a.run(Scope::Once, |txn| txn.keyspace_set(b"mv:", Resolution::Min));
    meet(&mut a, &mut b);
    let told = Told::default();
    a.replica.observe(Box::new(told.clone()));
    for (key, at_a, at_b) in [("k", "1", "2"), ("mv:k", "3", "4")] {
        a.set(key, at_a);
        b.set(key, at_b);
    }
    assert_eq!(told.take(), [""; 0], "nobody disagrees yet");
    meet(&mut a, &mut b);
    assert_eq!(
        told.take(),
        ["lww took 1000 ns", "2 siblings", "min took 1000 ns"]
    );
    assert_eq!(a.replica.open_conflicts(), 1);
    assert_eq!(a.string("k"), Some("2".into()));
    assert_eq!(a.string("mv:k"), Some("3".into()));
    assert_eq!(told.take(), ["min took 1000 ns"], "one key has siblings");
    a.now_ms += 250;
    a.set("mv:k", "5");
    assert_eq!(told.take(), ["open for 250 ms"]);
    assert_eq!(a.replica.open_conflicts(), 0);
    a.set("mv:k", "6");
    assert_eq!(told.take(), [""; 0], "its conflict is over");
    let ops: Vec<_> = a.replica.remote_ops().collect();
    assert_eq!(ops, [(&b"mv:"[..], 1), (&b""[..], 1)]);
    let hot = a.replica.conflicts().hot_keys().top(1);
    assert_eq!((hot[0].key.as_slice(), hot[0].conflicts), (&b"k"[..], 1));
}

// What was open before a restart is timed from when it was detected, as the journal has it.
#[test]
fn an_observer_that_comes_later_finds_the_conflicts_that_are_open() {
    let (mut a, mut b) = pair();
    a.run(Scope::Once, |txn| {
        txn.keyspace_set(b"mv:", Resolution::MultiValue)
    });
    meet(&mut a, &mut b);
    for key in ["mv:open", "mv:closed"] {
        a.set(key, "1");
        b.set(key, "2");
    }
    meet(&mut a, &mut b);
    a.set("mv:closed", "3");
    a.now_ms += 1_000;
    let told = Told::default();
    a.replica.observe(Box::new(told.clone()));
    assert_eq!(a.replica.open_conflicts(), 1);
    assert_eq!(a.replica.conflicts().total(), 0);
    a.set("mv:open", "3");
    assert_eq!(told.take(), ["open for 1000 ms"]);
}

#[test]
fn a_stale_context_makes_a_sibling_and_not_a_loss() {
    let mut a = Island::new(1);
    a.run(Scope::Once, |txn| {
        txn.keyspace_set(b"mv:", Resolution::MultiValue)
    });
    a.set("mv:k", "one");
    let stale = a
        .run(Scope::Once, |txn| txn.siblings(b"mv:k"))
        .expect("a register")
        .context;
    a.set("mv:k", "two");
    a.run(Scope::Once, |txn| {
        txn.set_string_in_context(b"mv:k", b"three", &stale)
    })
    .expect("the context is of this replica");
    let siblings = a
        .run(Scope::Once, |txn| txn.siblings(b"mv:k"))
        .expect("a register");
    assert_eq!(siblings.versions.len(), 2);
}

#[test]
fn an_expired_key_is_hidden_and_created_anew_by_the_next_write() {
    let (mut a, mut b) = pair();
    a.run(Scope::Once, |txn| {
        txn.set_add(b"s", &[b"old"]).expect("a set");
    });
    a.run(Scope::Once, |txn| {
        txn.set_deadline(b"s", Some(NOW_MS + 100))
    });
    meet(&mut a, &mut b);
    (a.now_ms, b.now_ms) = (NOW_MS + 101, NOW_MS + 101);
    assert_eq!(b.members("s"), [""; 0]);
    assert_eq!(b.run(Scope::Once, |txn| txn.len()), 0);
    b.run(Scope::Once, |txn| txn.set_add(b"s", &[b"new"]))
        .expect("a set");
    meet(&mut a, &mut b);
    assert_eq!(a.members("s"), ["new"]);
    assert_eq!(a.run(Scope::Once, |txn| txn.deadline_ms(b"s")), Some(None));
}

#[test]
fn two_types_under_one_key_are_a_conflict_and_both_are_kept() {
    let (mut a, mut b) = pair();
    a.set("k", "text");
    b.run(Scope::Once, |txn| txn.set_add(b"k", &[b"member"]))
        .expect("a set");
    meet(&mut a, &mut b);
    assert_eq!(a.string("k"), Some("text".into()));
    let kinds = |island: &Island| {
        island
            .replica
            .conflicts()
            .iter()
            .map(|r| (r.id, r.kind))
            .collect::<Vec<_>>()
    };
    assert_eq!(kinds(&a), kinds(&b));
    assert_eq!(kinds(&a)[0].1, ConflictKind::Type);
}

#[test]
fn flushing_leaves_what_others_write_meanwhile() {
    let (mut a, mut b) = pair();
    a.set("seen", "1");
    meet(&mut a, &mut b);
    b.set("unseen", "2");
    a.run(Scope::Once, |txn| txn.clear())
        .expect("nothing was written before");
    meet(&mut a, &mut b);
    assert_eq!(
        (a.string("seen"), a.string("unseen")),
        (None, Some("2".into()))
    );
}

// Each command put the row back and applied all of the entry anew, which took minutes here.
#[test]
fn many_commands_of_one_entry_cost_what_they_cost() {
    const COMMANDS: u32 = 30_000;
    let (mut a, mut b) = pair();
    a.run(Scope::Many, |txn| {
        for name in (0..COMMANDS).map(u32::to_be_bytes) {
            txn.set_add(b"set", &[&name]).expect("it is a set");
            txn.hash_put(b"hash", &[(&name, b"1")])
                .expect("it is a hash");
            txn.hash_increment(b"counts", &name, 1)
                .expect("it is a hash");
            txn.sorted_set_add(
                b"scores",
                &[(&name, Score::ZERO)],
                AddIf::Always,
                ScoreIf::Any,
            )
            .expect("it is a sorted set");
        }
        for name in (0..COMMANDS).step_by(2).map(u32::to_be_bytes) {
            txn.set_remove(b"set", &[&name]).expect("it is a set");
            txn.hash_remove(b"hash", &[&name]).expect("it is a hash");
            txn.sorted_set_remove(b"scores", &[&name])
                .expect("it is a sorted set");
        }
    });
    meet(&mut a, &mut b);
    let len = b.run(Scope::Once, |txn| {
        (
            txn.set_len(b"set"),
            txn.hash_len(b"hash"),
            txn.hash_len(b"counts"),
        )
    });
    let half = COMMANDS as usize / 2;
    assert_eq!(len, (Ok(half), Ok(half), Ok(2 * half)));
}

/// A command of the grammar that the properties below draw from.
#[derive(Clone, Debug)]
enum Step {
    Set(u8, u8),
    SetKeeping(u8, u8),
    Increment(u8, i8),
    Delete(u8),
    Expire(u8, Option<u8>),
    SetAdd(u8, Vec<u8>),
    SetRemove(u8, Vec<u8>),
    HashPut(u8, u8, u8),
    HashIncrement(u8, u8, i8),
    HashRemove(u8, u8),
    Score(u8, u8, i8),
    ScoreIncrement(u8, u8, i8),
    ScoreRemove(u8, u8),
    Copy(u8, u8),
    Clear,
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0u8..4;
    let field = 0u8..3;
    prop_oneof![
        4 => (key.clone(), any::<u8>()).prop_map(|(k, v)| Step::Set(k, v)),
        1 => (key.clone(), any::<u8>()).prop_map(|(k, v)| Step::SetKeeping(k, v)),
        4 => (key.clone(), any::<i8>()).prop_map(|(k, by)| Step::Increment(k, by)),
        3 => key.clone().prop_map(Step::Delete),
        2 => (key.clone(), prop::option::of(0u8..3)).prop_map(|(k, at)| Step::Expire(k, at)),
        4 => (key.clone(), prop::collection::vec(0u8..4, 1..3)).prop_map(|(k, m)| Step::SetAdd(k, m)),
        3 => (key.clone(), prop::collection::vec(0u8..4, 1..3)).prop_map(|(k, m)| Step::SetRemove(k, m)),
        3 => (key.clone(), field.clone(), any::<u8>()).prop_map(|(k, f, v)| Step::HashPut(k, f, v)),
        3 => (key.clone(), field.clone(), any::<i8>()).prop_map(|(k, f, by)| Step::HashIncrement(k, f, by)),
        2 => (key.clone(), field.clone()).prop_map(|(k, f)| Step::HashRemove(k, f)),
        3 => (key.clone(), field.clone(), any::<i8>()).prop_map(|(k, m, s)| Step::Score(k, m, s)),
        3 => (key.clone(), field.clone(), any::<i8>()).prop_map(|(k, m, by)| Step::ScoreIncrement(k, m, by)),
        2 => (key.clone(), field).prop_map(|(k, m)| Step::ScoreRemove(k, m)),
        1 => (key.clone(), key).prop_map(|(from, to)| Step::Copy(from, to)),
        1 => Just(Step::Clear),
    ]
}

fn perform(txn: &mut Txn<'_>, step: &Step) {
    let byte = |value: &u8| [*value];
    match step {
        Step::Set(k, v) => txn.set_string(&byte(k), v.to_string().as_bytes(), Expiry::Clear),
        Step::SetKeeping(k, v) => txn.set_string(&byte(k), v.to_string().as_bytes(), Expiry::Keep),
        Step::Increment(k, by) => _ = txn.increment(&byte(k), i64::from(*by)),
        Step::Delete(k) => _ = txn.delete(&byte(k)),
        Step::Expire(k, at) => {
            _ = txn.set_deadline(&byte(k), at.map(|at| NOW_MS + u64::from(at) * 40))
        }
        Step::SetAdd(k, members) => {
            let members: Vec<&[u8]> = members.chunks(1).collect();
            _ = txn.set_add(&byte(k), &members);
        }
        Step::SetRemove(k, members) => {
            let members: Vec<&[u8]> = members.chunks(1).collect();
            _ = txn.set_remove(&byte(k), &members);
        }
        Step::HashPut(k, f, v) => {
            _ = txn.hash_put(&byte(k), &[(&byte(f), v.to_string().as_bytes())])
        }
        Step::HashIncrement(k, f, by) => _ = txn.hash_increment(&byte(k), &byte(f), i64::from(*by)),
        Step::HashRemove(k, f) => _ = txn.hash_remove(&byte(k), &[&byte(f)]),
        Step::Score(k, m, score) => {
            let pair: (&[u8], Score) = (&byte(m), Score::from(i32::from(*score)));
            _ = txn.sorted_set_add(&byte(k), &[pair], AddIf::Always, ScoreIf::Any);
        }
        Step::ScoreIncrement(k, m, by) => {
            let by = Score::from(i32::from(*by));
            _ = txn.sorted_set_increment(&byte(k), &byte(m), by, AddIf::Always, ScoreIf::Any);
        }
        Step::ScoreRemove(k, m) => _ = txn.sorted_set_remove(&byte(k), &[&byte(m)]),
        Step::Copy(from, to) => _ = txn.copy(&byte(from), &byte(to)),
        Step::Clear => _ = txn.clear(),
    }
}

/// Everything that readers see, in order.
fn content(island: &mut Island) -> Vec<String> {
    let now_ms = island.now_ms;
    let mut lines = Vec::new();
    for key in 0u8..4 {
        let mut txn = island.replica.txn(now_ms, Scope::Once);
        let value_type = txn.value_type(&[key]);
        let deadline = txn.deadline_ms(&[key]);
        let mut items = Vec::new();
        if let Ok(Some(value)) = txn.string(&[key]) {
            items.push(format!("{:?}", String::from_utf8_lossy(&value)));
        }
        _ = txn.set_members(&[key], &mut |member| {
            items.push(format!("{member:?}"));
            ControlFlow::Continue(())
        });
        _ = txn.hash_each(&[key], &mut |field, value| {
            items.push(format!("{field:?}={:?}", String::from_utf8_lossy(value)));
            ControlFlow::Continue(())
        });
        if let Ok(Some(set)) = txn.sorted_set(&[key]) {
            let scores = (0u8..3).map(|member| set.score(&[member]));
            items.push(format!("{:?}", scores.collect::<Vec<_>>()));
        }
        items.sort();
        lines.push(format!("{key}: {value_type:?} {deadline:?} {items:?}"));
    }
    lines
}

proptest! {
    /// What several commands did one after the other is what their entry's net effect does at once.
    #[test]
    fn a_transaction_arrives_as_it_was_seen(
        before in prop::collection::vec(step(), 0..8),
        entries in prop::collection::vec(prop::collection::vec(step(), 1..16), 1..6),
    ) {
        let (mut a, mut b) = pair();
        for step in &before {
            a.run(Scope::Once, |txn| perform(txn, step));
        }
        let mut stepwise = Island::new(3);
        for step in &before {
            stepwise.run(Scope::Once, |txn| perform(txn, step));
        }
        for entry in &entries {
            a.now_ms += 10;
            stepwise.now_ms += 10;
            a.run(Scope::Many, |txn| entry.iter().for_each(|step| perform(txn, step)));
            for step in entry {
                stepwise.run(Scope::Once, |txn| perform(txn, step));
            }
            let seen = content(&mut a);
            prop_assert_eq!(&seen, &content(&mut stepwise), "one entry differs from single commands");
            meet(&mut a, &mut b);
            b.now_ms = a.now_ms;
            prop_assert_eq!(&seen, &content(&mut b), "the entry arrived differently");
        }
    }

    /// Concurrent entries converge, whoever learns of whom first.
    #[test]
    fn concurrent_transactions_converge(
        rounds in prop::collection::vec(
            (prop::collection::vec((any::<bool>(), prop::collection::vec(step(), 1..4)), 1..6), any::<bool>()),
            1..6,
        ),
    ) {
        let (mut a, mut b) = pair();
        for (entries, a_first) in &rounds {
            for (at_a, entry) in entries {
                let island = if *at_a { &mut a } else { &mut b };
                island.now_ms += 7;
                let scope = if entry.len() == 1 { Scope::Once } else { Scope::Many };
                island.run(scope, |txn| entry.iter().for_each(|step| perform(txn, step)));
            }
            match a_first {
                true => meet(&mut a, &mut b),
                false => meet(&mut b, &mut a),
            }
            let now_ms = a.now_ms.max(b.now_ms);
            (a.now_ms, b.now_ms) = (now_ms, now_ms);
            prop_assert_eq!(content(&mut a), content(&mut b));
        }
    }
}

fn score(number: f64) -> crate::Score {
    crate::Score::try_from(number).expect("a number")
}

impl Island {
    fn give(&mut self, pairs: &[(&str, f64)]) {
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(name, number)| (name.as_bytes(), score(*number)))
            .collect();
        let any = (crate::AddIf::Always, crate::ScoreIf::Any);
        self.run(Scope::Once, |txn| {
            txn.sorted_set_add(b"z", &pairs, any.0, any.1)
        })
        .expect("a sorted set");
    }

    fn add_to(&mut self, name: &str, by: f64) {
        let any = (crate::AddIf::Always, crate::ScoreIf::Any);
        self.run(Scope::Once, |txn| {
            txn.sorted_set_increment(b"z", name.as_bytes(), score(by), any.0, any.1)
        })
        .expect("a sorted set")
        .expect("a number");
    }

    fn take(&mut self, name: &str) {
        self.run(Scope::Once, |txn| {
            txn.sorted_set_remove(b"z", &[name.as_bytes()])
        })
        .expect("a sorted set");
    }

    fn ranked(&mut self) -> Vec<(String, f64)> {
        self.run(Scope::Once, |txn| {
            let set = txn.sorted_set(b"z").expect("a sorted set");
            let members = set.into_iter().flat_map(|set| set.iter());
            members
                .map(|(name, score)| (String::from_utf8_lossy(name).into_owned(), score.get()))
                .collect()
        })
    }
}

#[track_caller]
fn both_rank(a: &mut Island, b: &mut Island, expected: &[(&str, f64)]) {
    meet(a, b);
    let expected: Vec<_> = expected
        .iter()
        .map(|(name, score)| ((*name).to_owned(), *score))
        .collect();
    assert_eq!(a.ranked(), expected);
    assert_eq!(b.ranked(), expected);
}

#[test]
fn of_two_scores_the_later_is_read_and_the_other_is_on_record() {
    let (mut a, mut b) = pair();
    b.now_ms += 5;
    a.give(&[("m", 9.0)]);
    b.give(&[("m", 1.0)]);
    both_rank(&mut a, &mut b, &[("m", 1.0)]);
    let records: Vec<_> = a.replica.conflicts().iter().collect();
    let [record] = records[..] else {
        panic!("one score was lost, so there is one record");
    };
    assert_eq!(record.kind, ConflictKind::WriteWrite);
    assert_eq!(record.loser.value.as_deref(), Some(&b"9"[..]));
    assert_eq!(record.field.as_deref(), Some(&b"m"[..]));
}

// With one score per member instead of all that nobody has observed, C's removal would have left A's at one replica and
// nothing at the other.
#[test]
fn a_removal_takes_the_score_that_it_saw_and_not_another() {
    let (mut a, mut b) = pair();
    let mut c = Island::new(3);
    a.now_ms += 5;
    a.give(&[("m", 1.0)]);
    c.learn(&mut a);
    b.give(&[("m", 2.0)]);
    c.take("m");
    a.learn(&mut b);
    a.learn(&mut c);
    b.learn(&mut a);
    b.learn(&mut c);
    both_rank(&mut a, &mut b, &[("m", 2.0)]);
}

#[test]
fn additions_add_up_and_a_score_replaces_those_it_saw() {
    let (mut a, mut b) = pair();
    a.give(&[("m", 10.0)]);
    meet(&mut a, &mut b);
    a.add_to("m", 0.5);
    b.add_to("m", 2.0);
    both_rank(&mut a, &mut b, &[("m", 12.5)]);
    a.give(&[("m", 1.0)]);
    b.add_to("m", 4.0);
    both_rank(&mut a, &mut b, &[("m", 5.0)]);
    a.take("m");
    b.add_to("m", 8.0);
    both_rank(&mut a, &mut b, &[("m", 8.0)]);
    a.run(Scope::Once, |txn| txn.delete(b"z"));
    both_rank(&mut a, &mut b, &[]);
}

#[test]
fn infinities_of_both_signs_read_as_zero() {
    let (mut a, mut b) = pair();
    a.give(&[("m", 1.0), ("n", -1.0)]);
    meet(&mut a, &mut b);
    a.add_to("m", f64::INFINITY);
    b.add_to("m", f64::NEG_INFINITY);
    both_rank(&mut a, &mut b, &[("n", -1.0), ("m", 0.0)]);
}

#[test]
fn a_member_that_is_written_again_beats_a_removal() {
    let (mut a, mut b) = pair();
    a.give(&[("m", 1.0)]);
    meet(&mut a, &mut b);
    a.give(&[("m", 1.0)]);
    b.take("m");
    both_rank(&mut a, &mut b, &[("m", 1.0)]);
}

#[test]
fn a_transaction_on_a_sorted_set_is_its_net_effect() {
    let (mut a, mut b) = pair();
    a.give(&[("m", 1.0), ("n", 2.0)]);
    a.add_to("m", 4.0);
    meet(&mut a, &mut b);
    let any = (crate::AddIf::Always, crate::ScoreIf::Any);
    a.run(Scope::Many, |txn| {
        let mut add = |name: &[u8], by| {
            txn.sorted_set_increment(b"z", name, score(by), any.0, any.1)
                .expect("a sorted set")
                .expect("a number")
        };
        assert_eq!(add(b"m", 1.0), Some(score(6.0)));
        assert_eq!(add(b"x", 3.0), Some(score(3.0)));
        txn.sorted_set_remove(b"z", &[b"n", b"x"]).expect("a set");
        txn.sorted_set_add(b"z", &[(b"m", score(2.0))], any.0, any.1)
            .expect("a sorted set");
        let mut add = |name: &[u8], by| {
            txn.sorted_set_increment(b"z", name, score(by), any.0, any.1)
                .expect("a sorted set")
                .expect("a number")
        };
        assert_eq!(add(b"m", 0.5), Some(score(2.5)));
        assert_eq!(add(b"n", 7.0), Some(score(7.0)));
    });
    b.add_to("m", 100.0);
    both_rank(&mut a, &mut b, &[("n", 7.0), ("m", 102.5)]);
}
