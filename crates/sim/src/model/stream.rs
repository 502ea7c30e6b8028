//! Streams: entries that stay until somebody who has seen them removes them.

use std::collections::{BTreeMap, BTreeSet};

use isles_clock::{Dot, Hlc};
use isles_replica::inspect::KeyContent;
use isles_replica::{StreamId, StreamMark};

use super::groups::{self, GroupAct, GroupStates};
use super::{Effect, Entry, KeyState, same};
use crate::command::Bytes;

/// An effect on a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamEffect {
    /// Observed entries with these ids go.
    pub removes: BTreeSet<StreamId>,
    /// Observed entries up to this id go.
    pub trims: Option<StreamId>,
    /// The greatest id removed by name, in the place of what was observed of it.
    pub deleted: Option<StreamId>,
    /// Entries that are added; only a copy adds several under one id.
    pub adds: BTreeMap<(StreamId, u32), Vec<Bytes>>,
    /// What the stream knows of itself, in the place of what was observed of it.
    pub mark: Option<StreamMark>,
    /// What happens to consumer groups, in order.
    pub groups: Vec<GroupAct>,
}

/// What a stream holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamState {
    /// The entries: in the order of ids, and of one id by dot.
    pub entries: BTreeMap<(StreamId, Dot, u32), (Hlc, Vec<Bytes>)>,
    /// The marks that nothing has observed.
    pub marks: BTreeSet<(Dot, Hlc, StreamMark)>,
    /// The greatest ids removed by name, as far as nothing has observed them.
    pub deleted: BTreeSet<StreamId>,
    /// The consumer groups.
    pub groups: GroupStates,
}

impl StreamState {
    /// What readers see of the marks.
    pub fn mark(&self) -> StreamMark {
        let marks = || self.marks.iter().map(|(_, _, mark)| mark);
        StreamMark {
            last: marks().map(|mark| mark.last).max().unwrap_or_default(),
            added: marks().map(|mark| mark.added).max().unwrap_or_default(),
        }
    }

    /// The greatest id removed by name.
    pub fn max_deleted(&self) -> StreamId {
        self.deleted.last().copied().unwrap_or_default()
    }

    /// The ids of the entries, in order.
    pub fn ids(&self) -> Vec<StreamId> {
        self.entries.keys().map(|(id, ..)| *id).collect()
    }

    /// Whether readers see it, perhaps without entries.
    pub fn is_live(&self) -> bool {
        !self.entries.is_empty() || !self.marks.is_empty() || !self.groups.is_empty()
    }
}

impl KeyState {
    pub(super) fn add_stream(&mut self, entry: &Entry, effect: &Effect, later: &[&Effect]) {
        let effect = &effect.stream;
        let gone = |id: &StreamId| {
            let by = |later: &&Effect| {
                let later = &later.stream;
                later.removes.contains(id) || later.trims.is_some_and(|through| *id <= through)
            };
            later.iter().any(by)
        };
        for ((id, ordinal), texts) in effect.adds.iter().filter(|((id, _), _)| !gone(id)) {
            let name = (*id, entry.dot, *ordinal);
            self.stream.entries.insert(name, (entry.hlc, texts.clone()));
        }
        let is_marked = later.iter().any(|later| later.stream.mark.is_some());
        if let Some(mark) = effect.mark.filter(|_| !is_marked) {
            self.stream.marks.insert((entry.dot, entry.hlc, mark));
        }
        let is_replaced = later.iter().any(|later| later.stream.deleted.is_some());
        if let Some(deleted) = effect.deleted.filter(|_| !is_replaced) {
            self.stream.deleted.insert(deleted);
        }
    }

    pub(super) fn compare_stream(&self, content: &KeyContent) -> Result<(), String> {
        let entries = content.stream.entries.iter();
        let entries: Vec<_> = entries
            .map(|entry| (entry.id, entry.dot, entry.hlc, entry.fields.clone()))
            .collect();
        let expected = self.stream.entries.iter();
        let expected: Vec<_> = expected
            .map(|((id, dot, _), (hlc, texts))| (*id, *dot, *hlc, texts.clone()))
            .collect();
        same("stream", &expected, &entries)?;
        let marks = content.stream.marks.iter().copied().collect();
        same("stream's marks", &self.stream.marks, &marks)?;
        let groups = groups::content_of(&self.stream.groups);
        same("stream's groups", &groups, &content.stream.groups)
    }
}
