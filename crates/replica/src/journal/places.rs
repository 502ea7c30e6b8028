//! Which records of the journal a write may settle, by key and by the place in it that was lost.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use isles_clock::{Context, Dot};
use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64;

use crate::conflict::Settled;
use crate::list;
use crate::op::{Base, Blob, KeyOp, Kind, ListPart, Part};
use crate::stream::StreamId;

/// A component, zero for the deadline, and the hash of a field in it, zero for a component without.
pub(crate) type PlaceId = (u8, u64);

pub(crate) fn place_of(component: Option<Kind>, field: Option<&[u8]>) -> PlaceId {
    let tag = component.map_or(0, |kind| kind as u8);
    (tag, field.map_or(0, xxh3_64))
}

/// For keys that are hashes already.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write_u128(&mut self, hash: u128) {
        self.0 = hash as u64;
    }
}

pub(super) type HashedMap<K, V> = HashMap<K, V, BuildHasherDefault<Hashed>>;

/// The records about one place, by their sequences in the journal.
#[derive(Clone, Debug, Default)]
struct Place {
    /// Nobody who had seen the lost write has written here since.
    open: SmallVec<[(u64, Dot); 1]>,
    /// In the order of what settled them. A write that is concurrent to that may yet take its place, see [`Settled`].
    settled: VecDeque<(Settled, u64)>,
}

impl Place {
    fn is_empty(&self) -> bool {
        self.open.is_empty() && self.settled.is_empty()
    }

    /// One of its records.
    fn any(&self) -> Option<u64> {
        let open = self.open.first().map(|(sequence, _)| *sequence);
        open.or_else(|| self.settled.front().map(|(_, sequence)| *sequence))
    }
}

#[derive(Clone, Debug)]
enum KeyPlaces {
    One(PlaceId, Place),
    Many(BTreeMap<PlaceId, Place>),
}

impl KeyPlaces {
    fn get(&self, id: PlaceId) -> Option<&Place> {
        match self {
            KeyPlaces::One(only, place) => (*only == id).then_some(place),
            KeyPlaces::Many(places) => places.get(&id),
        }
    }

    fn get_mut(&mut self, id: PlaceId) -> Option<&mut Place> {
        match self {
            KeyPlaces::One(only, place) => (*only == id).then_some(place),
            KeyPlaces::Many(places) => places.get_mut(&id),
        }
    }

    fn make(&mut self, id: PlaceId) -> &mut Place {
        if let KeyPlaces::One(only, place) = self
            && *only != id
        {
            *self = KeyPlaces::Many(BTreeMap::from([(*only, std::mem::take(place))]));
        }
        match self {
            KeyPlaces::One(_, place) => place,
            KeyPlaces::Many(places) => places.entry(id).or_default(),
        }
    }

    /// Whether some place is in this component.
    fn has(&self, kind: Kind) -> bool {
        let tag = kind as u8;
        match self {
            KeyPlaces::One((only, _), _) => *only == tag,
            KeyPlaces::Many(places) => places.range((tag, 0)..=(tag, u64::MAX)).next().is_some(),
        }
    }

    /// The places without a field: the deadline, strings, and components beside others.
    fn each_whole(&self, each: impl FnMut(&Place)) {
        let components = Kind::ALL.into_iter().map(Some);
        let ids = std::iter::once(None).chain(components);
        let places = ids.filter_map(|kind| self.get(place_of(kind, None)));
        places.for_each(each);
    }

    fn each(&self, mut each: impl FnMut(PlaceId, &Place)) {
        match self {
            KeyPlaces::One(id, place) => each(*id, place),
            KeyPlaces::Many(places) => places.iter().for_each(|(id, place)| each(*id, place)),
        }
    }
}

/// Records by the hash of their key.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    keys: HashedMap<u64, KeyPlaces>,
}

impl Places {
    /// A record that waits for a write which has seen the lost one.
    pub(super) fn insert_open(&mut self, key: u64, id: PlaceId, sequence: u64, loser: Dot) {
        self.make(key, id).open.push((sequence, loser));
    }

    pub(super) fn insert_settled(&mut self, key: u64, id: PlaceId, sequence: u64, by: Settled) {
        let settled = &mut self.make(key, id).settled;
        let at = settled.partition_point(|other| *other < (by, sequence));
        settled.insert(at, (by, sequence));
    }

