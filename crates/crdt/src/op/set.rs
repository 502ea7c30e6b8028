//! Sets: elements that are present.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::borrow::Borrow;

use isles_clock::{Context, Dot, DotContext, Stamp, VectorClock};
use serde::{Deserialize, Serialize};

use super::{Map, MapOp, Nested, OpBased};
use crate::Crdt;
use crate::dots::{DotStore, Writer};
use crate::update::{FlagUpdate, MapUpdate, SetUpdate};

/// What makes an element present, and with that decides between concurrent additions and removals:
/// [`Presence`](super::Presence) or [`Veto`](super::Veto).
pub trait Member:
    DotStore<Update = FlagUpdate, Op = FlagUpdate, Value = bool, Listed = ()>
{
    /// Whether a removal is a write of its own, which beats additions that it had not observed, rather than the end
    /// of those that it had.
    const KEEPS_REMOVALS: bool;
}

/// A set; `P` decides between concurrent additions and removals. See [`AwSet`](super::AwSet) and [`RwSet`](super::RwSet).
///
/// ```text
/// eu: add x ---- add x ------->  AwSet: {x}; RwSet: {}
/// us:       \--- remove x ---->
/// ```
///
/// **Cost.** With *n* elements: adding, removing and finding one O(log n); clearing, and the value, O(n).
///
/// Almeida, Shoker and Baquero, *Delta State Replicated Data Types*, 2018, section 7; of removals that win, see
/// [`Veto`](super::Veto).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(
    transparent,
    bound(deserialize = "T: Ord + Deserialize<'de>, P: Member + Deserialize<'de>")
)]
pub struct Set<T, P> {
    members: Map<T, P>,
}

/// What the operation on a [`Set`] carries.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SetOp<T> {
    /// An element is added.
    Add(T),
    /// An element is removed.
    Remove(T),
    /// These elements are removed, of a set that keeps removals.
    RemoveAll(Vec<T>),
    /// Everything observed is removed, of a set that does not.
    Clear,
}

impl<T: Ord + Clone, P: Member> Set<T, P> {
    /// The empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether `element` is there.
    pub fn contains<Q>(&self, element: &Q) -> bool
    where
        T: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.members.get(element).is_some()
    }

    /// The elements, in their order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.members.iter().map(|(element, _)| element)
    }

    /// The number of elements.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is no element.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The element itself, where anything is known of it.
    pub(crate) fn element<Q>(&self, element: &Q) -> Option<&T>
    where
        T: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.members.key(element)
    }

    /// Removes every element that is here, each as a removal of its own.
    fn remove_each(&mut self, writer: &mut Writer<'_>) -> Self {
        let present: Vec<T> = self.iter().cloned().collect();
        let mut fragment = Map::unnamed();
        for element in present {
            let part = self.disable(writer, element);
            fragment.append(part);
        }
        Self { members: fragment }
    }

    fn disable(&mut self, writer: &mut Writer<'_>, element: T) -> Map<T, P> {
        let update = MapUpdate::Update(element, FlagUpdate::Disable);
        self.members.mutate(writer, update)
    }
}

impl<T, P> Default for Set<T, P> {
    fn default() -> Self {
        Self {
            members: Map::default(),
        }
    }
}

impl<T: Ord + Clone, P: Member> Crdt for Set<T, P> {
    type Update = SetUpdate<T>;
    type Value = BTreeSet<T>;

    fn value(&self) -> BTreeSet<T> {
        self.iter().cloned().collect()
    }

    fn forget(&mut self, stable: &VectorClock) {
        self.members.forget(stable);
    }
}

impl<T: Ord + Clone, P: Member> OpBased for Set<T, P> {
    type Op = SetOp<T>;

    fn prepare(&self, _: Stamp, update: SetUpdate<T>) -> Option<SetOp<T>> {
        match update {
            SetUpdate::Add(element) => Some(SetOp::Add(element)),
            SetUpdate::Remove(element) => (P::KEEPS_REMOVALS || self.members.holds(&element))
                .then_some(SetOp::Remove(element)),
            SetUpdate::Clear if self.is_empty() => None,
            SetUpdate::Clear if P::KEEPS_REMOVALS => {
                Some(SetOp::RemoveAll(self.iter().cloned().collect()))
            }
            SetUpdate::Clear => Some(SetOp::Clear),
        }
    }

    fn effect(&mut self, dot: Dot, ctx: &impl Context, op: SetOp<T>) {
        let mut flag = |element, op| {
            let op = MapOp::Update(element, op);
            self.members.effect(dot, ctx, op);
        };
        match op {
            SetOp::Add(element) => flag(element, FlagUpdate::Enable),
            SetOp::Remove(element) => flag(element, FlagUpdate::Disable),
            SetOp::RemoveAll(elements) => elements
                .into_iter()
                .for_each(|element| flag(element, FlagUpdate::Disable)),
            SetOp::Clear => self.members.remove_observed(ctx, None),
        }
    }
}

impl<T: Ord + Clone, P: Member> Nested for Set<T, P> {
    type Listed = ();

    fn is_live(&self) -> bool {
        self.members.is_live()
    }

    fn is_empty(&self) -> bool {
        Nested::is_empty(&self.members)
    }

    fn prepare_removal(&self) -> Option<()> {
        None
    }

    fn forget_all(&mut self) {
        self.members.forget_all();
    }

    fn remove_observed(&mut self, ctx: &impl Context, _: Option<&()>) {
        self.members.remove_observed(ctx, None);
    }
}

impl<T: Ord + Clone, P: Member> DotStore for Set<T, P> {
    fn unnamed() -> Self {
        let members = Map::unnamed();
        Self { members }
    }

    fn is_state(&self) -> bool {
        self.members.is_state()
    }

    fn each_dot(&self, visit: &mut dyn FnMut(Dot)) {
        self.members.each_dot(visit);
    }

    fn each_removal(&self, visit: &mut dyn FnMut(Dot)) {
        self.members.each_removal(visit);
    }

    fn join(&mut self, seen: &DotContext, other: &Self, theirs: &DotContext) {
        self.members.join(seen, &other.members, theirs);
    }

    fn mutate(&mut self, writer: &mut Writer<'_>, update: SetUpdate<T>) -> Self {
        let members = match update {
            SetUpdate::Add(element) => {
                let update = MapUpdate::Update(element, FlagUpdate::Enable);
                self.members.mutate(writer, update)
            }
            SetUpdate::Remove(element) if P::KEEPS_REMOVALS => self.disable(writer, element),
            SetUpdate::Remove(element) => self.members.mutate(writer, MapUpdate::Remove(element)),
            SetUpdate::Clear if P::KEEPS_REMOVALS => return self.remove_each(writer),
            SetUpdate::Clear => self.members.wipe(writer),
        };
        Self { members }
    }

    fn wipe(&mut self, writer: &mut Writer<'_>) -> Self {
        let members = self.members.wipe(writer);
        Self { members }
    }

    fn lacking(&self, theirs: &DotContext, kept: &mut Vec<Dot>) -> Self {
        let members = self.members.lacking(theirs, kept);
        Self { members }
    }
}
