//! A sorted sequence that knows at every branch how many elements lie below: finds by place and by key in O(log n).
//!
//! A B+ tree whose nodes are shared between clones, so that a clone is O(1) and a change copies only the path that it
//! touches. An item may stand for several elements, its [weight](Item::weight). The tree keeps the order that it is
//! given: what the keys mean, and that items come in their order, is the caller's.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::{fmt, iter, mem, slice};

/// Items of a leaf, branches of an inner node.
const FANOUT_MAX: usize = 32;
/// A node with fewer joins a neighbour where both fit into one.
const FANOUT_LOW: usize = FANOUT_MAX / 4;

/// What a tree knows of neighbours without looking at them.
pub trait Summary: Clone + Default {
    /// Holds for what `other` holds for, too.
    fn merge(&mut self, other: &Self);

    /// One of the parts that it holds for was `old` and is `new`: it holds for `new`, and may go on holding for `old`, as bounds
    /// do.
    fn exchange(&mut self, old: &Self, new: &Self) {
        let _ = old;
        self.merge(new);
    }
}

/// Nothing but the weight is known.
impl Summary for () {
    fn merge(&mut self, (): &Self) {}
}

/// What a tree holds.
pub trait Item: Clone {
    /// What items are found by.
    type Key: Clone;
    /// What every branch knows of the items below it.
    type Summary: Summary;

    /// The key of its first element.
    fn key(&self) -> &Self::Key;

    /// How many elements it stands for, at least one.
    fn weight(&self) -> usize {
        1
    }

    /// Makes a summary hold for this item, too. Runs for every item of a leaf in which something has changed.
    fn summarize(&self, _summary: &mut Self::Summary) {}
}

/// A sorted sequence that finds by place and by key; see the module.
///
/// **Cost.** Finding and changing are O(log n), a clone is O(1), and the first change after a clone copies the path that
/// it touches.
pub struct CountedTree<I: Item> {
    root: Arc<Node<I>>,
    known: Known<I::Summary>,
}

/// What is known of a node without looking at it.
#[derive(Clone, Default)]
struct Known<S> {
    weight: usize,
    summary: S,
}

#[derive(Clone)]
enum Node<I: Item> {
    Leaf(Vec<I>),
    // Invariant: no branch is empty; all leaves are at one depth.
    Inner(Vec<Branch<I>>),
}

struct Branch<I: Item> {
    key: I::Key,
    known: Known<I::Summary>,
    /// Something below has changed since [`CountedTree::each_changed`] passed here.
    changed: bool,
    node: Arc<Node<I>>,
}

impl<I: Item> CountedTree<I> {
    /// The tree without items.
    #[must_use]
    pub fn new() -> Self {
        Self {
            root: Arc::new(Node::Leaf(Vec::new())),
            known: Known::default(),
        }
    }

    /// The number of elements.
    #[must_use]
    pub const fn weight(&self) -> usize {
        self.known.weight
    }

    /// What is known of all items: O(1).
    #[must_use]
    pub const fn summary(&self) -> &I::Summary {
        &self.known.summary
    }

    /// How many nodes no clone shares, so that dropping this tree frees them; counting ends at `most`.
    #[must_use]
    pub fn unshared_nodes(&self, most: usize) -> usize {
        let mut left = most;
        Node::count_unshared(&self.root, &mut left);
        most - left
    }

    /// The item that holds the element at `index`, and the element's place in it.
    #[must_use]
    pub fn at(&self, index: usize) -> Option<(&I, usize)> {
        let mut rest = index;
        let mut node = &*self.root;
        if index >= self.weight() {
            return None;
        }
        while let Node::Inner(branches) = node {
            node = &branches[skip(branches, |branch| branch.known.weight, &mut rest)].node;
        }
        let Node::Leaf(items) = node else {
            unreachable!("the loop ends at a leaf")
        };
        let item = skip(items, Item::weight, &mut rest);
        Some((&items[item], rest))
    }

    /// The last item whose key is not greater than what is looked for, and the number of elements before that item.
    /// `compare` says how a key lies to what is looked for.
    pub fn floor(&self, mut compare: impl FnMut(&I::Key) -> Ordering) -> Option<(usize, &I)> {
        let mut before = 0;
        let mut node = &*self.root;
        while let Node::Inner(branches) = node {
            let index = last_not_greater(branches, |branch| compare(&branch.key)).unwrap_or(0);
            before += weigh(&branches[..index], |branch| branch.known.weight);
            node = &branches[index].node;
        }
        let Node::Leaf(items) = node else {
            unreachable!("the loop ends at a leaf")
        };
        let index = last_not_greater(items, |item| compare(item.key()))?;
        before += weigh(&items[..index], Item::weight);
        Some((before, &items[index]))
    }