    fn make(&mut self, key: u64, id: PlaceId) -> &mut Place {
        match self.keys.entry(key) {
            Entry::Occupied(known) => known.into_mut().make(id),
            Entry::Vacant(free) => free.insert(KeyPlaces::One(id, Place::default())).make(id),
        }
    }

    /// Forgets a record, which is open unless something has settled it.
    pub(super) fn remove(&mut self, key: u64, id: PlaceId, sequence: u64, by: Option<Settled>) {
        let Entry::Occupied(mut known) = self.keys.entry(key) else {
            return;
        };
        let Some(place) = known.get_mut().get_mut(id) else {
            return;
        };
        match by {
            None => place.open.retain(|(open, _)| *open != sequence),
            Some(by) => {
                let found = place.settled.binary_search(&(by, sequence));
                found.into_iter().for_each(|at| {
                    place.settled.remove(at);
                });
            }
        }
        if !place.is_empty() {
            return;
        }
        match known.get_mut() {
            KeyPlaces::One(..) => {
                known.remove();
            }
            KeyPlaces::Many(places) => {
                places.remove(&id);
                if places.is_empty() {
                    known.remove();
                }
            }
        }
    }

    /// Whether there are records about a key with this hash.
    pub(super) fn has(&self, key: u64) -> bool {
        self.keys.contains_key(&key)
    }

    /// The open records about keys with this hash, oldest first.
    pub(super) fn open_of(&self, key: u64) -> Vec<u64> {
        let mut found = Vec::new();
        if let Some(places) = self.keys.get(&key) {
            places.each(|_, place| found.extend(place.open.iter().map(|(sequence, _)| *sequence)));
        }
        found.sort_unstable();
        found
    }

    /// The records that an op on a key with this hash may settle, or settle in the place of what has: those about the
    /// places that it writes. Whether its writer had seen a lost write is asked only of those that are open. `id_of` tells
    /// the id of the stream entry that a record is about.
    pub(super) fn reached<C: Context>(
        &self,
        key: u64,
        op: &KeyOp<'_>,
        by: Settled,
        context: &C,
        id_of: impl Fn(u64) -> Option<StreamId>,
    ) -> SmallVec<[u64; 4]> {
        let mut found = SmallVec::new();
        self.each_reached(key, op, id_of, |_, place| {
            let open = place.open.iter();
            let seen = open.filter(|(_, loser)| context.covers(*loser));
            found.extend(seen.map(|(sequence, _)| *sequence));
            let later = place.settled.iter().rev();
            let later = later.take_while(|(settled, _)| *settled > by);
            found.extend(later.map(|(_, sequence)| *sequence));
        });
        found
    }

    /// The open records of which an op on a key with this hash may have changed whether the lost write is read: those about
    /// the places that it writes, and those about whole components.
    pub(super) fn open_beside(
        &self,
        key: u64,
        op: &KeyOp<'_>,
        id_of: impl Fn(u64) -> Option<StreamId>,
    ) -> SmallVec<[u64; 4]> {
        let mut found = SmallVec::new();
        let Some(places) = self.keys.get(&key) else {
            return found;
        };
        let mut collect = |place: &Place| {
            found.extend(place.open.iter().map(|(sequence, _)| *sequence));
        };
        self.each_reached(key, op, id_of, |(_, field), place| {
            if field != 0 {
                collect(place);
            }
        });
        places.each_whole(collect);
        found
    }

