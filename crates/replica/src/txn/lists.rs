//! Lists: commands name elements by their index, ops by their position.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use isles_clock::Dot;
use isles_crdt::list::{Place, Position, Positions};
use isles_crdt::op::List;
use smallvec::smallvec;

use super::{Expiry, Spot, Txn, ValueType, WrongType, set_part};
use crate::list::{Element, ListValue};
use crate::op::{Base, Blob, ElementPut, Insertion, KeyOp, ListPart, Part};
use crate::row::Row;

/// An end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListEnd {
    /// The left one, where index 0 is.
    Front,
    /// The right one.
    Back,
}

/// A side of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListSide {
    /// To the left.
    Before,
    /// To the right.
    After,
}

/// Why nothing was inserted beside an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InsertError {
    /// The key holds another type.
    #[error("key holds a value of another type")]
    WrongType,
    /// No element has the value.
    #[error("no element has this value")]
    NoPivot,
    /// The neighbours are nested as deep as they may be, because elements were inserted always between the two newest.
    #[error("the list is nested too deep at this place: insert elsewhere, or build it anew")]
    TooDeep,
}

impl From<WrongType> for InsertError {
    fn from(_: WrongType) -> InsertError {
        InsertError::WrongType
    }
}

/// Is called with the index and the value of elements until it breaks.
type EachElement<'e> = dyn FnMut(usize, &[u8]) -> ControlFlow<()> + 'e;

/// Elements that a walk from the back looks at in one go.
const BACKWARD_ELEMENTS: usize = 256;