    /// How many elements come before the first item whose key does not satisfy `before`. The keys that do must come
    /// first.
    pub fn partition_point(&self, mut before: impl FnMut(&I::Key) -> bool) -> usize {
        let floor = self.floor(|key| match before(key) {
            true => Ordering::Less,
            false => Ordering::Greater,
        });
        floor.map_or(0, |(index, item)| index + item.weight())
    }

    /// Changes the leaf that holds the element at `index`: `change` gets the leaf's items, the place of the item, and
    /// that of the element in the item. In a tree without elements both are 0, and the leaf is empty.
    pub fn edit_at<R>(
        &mut self,
        index: usize,
        change: impl FnOnce(&mut Vec<I>, usize, usize) -> R,
    ) -> R {
        self.edit(ByIndex(index), |items, (item, inside)| {
            change(items, item, inside)
        })
    }

    /// Changes the leaf in which an item with the key that is looked for belongs: `change` gets the leaf's items and
    /// the place of the last one whose key is not greater, if there is one.
    pub fn edit_floor<R>(
        &mut self,
        compare: impl FnMut(&I::Key) -> Ordering,
        change: impl FnOnce(&mut Vec<I>, Option<usize>) -> R,
    ) -> R {
        self.edit(ByKey(compare), change)
    }

    /// Every item, in order.
    pub fn iter(&self) -> impl Iterator<Item = &I> {
        self.iter_from(0).map(|(item, _)| item)
    }

    /// The items from the one that holds the element at `index`; the first comes with the element's place in it.
    pub fn iter_from(&self, index: usize) -> impl Iterator<Item = (&I, usize)> {
        let mut walk = Walk {
            branches: Vec::new(),
            items: [].iter(),
        };
        let mut rest = index;
        if index < self.weight() {
            let mut node = &*self.root;
            while let Node::Inner(branches) = node {
                let at = skip(branches, |branch| branch.known.weight, &mut rest);
                walk.branches.push(branches[at + 1..].iter());
                node = &branches[at].node;
            }
            if let Node::Leaf(items) = node {
                walk.items = items[skip(items, Item::weight, &mut rest)..].iter();
            }
        }
        walk.zip(iter::once(rest).chain(iter::repeat(0)))
    }

    fn edit<S: Seek<I>, R>(
        &mut self,
        seek: S,
        change: impl FnOnce(&mut Vec<I>, S::Spot) -> R,
    ) -> R {
        let (result, mut split) = Arc::make_mut(&mut self.root).edit(seek, change, &mut self.known);
        let has_grown = !split.is_empty();
        while !split.is_empty() {
            let old = mem::replace(&mut self.root, Arc::new(Node::Inner(Vec::new())));
            split.insert(0, Branch::new(old));
            let mut root = Node::Inner(split);
            split = root.split();
            self.root = Arc::new(root);
        }
        if has_grown {
            self.known = self.root.known();
        }
        self.shrink();
        result
    }

    /// Puts another root in the place of this one.
    fn settle(&mut self, root: Node<I>) {
        self.known = root.known();
        self.root = Arc::new(root);
        self.shrink();
    }

    /// No branch stays alone below the root.
    fn shrink(&mut self) {
        while let Node::Inner(branches) = &*self.root {
            match branches.as_slice() {
                [] => *self = Self::new(),
                [only] => self.root = Arc::clone(&only.node),
                _ => break,
            }
        }
    }
}

/// How to find the way down, and the spot in the leaf.
trait Seek<I: Item> {
    type Spot;

    fn branch(&mut self, branches: &[Branch<I>]) -> usize;

    fn spot(self, items: &[I]) -> Self::Spot;
}

struct ByIndex(usize);

impl<I: Item> Seek<I> for ByIndex {
    type Spot = (usize, usize);

    fn branch(&mut self, branches: &[Branch<I>]) -> usize {
        skip(branches, |branch| branch.known.weight, &mut self.0)
    }

    fn spot(mut self, items: &[I]) -> (usize, usize) {
        let item = skip(items, Item::weight, &mut self.0);
        (item, self.0)
    }
}

