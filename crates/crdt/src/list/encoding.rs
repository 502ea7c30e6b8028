//! The encodings of positions, operations and whole lists. Only what [`Serialize`] writes is read back.

use alloc::vec::Vec;
use core::marker::PhantomData;
use core::{fmt, slice};

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::body::Body;
use super::chunk::Chunk;
use super::codec::{ElementRow, HookRow, Reader, Refusal, RunTable, SpanRow, Writer};
use super::entry::Entry;
use super::ids::{Ids, Span};
use super::pages::ListPage;
use super::place::{OneRun, Place, Spot};
use super::position::Position;
use super::update::{Positions, Stretch};
use crate::decode;
use crate::op::list::Scope;
use crate::op::{List, Version};

/// A position: the runs down to its own, then its place there.
#[derive(PartialEq, Serialize, Deserialize)]
struct PositionRow {
    table: RunTable,
    element: ElementRow,
}

impl PositionRow {
    fn write(position: &Position) -> Self {
        let mut writer = Writer::default();
        let element = writer.element(position);
        let table = writer.into_table();
        Self { table, element }
    }

    fn read(&self) -> Result<Position, Refusal> {
        let position = Reader::new(&self.table)?.element(self.element)?;
        same(self, &Self::write(&position))?;
        Ok(position)
    }
}

impl Serialize for Position {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        PositionRow::write(self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let row = PositionRow::deserialize(deserializer)?;
        row.read().map_err(Error::custom)
    }
}

/// A stretch: the runs down to those of both ends, then their places there.
#[derive(PartialEq, Serialize, Deserialize)]
struct StretchRow {
    table: RunTable,
    ends: [ElementRow; 2],
}

impl StretchRow {
    fn write(stretch: &Stretch) -> Self {
        let mut writer = Writer::default();
        let ends = [stretch.first(), stretch.last()].map(|end| writer.element(end));
        let table = writer.into_table();
        Self { table, ends }
    }

    fn read(&self) -> Result<Stretch, Refusal> {
        let reader = Reader::new(&self.table)?;
        let [first, last] = self.ends;
        let stretch = Stretch::new(reader.element(first)?, reader.element(last)?);
        let stretch = stretch.ok_or("a stretch ends before it starts")?;
        same(self, &Self::write(&stretch))?;
        Ok(stretch)
    }
}

impl Serialize for Stretch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        StretchRow::write(self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Stretch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let row = StretchRow::deserialize(deserializer)?;
        row.read().map_err(Error::custom)
    }
}

#[derive(PartialEq, Serialize, Deserialize)]
struct PlaceRow {
    table: RunTable,
    spot: SpotRow,
}

#[derive(PartialEq, Serialize, Deserialize)]
enum SpotRow {
    Grow { run: u32, offset: i64 },
    Open { above: Option<HookRow>, step: i64 },
}

impl PlaceRow {
    fn write(place: &Place) -> Self {
        let mut writer = Writer::default();
        let spot = match &place.0 {
            Spot::Grow { run, offset } => SpotRow::Grow {
                run: writer.run(&run.0),
                offset: *offset,
            },
            Spot::Open { above, step } => SpotRow::Open {
                above: above.as_ref().map(|hook| writer.hook(hook)),
                step: *step,
            },
        };
        let table = writer.into_table();
        Self { table, spot }
    }

    fn read(&self) -> Result<Place, Refusal> {
        let reader = Reader::new(&self.table)?;
        let spot = match &self.spot {
            SpotRow::Grow { run, offset } => Spot::Grow {
                run: OneRun(reader.run(*run)?.clone()),
                offset: *offset,
            },
            SpotRow::Open { above, step } => Spot::Open {
                above: above.as_ref().map(|row| reader.hook(row)).transpose()?,
                step: *step,
            },
        };
        let place = Place(spot);
        if place.is_too_deep() {
            return Err("a list is nested too deep");
        }
        same(self, &Self::write(&place))?;
        Ok(place)
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        PlaceRow::write(self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let row = PlaceRow::deserialize(deserializer)?;
        row.read().map_err(Error::custom)
    }
}

/// Where all elements of a body are.
#[derive(PartialEq, Serialize, Deserialize)]
struct OrderRow {
    table: RunTable,
    spans: Vec<SpanRow>,
}

impl OrderRow {
    fn write<'a>(parts: impl Iterator<Item = (&'a Position, &'a [Span])>) -> Self {
        let mut writer = Writer::default();
        let spans = writer.spans(parts);
        let table = writer.into_table();
        Self { table, spans }
    }

    fn of_body<T: Clone>(body: &Body<T>) -> Self {
        let chunks = body.chunks();
        Self::write(chunks.map(|chunk| (chunk.first(), chunk.ids().spans())))
    }

    fn of_positions(positions: &Positions) -> Self {
        let spans = positions.spans.iter();
        Self::write(spans.map(|(first, span)| (first, slice::from_ref(span))))
    }

    /// The positions. Their number is what was announced: so far nothing is made for each.
    fn read(&self) -> Result<Positions, Refusal> {
        let spans = Reader::new(&self.table)?.spans(&self.spans)?;
        let positions = Positions { spans };
        if positions.len() > decode::ENTRIES_MAX {
            return Err("a list has too many elements");
        }
        Ok(positions)
    }

