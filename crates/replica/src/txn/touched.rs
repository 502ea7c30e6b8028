//! What an entry has done to one key so far.

use std::collections::HashSet;

use isles_clock::Dot;
use isles_crdt::sorted_set::Score;

use super::element_draft::{FieldsDraft, SetDraft};
use super::list_draft::ListDraft;
use super::put;
use super::stream_draft::StreamDraft;
use crate::op::{Base, Blob, FieldsPart, KeyOp, ListPart, Part};
use crate::row::Row;
use crate::rows::RowId;

/// A key that an entry has written, as it was and with what the entry does to it.
#[derive(Debug)]
pub(super) struct Touched {
    pub(super) id: RowId,
    pub(super) before: Row,
    pub(super) op: Vec<u8>,
    /// What `op` lacks of the changes of a list.
    pub(super) list: Option<Box<ListDraft>>,
    /// Later ops that change one component by its elements; `op` lacks them.
    pub(super) later: Vec<Vec<u8>>,
    /// Fields that the entry has incremented, and members of a remove-wins set that it has named.
    counted: HashSet<Box<[u8]>>,
    /// How many list elements the entry has inserted.
    pub(super) ordinals: u32,
    /// The journal may have records that the entry settles.
    pub(super) contested: bool,
}

impl Touched {
    /// A key that the entry writes for the first time, by this op.
    pub(super) fn new(id: RowId, before: Row, op: &KeyOp<'_>, contested: bool) -> Touched {
        let mut touched = Touched {
            id,
            before,
            op: Vec::new(),
            list: None,
            later: Vec::new(),
            counted: HashSet::new(),
            ordinals: 0,
            contested,
        };
        put(&mut touched.op, op);
        touched.note(op);
        touched
    }

    /// Remembers what later ops of the entry have to know of this one.
    pub(super) fn note(&mut self, op: &KeyOp<'_>) {
        self.ordinals = ordinals_of(op).max(self.ordinals);
        for part in &op.parts {
            match part {
                Part::Map(part) => self.note_counted(part),
                Part::SortedSet(part) => self.note_counted(part),
                Part::SetRw(part) => {
                    let names = part.remove.iter().chain(&part.add);
                    self.counted.extend(names.map(|name| Box::from(name.0)));
                }
                _ => {}
            }
        }
    }

    fn note_counted<V>(&mut self, part: &FieldsPart<'_, V>) {
        let counted = part.add.iter().map(|add| Box::from(add.field.0));
        self.counted.extend(counted);
    }

    /// Whether an op changes elements of one component, or of the sets of both rules, and its effect on the row as the entry has left it is its effect on the row as
    /// it was before the entry: what the entry has added itself is observed here and nowhere else. Then the row need not be put back, and a
    /// hundred thousand such ops cost what they cost.
    ///
    /// It is not so where a value or a removal takes away what the entry itself has counted: that is no part of what it lists; nor
    /// where an addition meets a removal by the entry itself.
    pub(super) fn can_follow(&self, op: &KeyOp<'_>) -> bool {
        if op.base != Base::Keep || !op.resets.is_empty() {
            return false;
        }
        match &op.parts[..] {
            [Part::Stream(_) | Part::SetAw(_)] => true,
            [Part::SetRw(part)] | [Part::SetAw(_), Part::SetRw(part)] => {
                let mut names = part.remove.iter().chain(&part.add);
                !names.any(|name| self.counted.contains(name.0))
            }
            [Part::Map(part)] => !self.takes_back(part),
            [Part::SortedSet(part)] => !self.takes_back(part),
            _ => false,
        }
    }

    fn takes_back<V>(&self, part: &FieldsPart<'_, V>) -> bool {
        let removed = part.remove.iter().map(|removal| removal.field);
        let put = part.put.iter().map(|put| put.field);
        !self.counted.is_empty()
            && removed
                .chain(put)
                .any(|field| self.counted.contains(field.0))
    }

    /// Puts what was kept apart into the op.
    pub(super) fn settle(&mut self) {
        self.settle_list();
        self.settle_later();
    }

