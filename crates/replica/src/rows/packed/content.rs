//! What a row at rest holds: a register, a counter, or a collection of one page.

use isles_clock::{Dot, Hlc};
use isles_crdt::op::{Cell, Contribution, Presence, Tally, Version};
use isles_crdt::sorted_set::Score;

use super::number::{put, put_signed, put_total, take, take_signed, take_total};
use super::{Packer, REST_BYTES_MAX, TooLong, Unpacker, WHOLE};
use crate::bound::Bounded;
use crate::op::Kind;
use crate::paged::{Item, PagedMap};
use crate::position::Position;
use crate::row::{Component, Field, FieldMap, LwwCell, MemberSet};
use crate::sorted_set::SortedSet;

const LWW: u8 = Kind::RegisterLww as u8;
const MV: u8 = Kind::RegisterMv as u8;
const COUNTER: u8 = Kind::Counter as u8;
const SET: u8 = Kind::SetAw as u8;
const MAP: u8 = Kind::Map as u8;
const SORTED_SET: u8 = Kind::SortedSet as u8;
/// A register without a value.
const TOMBSTONE: u8 = u8::MAX;

/// The value of a register that wins by its stamp, without the rest; none of what is something else.
#[inline]
pub(super) fn string(bytes: &[u8]) -> Option<&[u8]> {
    let (kind, mut bytes) = bytes.split_first()?;
    if *kind != LWW {
        return None;
    }
    // The first dot of a row is one in full: a replica, a sequence, and then the reading.
    bytes = bytes.get(1..)?;
    take(&mut bytes);
    take(&mut bytes);
    Some(super::take_bytes(&mut bytes))
}

