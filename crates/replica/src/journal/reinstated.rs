//! Lost writes that are read again, because what they had lost to was taken away by somebody who had not seen them.
//!
//! A region that makes a write and takes it back behind a cut has one thing to show when the cut heals, and no conflict. The
//! regions that hear of both one after the other record what loses to the first, and then that it did not lose in the end.

use std::collections::HashMap;

use isles_clock::{Context, Dot};
use isles_crdt::list::Position as Place;

use super::{Journal, stream_id};
use crate::apply::{Author, latest_of, type_class, visible_class};
use crate::conflict::{ConflictKind, ConflictRecord, Settled, Settling};
use crate::list;
use crate::op::{Base, KeyOp, Kind, Part};
use crate::position::Position;
use crate::row::Row;
use crate::txn::parse_integer;

impl Journal {
    /// An op has been applied, and this is the row that it has left: settles the open records of what is read again.
    pub(crate) fn reinstate<C: Context>(
        &mut self,
        row: &Row,
        op: &KeyOp<'_>,
        author: &Author<'_, C>,
        position: Position,
    ) {
        let id_of = |sequence| stream_id(self.at(sequence)?.field.as_deref()?);
        let open = self.places.open_beside(row.hash, op, id_of);
        if open.is_empty() {
            return;
        }
        let by = Settled {
            how: Settling::Reinstated,
            hlc: author.hlc,
            dot: author.dot,
        };
        let is_element = |sequence: &u64| {
            let record = self.at(*sequence);
            record.is_some_and(|record| record.component == Some(Kind::List))
        };
        let elements = match open.iter().any(is_element) {
            true => elements_read(row, op),
            false => HashMap::new(),
        };
        for sequence in open {
            let record = self.at(sequence).filter(|record| record.key == op.key.0);
            if record.is_some_and(|record| is_read(row, record, &elements)) {
                self.settle(sequence, by, position);
            }
        }
    }

    /// A write has lost that had a record already: it is open, unless somebody who had seen it has settled it.
    pub(super) fn reopen(&mut self, sequence: u64, position: Position) {
        let at = self.index_of(sequence);
        let record = self.records.get_mut(at);
        let Some(record) = record.filter(|record| record.sequence == sequence) else {
            return;
        };
        let before = record.settled;
        if before.is_none_or(|before| before.how != Settling::Reinstated) {
            return;
        }
        record.settled = None;
        let (hash, place, loser) = (
            super::hash_of(&record.key),
            record.place(),
            record.loser.dot,
        );
        self.changes.push(super::JournalChange::Reopen(record.id));
        self.counts.of(record).open += 1;
        self.places.remove(hash, place, sequence, before);
        self.places.insert_open(hash, place, sequence, loser);
        self.position = position;
    }
}

/// The writes that are read of the elements that an op has changed, by the names of the elements.
fn elements_read(row: &Row, op: &KeyOp<'_>) -> HashMap<String, Dot> {
    let mut read = HashMap::new();
    let Some(list) = row.list() else { return read };
    let parts = op.parts.iter().filter_map(|part| match part {
        Part::List(part) => Some(part),
        _ => None,
    });
    let mut note = |position: &Place, index: usize| {
        let versions = list.elements().versions(index);
        let latest = versions.max_by_key(|version| (version.hlc, version.dot));
        read.extend(latest.map(|latest| (list::name_of(position), latest.dot)));
    };
    if op.base != Base::Keep {
        let left = list.elements().elements().enumerate();
        left.for_each(|(index, (position, _))| note(&position, index));
    }
    for part in parts {
        let written = part.set.iter().map(|put| put.position.clone());
        for position in part.remove.iter().chain(written) {
            if let Ok(index) = list.elements().index_of(&position) {
                note(&position, index);
            }
        }
    }
    read
}

/// Whether readers see what lost. An element of a list is looked up among those that the op has changed.
fn is_read(row: &Row, record: &ConflictRecord, elements: &HashMap<String, Dot>) -> bool {
    let loser = record.loser.dot;
    let name = || record.field.as_deref();
    let is_type = record.kind == ConflictKind::Type;
    if is_type && visible_class(row) != record.component.map(|kind| type_class(row, kind)) {
        return false;
    }
    match record.component {
        // A sibling may still have lost to another, and an increment be hidden by text.
        Some(kind) if is_type && !matches!(kind, Kind::RegisterMv | Kind::Counter) => true,
        None => {
            let lost = record.loser.value.as_deref();
            let at_ms = row
                .deadline
                .is_set()
                .then(|| row.deadline.at_ms.to_string());
            at_ms.as_ref().map(|text| text.as_bytes()) == lost
        }
        // A value does not come back; to have lost with a deletion means nothing once all is deleted.
        Some(Kind::RegisterLww) => {
            let value = row.lww().map(|cell| cell.value.is_some());
            record.loser.value.is_none() && value == Some(false)
        }
        Some(Kind::RegisterMv) => {
            let latest = row.mv().and_then(|cell| cell.latest());
            latest.is_some_and(|latest| latest.dot == loser)
        }
        Some(Kind::Counter) => {
            let lww = row.lww().and_then(|cell| cell.value.as_deref());
            let mv = || Some(latest_of(row.mv()?)?.2);
            let text = lww.or_else(mv);
            text.is_none_or(|text| parse_integer(text).is_some())
        }
        Some(Kind::Map) => {
            let field = row
                .map()
                .zip(name())
                .and_then(|(map, name)| map.fields.get(name));
            field.is_some_and(|field| {
                let latest = field.cell.latest();
                match record.kept {
                    true => latest.is_none_or(|latest| parse_integer(&latest.value).is_some()),
                    false => latest.is_some_and(|latest| latest.dot == loser),
                }
            })
        }
        Some(Kind::SortedSet) => {
            let set = row.sorted_set().zip(name());
            let member = set.and_then(|(set, name)| set.members().get(name));
            let latest = member.and_then(|member| member.cell.latest());
            latest.is_some_and(|latest| latest.dot == loser)
        }
        Some(Kind::List) => {
            let name = name().and_then(|name| std::str::from_utf8(name).ok());
            name.and_then(|name| elements.get(name)) == Some(&loser)
        }
        Some(Kind::Stream) => {
            let id = name().and_then(stream_id);
            let mut twins = row
                .stream()
                .zip(id)
                .into_iter()
                .flat_map(|(stream, id)| stream.with_id(id));
            let first = twins.next();
            first.is_some_and(|first| first.name.dot == loser) && twins.next().is_none()
        }
        Some(_) => false,
    }
}
