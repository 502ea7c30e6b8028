//! What the table has of a row, made a row again.

use isles_clock::{Dot, Everything, Hlc, Stamp};
use isles_crdt::hyper_log_log::Sketch;
use isles_crdt::op::{
    Cell, Contribution, EwFlag, HyperLogLog, HyperLogLogOp, OpBased, Tally, Version,
};

use super::lists::StoredList;
use super::{
    ImageError, ScanTable, StoredComponent, StoredField, StoredRow, lists, pages_prefix, sets,
    sorted_set, stream, trails, versioned,
};
use crate::list::ListValue;
use crate::op::Kind;
use crate::paged::PagedMap;
use crate::position::Position;
use crate::row::{Component, Deadline, Field, FieldMap, LwwCell, MemberSet, Row, Stored};
use crate::rows::hash_of;
use crate::sorted_set::SortedSet;

pub(super) fn decode_row(key: &[u8], bytes: &[u8]) -> Result<(Row, bool), ImageError> {
    let stored: StoredRow<'_> = postcard::from_bytes(versioned(bytes, key)?)?;
    let mut row = Row::new(key, hash_of(key));
    row.position = Position::from_u64(stored.position);
    row.deadline = Deadline {
        at_ms: stored.deadline_ms.unwrap_or(Deadline::NEVER_MS),
        stamp: Stamp {
            hlc: stored.deadline_hlc,
            replica: stored.deadline_replica,
        },
        sequence: stored.deadline_sequence,
    };
    row.sum = stored.sum;
    let mut is_paged = false;
    for component in stored.components {
        let component = match component {
            StoredComponent::Lww { dot, hlc, value } => Component::Lww(LwwCell {
                dot,
                hlc,
                value: value.map(Box::from),
            }),
            StoredComponent::Mv(versions) => Component::Mv(Box::new(loaded_cell(versions))),
            StoredComponent::MvSummed(stored) => Component::MvSummed(Box::new(stored.load(key)?)),
            StoredComponent::Counter(contributions) => {
                Component::Counter(Box::new(contributions.into_iter().collect::<Tally>()))
            }
            StoredComponent::Set { pages, only } => {
                note_pages(&mut row, Kind::SetAw, pages, &mut is_paged);
                Component::Set(Box::new(MemberSet::from(PagedMap::from_pages(vec![
                    sets::loaded(only),
                ]))))
            }
            StoredComponent::SetRw { pages, only } => {
                note_pages(&mut row, Kind::SetRw, pages, &mut is_paged);
                let names = PagedMap::from_pages(vec![sets::loaded_names(only)]);
                Component::SetRw(Box::new(names.into()))
            }
            StoredComponent::Map { pages, only } => {
                note_pages(&mut row, Kind::Map, pages, &mut is_paged);
                Component::Map(Box::new(loaded_map(vec![loaded_fields(only)])))
            }
            StoredComponent::SortedSet { pages, only } => {
                note_pages(&mut row, Kind::SortedSet, pages, &mut is_paged);
                let set = SortedSet::from_pages(vec![sorted_set::loaded(only)]);
                Component::SortedSet(Box::new(set))
            }
            StoredComponent::List(StoredList::Whole(list)) => {
                Component::List(Box::new(ListValue::new(list, row.hash)))
            }
            StoredComponent::List(StoredList::Paged { bound }) => {
                row.stored.push(Stored {
                    kind: Kind::List,
                    pages: bound,
                });
                is_paged = true;
                Component::List(Box::default())
            }
            StoredComponent::Stream(stored) => {
                let (bound, stream) = stored.load(row.hash)?;
                if bound > 0 {
                    let (kind, pages) = (Kind::Stream, bound);
                    row.stored.push(Stored { kind, pages });
                    is_paged = true;
                }
                Component::Stream(Box::new(stream))
            }
            StoredComponent::FlagEw(dots) => {
                Component::FlagEw(Box::new(dots.into_iter().collect::<EwFlag>()))
            }
            StoredComponent::FlagDw(flag) => Component::FlagDw(Box::new(flag)),
            StoredComponent::HyperLogLog(stored) => {
                Component::HyperLogLog(Box::new(loaded_sketches(stored).into()))
            }
            StoredComponent::BoundedCounter(counters) => {
                Component::BoundedCounter(Box::new(counters.into_iter().collect()))
            }
            StoredComponent::Trail(kind, trail) => {
                trails::load(&mut row, kind, trail.into_owned())?;
                continue;
            }
        };
        row.components.push(component);
    }
    row.count_shared();
    Ok((row, is_paged))
}

