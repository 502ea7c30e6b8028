//! Random histories on three replicas, run against a type and against the events it should stand for.

use std::collections::BTreeSet;
use std::fmt::Debug;

use isles_clock::{Hlc, ReplicaId, Stamp};
use isles_crdt::Merge;
use proptest::prelude::*;

pub(crate) const REPLICAS: usize = 3;
const STEPS_MAX: usize = 24;

/// A type under test, with the operations that change it.
pub(crate) trait Subject:
    Merge + Clone + PartialEq + Debug + serde::Serialize + serde::de::DeserializeOwned
{
    type Op: Clone + Debug;
    /// What a reader sees.
    type View: PartialEq + Debug;

    fn empty() -> Self;
    /// Does `op` at a replica; the stamp is unique, and grows in the order of the history.
    fn apply(&mut self, stamp: Stamp, op: &Self::Op);
    fn view(&self) -> Self::View;
    /// What a reader should see after these events, each with the events its writer had seen.
    fn expected(events: &[&Event<Self::Op>]) -> Self::View;
}

#[derive(Clone, Debug)]
pub(crate) enum Step<O> {
    Do(usize, O),
    Merge { into: usize, from: usize },
}

/// One operation of a history, and which earlier ones its replica had seen.
#[derive(Debug)]
pub(crate) struct Event<O> {
    pub(crate) stamp: Stamp,
    pub(crate) op: O,
    pub(crate) index: usize,
    pub(crate) seen: BTreeSet<usize>,
}

pub(crate) fn steps<O: Clone + Debug + 'static>(
    op: impl Strategy<Value = O> + 'static,
) -> impl Strategy<Value = Vec<Step<O>>> {
    let step = prop_oneof![
        3 => (0..REPLICAS, op).prop_map(|(at, op)| Step::Do(at, op)),
        2 => (0..REPLICAS, 0..REPLICAS).prop_map(|(into, from)| Step::Merge { into, from }),
    ];
    prop::collection::vec(step, 1..STEPS_MAX)
}

/// Runs a history; checks laws and meaning after every step, and that all replicas end up equal.
pub(crate) fn check<S: Subject>(steps: &[Step<S::Op>]) {
    let mut replicas: Vec<S> = vec![S::empty(); REPLICAS];
    let mut seen: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); REPLICAS];
    let mut events: Vec<Event<S::Op>> = Vec::new();
    let mut states = vec![S::empty()];
    for step in steps {
        let at = match step {
            Step::Do(at, op) => {
                let index = events.len();
                let stamp = Stamp::new(
                    Hlc::new(index as u64 + 1, 0),
                    ReplicaId::from_u128(*at as u128 + 1),
                );
                events.push(Event {
                    stamp,
                    op: op.clone(),
                    index,
                    seen: seen[*at].clone(),
                });
                let before = replicas[*at].clone();
                replicas[*at].apply(stamp, op);
                seen[*at].insert(index);
                assert_eq!(
                    join(&before, &replicas[*at]),
                    replicas[*at],
                    "a change is inflationary"
                );
                *at
            }
            Step::Merge { into, from } => {
                replicas[*into] = join(&replicas[*into], &replicas[*from]);
                let theirs = seen[*from].clone();
                seen[*into].extend(theirs);
                *into
            }
        };
        check_view(&replicas[at], &seen[at], &events);
        states.push(replicas[at].clone());
    }
    check_laws(&states);
    check_encoding(&replicas);
    check_convergence(&replicas, &events);
}

fn check_view<S: Subject>(state: &S, seen: &BTreeSet<usize>, events: &[Event<S::Op>]) {
    let seen: Vec<_> = events
        .iter()
        .filter(|event| seen.contains(&event.index))
        .collect();
    assert_eq!(state.view(), S::expected(&seen));
}

/// Every triple of some states of the history, recent and old ones.
fn check_laws<S: Subject>(states: &[S]) {
    let sample: Vec<&S> = states.iter().rev().step_by(1 + states.len() / 6).collect();
    for &a in &sample {
        assert_eq!(join(a, a), *a, "idempotent");
        for &b in &sample {
            let ab = join(a, b);
            assert_eq!(ab, join(b, a), "commutative");
            assert_eq!(join(&ab, b), ab, "an upper bound");
            for &c in &sample {
                assert_eq!(join(&ab, c), join(a, &join(b, c)), "associative");
            }
        }
    }
}

fn check_encoding<S: Subject>(replicas: &[S]) {
    for state in replicas {
        let bytes = postcard::to_allocvec(state).expect("a state has an encoding");
        assert_eq!(
            &postcard::from_bytes::<S>(&bytes).expect("an encoding is a state"),
            state
        );
    }
}

fn check_convergence<S: Subject>(replicas: &[S], events: &[Event<S::Op>]) {
    let forwards = replicas
        .iter()
        .fold(S::empty(), |all, each| join(&all, each));
    let backwards = replicas
        .iter()
        .rev()
        .fold(S::empty(), |all, each| join(&all, each));
    assert_eq!(forwards, backwards);
    check_view(&forwards, &(0..events.len()).collect(), events);
}

fn join<S: Merge + Clone>(left: &S, right: &S) -> S {
    let mut joined = left.clone();
    joined.merge(right);
    joined
}

/// The events that no later one of these has both seen and, by `beats`, done away with.
pub(crate) fn surviving<'a, O>(
    events: &[&'a Event<O>],
    beats: impl Fn(&Event<O>, &Event<O>) -> bool,
) -> Vec<&'a Event<O>> {
    let beaten = |event: &Event<O>| {
        events
            .iter()
            .any(|later| later.seen.contains(&event.index) && beats(later, event))
    };
    events
        .iter()
        .copied()
        .filter(|event| !beaten(event))
        .collect()
}
