//! The list, held against a tree that is spelled out.

use std::collections::BTreeMap;

use isles_clock::ReplicaId;
use isles_crdt::update::ListUpdate::{self, Clear, Insert, PushBack, PushFront, Remove, Set};
use isles_crdt::update::MapUpdate::{Clear as ClearMap, Remove as RemoveKey, Update};
use isles_crdt::{AwMap, List, op};

use crate::laws;
use crate::oracle::{Event, Keys, Oracle, seen_by};

/// A level of a path: which side of the element above (0 left, 2 right; 1 ends a path), the step and the root of the run,
/// the place in it.
type Level = (u8, i64, Name, i64, Name);
/// Who, by which of its updates, and which of the values of that one.
type Name = (Option<ReplicaId>, u32, usize);
type Path = Vec<Level>;

const END: Level = (1, 0, (None, 0, 0), 0, (None, 0, 0));
const STEP: i64 = 1 << 32;

/// The sequence as a tree of which every path is written down: a map sorted by paths is the list. What was removed is
/// not in the view of its writer, and so never looked at.
pub(crate) struct Sequence;

impl Oracle for Sequence {
    type Update = ListUpdate<u8>;
    type Value = Vec<u8>;

    fn read(events: &[Event<ListUpdate<u8>>]) -> Option<Vec<u8>> {
        let elements = view(events);
        let latest = |versions: &Versions| versions.iter().max().map(|(_, value)| *value);
        let values = elements.values().filter_map(latest).collect();
        Some(values).filter(|values: &Vec<u8>| !values.is_empty())
    }
}

/// Values by their stamps; that of an insertion is the least.
type Version = ((u64, Option<ReplicaId>, u32), u8);
type Versions = Vec<Version>;

fn view(events: &[Event<ListUpdate<u8>>]) -> BTreeMap<Path, Versions> {
    let mut elements = BTreeMap::<Path, Versions>::new();
    let mut gone = Vec::new();
    let mut ordered: Vec<_> = events.iter().collect();
    ordered.sort_by_key(|event| event.seen.count_ones());
    for event in ordered {
        let before = view(&seen_by(event, events));
        let paths: Vec<&Path> = before.keys().collect();
        let name = |ordinal| (Some(event.at.replica), event.bit, ordinal);
        let written = match &event.update {
            Insert { index, values } => {
                let index = (*index).min(paths.len());
                inserted(&place(&paths, index, name(0), false), values, name)
            }
            PushFront(values) => inserted(&place(&paths, 0, name(0), true), values, name),
            PushBack(values) => inserted(&place(&paths, paths.len(), name(0), true), values, name),
            Set { index, value } => match before.iter().nth(*index) {
                Some((path, versions)) => {
                    gone.extend(all(path, versions));
                    let after = versions.iter().map(|(stamp, _)| stamp.0 + 1).max();
                    let hlc = event.at.hlc.as_u64().max(after.unwrap_or(0));
                    let stamp = (hlc, Some(event.at.replica), event.bit);
                    vec![(path.clone(), (stamp, *value))]
                }
                None => Vec::new(),
            },
            Remove { range } => {
                let removed = before.iter().skip(range.start).take(range.len());
                gone.extend(removed.flat_map(|(path, versions)| all(path, versions)));
                Vec::new()
            }
            Clear => {
                let removed = before.iter();
                gone.extend(removed.flat_map(|(path, versions)| all(path, versions)));
                Vec::new()
            }
        };
        if event.removed_by != 0 {
            gone.extend(written.iter().cloned());
        }
        for (path, version) in written {
            elements.entry(path).or_default().push(version);
        }
    }
    for (path, version) in gone {
        if let Some(versions) = elements.get_mut(&path) {
            versions.retain(|other| *other != version);
        }
    }
    elements.retain(|_, versions| !versions.is_empty());
    elements
}

fn all(path: &Path, versions: &Versions) -> impl Iterator<Item = (Path, Version)> {
    versions.iter().map(|version| (path.clone(), *version))
}

