//! What several ops of one entry do to a stream together.

use std::collections::{BTreeMap, BTreeSet};

use smallvec::SmallVec;

use crate::op::{GroupStep, StreamEntry, StreamPart};
use crate::stream::{StreamId, StreamMark};

/// The net effect of parts that follow each other: O(log n) for each entry that one of them names.
#[derive(Debug, Default)]
pub(super) struct StreamDraft<'a> {
    remove: BTreeSet<StreamId>,
    trim: Option<StreamId>,
    deleted: Option<StreamId>,
    // Only a copy adds several entries under one id; they are counted.
    add: BTreeMap<(StreamId, u32), StreamEntry<'a>>,
    mark: Option<StreamMark>,
    groups: SmallVec<[GroupStep<'a>; 1]>,
}

impl<'a> StreamDraft<'a> {
    /// Adds what follows. What it removes of the additions before it was never there.
    pub(super) fn absorb(&mut self, later: StreamPart<'a>) {
        for id in later.remove {
            let added = self.add.range((id, 0)..=(id, u32::MAX));
            let added: Vec<(StreamId, u32)> = added.map(|(name, _)| *name).collect();
            added.iter().for_each(|name| drop(self.add.remove(name)));
            self.remove.insert(id);
        }
        if let Some(through) = later.trim {
            while let Some(first) = self
                .add
                .first_entry()
                .filter(|first| first.key().0 <= through)
            {
                first.remove();
            }
        }
        self.trim = self.trim.max(later.trim);
        for entry in later.add {
            let of_id = self.add.range((entry.id, 0)..=(entry.id, u32::MAX));
            let ordinal = of_id.count() as u32;
            self.add.insert((entry.id, ordinal), entry);
        }
        self.deleted = later.deleted.or(self.deleted);
        self.mark = later.mark.or(self.mark);
        // What a step does depends on what those before it did.
        self.groups.extend(later.groups);
    }

    pub(super) fn into_part(self) -> StreamPart<'a> {
        StreamPart {
            remove: self.remove.into_iter().collect(),
            trim: self.trim,
            deleted: self.deleted,
            add: self.add.into_values().collect(),
            mark: self.mark,
            groups: self.groups,
        }
    }
}
