//! Moving an element of a list, within it or to another one.

use std::sync::Arc;

use isles_crdt::list::Positions;
use smallvec::smallvec;

use super::lists::{ListEnd, inserting};
use super::{KEY_BYTES_MAX, Scope, Spot, Txn, WrongType, bytes_of, put, put_entry_head, set_part};
use crate::frame::ENTRY_BYTES_MAX;
use crate::list::ListValue;
use crate::op::{Blob, Insertion, KeyOp, ListPart, Part};
use crate::row::Row;

impl Txn<'_> {
    /// Takes the element at an end of a list and puts it at an end of another one, or of the same; none if there is none.
    /// One entry, whatever the scope: O(log n).
    ///
    /// # Errors
    /// One of the keys holds another type; then nothing has changed.
    pub fn list_move(
        &mut self,
        source: &[u8],
        from: ListEnd,
        destination: &[u8],
        to: ListEnd,
    ) -> Result<Option<Arc<[u8]>>, WrongType> {
        let spot = self.spot(source);
        if self.list(&spot)?.is_none_or(ListValue::is_empty) {
            return Ok(None);
        }
        let into = self.spot(destination);
        self.list(&into)?;
        if let Some(moved) = self.move_at_once((&spot, from), (&into, to)) {
            return Ok(Some(moved));
        }
        self.widen();
        let Some(element) = self.list_pop(source, from, 1)?.pop() else {
            return Ok(None);
        };
        self.list_push(destination, to, &[&element])?;
        Ok(Some(element))
    }

    /// The same where both changes are known beforehand and nothing can refuse the entry: then no row need be kept as it was,
    /// and the change of a long list copies nothing.
    fn move_at_once(
        &mut self,
        (source, from): (&Spot<'_>, ListEnd),
        (destination, to): (&Spot<'_>, ListEnd),
    ) -> Option<Arc<[u8]>> {
        if self.scope == Scope::Many || self.written || self.context.is_some() {
            return None;
        }
        if self.refused.is_some() {
            return None;
        }
        let list = self.row_at(source).and_then(Row::list)?.elements();
        let index = match from {
            ListEnd::Front => 0,
            ListEnd::Back => list.len() - 1,
        };
        let element = Arc::clone(&list.get(index)?.0);
        let positions = list.positions(index..index + 1);
        let written = self.write_move((source, positions), (destination, to), &element);
        written.then_some(element)
    }

    fn write_move(
        &mut self,
        (source, remove): (&Spot<'_>, Positions),
        (destination, to): (&Spot<'_>, ListEnd),
        element: &[u8],
    ) -> bool {
        let counters = self.counters_if_hidden(destination);
        let mut putting = self.op(destination, &counters);
        let insertion = Insertion {
            place: self.end_place(destination, putting.base, to, self.replica.next_dot(), 0),
            ordinal: 0,
            values: smallvec![Blob(element)],
        };
        let mut removal = ListPart {
            remove,
            ..ListPart::default()
        };
        if source.key == destination.key {
            removal.insert.push(insertion);
            set_part(&mut putting, Part::List(Box::new(removal)));
            return self.write_at_once(&[(destination, &putting)]);
        }
        let mut taking = KeyOp::new(source.key);
        taking.parts.push(Part::List(Box::new(removal)));
        set_part(&mut putting, inserting(insertion));
        self.write_at_once(&[(source, &taking), (destination, &putting)])
    }

    /// Applies and logs ops on different keys as one entry. False, and nothing has changed, if a key is too long or the entry
    /// too large, or the journal may have records that it settles.
    fn write_at_once(&mut self, ops: &[(&Spot<'_>, &KeyOp<'_>)]) -> bool {
        let bytes: usize = ops.iter().map(|(_, op)| bytes_of(op)).sum();
        if bytes > ENTRY_BYTES_MAX || ops.iter().any(|(spot, _)| spot.key.len() > KEY_BYTES_MAX) {
            return false;
        }
        for (spot, _) in ops {
            let id = self.row_of(spot);
            if self.replica.is_contested(id) {
                return false;
            }
        }
        for (spot, op) in ops {
            let id = self.row_of(spot);
            self.apply(id, op);
        }
        self.written = true;
        self.replica.log_entry(self.hlc, |out, stamp_delta| {
            put_entry_head(out, stamp_delta, None, &[], ops.len());
            ops.iter().for_each(|(_, op)| put(out, op));
        });
        true
    }

    /// From here on keys may be written any number of times: what follows is one entry.
    fn widen(&mut self) {
        if self.written {
            self.hlc = self.replica.stamp(self.hlc.wall_ms());
            self.written = false;
        }
        self.scope = Scope::Many;
    }
}
