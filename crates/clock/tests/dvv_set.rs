//! A dotted version vector set keeps exactly the values that no known write had read.

use std::collections::{BTreeMap, BTreeSet};

use isles_clock::{Causality, Context, Dot, DvvSet, ReplicaId, UpdateError, VectorClock};
use proptest::prelude::*;

fn id(index: usize) -> ReplicaId {
    ReplicaId::from_u128(index as u128 + 1)
}

/// The meaning, in sets of dots: what is known, and which of it is a value still.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    known: BTreeSet<Dot>,
    values: BTreeMap<Dot, u32>,
}

impl Model {
    fn write(&mut self, read: &BTreeSet<Dot>, dot: Dot, value: u32) {
        self.discard(read);
        self.known.insert(dot);
        self.values.insert(dot, value);
    }

    fn discard(&mut self, read: &BTreeSet<Dot>) {
        self.values.retain(|dot, _| !read.contains(dot));
        self.known.extend(read);
    }

    fn sync(&mut self, other: &Self) {
        self.values
            .retain(|dot, _| other.values.contains_key(dot) || !other.known.contains(dot));
        let unknown = other
            .values
            .iter()
            .filter(|(dot, _)| !self.known.contains(dot));
        self.values.extend(unknown);
        self.known.extend(&other.known);
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// The client reads at the server.
    Read { client: usize, server: usize },
    /// The client writes at the server, with what it read last, wherever and whenever that was.
    Write { client: usize, server: usize },
    /// The client deletes what it read last.
    Delete { client: usize, server: usize },
    /// The server's whole set leaves for the others, to arrive at any time, or never, or often.
    Send { server: usize },
    /// Something that was sent arrives.
    Arrive { message: usize, server: usize },
}

/// Servers, clients and the messages between servers, once as sets under test and once as the model.
#[derive(Clone)]
struct World {
    servers: Vec<(DvvSet<u32>, Model)>,
    clients: Vec<(VectorClock, BTreeSet<Dot>)>,
    sent: Vec<(DvvSet<u32>, Model)>,
    written: u32,
}

impl World {
    fn new(servers: usize, clients: usize) -> Self {
        Self {
            servers: vec![Default::default(); servers],
            clients: vec![Default::default(); clients],
            sent: Vec::new(),
            written: 0,
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Read { client, server } => {
                let (set, model) = &self.servers[server];
                self.clients[client] = (set.context(), model.known.clone());
            }
            Step::Write { client, server } => {
                let (context, read) = &self.clients[client];
                let (set, model) = &mut self.servers[server];
                self.written += 1;
                let dot = set
                    .update(context, id(server), self.written)
                    .expect("the context was read");
                assert!(
                    !model.known.contains(&dot) && !read.contains(&dot),
                    "a dot is used once"
                );
                model.write(read, dot, self.written);
            }
            Step::Delete { client, server } => {
                let (context, read) = &self.clients[client];
                let (set, model) = &mut self.servers[server];
                set.discard(context);
                model.discard(read);
            }
            Step::Send { server } => self.sent.push(self.servers[server].clone()),
            Step::Arrive { message, server } => {
                if let Some(index) = message.checked_rem(self.sent.len()) {
                    let (set, model) = &mut self.servers[server];
                    set.sync(&self.sent[index].0);
                    model.sync(&self.sent[index].1);
                }
            }
        }
    }