    /// The places with records that an op on a key with this hash writes.
    fn each_reached(
        &self,
        key: u64,
        op: &KeyOp<'_>,
        id_of: impl Fn(u64) -> Option<StreamId>,
        mut each: impl FnMut(PlaceId, &Place),
    ) {
        let Some(places) = self.keys.get(&key) else {
            return;
        };
        if op.base != Base::Keep {
            // A register that is empty already stays as it is, with the deletion that made it so.
            let register = place_of(Some(Kind::RegisterLww), None);
            let keeps_register = !op.parts.iter().any(writes_register);
            places.each(|id, place| {
                if !(keeps_register && id == register) {
                    each(id, place);
                }
            });
            return;
        }
        if let Some(through) = op.parts.iter().find_map(trimmed_through) {
            places.each(|id, place| {
                let entry = place
                    .any()
                    .filter(|_| id.0 == Kind::Stream as u8)
                    .and_then(&id_of);
                if entry.is_some_and(|entry| entry <= through) {
                    each(id, place);
                }
            });
        }
        if let Some(kept) = op.parts.iter().find_map(kept_members) {
            let kept: HashSet<u64> = kept.iter().map(|name| xxh3_64(name.0)).collect();
            places.each(|id, place| {
                // A record without a member is about the whole.
                if id.0 == Kind::SortedSet as u8 && id.1 != 0 && !kept.contains(&id.1) {
                    each(id, place);
                }
            });
        }
        each_place(op, places, |id| {
            if let Some(place) = places.get(id) {
                each(id, place);
            }
        });
    }
}

fn writes_register(part: &Part<'_>) -> bool {
    part.kind() == Some(Kind::RegisterLww)
}

fn trimmed_through(part: &Part<'_>) -> Option<StreamId> {
    match part {
        Part::Stream(part) => part.trim,
        _ => None,
    }
}

fn kept_members<'p, 'a>(part: &'p Part<'a>) -> Option<&'p [Blob<'a>]> {
    match part {
        Part::SortedSetKept(kept) => Some(kept),
        _ => None,
    }
}

/// The places that an op writes or removes; of those in components that the key has no records about, none.
fn each_place(op: &KeyOp<'_>, places: &KeyPlaces, mut each: impl FnMut(PlaceId)) {
    for part in &op.parts {
        let Some(kind) = part.kind() else {
            each((0, 0));
            continue;
        };
        if matches!(kind, Kind::RegisterLww | Kind::RegisterMv) {
            let strings = [kind, Kind::RegisterMv, Kind::Counter];
            strings
                .into_iter()
                .for_each(|kind| each(place_of(Some(kind), None)));
            continue;
        }
        if !places.has(kind) {
            continue;
        }
        let mut field = |name: &[u8]| each(place_of(Some(kind), Some(name)));
        match part {
            Part::Map(part) => {
                part.remove.iter().for_each(|each| field(each.field.0));
                part.put.iter().for_each(|each| field(each.field.0));
            }
            Part::SortedSet(part) => {
                part.remove.iter().for_each(|each| field(each.field.0));
                part.put.iter().for_each(|each| field(each.field.0));
            }
            Part::List(part) => each_element(part, field),
            Part::Stream(part) => {
                let ids = part.remove.iter();
                ids.for_each(|id| field(id.to_string().as_bytes()));
            }
            _ => {}
        }
    }
}

fn each_element(part: &ListPart<'_>, mut field: impl FnMut(&[u8])) {
    let removed = part.remove.iter();
    removed.for_each(|position| field(list::name_of(&position).as_bytes()));
    let written = part.set.iter();
    written.for_each(|put| field(list::name_of(&put.position).as_bytes()));
}

/// The records of a place: open ones, and settled ones.
type Listed = (Vec<u64>, Vec<(Settled, u64)>);

impl Places {
    /// Whether this is the index of these records.
    pub(super) fn check(&self, records: &VecDeque<super::JournalRecord>) -> Result<(), String> {
        let mut expected = Places::default();
        for record in records {
            let (hash, id) = (crate::rows::hash_of(&record.key), record.place());
            match record.settled() {
                None => expected.insert_open(hash, id, record.sequence, record.loser.dot),
                Some(by) => expected.insert_settled(hash, id, record.sequence, by),
            }
        }
        match expected.listed() == self.listed() {
            true => Ok(()),
            false => Err("the journal's index by place is not that of its records".to_owned()),
        }
    }

    fn listed(&self) -> BTreeMap<(u64, PlaceId), Listed> {
        let mut listed = BTreeMap::new();
        for (key, places) in &self.keys {
            places.each(|id, place| {
                let mut open: Vec<u64> = place.open.iter().map(|(sequence, _)| *sequence).collect();
                open.sort_unstable();
                listed.insert((*key, id), (open, place.settled.iter().copied().collect()));
            });
        }
        listed
    }
}
