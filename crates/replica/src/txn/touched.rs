//! What an entry has done to one key so far.

use isles_clock::Dot;

use super::list_draft::ListDraft;
use super::put;
use super::stream_draft::StreamDraft;
use crate::op::{Base, KeyOp, ListPart, Part};
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
    /// Later ops that do nothing but change a stream; `op` lacks them.
    pub(super) stream: Vec<Vec<u8>>,
    /// How many list elements the entry has inserted.
    pub(super) ordinals: u32,
    /// The journal may have records that the entry settles.
    pub(super) contested: bool,
}

impl Touched {
    /// Puts what was kept apart into the op.
    pub(super) fn settle(&mut self) {
        self.settle_list();
        self.settle_stream();
    }

    fn settle_stream(&mut self) {
        let later = std::mem::take(&mut self.stream);
        if later.is_empty() {
            return;
        }
        let earlier = std::mem::take(&mut self.op);
        let mut op = decode(&earlier);
        let mut draft = StreamDraft::default();
        op.parts.retain(|part| match part {
            Part::Stream(part) => {
                draft.absorb(std::mem::take(part));
                false
            }
            _ => true,
        });
        for part in later.iter().flat_map(|bytes| decode(bytes).parts) {
            if let Part::Stream(part) = part {
                draft.absorb(*part);
            }
        }
        op.parts.push(Part::Stream(Box::new(draft.into_part())));
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

/// Whether an op does nothing but change a stream.
pub(super) fn is_only_stream(op: &KeyOp<'_>) -> bool {
    op.base == Base::Keep && op.resets.is_empty() && matches!(op.parts[..], [Part::Stream(_)])
}

/// The number of list elements that an op inserts, and those that the entry has inserted before it.
pub(super) fn ordinals_of(op: &KeyOp<'_>) -> u32 {
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
