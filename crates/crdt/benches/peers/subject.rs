//! What every crate is asked to do, in the same words.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// One crate's form of a type, holding numbers, at one replica.
pub(crate) trait Subject: Clone {
    /// The crate.
    const CRATE: &'static str;
    /// What is encoded: the state, without what only this bench keeps beside it.
    type State: Serialize + DeserializeOwned;

    /// The empty state at a replica.
    fn new(replica: usize) -> Self;

    /// What is encoded.
    fn state(&self) -> &Self::State;

    /// Adds, counts or writes `n`.
    fn put(&mut self, n: u64);

    /// Removes `n`; nothing where the type cannot.
    fn remove(&mut self, _n: u64) {}

    /// Takes in a state, which is consumed by crates that ask for that.
    fn merge(&mut self, other: &mut Option<Self>);

    /// Whether [`merge`](Self::merge) consumes the other state.
    const CONSUMES: bool = false;
}

/// A crate whose type has deltas.
pub(crate) trait Deltas: Subject {
    type Delta: Serialize + Clone;
    /// What a replica says of itself to be sent what it lacks.
    type Context;

    /// Puts `n`, and returns what changed.
    fn put_delta(&mut self, n: u64) -> Self::Delta;

    /// Removes `n`, and returns what changed.
    fn remove_delta(&mut self, n: u64) -> Self::Delta;

    fn apply(&mut self, delta: &Self::Delta);

    fn context(&self) -> Self::Context;

    /// What a replica with this context lacks.
    fn delta_since(&self, theirs: &Self::Context) -> Self::Delta;
}

pub(crate) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_allocvec(value).expect("a value has an encoding")
}

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> T {
    postcard::from_bytes(bytes).expect("an encoding is a value")
}

/// A state with `elements` numbers in it, put by one replica.
pub(crate) fn filled<S: Subject>(replica: usize, elements: u64) -> S {
    let mut state = S::new(replica);
    (0..elements).for_each(|n| state.put(n));
    state
}

/// Two replicas that have seen each other, and then one change each.
pub(crate) fn two<S: Subject>(elements: u64) -> (S, S) {
    let mut ours: S = filled(0, elements);
    let mut theirs = S::new(1);
    theirs.merge(&mut Some(ours.clone()));
    ours.put(elements);
    theirs.put(elements + 1);
    (ours, theirs)
}