    fn check(&self) {
        for (set, model) in &self.servers {
            let found: BTreeMap<Dot, u32> = set.iter().map(|(dot, value)| (dot, *value)).collect();
            assert_eq!(found, model.values);
            assert!(set.values().eq(model.values.values()));
            assert_eq!(
                (set.len(), set.is_empty()),
                (model.values.len(), model.values.is_empty())
            );
            assert!(model.known.iter().all(|dot| set.covers(*dot)));
            let known: u64 = set.context().iter().map(|(_, sequence)| sequence).sum();
            assert_eq!(
                known,
                model.known.len() as u64,
                "the context covers nothing else"
            );
        }
    }
}

const SERVERS: usize = 3;
const CLIENTS: usize = 3;

fn step() -> impl Strategy<Value = Step> {
    let (client, server) = (0..CLIENTS, 0..SERVERS);
    let both = (client, server.clone());
    prop_oneof![
        2 => both.clone().prop_map(|(client, server)| Step::Read { client, server }),
        4 => both.clone().prop_map(|(client, server)| Step::Write { client, server }),
        1 => both.prop_map(|(client, server)| Step::Delete { client, server }),
        2 => server.clone().prop_map(|server| Step::Send { server }),
        4 => (0usize..64, server).prop_map(|(message, server)| Step::Arrive { message, server }),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 0..40)
}

fn synced(left: &DvvSet<u32>, right: &DvvSet<u32>) -> DvvSet<u32> {
    let mut set = left.clone();
    set.sync(right);
    set
}

proptest! {
    #[test]
    fn siblings_are_what_the_model_keeps(steps in steps()) {
        let mut world = World::new(SERVERS, CLIENTS);
        for step in &steps {
            world.step(step);
            world.check();
        }
    }

    #[test]
    fn syncing_is_a_least_upper_bound(steps in steps()) {
        let mut world = World::new(SERVERS, CLIENTS);
        steps.iter().for_each(|step| world.step(step));
        let [a, b, c] = [0, 1, 2].map(|server| world.servers[server].0.clone());
        prop_assert_eq!(synced(&a, &b), synced(&b, &a));
        prop_assert_eq!(synced(&synced(&a, &b), &c), synced(&a, &synced(&b, &c)));
        prop_assert_eq!(synced(&a, &a), a.clone());
        let both = synced(&a, &b);
        prop_assert!(both.dominates(&a) && both.dominates(&b));
        prop_assert_eq!(a.dominates(&b), both == a);
        prop_assert_eq!(a.compare(&both) == Causality::Equal, both == a);
        for set in [a, b, c] {
            let bytes = postcard::to_allocvec(&set).expect("a set has an encoding");
            prop_assert_eq!(postcard::from_bytes::<DvvSet<u32>>(&bytes), Ok(set));
        }
    }
}

/// Every history of five steps of two servers and two clients, none left out.
#[test]
fn every_short_history_agrees_with_the_model() {
    const DEPTH: usize = 5;
    fn explore(world: &World, steps: &[Vec<Step>], depth: usize) -> usize {
        world.check();
        if depth == 0 {
            return 1;
        }
        let after = |program: &Vec<Step>| {
            let mut next = world.clone();
            program.iter().for_each(|step| next.step(step));
            explore(&next, steps, depth - 1)
        };
        steps.iter().map(after).sum()
    }
    let mut steps = Vec::new();
    for server in 0..2 {
        for client in 0..2 {
            steps.push(vec![Step::Read { client, server }]);
            steps.push(vec![Step::Write { client, server }]);
        }
        steps.push(vec![Step::Delete { client: 0, server }]);
        // Sent and received at once: what is late or twice is the property test's.
        let arrive = Step::Arrive {
            message: usize::MAX,
            server: 1 - server,
        };
        steps.push(vec![Step::Send { server }, arrive]);
    }
    let histories = explore(&World::new(2, 2), &steps, DEPTH);
    assert_eq!(histories, steps.len().pow(DEPTH as u32));
}

/// Two clients take turns, each with what it read before its last write. A version vector for the whole key must call
/// every one of these writes concurrent with all before it, and keeps them all.
#[test]
fn slow_clients_do_not_make_siblings_explode() {
    const WRITES: usize = 1_000;
    let mut set = DvvSet::new();
    let (mut vector, mut kept) = (VectorClock::new(), Vec::new());
    let mut readings = [VectorClock::new(), VectorClock::new()];
    for write in 0..WRITES {
        let client = write % 2;
        let read = std::mem::replace(&mut readings[client], set.context());
        set.update(&read, id(0), write)
            .expect("the context was read");
        assert!(set.len() <= 3 && set.values().any(|value| *value == write));
        if read.dominates(&vector) {
            kept.clear();
        }
        vector.next(id(0));
        kept.push(write);
    }
    assert_eq!(kept.len(), WRITES, "what a plain version vector keeps");
    assert_eq!(
        postcard::to_allocvec(&set)
            .expect("a set has an encoding")
            .len(),
        1 + 16 + 2 + 1 + 3 * 2
    );
}

#[test]
fn a_discarded_value_that_arrives_late_stays_away() {
    let mut eu = DvvSet::new();
    eu.update(&VectorClock::new(), id(0), "tea")
        .expect("a first write");
    let mut us = DvvSet::new();
    us.discard(&eu.context());
    us.sync(&eu);
    assert!(us.is_empty() && us.covers(Dot::new(id(0), 1)));
    assert_eq!(us.compare(&eu), Causality::After);
}

#[test]
fn made_up_contexts_change_nothing() {
    let mut set = DvvSet::new();
    set.update(&VectorClock::new(), id(0), ())
        .expect("a first write");
    let before = set.clone();
    let made_up = VectorClock::from_iter([(id(0), u64::MAX)]);
    assert_eq!(
        set.update(&made_up, id(0), ()),
        Err(UpdateError::SequencesExhausted)
    );
    assert_eq!(set, before);
}

/// A set from a stranger may stand at the last sequence there is; naming its siblings once overflowed behind the last.
#[test]
fn the_last_sequence_there_is_can_be_held() {
    let stranger = postcard::to_allocvec(&[(id(0), u64::MAX, vec![7u8, 8])])
        .expect("numbers have an encoding");
    let set: DvvSet<u8> = postcard::from_bytes(&[&[1], &stranger[..]].concat()).expect("a set");
    let dots: Vec<u64> = set.iter().map(|(dot, _)| dot.sequence).collect();
    assert_eq!(dots, [u64::MAX - 1, u64::MAX]);
}

#[test]
fn clients_that_never_read_are_stopped() {
    let (mut set, nothing_read) = (DvvSet::new(), VectorClock::new());
    for _ in 0..DvvSet::<()>::SIBLINGS_MAX {
        set.update(&nothing_read, id(0), ()).expect("there is room");
    }
    assert_eq!(
        set.update(&nothing_read, id(0), ()),
        Err(UpdateError::TooManySiblings)
    );
    let one_read = VectorClock::from_iter([(id(0), 1)]);
    set.update(&one_read, id(0), ()).expect("one was replaced");
    assert_eq!(set.len(), DvvSet::<()>::SIBLINGS_MAX);
    let bytes = postcard::to_allocvec(&set).expect("a set has an encoding");
    assert_eq!(postcard::from_bytes::<DvvSet<()>>(&bytes), Ok(set));
}

#[test]
fn decoding_refuses_what_is_never_written() {
    type Entries = [(ReplicaId, u64, Vec<u8>)];
    let decode =
        |entries: &Entries| postcard::from_bytes::<DvvSet<u8>>(&postcard::to_allocvec(entries)?);
    assert!(decode(&[(id(0), 2, vec![1, 2]), (id(1), 1, vec![])]).is_ok());
    assert!(decode(&[(id(0), 0, vec![])]).is_err());
    assert!(decode(&[(id(0), 1, vec![1, 2])]).is_err());
    assert!(decode(&[(id(0), 1, vec![]), (id(0), 1, vec![])]).is_err());
    assert!(decode(&[(id(1), 1, vec![]), (id(0), 1, vec![])]).is_err());
    // Values without bytes: the length alone must not keep anybody busy.
    let endless =
        postcard::to_allocvec(&[(id(0), u64::MAX, u64::MAX)]).expect("numbers have an encoding");
    let endless = [&[1], endless.as_slice()].concat();
    assert!(postcard::from_bytes::<DvvSet<()>>(&endless).is_err());
}
