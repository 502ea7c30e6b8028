//! Taking a row of items out of a tree, and putting trees together, in O(log n): whole subtrees change hands.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;

use super::{Branch, CountedTree, FANOUT_MAX, Item, Known, Node, skip};

/// Subtrees of one depth that follow each other, at least one.
type Row<I> = Vec<Branch<I>>;

impl<I: Item> CountedTree<I> {
    /// Cuts off the elements from `index` on. It must be the place of an item's first element, or the end.
    #[must_use = "what is cut off is not in this tree any more"]
    pub fn split_off(&mut self, index: usize) -> Self {
        if index >= self.weight() {
            return Self::new();
        }
        let mut cut = mem::take(self);
        if index == 0 {
            return cut;
        }
        let [left, right] = split(&cut.root, index);
        self.settle(left);
        cut.settle(right);
        cut
    }

    /// Puts the items of another tree behind those of this one, where they must belong.
    pub fn append(&mut self, other: Self) {
        if other.weight() == 0 {
            return;
        }
        if self.weight() == 0 {
            *self = other;
            return;
        }
        let heights = [self.root.height(), other.root.height()];
        let row = join([&self.root, &other.root], heights);
        self.settle(Node::Inner(row));
    }

    /// The items that `left` leaves, changed or not. Where `gone` says of what is known of a part of the tree that nothing is
    /// left of it, no item there is looked at.
    pub fn left_of(
        &self,
        mut gone: impl FnMut(&I::Summary) -> bool,
        mut left: impl FnMut(&I) -> Option<I>,
    ) -> Vec<I> {
        let mut kept = Vec::new();
        if self.weight() > 0 && !gone(self.summary()) {
            self.root
                .each_where(&mut |summary| !gone(summary), &mut |item| {
                    kept.extend(left(item))
                });
        }
        kept
    }

    /// Whether all that branches know is what follows from their items: O(n).
    pub fn is_sound(&self, same: impl Fn(&I::Summary, &I::Summary) -> bool) -> bool {
        self.root.is_known(&self.known, &same) && self.root.is_sound(&same)
    }
}

impl<I: Item> Node<I> {
    /// Branches between this node and a leaf.
    fn height(&self) -> usize {
        match self {
            Self::Leaf(_) => 0,
            Self::Inner(branches) => 1 + branches[0].node.height(),
        }
    }

    fn each_where(&self, enter: &mut impl FnMut(&I::Summary) -> bool, visit: &mut impl FnMut(&I)) {
        match self {
            Self::Leaf(items) => items.iter().for_each(visit),
            Self::Inner(branches) => {
                for branch in branches {
                    if enter(&branch.known.summary) {
                        branch.node.each_where(enter, visit);
                    }
                }
            }
        }
    }

    /// Whether what is known of this node holds for its parts.
    fn is_known(
        &self,
        known: &Known<I::Summary>,
        same: &impl Fn(&I::Summary, &I::Summary) -> bool,
    ) -> bool {
        let found = self.known();
        known.weight == found.weight && same(&known.summary, &found.summary)
    }

    fn is_sound(&self, same: &impl Fn(&I::Summary, &I::Summary) -> bool) -> bool {
        let Self::Inner(branches) = self else {
            return true;
        };
        branches.iter().all(|branch| {
            branch.node.len() > 0
                && branch.node.is_known(&branch.known, same)
                && branch.node.is_sound(same)
        })
    }
}

/// What lies before and what lies behind a place inside, in nodes of the same height.
fn split<I: Item>(node: &Node<I>, mut index: usize) -> [Node<I>; 2] {
    match node {
        Node::Leaf(items) => {
            let at = skip(items, Item::weight, &mut index);
            debug_assert_eq!(index, 0, "no item is cut in two");
            [&items[..at], &items[at..]].map(|items| Node::Leaf(items.to_vec()))
        }
        Node::Inner(branches) => {
            let at = skip(branches, |branch| branch.known.weight, &mut index);
            let (mut left, mut right) = (branches[..at].to_vec(), branches[at..].to_vec());
            if index > 0 {
                let [before, behind] = split(&branches[at].node, index);
                left.push(Branch::new(Arc::new(before)));
                right[0] = Branch::new(Arc::new(behind));
            }
            [left, right].map(Node::Inner)
        }
    }
}

/// One subtree behind another, as subtrees of the greater height. Those that meet are made one, or both full, so that cutting
/// leaves no thin nodes behind.
fn join<I: Item>(nodes: [&Arc<Node<I>>; 2], heights: [usize; 2]) -> Row<I> {
    let [left, right] = nodes;
    let (mut before, met, behind) = match (&**left, &**right) {
        (Node::Leaf(items), Node::Leaf(more)) => {
            let items = items.iter().chain(more).cloned().collect();
            return row(items, Node::Leaf);
        }
        (Node::Inner(branches), Node::Inner(more)) if heights[0] == heights[1] => {
            let (last, before) = branches.split_last().expect("no node is empty");
            let (first, behind) = more.split_first().expect("no node is empty");
            let below = heights.map(|height| height - 1);
            let met = join([&last.node, &first.node], below);
            (before.to_vec(), met, behind)
        }
        (Node::Inner(branches), _) if heights[0] > heights[1] => {
            let (last, before) = branches.split_last().expect("no node is empty");
            let met = join([&last.node, right], [heights[0] - 1, heights[1]]);
            (before.to_vec(), met, &[][..])
        }
        (_, Node::Inner(more)) => {
            let (first, behind) = more.split_first().expect("no node is empty");
            let met = join([left, &first.node], [heights[0], heights[1] - 1]);
            (Vec::new(), met, behind)
        }
        (Node::Inner(_), Node::Leaf(_)) => unreachable!("a leaf has no height"),
    };
    before.extend(met);
    before.extend_from_slice(behind);
    row(before, Node::Inner)
}

/// As few nodes of about equal size as take these parts.
fn row<I: Item, P: Clone>(parts: Vec<P>, node: impl Fn(Vec<P>) -> Node<I>) -> Row<I> {
    let count = parts.len().div_ceil(FANOUT_MAX);
    let each = parts.len().div_ceil(count);
    let pieces = parts.chunks(each);
    pieces
        .map(|piece| Branch::new(Arc::new(node(piece.to_vec()))))
        .collect()
}