struct ByKey<F>(F);

impl<I: Item, F: FnMut(&I::Key) -> Ordering> Seek<I> for ByKey<F> {
    type Spot = Option<usize>;

    fn branch(&mut self, branches: &[Branch<I>]) -> usize {
        last_not_greater(branches, |branch| (self.0)(&branch.key)).unwrap_or(0)
    }

    fn spot(mut self, items: &[I]) -> Option<usize> {
        last_not_greater(items, |item| (self.0)(item.key()))
    }
}

impl<I: Item> Node<I> {
    /// Changes a leaf below, and what is known of this node; returns also what no longer fits into it, as nodes that follow it.
    fn edit<S: Seek<I>, R>(
        &mut self,
        mut seek: S,
        change: impl FnOnce(&mut Vec<I>, S::Spot) -> R,
        known: &mut Known<I::Summary>,
    ) -> (R, Vec<Branch<I>>) {
        let result = match self {
            Self::Leaf(items) => {
                let spot = seek.spot(items);
                let result = change(items, spot);
                *known = self.known();
                result
            }
            Self::Inner(branches) => {
                let index = seek.branch(branches);
                let branch = &mut branches[index];
                let before = branch.known.clone();
                let node = Arc::make_mut(&mut branch.node);
                let (result, split) = node.edit(seek, change, &mut branch.known);
                // Nearly always this is all that has changed, and the other branches need not be looked at.
                known.exchange(&before, &branch.known);
                split.iter().for_each(|next| known.add(&next.known));
                if branch.node.len() == 0 {
                    branches.remove(index);
                } else {
                    branch.key = branch.node.key().clone();
                    branch.changed = true;
                    branches.splice(index + 1..index + 1, split);
                    join_neighbours(branches, index);
                }
                result
            }
        };
        let split = self.split();
        if !split.is_empty() {
            *known = self.known();
        }
        (result, split)
    }

    /// Cuts what is too much into nodes of about equal size; the first stays here.
    fn split(&mut self) -> Vec<Branch<I>> {
        match self {
            Self::Leaf(items) => pieces(items, Node::Leaf),
            Self::Inner(branches) => pieces(branches, Node::Inner),
        }
    }

    fn count_unshared(this: &Arc<Self>, left: &mut usize) {
        if *left == 0 || Arc::strong_count(this) > 1 {
            return;
        }
        *left -= 1;
        if let Self::Inner(branches) = &**this {
            let nodes = branches.iter().map(|branch| &branch.node);
            nodes.for_each(|node| Self::count_unshared(node, left));
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Leaf(items) => items.len(),
            Self::Inner(branches) => branches.len(),
        }
    }

    /// What follows from its parts.
    fn known(&self) -> Known<I::Summary> {
        let mut known = Known::default();
        match self {
            Self::Leaf(items) => {
                known.weight = weigh(items, Item::weight);
                items
                    .iter()
                    .for_each(|item| item.summarize(&mut known.summary));
            }
            Self::Inner(branches) => branches.iter().for_each(|part| known.add(&part.known)),
        }
        known
    }

    fn key(&self) -> &I::Key {
        match self {
            Self::Leaf(items) => items[0].key(),
            Self::Inner(branches) => &branches[0].key,
        }
    }

    /// Takes in the node that follows, of the same depth.
    fn append(&mut self, next: Self) {
        match (self, next) {
            (Self::Leaf(items), Self::Leaf(more)) => items.extend(more),
            (Self::Inner(branches), Self::Inner(more)) => branches.extend(more),
            _ => unreachable!("all leaves are at one depth"),
        }
    }
}

impl<I: Item> Branch<I> {
    fn new(node: Arc<Node<I>>) -> Self {
        Self {
            key: node.key().clone(),
            known: node.known(),
            changed: true,
            node,
        }
    }

    fn measure(&mut self) {
        self.key = self.node.key().clone();
        self.known = self.node.known();
        self.changed = true;
    }
}

impl<S: Summary> Known<S> {
    fn add(&mut self, other: &Self) {
        self.weight += other.weight;
        self.summary.merge(&other.summary);
    }

    fn exchange(&mut self, old: &Self, new: &Self) {
        self.weight = self.weight - old.weight + new.weight;
        self.summary.exchange(&old.summary, &new.summary);
    }
}

