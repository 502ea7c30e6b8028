//! Finding what has changed without walking through what has not.

use alloc::sync::Arc;

use super::{CountedTree, Item, Node};

impl<I: Item> CountedTree<I> {
    /// Visits the items of every leaf that has changed since the last visit, and some others beside them: O(changes · log n).
    /// What `visit` changes must not be the weight or the key.
    pub fn each_changed(&mut self, mut visit: impl FnMut(&mut I)) {
        Arc::make_mut(&mut self.root).each_changed(&mut visit);
    }

    /// Visits every item, and finds out anew what the branches know of them: O(n). What `visit` changes must not be the weight
    /// or the key, and counts as no change.
    pub fn each_mut(&mut self, mut visit: impl FnMut(&mut I)) {
        Arc::make_mut(&mut self.root).each_mut(&mut visit);
        self.known = self.root.known();
    }
}

impl<I: Item> Node<I> {
    fn each_mut(&mut self, visit: &mut impl FnMut(&mut I)) {
        match self {
            Self::Leaf(items) => items.iter_mut().for_each(visit),
            Self::Inner(branches) => {
                for branch in branches {
                    Arc::make_mut(&mut branch.node).each_mut(visit);
                    branch.known = branch.node.known();
                }
            }
        }
    }

    fn each_changed(&mut self, visit: &mut impl FnMut(&mut I)) {
        match self {
            Self::Leaf(items) => items.iter_mut().for_each(visit),
            Self::Inner(branches) => {
                for branch in branches.iter_mut().filter(|branch| branch.changed) {
                    branch.changed = false;
                    Arc::make_mut(&mut branch.node).each_changed(visit);
                }
            }
        }
    }
}