impl Txn<'_> {
    pub(super) fn list(&self, spot: &Spot<'_>) -> Result<Option<&ListValue>, WrongType> {
        Ok(self.typed(spot, ValueType::List)?.and_then(Row::list))
    }

    /// Number of elements, zero for an absent key.
    ///
    /// # Errors
    /// The key holds another type; so for all reads and writes of lists.
    pub fn list_len(&mut self, key: &[u8]) -> Result<usize, WrongType> {
        let spot = self.spot(key);
        Ok(self.list(&spot)?.map_or(0, ListValue::len))
    }

    /// The element at an index: O(log n).
    ///
    /// # Errors
    /// As [`list_len`](Self::list_len).
    pub fn list_get(&mut self, key: &[u8], index: usize) -> Result<Option<&[u8]>, WrongType> {
        let spot = self.spot(key);
        let list = self.list(&spot)?;
        let found = list.and_then(|list| list.elements().get(index));
        Ok(found.map(|element| &*element.0))
    }

    /// Visits the elements in a range of indices, from front to back: O(log n) for the first.
    ///
    /// # Errors
    /// As [`list_len`](Self::list_len).
    pub fn list_each(
        &mut self,
        key: &[u8],
        range: Range<usize>,
        each: &mut EachElement<'_>,
    ) -> Result<(), WrongType> {
        let spot = self.spot(key);
        let Some(list) = self.list(&spot)? else {
            return Ok(());
        };
        for (index, element) in (range.start..).zip(list.elements().range(range)) {
            if each(index, &element.0).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Visits all elements from back to front.
    ///
    /// # Errors
    /// As [`list_len`](Self::list_len).
    pub fn list_each_back(
        &mut self,
        key: &[u8],
        each: &mut EachElement<'_>,
    ) -> Result<(), WrongType> {
        let spot = self.spot(key);
        if let Some(list) = self.list(&spot)? {
            walk_back(list.elements(), each);
        }
        Ok(())
    }

    /// Pushes values one after the other at an end, as one insertion that stays together; returns the new length.
    ///
    /// # Errors
    /// As [`list_len`](Self::list_len).
    pub fn list_push(
        &mut self,
        key: &[u8],
        end: ListEnd,
        values: &[&[u8]],
    ) -> Result<usize, WrongType> {
        let spot = self.spot(key);
        let len = self.list(&spot)?.map_or(0, ListValue::len);
        if values.is_empty() {
            return Ok(len);
        }
        let counters = self.counters_if_hidden(&spot);
        let mut op = self.op(&spot, &counters);
        let (dot, ordinal) = (self.replica.next_dot(), self.next_ordinal(&spot));
        let place = self.end_place(&spot, op.base, end, dot, ordinal);
        let in_order = values.iter().map(|value| Blob(value));
        let values = match end {
            ListEnd::Back => in_order.collect(),
            // The last one pushed comes first.
            ListEnd::Front => in_order.rev().collect(),
        };
        let insertion = Insertion {
            place,
            ordinal,
            values,
        };
        let len = len + insertion.values.len();
        set_part(&mut op, inserting(insertion));
        self.write(&spot, &op);
        Ok(len)
    }

    /// The place at an end of the list, or in an empty one if the op makes it anew.
    pub(super) fn end_place(
        &self,
        spot: &Spot<'_>,
        base: Base,
        end: ListEnd,
        dot: Dot,
        ordinal: u32,
    ) -> Place {
        let empty = List::new();
        let there = self.row_at(spot).and_then(Row::list);
        let list = match (base, there) {
            (Base::Keep, Some(list)) => list.elements(),
            _ => &empty,
        };
        let place = match end {
            ListEnd::Front => list.front(dot, ordinal),
            ListEnd::Back => list.back(dot, ordinal),
        };
        place.expect("there is always room at the ends of a list")
    }

    /// What the entry has inserted into this list so far is numbered below.
    fn next_ordinal(&self, spot: &Spot<'_>) -> u32 {
        let touched = spot.id.and_then(|id| self.index.get(&id));
        touched.map_or(0, |index| self.touched[*index].ordinals)
    }

    /// Takes up to `count` elements from an end, the outermost first.
    ///
    /// # Errors
    /// As [`list_len`](Self::list_len).
    pub fn list_pop(
        &mut self,
        key: &[u8],
        end: ListEnd,
        count: usize,
    ) -> Result<Vec<Arc<[u8]>>, WrongType> {
        let spot = self.spot(key);
        let Some(list) = self.list(&spot)? else {
            return Ok(Vec::new());
        };
        let (elements, len) = (list.elements(), list.len());
        let range = match end {
            ListEnd::Front => 0..count.min(len),
            ListEnd::Back => len.saturating_sub(count)..len,
        };
        let popped = elements.range(range.clone());
        let mut popped: Vec<_> = popped.map(|element| Arc::clone(&element.0)).collect();
        if end == ListEnd::Back {
            popped.reverse();
        }
        let contested = self.is_contested(&spot);
        let mut removal = ListPart::default();
        add_removal(&mut removal, elements, range, contested);
        self.remove_elements(&spot, removal);
        Ok(popped)
    }

    /// Whether the journal may have records that a write of this key settles.
    fn is_contested(&self, spot: &Spot<'_>) -> bool {
        spot.id.is_some_and(|id| self.replica.is_contested(id))
    }

    fn remove_elements<'k>(&mut self, spot: &Spot<'k>, removal: ListPart<'k>) {
        if removal.remove.is_empty() && removal.cut.is_empty() {
            return;
        }
        let mut op = KeyOp::new(spot.key);
        op.parts.push(Part::List(Box::new(removal)));
        self.write(spot, &op);
    }

    /// Writes the element at an index; false if there is none.
    ///
    /// # Errors
    /// As [`list_len`](Self::list_len).
    pub fn list_set(&mut self, key: &[u8], index: usize, value: &[u8]) -> Result<bool, WrongType> {
        let spot = self.spot(key);
        let list = self.list(&spot)?.map(ListValue::elements);
        let Some((list, position)) = list.and_then(|list| Some((list, list.position(index)?)))
        else {
            return Ok(false);
        };
        // Later than everything it replaces, whatever the clocks say; what this entry wrote before gives way as it is.
        let own = self.replica.next_dot();
        let later = list
            .versions(index)
            .map(|version| match version.dot == own {
                true => version.hlc,
                false => version.hlc.next(),
            });
        let hlc = later.fold(self.hlc, Ord::max);
        let put = ElementPut {
            position,
            stamp: (hlc > self.hlc).then_some(hlc),
            value: Blob(value),
        };
        let mut op = KeyOp::new(key);
        op.parts.push(Part::List(Box::new(ListPart {
            set: smallvec![put],
            ..ListPart::default()
        })));
        self.write(&spot, &op);
        Ok(true)
    }

    /// Inserts a value beside the first element that has the value `pivot`; returns the new length. O(n).
    ///
    /// # Errors
    /// As [`list_len`](Self::list_len); also where there is no such element, or no room beside it.
    pub fn list_insert(
        &mut self,
        key: &[u8],
        side: ListSide,
        pivot: &[u8],
        value: &[u8],
    ) -> Result<usize, InsertError> {
        let spot = self.spot(key);
        let list = self.list(&spot)?.ok_or(InsertError::NoPivot)?;
        let (elements, len) = (list.elements(), list.len());
        let found = elements.iter().position(|element| *element.0 == *pivot);
        let index = found.ok_or(InsertError::NoPivot)? + usize::from(side == ListSide::After);
        let (dot, ordinal) = (self.replica.next_dot(), self.next_ordinal(&spot));
        let place = elements.place(index, dot, ordinal);
        let insertion = Insertion {
            place: place.ok_or(InsertError::TooDeep)?,
            ordinal,
            values: smallvec![Blob(value)],
        };
        let mut op = KeyOp::new(key);
        op.parts.push(inserting(insertion));
        self.write(&spot, &op);
        Ok(len + 1)
    }

    /// Removes elements that have this value: all if `count` is zero, else so many from the front, or, if it is
    /// negative, from the back. Returns how many. O(n).
    ///
    /// # Errors
    /// As [`list_len`](Self::list_len).
    pub fn list_remove(
        &mut self,
        key: &[u8],
        count: i64,
        value: &[u8],
    ) -> Result<usize, WrongType> {
        let spot = self.spot(key);
        let Some(list) = self.list(&spot)?.map(ListValue::elements) else {
            return Ok(0);
        };
        let most = match count {
            0 => usize::MAX,
            _ => usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX),
        };
        let found = match count < 0 {
            true => last_positions_of(list, most, value),
            false => list.positions_of(most, |element| *element.0 == *value),
        };
        let removed = found.len();
        let removal = ListPart {
            remove: found,
            ..ListPart::default()
        };
        self.remove_elements(&spot, removal);
        Ok(removed)
    }

    /// Removes everything outside a range of indices.
    ///
    /// # Errors
    /// As [`list_len`](Self::list_len).
    pub fn list_trim(&mut self, key: &[u8], kept: Range<usize>) -> Result<(), WrongType> {
        let spot = self.spot(key);
        let Some(list) = self.list(&spot)? else {
            return Ok(());
        };
        let len = list.len();
        if kept.start >= kept.end.min(len) {
            self.delete(key);
            return Ok(());
        }
        let contested = self.is_contested(&spot);
        let mut removal = ListPart::default();
        add_removal(&mut removal, list.elements(), 0..kept.start, contested);
        add_removal(
            &mut removal,
            list.elements(),
            kept.end.min(len)..len,
            contested,
        );
        self.remove_elements(&spot, removal);
        Ok(())
    }

    /// Writes a list over whatever is there; without elements, deletes the key.
    pub fn list_replace(&mut self, key: &[u8], values: &[&[u8]]) {
        self.replace_list(key, values, Expiry::Clear);
    }

    pub(super) fn replace_list(&mut self, key: &[u8], values: &[&[u8]], expiry: Expiry) {
        let spot = self.spot(key);
        if values.is_empty() {
            self.delete(key);
            return;
        }
        let counters = self.counters(&spot);
        let mut op = self.overwrite(&spot, &counters);
        let (dot, ordinal) = (self.replica.next_dot(), self.next_ordinal(&spot));
        let insertion = Insertion {
            place: self.end_place(&spot, op.base, ListEnd::Back, dot, ordinal),
            ordinal,
            values: values.iter().map(|value| Blob(value)).collect(),
        };
        set_part(&mut op, inserting(insertion));
        if let Expiry::At(at_ms) = expiry {
            let stamp = self.raised_deadline(self.before(&spot));
            let at_ms = Some(at_ms);
            set_part(&mut op, Part::Deadline { stamp, at_ms });
        }
        self.write(&spot, &op);
    }

    /// The names of the elements in their order, for the simulator: see [`Position::name`]. None of another type.
    pub fn list_names(&mut self, key: &[u8]) -> Vec<Vec<u8>> {
        let spot = self.spot(key);
        let list = self.list(&spot).ok().flatten();
        let elements = list.into_iter().flat_map(|list| list.elements().elements());
        elements
            .map(|(position, _)| position.name().to_vec())
            .collect()
    }

    /// The elements of a list that readers see, for copying it.
    pub(super) fn list_elements(&self, spot: &Spot<'_>) -> Vec<Arc<[u8]>> {
        let list = self.visible(spot).and_then(Row::list);
        let elements = list.into_iter().flat_map(|list| list.elements().iter());
        elements.map(|element| Arc::clone(&element.0)).collect()
    }
}