    fn settle_later(&mut self) {
        let later = std::mem::take(&mut self.later);
        if later.is_empty() {
            return;
        }
        let earlier = std::mem::take(&mut self.op);
        let mut op = decode(&earlier);
        let mut drafts = Drafts::default();
        let parts = std::mem::take(&mut op.parts);
        op.parts
            .extend(parts.into_iter().filter_map(|part| drafts.absorb(part)));
        for part in later.iter().flat_map(|bytes| decode(bytes).parts) {
            let other = drafts.absorb(part);
            debug_assert!(other.is_none(), "only changes of elements are kept apart");
        }
        drafts.put(&mut op);
        put(&mut self.op, &op);
    }

    fn settle_list(&mut self) {
        let Some(draft) = self.list.take() else {
            return;
        };
        let earlier = std::mem::take(&mut self.op);
        let mut op = decode(&earlier);
        let part = draft.part().map(Box::new);
        op.parts.extend(part.map(Part::List));
        put(&mut self.op, &op);
    }

    /// Adds a later change of a list.
    pub(super) fn absorb(&mut self, part: &ListPart<'_>, dot: Dot) {
        let draft = match &mut self.list {
            Some(draft) => draft,
            None => {
                let earlier = std::mem::take(&mut self.op);
                let mut op = decode(&earlier);
                let mut draft = ListDraft::default();
                op.parts.retain(|part| match part {
                    Part::List(part) => {
                        draft.absorb(part, dot);
                        false
                    }
                    _ => true,
                });
                put(&mut self.op, &op);
                self.list.insert(Box::new(draft))
            }
        };
        draft.absorb(part, dot);
    }
}

/// The part of an op that does nothing but change a list.
pub(super) fn only_list<'o, 'k>(op: &'o KeyOp<'k>) -> Option<&'o ListPart<'k>> {
    match (op.base, &op.parts[..]) {
        (Base::Keep, [Part::List(part)]) if op.resets.is_empty() => Some(part),
        _ => None,
    }
}

/// What ops that follow each other do to each component that has elements, but for lists.
#[derive(Debug, Default)]
struct Drafts<'a> {
    set: Option<SetDraft<'a>>,
    set_rw: Option<SetDraft<'a>>,
    map: Option<FieldsDraft<'a, Blob<'a>>>,
    sorted_set: Option<FieldsDraft<'a, Score>>,
    stream: Option<StreamDraft<'a>>,
}

impl<'a> Drafts<'a> {
    /// Adds what follows; gives back what is of none of these kinds.
    fn absorb(&mut self, part: Part<'a>) -> Option<Part<'a>> {
        match part {
            Part::SetAw(part) => self.set.get_or_insert_default().absorb(part),
            Part::SetRw(part) => self.set_rw.get_or_insert_default().absorb(part),
            Part::Map(part) => self.map.get_or_insert_default().absorb(*part),
            Part::SortedSet(part) => self.sorted_set.get_or_insert_default().absorb(*part),
            Part::Stream(part) => self.stream.get_or_insert_default().absorb(*part),
            other => return Some(other),
        }
        None
    }

    fn put(self, op: &mut KeyOp<'a>) {
        let set = self.set.map(|draft| Part::SetAw(draft.into_part()));
        let set_rw = self.set_rw.map(|draft| Part::SetRw(draft.into_last()));
        let map = self.map.map(|draft| Part::Map(Box::new(draft.into_part())));
        let sorted_set = self
            .sorted_set
            .map(|draft| Part::SortedSet(Box::new(draft.into_part())));
        let stream = self
            .stream
            .map(|draft| Part::Stream(Box::new(draft.into_part())));
        op.parts
            .extend([set, set_rw, map, sorted_set, stream].into_iter().flatten());
    }
}

/// The number of list elements that an op inserts, and those that the entry has inserted before it.
fn ordinals_of(op: &KeyOp<'_>) -> u32 {
    let parts = op.parts.iter().filter_map(|part| match part {
        Part::List(part) => Some(part),
        _ => None,
    });
    let ends = parts.flat_map(|part| &part.insert).map(|insertion| {
        let len = u32::try_from(insertion.values.len()).unwrap_or(u32::MAX);
        insertion.ordinal.saturating_add(len)
    });
    ends.max().unwrap_or(0)
}

pub(super) fn decode(bytes: &[u8]) -> KeyOp<'_> {
    postcard::from_bytes(bytes).expect("an op that was just encoded decodes")
}