/// Joins the branch at `index` with one beside it, where it has become small and both fit into one node.
fn join_neighbours<I: Item>(branches: &mut Vec<Branch<I>>, index: usize) {
    let len = branches[index].node.len();
    if len >= FANOUT_LOW {
        return;
    }
    let fits = |branch: Option<&Branch<I>>| {
        branch.is_some_and(|branch| branch.node.len() + len <= FANOUT_MAX)
    };
    let first = if fits(branches.get(index + 1)) {
        index
    } else if index > 0 && fits(branches.get(index - 1)) {
        index - 1
    } else {
        return;
    };
    let next = branches.remove(first + 1).node;
    let next = Arc::try_unwrap(next).unwrap_or_else(|shared| (*shared).clone());
    let branch = &mut branches[first];
    Arc::make_mut(&mut branch.node).append(next);
    branch.measure();
}

/// Cuts a node's parts into several nodes if they are too many; the first piece stays in `parts`.
fn pieces<I: Item, P>(parts: &mut Vec<P>, node: impl Fn(Vec<P>) -> Node<I>) -> Vec<Branch<I>> {
    if parts.len() <= FANOUT_MAX {
        return Vec::new();
    }
    let count = parts.len().div_ceil(FANOUT_MAX);
    let each = parts.len().div_ceil(count);
    let mut rest = parts.drain(each..);
    iter::from_fn(|| {
        let piece: Vec<P> = rest.by_ref().take(each).collect();
        (!piece.is_empty()).then(|| Branch::new(Arc::new(node(piece))))
    })
    .collect()
}

/// The part in which the element `rest` lies, the last one at the most; `rest` becomes the place in it.
fn skip<P>(parts: &[P], weight: impl Fn(&P) -> usize, rest: &mut usize) -> usize {
    for (index, part) in parts.iter().enumerate() {
        let weight = weight(part);
        if *rest < weight || index + 1 == parts.len() {
            return index;
        }
        *rest -= weight;
    }
    0
}

fn weigh<P>(parts: &[P], weight: impl Fn(&P) -> usize) -> usize {
    parts.iter().map(weight).sum()
}

fn last_not_greater<P>(parts: &[P], mut compare: impl FnMut(&P) -> Ordering) -> Option<usize> {
    parts
        .partition_point(|part| compare(part) != Ordering::Greater)
        .checked_sub(1)
}

/// The way down to an item: what follows it in its leaf, and at each branch above.
struct Walk<'a, I: Item> {
    branches: Vec<slice::Iter<'a, Branch<I>>>,
    items: slice::Iter<'a, I>,
}

impl<'a, I: Item> Iterator for Walk<'a, I> {
    type Item = &'a I;

    fn next(&mut self) -> Option<&'a I> {
        loop {
            if let Some(item) = self.items.next() {
                return Some(item);
            }
            let branch = loop {
                match self.branches.last_mut()?.next() {
                    Some(branch) => break branch,
                    None => self.branches.pop(),
                };
            };
            let mut node = &*branch.node;
            while let Node::Inner(branches) = node {
                let mut rest = branches.iter();
                node = &rest.next().expect("no branch is empty").node;
                self.branches.push(rest);
            }
            if let Node::Leaf(items) = node {
                self.items = items.iter();
            }
        }
    }
}

impl<I: Item> Clone for CountedTree<I> {
    fn clone(&self) -> Self {
        Self {
            root: Arc::clone(&self.root),
            known: self.known.clone(),
        }
    }
}

impl<I: Item> Clone for Branch<I> {
    fn clone(&self) -> Self {
        Self {
            key: self.key.clone(),
            known: self.known.clone(),
            changed: self.changed,
            node: Arc::clone(&self.node),
        }
    }
}

impl<I: Item + fmt::Debug> fmt::Debug for CountedTree<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<I: Item> Default for CountedTree<I> {
    fn default() -> Self {
        Self::new()
    }
}

impl<I: Item> FromIterator<I> for CountedTree<I> {
    /// A tree of items that come in their order: O(n).
    fn from_iter<A: IntoIterator<Item = I>>(items: A) -> Self {
        let mut tree = Self::new();
        let items: Vec<I> = items.into_iter().collect();
        if !items.is_empty() {
            tree.edit_at(0, |leaf, _, _| *leaf = items);
        }
        tree
    }
}

mod changes;
mod cut;
#[cfg(test)]
mod tests;