fn inserted(first: &Path, values: &[u8], name: impl Fn(usize) -> Name) -> Vec<(Path, Version)> {
    let element = |(ordinal, value): (usize, &u8)| {
        let mut path = first.clone();
        let last = path.len() - 2;
        path[last].4 = name(ordinal);
        // An insertion has no time; its version is older than every write of the element.
        (path, ((0, None, 0), *value))
    };
    values.iter().enumerate().map(element).collect()
}

/// The rule, in the order in which it is documented: grow an own run, step if pushed at an end, hang at a neighbour.
fn place(paths: &[&Path], index: usize, name: Name, push: bool) -> Path {
    let left = index
        .checked_sub(1)
        .map(|index| &paths[index][..paths[index].len() - 1]);
    let right = paths.get(index).map(|path| &path[..path.len() - 1]);
    let level = |path: &[Level], depth: usize| path[depth - 1];
    let belongs = |right: &[Level], left: &[Level]| {
        let depth = left.len();
        let same_run = right.len() >= depth
            && right[..depth - 1] == left[..depth - 1]
            && (
                level(right, depth).0,
                level(right, depth).1,
                level(right, depth).2,
            ) == (
                level(left, depth).0,
                level(left, depth).1,
                level(left, depth).2,
            );
        same_run && {
            let (l, r) = (level(left, depth), level(right, depth));
            if l == r {
                right.len() > depth && right[depth].0 == 2
            } else {
                (r.3, r.4) > (l.3, l.4) && l.3 >= 0
            }
        }
    };
    let ended = |mut path: Path| {
        path.push(END);
        path
    };
    let at = |anchor: &[Level], offset: i64| {
        let mut path = anchor.to_vec();
        let last = path.last_mut().expect("a path has a level");
        (last.3, last.4) = (offset, name);
        ended(path)
    };
    let fits = |path: &Path| {
        index.checked_sub(1).is_none_or(|index| paths[index] < path)
            && paths.get(index).is_none_or(|right| path < *right)
    };
    let own = |anchor: &[Level]| lowest(anchor).2.0 == name.0;
    let hang = |anchor: &[Level], side: u8| {
        let mut path = anchor.to_vec();
        path.push((side, 0, name, 0, name));
        ended(path)
    };
    let step = |anchor: &[Level], by: i64| ended(vec![(2, level(anchor, 1).1 + by, name, 0, name)]);
    let (anchor, side) = match (left, right) {
        (None, None) => return ended(vec![(2, 0, name, 0, name)]),
        (Some(left), Some(right)) if belongs(right, left) => (right, 0),
        (Some(left), _) => (left, 2),
        (None, Some(right)) => (right, 0),
    };
    let grown = match (left, right) {
        (Some(l), Some(r))
            if l.len() == r.len()
                && l[..l.len() - 1] == r[..r.len() - 1]
                && lowest(l).2 == lowest(r).2
                && lowest(r).3 - lowest(l).3 >= 2 =>
        {
            at(l, lowest(l).3 + (lowest(r).3 - lowest(l).3) / 2)
        }
        _ => at(
            anchor,
            lowest(anchor).3 + if side == 0 { -STEP } else { STEP },
        ),
    };
    if own(anchor) && fits(&grown) {
        return grown;
    }
    if push {
        return step(anchor, if side == 0 { -1 } else { 1 });
    }
    hang(anchor, side)
}

fn lowest(path: &[Level]) -> Level {
    *path.last().expect("a path has a level")
}

laws!(list: Sequence, List<u8>, op::List<u8>, [
    Insert { index: 1, values: vec![1, 2] },
    Remove { range: 0..1 },
    PushFront(vec![3]),
    Set { index: 1, value: 4 },
    PushBack(vec![5, 6]),
    Insert { index: 0, values: vec![7] },
    Insert { index: 2, values: vec![8] },
    Insert { index: 3, values: vec![] },
    Remove { range: 1..9 },
    Clear,
]);

laws!(map_of_lists: Keys<Sequence>, AwMap<u8, op::List<u8>>, op::AwMap<u8, op::List<u8>>, [
    Update(0, PushBack(vec![1, 2])),
    RemoveKey(0),
    Update(0, Set { index: 0, value: 3 }),
    Update(0, Remove { range: 0..1 }),
    Update(0, Insert { index: 1, values: vec![4] }),
    Update(1, PushFront(vec![5])),
    Update(0, Clear),
    ClearMap,
]);
