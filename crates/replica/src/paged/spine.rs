//! Pages by number, in a persistent tree: a clone costs the same however many there are, and a write after it copies the
//! nodes on the way to one page.
//!
//! Up to 64 pages lie in one node, as in an array; each further level takes 64 times as many. A branch knows the bound of
//! what is below it, so that a whole part of a collection is passed over without a look into it.

use std::sync::Arc;

use super::Page;
use crate::bound::{Bound, Bounded};

const FANOUT_BITS: u32 = 6;
const FANOUT: usize = 1 << FANOUT_BITS;

#[derive(Clone, Debug)]
pub(super) struct Spine<V> {
    root: Node<V>,
    len: usize,
    /// Branches between the root and a page.
    levels: u32,
}

#[derive(Clone, Debug)]
enum Node<V> {
    Pages(Vec<Arc<Page<V>>>),
    Branches(Vec<Branch<V>>),
}

#[derive(Clone, Debug)]
struct Branch<V> {
    bound: Bound,
    node: Arc<Node<V>>,
}

impl<V> Spine<V> {
    pub(super) fn new() -> Self {
        Spine {
            root: Node::Pages(Vec::new()),
            len: 0,
            levels: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn get(&self, number: usize) -> &Page<V> {
        let (mut node, mut level) = (&self.root, self.levels);
        loop {
            match node {
                Node::Pages(pages) => return &pages[number % FANOUT],
                Node::Branches(branches) => {
                    node = &branches[place(number, level)].node;
                    level -= 1;
                }
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Page<V>> {
        (0..self.len).map(|number| self.get(number))
    }

    /// Visits the pages below the branches that `enter` says; all of them if they are so few that there are no branches.
    pub(super) fn each<'s>(
        &'s self,
        enter: &mut impl FnMut(&Bound) -> bool,
        visit: &mut impl FnMut(&'s Page<V>),
    ) {
        self.root.each(enter, visit);
    }

    /// How many nodes below the root no clone shares, so that dropping this frees them; counting ends at `most`.
    pub(super) fn unshared_nodes(&self, most: usize) -> usize {
        let mut left = most;
        self.root.count_unshared(&mut left);
        most - left
    }
}

impl<V: Clone + Bounded> Spine<V> {
    /// Changes a page, and raises the bounds above it by what `change` returns beside its result.
    pub(super) fn edit<R>(
        &mut self,
        number: usize,
        change: impl FnOnce(&mut Page<V>) -> (R, Bound),
    ) -> R {
        self.root.edit(number, self.levels, change).0
    }

    /// Adds a page behind the last one.
    pub(super) fn push(&mut self, page: Page<V>) {
        if self.len == FANOUT << (FANOUT_BITS * self.levels) {
            let full = std::mem::replace(&mut self.root, Node::Branches(Vec::new()));
            self.root = Node::Branches(vec![Branch {
                bound: full.bound(),
                node: Arc::new(full),
            }]);
            self.levels += 1;
        }
        self.root.push(self.len, self.levels, page);
        self.len += 1;
    }
}

impl<V> Node<V> {
    fn count_unshared(&self, left: &mut usize) {
        let Node::Branches(branches) = self else {
            return;
        };
        for branch in branches {
            if *left > 0 && Arc::strong_count(&branch.node) == 1 {
                *left -= 1;
                branch.node.count_unshared(left);
            }
        }
    }

    fn each<'s>(
        &'s self,
        enter: &mut impl FnMut(&Bound) -> bool,
        visit: &mut impl FnMut(&'s Page<V>),
    ) {
        match self {
            Node::Pages(pages) => pages.iter().for_each(|page| visit(page)),
            Node::Branches(branches) => {
                for branch in branches {
                    if enter(&branch.bound) {
                        branch.node.each(enter, visit);
                    }
                }
            }
        }
    }
}

impl<V: Clone + Bounded> Node<V> {
    fn edit<R>(
        &mut self,
        number: usize,
        level: u32,
        change: impl FnOnce(&mut Page<V>) -> (R, Bound),
    ) -> (R, Bound) {
        match self {
            Node::Pages(pages) => change(Arc::make_mut(&mut pages[number % FANOUT])),
            Node::Branches(branches) => {
                let branch = &mut branches[place(number, level)];
                let (result, raised) =
                    Arc::make_mut(&mut branch.node).edit(number, level - 1, change);
                branch.bound.merge(&raised);
                (result, raised)
            }
        }
    }

    fn push(&mut self, number: usize, level: u32, page: Page<V>) {
        match self {
            Node::Pages(pages) => pages.push(Arc::new(page)),
            Node::Branches(branches) => {
                let index = place(number, level);
                if index == branches.len() {
                    branches.push(Branch {
                        bound: Bound::default(),
                        node: Arc::new(Node::empty(level - 1)),
                    });
                }
                let branch = &mut branches[index];
                page.raise(&mut branch.bound);
                Arc::make_mut(&mut branch.node).push(number, level - 1, page);
            }
        }
    }

    fn empty(level: u32) -> Self {
        match level {
            0 => Node::Pages(Vec::new()),
            _ => Node::Branches(Vec::new()),
        }
    }
}

impl<V: Bounded> Spine<V> {
    /// Whether the bounds hold.
    pub(super) fn is_sound(&self) -> bool {
        self.root.is_sound()
    }
}

impl<V: Bounded> Node<V> {
    fn is_sound(&self) -> bool {
        match self {
            Node::Pages(_) => true,
            Node::Branches(branches) => branches.iter().all(|branch| {
                branch.bound.includes(&branch.node.bound()) && branch.node.is_sound()
            }),
        }
    }
}

impl<V: Bounded> Bounded for Spine<V> {
    /// Looks at the root's branches, or at all elements if there are none.
    fn raise(&self, bound: &mut Bound) {
        self.root.raise(bound);
    }
}

impl<V: Bounded> Bounded for Node<V> {
    fn raise(&self, bound: &mut Bound) {
        match self {
            Node::Pages(pages) => pages.iter().for_each(|page| page.raise(bound)),
            Node::Branches(branches) => branches
                .iter()
                .for_each(|branch| bound.merge(&branch.bound)),
        }
    }
}

/// Which branch of a node at this level leads to a page.
#[inline]
fn place(number: usize, level: u32) -> usize {
    (number >> (FANOUT_BITS * level)) % FANOUT
}