/// A value of a cell: bytes, or a score.
trait Value: Sized {
    fn pack(&self, packer: &mut Packer<'_>) -> Result<(), TooLong>;
    fn unpack(unpacker: &mut Unpacker<'_>) -> Self;
}

impl Value for Box<[u8]> {
    fn pack(&self, packer: &mut Packer<'_>) -> Result<(), TooLong> {
        packer.value(self)
    }

    fn unpack(unpacker: &mut Unpacker<'_>) -> Self {
        unpacker.bytes().into()
    }
}

impl Value for Score {
    /// A whole number, one greater so that zero can say that eight bytes follow.
    fn pack(&self, packer: &mut Packer<'_>) -> Result<(), TooLong> {
        const WHOLE_MAX: f64 = (1u64 << 53) as f64;
        let score = self.get();
        match score.fract() == 0.0 && (0.0..WHOLE_MAX).contains(&score) {
            true => put(packer.bytes, score as u64 + 1),
            false => {
                packer.bytes.push(0);
                packer.bytes.extend(score.to_le_bytes());
            }
        }
        Ok(())
    }

    fn unpack(unpacker: &mut Unpacker<'_>) -> Self {
        let score = match take(&mut unpacker.bytes) {
            0 => {
                let (bytes, rest) = unpacker.bytes.split_first_chunk().expect(WHOLE);
                unpacker.bytes = rest;
                f64::from_le_bytes(*bytes)
            }
            more => (more - 1) as f64,
        };
        Score::try_from(score).expect(WHOLE)
    }
}

/// An element's value in a page of a collection.
trait Element: Clone + Bounded {
    fn pack(&self, packer: &mut Packer<'_>) -> Result<(), TooLong>;
    fn unpack(unpacker: &mut Unpacker<'_>) -> Self;
}

impl Element for Presence {
    fn pack(&self, packer: &mut Packer<'_>) -> Result<(), TooLong> {
        put(packer.bytes, self.dots().len() as u64);
        self.dots().iter().try_for_each(|dot| packer.dot(*dot))
    }

    fn unpack(unpacker: &mut Unpacker<'_>) -> Self {
        let dots = unpacker.count();
        (0..dots).map(|_| unpacker.dot()).collect()
    }
}

impl<V: Value + Clone> Element for Field<V> {
    /// Zero and the value for what most fields have: one version, dot and reading as those before.
    fn pack(&self, packer: &mut Packer<'_>) -> Result<(), TooLong> {
        if self.tally.is_none()
            && let [version] = self.cell.versions()
            && packer.is_last(version.dot, version.hlc)
        {
            packer.bytes.push(0);
            return version.value.pack(packer);
        }
        let versions = self.cell.versions().len() as u64;
        let head = (versions << 1) | u64::from(self.tally.is_some());
        put(packer.bytes, head + 1);
        packer.versions(&self.cell)?;
        self.tally
            .as_ref()
            .map_or(Ok(()), |tally| packer.tally(tally))
    }

    fn unpack(unpacker: &mut Unpacker<'_>) -> Self {
        let Some(head) = unpacker.count().checked_sub(1) else {
            let (dot, hlc) = unpacker.last();
            let value = V::unpack(unpacker);
            return Field {
                cell: Version { dot, hlc, value }.into(),
                tally: None,
            };
        };
        let cell = unpacker.versions(head >> 1);
        let tally = (head & 1 == 1).then(|| Box::new(unpacker.tally()));
        Field { cell, tally }
    }
}

impl Packer<'_> {
    pub(super) fn component(&mut self, component: &Component) -> Result<(), TooLong> {
        match component {
            Component::Lww(cell) => self.lww(cell),
            Component::Mv(cell) => {
                self.bytes.push(MV);
                put(self.bytes, cell.versions().len() as u64);
                self.versions(cell)
            }
            Component::Counter(tally) => {
                self.bytes.push(COUNTER);
                self.tally(tally)
            }
            Component::Set(set) => {
                self.bytes.push(SET);
                put(self.bytes, set.changed.as_u64());
                self.page(&set.members)
            }
            Component::Map(map) => {
                self.bytes.push(MAP);
                self.page(&map.fields)
            }
            Component::SortedSet(set) => {
                self.bytes.push(SORTED_SET);
                self.page(set.members())
            }
            _ => Err(TooLong),
        }
    }

    fn lww(&mut self, cell: &LwwCell) -> Result<(), TooLong> {
        self.bytes.push(match cell.value {
            Some(_) => LWW,
            None => TOMBSTONE,
        });
        self.dot(cell.dot)?;
        self.hlc(cell.hlc);
        cell.value
            .as_deref()
            .map_or(Ok(()), |value| self.value(value))
    }

    fn value(&mut self, value: &[u8]) -> Result<(), TooLong> {
        if value.len() > REST_BYTES_MAX {
            return Err(TooLong);
        }
        self.bytes(value);
        Ok(())
    }

    fn versions<V: Value>(&mut self, cell: &Cell<V>) -> Result<(), TooLong> {
        cell.versions().iter().try_for_each(|version| {
            self.dot(version.dot)?;
            self.hlc(version.hlc);
            version.value.pack(self)
        })
    }

    fn tally(&mut self, tally: &Tally) -> Result<(), TooLong> {
        put(self.bytes, tally.contributions().len() as u64);
        tally.contributions().iter().try_for_each(|contribution| {
            self.dot(contribution.dot())?;
            let since = contribution
                .sequence
                .wrapping_sub(contribution.reset_sequence);
            put_signed(self.bytes, since as i64);
            put_total(self.bytes, contribution.total);
            put_total(self.bytes, contribution.reset_total);
            Ok(())
        })
    }

    fn page<V: Element>(&mut self, map: &PagedMap<V>) -> Result<(), TooLong> {
        let page = map.only_page().ok_or(TooLong)?;
        put(self.bytes, page.items().len() as u64);
        page.items().iter().try_for_each(|Item { key, value }| {
            self.value(key)?;
            value.pack(self)
        })
    }
}

impl Unpacker<'_> {
    pub(super) fn component(&mut self) -> Component {
        match self.byte() {
            LWW => self.lww(true),
            TOMBSTONE => self.lww(false),
            MV => {
                let versions = self.count();
                Component::Mv(Box::new(self.versions(versions)))
            }
            COUNTER => Component::Counter(Box::new(self.tally())),
            SET => {
                let changed = Position::from_u64(take(&mut self.bytes));
                let members = self.page();
                Component::Set(Box::new(MemberSet { members, changed }))
            }
            MAP => {
                let fields: PagedMap<Field> = self.page();
                let live = fields.iter().filter(|(_, field)| field.is_live()).count();
                Component::Map(Box::new(FieldMap { fields, live }))
            }
            _ => Component::SortedSet(Box::new(SortedSet::from_pages(vec![self.items()]))),
        }
    }

    fn lww(&mut self, is_live: bool) -> Component {
        let (dot, hlc): (Dot, Hlc) = (self.dot(), self.hlc());
        let value = is_live.then(|| self.bytes().into());
        Component::Lww(LwwCell { dot, hlc, value })
    }

    fn versions<V: Value>(&mut self, count: usize) -> Cell<V> {
        let version = |_| Version {
            dot: self.dot(),
            hlc: self.hlc(),
            value: V::unpack(self),
        };
        (0..count).map(version).collect()
    }

    fn tally(&mut self) -> Tally {
        let contributions = self.count();
        let contribution = |_| {
            let dot = self.dot();
            let since = take_signed(&mut self.bytes) as u64;
            Contribution {
                replica: dot.replica,
                sequence: dot.sequence,
                total: take_total(&mut self.bytes),
                reset_sequence: dot.sequence.wrapping_sub(since),
                reset_total: take_total(&mut self.bytes),
            }
        };
        (0..contributions).map(contribution).collect()
    }

    fn items<V: Element>(&mut self) -> Vec<(Box<[u8]>, V)> {
        let count = self.count();
        let item = |_| (self.bytes().into(), V::unpack(self));
        (0..count).map(item).collect()
    }

    fn page<V: Element>(&mut self) -> PagedMap<V> {
        PagedMap::from_pages(vec![self.items()])
    }
}