fn note_pages(row: &mut Row, kind: Kind, pages: u32, is_paged: &mut bool) {
    if pages > 1 {
        row.stored.push(Stored { kind, pages });
        *is_paged = true;
    }
}

pub(super) fn load_pages(row: &mut Row, scan: &mut ScanTable<'_>) -> Result<(), ImageError> {
    let key = row.key.clone();
    for stored in row.stored.clone().pages() {
        if stored.kind == Kind::List {
            let loaded = lists::load(&key, row.hash, scan)?;
            if let Some(Component::List(list)) = row.component_mut(Kind::List) {
                **list = loaded;
            }
            continue;
        }
        if stored.kind == Kind::Stream {
            if let Some(Component::Stream(stream)) = row.component_mut(Kind::Stream) {
                stream::load_pages(stream, &key, scan)?;
            }
            continue;
        }
        let mut failed = None;
        let mut members = Vec::new();
        let mut names = Vec::new();
        let mut fields = Vec::new();
        let mut scores = Vec::new();
        scan(&pages_prefix(&key, stored.kind), &mut |table_key, value| {
            let loaded = versioned(value, table_key).and_then(|bytes| {
                match stored.kind {
                    Kind::SetAw => members.push(sets::loaded(postcard::from_bytes(bytes)?)),
                    Kind::SetRw => names.push(sets::loaded_names(postcard::from_bytes(bytes)?)),
                    Kind::SortedSet => {
                        scores.push(sorted_set::loaded(postcard::from_bytes(bytes)?))
                    }
                    _ => fields.push(loaded_fields(postcard::from_bytes(bytes)?)),
                }
                Ok(())
            });
            failed = failed.take().or(loaded.err());
        });
        if let Some(error) = failed {
            return Err(error);
        }
        let found = [members.len(), names.len(), fields.len(), scores.len()];
        let found = found.into_iter().sum::<usize>();
        if found != stored.pages as usize {
            let name = key.escape_ascii();
            return Err(ImageError::Content(format!(
                "key \"{name}\" has {found} of {} pages",
                stored.pages
            )));
        }
        let sound = match row.component_mut(stored.kind) {
            Some(Component::Set(set)) => {
                **set = PagedMap::from_pages(members).into();
                set.members.is_sound()
            }
            Some(Component::SetRw(set)) => {
                **set = PagedMap::from_pages(names).into();
                set.is_sound()
            }
            Some(Component::Map(map)) => {
                **map = loaded_map(fields);
                map.fields.is_sound()
            }
            Some(Component::SortedSet(set)) => {
                **set = SortedSet::from_pages(scores);
                set.members().is_sound()
            }
            _ => false,
        };
        if !sound {
            return Err(ImageError::Sum {
                key: key.escape_ascii().to_string(),
            });
        }
    }
    row.count_shared();
    Ok(())
}

pub(super) fn loaded_cell(versions: Vec<(Dot, Hlc, &[u8])>) -> Cell<Box<[u8]>> {
    versions
        .into_iter()
        .map(|(dot, hlc, value)| Version {
            dot,
            hlc,
            value: value.into(),
        })
        .collect()
}

fn loaded_sketches(stored: Vec<(Dot, Sketch)>) -> HyperLogLog {
    let mut sketches = HyperLogLog::new();
    for (dot, sketch) in stored {
        sketches.effect(dot, &Everything, HyperLogLogOp::Create(sketch));
    }
    sketches
}

fn loaded_fields(fields: Vec<StoredField<'_>>) -> Vec<(Box<[u8]>, Field)> {
    let field = |stored: StoredField<'_>| {
        let tally = loaded_tally(stored.contributions);
        (
            stored.name.into(),
            Field {
                cell: loaded_cell(stored.versions),
                tally,
            },
        )
    };
    fields.into_iter().map(field).collect()
}

pub(super) fn loaded_tally(contributions: Vec<Contribution>) -> Option<Box<Tally>> {
    (!contributions.is_empty()).then(|| Box::new(contributions.into_iter().collect()))
}

fn loaded_map(pages: Vec<Vec<(Box<[u8]>, Field)>>) -> FieldMap {
    let fields = PagedMap::from_pages(pages);
    let live = fields.iter().filter(|(_, field)| field.is_live()).count();
    FieldMap { fields, live }
}