    /// The body of these entries at these places.
    fn read_body<T: Clone>(&self, entries: Vec<Entry<T>>) -> Result<Body<T>, Refusal> {
        let positions = self.read()?;
        if positions.len() != entries.len() {
            return Err("a list has more places than elements, or fewer");
        }
        same(self, &Self::of_positions(&positions))?;
        Ok(positions.iter().zip(entries).collect())
    }
}

impl Serialize for Positions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        OrderRow::of_positions(self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Positions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let row = OrderRow::deserialize(deserializer)?;
        let positions = row.read().map_err(Error::custom)?;
        same(&row, &OrderRow::of_positions(&positions)).map_err(Error::custom)?;
        Ok(positions)
    }
}

impl<T: Clone + Serialize> Serialize for ListPage<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let chunk = &self.0;
        let order = OrderRow::write([(chunk.first(), chunk.ids().spans())].into_iter());
        let rows = chunk.entries().iter().enumerate();
        let rows = rows.map(|(index, entry)| EntryRow::write(&chunk.position(index), entry));
        (order, rows.collect::<Vec<_>>()).serialize(serializer)
    }
}

impl<'de, T: Clone + Deserialize<'de>> Deserialize<'de> for ListPage<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (order, Rows(rows)) = <(OrderRow, Rows<T>)>::deserialize(deserializer)?;
        let entries = rows.into_iter().map(EntryRow::read);
        let entries = entries.collect::<Result<Vec<_>, _>>();
        let positions = order.read().map_err(Error::custom)?;
        Self::of(&positions, entries.map_err(Error::custom)?).map_err(Error::custom)
    }
}

impl<T: Clone> ListPage<T> {
    fn of(positions: &Positions, entries: Vec<Entry<T>>) -> Result<Self, Refusal> {
        let Some((first, _)) = positions.spans.first() else {
            return Err("a page of a list has no element");
        };
        if positions.len() != entries.len() {
            return Err("a page of a list has more places than elements, or fewer");
        }
        let mut ids = Ids::default();
        for (start, span) in &positions.spans {
            if !start.run.is(&first.run) {
                return Err("a page of a list holds more than one run");
            }
            ids.push(*span);
        }
        let normal = |(position, entry): (Position, &Entry<T>)| entry.is_normal(&position);
        if !positions.iter().zip(&entries).all(normal) {
            return Err("an element holds nothing, or not as it is written");
        }
        Ok(Self(Chunk::of(first.clone(), ids, entries)))
    }
}

/// What an element holds, as it is written.
#[derive(Serialize, Deserialize)]
enum EntryRow<T> {
    Inserted(T),
    Written(Vec<Version<T>>),
}

impl<T: Clone> EntryRow<T> {
    fn write(position: &Position, entry: &Entry<T>) -> Self {
        match entry {
            Entry::Inserted(value) => Self::Inserted(value.clone()),
            Entry::Written(_) => Self::Written(entry.clone().into_versions(position.dot())),
        }
    }

    fn read(self) -> Result<Entry<T>, Refusal> {
        match self {
            Self::Inserted(value) => Ok(Entry::Inserted(value)),
            Self::Written(versions) if versions.is_sorted_by(|a, b| a.dot < b.dot) => {
                Ok(Entry::Written(versions.into()))
            }
            Self::Written(_) => Err("versions are out of order, or one comes twice"),
        }
    }
}

impl<T: Clone + Serialize> Serialize for List<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let order = OrderRow::of_body(&self.body);
        let entries = self.body.iter();
        let entries = entries.map(|(position, entry)| EntryRow::write(&position, entry));
        let entries: Vec<EntryRow<T>> = entries.collect();
        (self.scope, order, entries).serialize(serializer)
    }
}

impl<'de, T: Clone + Deserialize<'de>> Deserialize<'de> for List<T> {
    /// Takes fragments too: [`DotStore::is_state`](crate::dots::DotStore::is_state) tells them apart.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (scope, order, Rows(rows)) = <(Scope, OrderRow, Rows<T>)>::deserialize(deserializer)?;
        let entries = rows.into_iter().map(EntryRow::read);
        let entries = entries.collect::<Result<Vec<_>, _>>();
        let entries = entries.map_err(Error::custom)?;
        let body = order.read_body(entries).map_err(Error::custom)?;
        let normal = |(position, entry): (Position, &Entry<T>)| match entry.is_nothing() {
            true => scope == Scope::Named,
            false => entry.is_normal(&position),
        };
        if !body.iter().all(normal) {
            return Err(Error::custom(
                "an element holds nothing, or not as it is written",
            ));
        }
        Ok(Self { body, scope })
    }
}

/// Entries whose announced number is not trusted.
struct Rows<T>(Vec<EntryRow<T>>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Rows<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RowsVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for RowsVisitor<T> {
            type Value = Vec<EntryRow<T>>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the elements of a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut rows = Vec::new();
                while let Some(row) = seq.next_element()? {
                    if rows.len() == decode::ENTRIES_MAX {
                        return Err(Error::custom("a list has too many elements"));
                    }
                    rows.push(row);
                }
                Ok(rows)
            }
        }
        deserializer
            .deserialize_seq(RowsVisitor(PhantomData))
            .map(Self)
    }
}

fn same<R: PartialEq>(read: &R, written: &R) -> Result<(), Refusal> {
    if read == written {
        Ok(())
    } else {
        Err("positions are not as they are written")
    }
}