/// So many neighbours are named by the first and the last of them.
const CUT_MIN: usize = 16;

/// Adds a range of elements, behind those that are removed already. Where there may be records of lost writes, those that lost
/// one are named beside a range, so that its receivers know what it settles: only an element that was written can have.
fn add_removal(
    part: &mut ListPart<'_>,
    list: &List<Element>,
    range: Range<usize>,
    contested: bool,
) {
    if range.len() < CUT_MIN {
        part.remove.append(list.positions(range));
    } else if let Some(stretch) = list.stretch(range) {
        if contested {
            part.remove.append(list.written(&stretch));
        }
        part.cut.push(stretch);
    }
}

pub(super) fn inserting(insertion: Insertion<'_>) -> Part<'_> {
    Part::List(Box::new(ListPart {
        insert: smallvec![insertion],
        ..ListPart::default()
    }))
}

fn walk_back(list: &List<Element>, each: &mut EachElement<'_>) {
    let mut end = list.len();
    while end > 0 {
        let start = end.saturating_sub(BACKWARD_ELEMENTS);
        let some: Vec<&Element> = list.range(start..end).collect();
        for (index, element) in (start..end).zip(some).rev() {
            if each(index, &element.0).is_break() {
                return;
            }
        }
        end = start;
    }
}

/// The positions of the last elements that have this value, and no more than `most`.
fn last_positions_of(list: &List<Element>, most: usize, value: &[u8]) -> Positions {
    let mut found: Vec<Position> = Vec::new();
    walk_back(list, &mut |index, element| {
        if *element == *value {
            found.extend(list.position(index));
        }
        match found.len() < most {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    });
    found.into_iter().collect()
}

/// About how many bytes each level of nesting takes.
const LEVEL_BYTES: usize = 40;

/// About how many bytes a part takes; never less than its values.
pub(super) fn bytes_of(part: &ListPart<'_>) -> usize {
    let levels = |depth: u32| depth as usize * LEVEL_BYTES;
    let puts = part
        .set
        .iter()
        .map(|put| levels(put.position.depth()) + 48 + put.value.0.len());
    let insertions = part.insert.iter().map(|insertion| {
        let values = insertion.values.iter().map(|value| value.0.len() + 5);
        levels(insertion.place.depth()) + 48 + values.sum::<usize>()
    });
    let removals = levels(part.remove.depth()) + part.remove.spans_len() * LEVEL_BYTES;
    let cuts = part.cut.iter().map(|stretch| {
        let depth = stretch.first().depth().max(stretch.last().depth());
        2 * levels(depth) + 2 * LEVEL_BYTES
    });
    let removals = removals + cuts.sum::<usize>();
    removals + puts.sum::<usize>() + insertions.sum::<usize>()
}
