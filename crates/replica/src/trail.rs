//! What must be known of changes by name, so that one which loses to a deletion is recorded in every region, whichever of
//! the two arrives first.
//!
//! A sketch, as a bounded counter, is named by the entry that created it, and itself says nothing of the entries that have
//! changed it since. A deletion takes it away with what it had not seen: if the deletion comes last, the changes that it
//! may not have seen are listed here; if a change comes last, what it names is listed among what has gone. Neither is seen
//! by readers, summed or compared, and both go once every region is known to have seen them.

use isles_clock::{Context, Dot, Hlc, VectorClock};
use isles_crdt::Merge;
use isles_crdt::hyper_log_log::Sketch;
use isles_crdt::op::BoundedCounter;
use serde::{Deserialize, Serialize};

use crate::apply::Author;
use crate::conflict::Contender;
use crate::hyll::{self, SPARSE_BYTES_MAX_DEFAULT};

/// So many of the newest changes of one component are told one by one; older ones together, by name and writer.
const CHANGES_MAX: usize = 64;
/// Names and writers of which older changes are kept.
const OLDER_MAX: usize = 64;
/// Names that are kept of what has gone. Of older ones it is still seen that they have, by the deadline of the key, which
/// every deletion sets.
const GONE_MAX: usize = 64;

/// What a change did, and a deletion may lose.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Lost {
    /// Registers have risen.
    Sketch(Sketch),
    /// So much was added, or, below zero, taken; zero where only rights have changed hands.
    Amount(i128),
}

impl Lost {
    fn add(&mut self, other: &Lost) {
        match (self, other) {
            (Lost::Sketch(this), Lost::Sketch(other)) => this.merge(other),
            (Lost::Amount(this), Lost::Amount(other)) => *this = this.saturating_add(*other),
            // Those of one component are of one kind.
            _ => {}
        }
    }

    /// What a record says: the string that Redis would have, whatever this node's own settings, or a decimal number.
    fn value(&self) -> Vec<u8> {
        match self {
            Lost::Sketch(sketch) => hyll::encode(sketch, None, SPARSE_BYTES_MAX_DEFAULT),
            Lost::Amount(amount) => amount.to_string().into_bytes(),
        }
    }
}

/// A change that not every region is known to have seen, or several of one writer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Change {
    named: Dot,
    /// The entry; of several the last.
    dot: Dot,
    /// The sequence of the first.
    first: u64,
    hlc: Hlc,
    lost: Lost,
}

impl Change {
    pub(crate) fn new<C>(named: Dot, author: &Author<'_, C>, lost: Lost) -> Change {
        Change {
            named,
            dot: author.dot,
            first: author.dot.sequence,
            hlc: author.hlc,
            lost,
        }
    }

    fn append(&mut self, later: &Change) {
        (self.dot, self.hlc) = (later.dot, later.hlc);
        self.first = self.first.min(later.first);
        self.lost.add(&later.lost);
    }

    /// The side of a conflict that lost to somebody with this context. Where that had seen some of several changes, how
    /// much is lost is not known, and only said to be something.
    pub(crate) fn contender(&self, context: &impl Context, kept_bytes: usize) -> Contender {
        let is_partly_seen = context.covers(Dot::new(self.dot.replica, self.first));
        let kept_bytes = if is_partly_seen { 0 } else { kept_bytes };
        Contender::new(self.dot, self.hlc, Some(&self.lost.value()), kept_bytes)
    }
}

/// What has been deleted.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Gone {
    named: Dot,
    by: Dot,
    hlc: Hlc,
    /// What it had come to, with what came too late: totals say by how much they have grown only beside the last ones.
    counter: Option<Box<BoundedCounter>>,
}

/// Recent changes of what is named, and what has recently gone.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Trail {
    /// Those that are told together, of each name and writer one.
    older: Vec<Change>,
    /// The others, in the order applied.
    changes: Vec<Change>,
    gone: Vec<Gone>,
}

impl Trail {
    pub(crate) fn is_empty(&self) -> bool {
        self.older.is_empty() && self.changes.is_empty() && self.gone.is_empty()
    }

    /// Takes note of a change of what is there.
    pub(crate) fn note(&mut self, change: Change) {
        let last = self.changes.last_mut();
        // An entry may be applied in parts by its writer.
        let same = last.filter(|last| (last.named, last.dot) == (change.named, change.dot));
        match same {
            Some(last) => last.append(&change),
            None => self.changes.push(change),
        }
        if self.changes.len() > CHANGES_MAX {
            let oldest = self.changes.remove(0);
            self.condense(oldest);
        }
    }

    /// Puts a change to older ones. How many are told one by one does not depend on whether older ones were forgotten yet, so
    /// that a replay tells the same.
    fn condense(&mut self, change: Change) {
        let whose = |change: &Change| (change.named, change.dot.replica);
        let mut older = self.older.iter_mut();
        match older.find(|older| whose(older) == whose(&change)) {
            Some(older) => older.append(&change),
            None => self.older.push(change),
        }
        let excess = self.older.len().saturating_sub(OLDER_MAX);
        self.older.drain(..excess);
    }

    /// Takes note of what its author deletes, and returns the changes that are lost with it: those that the author had
    /// not seen, each entry once.
    pub(crate) fn delete<C: Context>(
        &mut self,
        deleted: impl IntoIterator<Item = (Dot, Option<BoundedCounter>)>,
        author: &Author<'_, C>,
    ) -> Vec<Change> {
        let mut lost: Vec<Change> = Vec::new();
        for (named, counter) in deleted {
            let mut keep = |change: &Change| {
                let is_it = change.named == named;
                if is_it && change.dot != author.dot && !author.context.covers(change.dot) {
                    match lost.iter_mut().find(|other| other.dot == change.dot) {
                        Some(other) => other.append(change),
                        None => lost.push(change.clone()),
                    }
                }
                !is_it
            };
            self.older.retain(&mut keep);
            self.changes.retain(&mut keep);
            // Nobody can name what this entry itself had created.
            if named != author.dot {
                self.gone.push(Gone {
                    named,
                    by: author.dot,
                    hlc: author.hlc,
                    counter: counter.map(Box::new),
                });
            }
        }
        let excess = self.gone.len().saturating_sub(GONE_MAX);
        self.gone.drain(..excess);
        lost
    }

    /// Who has deleted what has this name, and when.
    pub(crate) fn deleted_by(&self, named: Dot) -> Option<(Dot, Hlc)> {
        let gone = self.gone.iter().find(|gone| gone.named == named)?;
        Some((gone.by, gone.hlc))
    }

    /// What the counter of this name had come to when it was deleted.
    pub(crate) fn deleted_counter(&mut self, named: Dot) -> Option<&mut BoundedCounter> {
        let gone = self.gone.iter_mut().find(|gone| gone.named == named)?;
        gone.counter.as_deref_mut()
    }

    /// Forgets what every region has seen.
    pub(crate) fn prune(&mut self, stable: &VectorClock) {
        for changes in [&mut self.older, &mut self.changes] {
            changes.retain(|change| !stable.covers(change.dot));
        }
        self.gone.retain(|gone| !stable.covers(gone.by));
    }
}
