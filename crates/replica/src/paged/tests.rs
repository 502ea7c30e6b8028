use std::collections::{BTreeMap, BTreeSet};

use isles_clock::{Context, Dot, Everything, ReplicaId, VectorClock};
use proptest::prelude::*;

use super::*;

const WRITER: ReplicaId = ReplicaId::from_u128(1);

/// A number stands for the write that brought it.
impl Bounded for u32 {
    fn raise(&self, bound: &mut Bound) {
        bound.observe(dot(*self));
    }
}

fn dot(number: u32) -> Dot {
    Dot::new(WRITER, u64::from(number))
}

fn of_numbers(count: u32) -> PagedMap<u32> {
    let mut map = PagedMap::new();
    (0..count).for_each(|n| put(&mut map, &n.to_le_bytes(), n));
    map
}

/// What is left of a map after a clear with this context, and how many elements were looked at for it.
fn cleared(map: &PagedMap<u32>, context: &impl Context) -> (PagedMap<u32>, usize) {
    let mut visited = 0;
    let left = map.rebuilt(
        |bound| bound.is_covered(context),
        |_, number| {
            visited += 1;
            (!context.covers(dot(*number))).then_some(*number)
        },
    );
    (left, visited)
}

fn put(map: &mut PagedMap<u32>, key: &[u8], value: u32) {
    map.update(key, |slot| *slot = Some(value));
}

#[test]
fn a_snapshot_does_not_see_later_writes() {
    let mut map = of_numbers(1000);
    let snapshot = map.clone();
    (0..1000u32).for_each(|n| map.update(&n.to_le_bytes(), |slot| *slot = None));
    assert_eq!(
        (map.len(), snapshot.len(), snapshot.iter().count()),
        (0, 1000, 1000)
    );
}

#[test]
fn clearing_what_was_observed_looks_at_no_element() {
    let map = of_numbers(100_000);
    let (left, visited) = cleared(&map, &Everything);
    assert_eq!((left.len(), visited), (0, 0));
}

#[test]
fn clearing_all_but_a_few_looks_only_where_they_are() {
    let mut map = of_numbers(100_000);
    let observed = VectorClock::from_iter([(WRITER, 99_999)]);
    let unseen = [7u32, 50_000].map(|key| key.to_le_bytes());
    (100_000..)
        .zip(&unseen)
        .for_each(|(number, key)| put(&mut map, key, number));
    let (left, visited) = cleared(&map, &observed);
    assert!(left.is_sound());
    let kept: BTreeSet<_> = left.iter().map(|(key, _)| key.to_vec()).collect();
    assert_eq!(kept, unseen.map(Vec::from).into());
    // At most two of the hundred nodes that hold 64 pages each.
    assert!(
        (2..=2 * 64 * 2 * PAGE_ITEMS).contains(&visited),
        "{visited}"
    );
}

#[test]
fn a_bound_holds_for_elements_that_moved_to_another_page() {
    // The newest comes first, and moves with nearly every page that is split.
    let mut map = PagedMap::new();
    put(&mut map, b"newest", u32::MAX);
    for number in 0..20_000u32 {
        put(&mut map, &number.to_le_bytes(), number);
        if number % 97 == 0 {
            let observed = VectorClock::from_iter([(WRITER, u64::from(u32::MAX) - 1)]);
            assert_eq!(cleared(&map, &observed).0.len(), 1, "after {number}");
        }
    }
}

#[test]
fn a_write_after_a_snapshot_shares_all_but_one_branch() {
    let mut map = of_numbers(100_000);
    assert!(map.is_burden());
    let mut snapshot = map.clone();
    assert!(!map.is_burden() && !snapshot.is_burden());
    put(&mut map, &7u32.to_le_bytes(), 1);
    assert!(!map.is_burden() && !snapshot.is_burden());
    assert_eq!(
        (
            snapshot.get(&7u32.to_le_bytes()),
            map.get(&7u32.to_le_bytes())
        ),
        (Some(&7), Some(&1))
    );
    snapshot = PagedMap::new();
    assert!(map.is_burden() && !snapshot.is_burden());
}

#[test]
fn a_scan_sees_what_stays_although_the_map_grows() {
    let mut map = of_numbers(500);
    let (mut cursor, mut seen, mut added) = (0, BTreeSet::new(), 500u32);
    loop {
        cursor = map.scan(cursor, 10, &mut |_, value| _ = seen.insert(*value));
        (added..added + 100).for_each(|n| put(&mut map, &n.to_le_bytes(), n));
        added += 100;
        if cursor == 0 {
            break;
        }
    }
    assert!((0..500).all(|n| seen.contains(&n)));
}

#[test]
fn dirty_pages_rebuild_the_map() {
    let mut map = PagedMap::new();
    let mut stored: Vec<Vec<(Box<[u8]>, u32)>> = Vec::new();
    for round in 0..20u32 {
        (round * 50..round * 50 + 50).for_each(|n| put(&mut map, &n.to_le_bytes(), n));
        map.update(&(round * 7).to_le_bytes(), |slot| *slot = None);
        stored.resize(map.pages_len(), Vec::new());
        for (number, page) in map.take_changed().iter() {
            stored[number as usize] = page
                .items()
                .iter()
                .map(|i| (i.key.clone(), i.value))
                .collect();
        }
    }
    let rebuilt = PagedMap::from_pages(stored);
    assert!(rebuilt.is_sound());
    let content = |map: &PagedMap<u32>| {
        map.iter()
            .map(|(k, v)| (k.to_vec(), *v))
            .collect::<BTreeMap<_, _>>()
    };
    assert_eq!(content(&rebuilt), content(&map));
}

proptest! {
    #[test]
    fn it_is_a_map(ops in prop::collection::vec((any::<bool>(), 0u16..400), 0..2000)) {
        let mut map = PagedMap::new();
        let mut model = BTreeMap::new();
        for (add, key) in ops {
            let bytes = key.to_le_bytes();
            if add {
                put(&mut map, &bytes, u32::from(key));
                model.insert(bytes.to_vec(), u32::from(key));
            } else {
                map.update(&bytes, |slot| *slot = None);
                model.remove(&bytes[..]);
            }
        }
        prop_assert!(map.is_sound());
        prop_assert_eq!(map.len(), model.len());
        let content: BTreeMap<_, _> = map.iter().map(|(k, v)| (k.to_vec(), *v)).collect();
        prop_assert_eq!(content, model);
    }
}

#[test]
fn many_are_found_and_changed_as_each_would_be() {
    for count in [MANY as u32 / 2, MANY as u32, 5_000] {
        let mut map = of_numbers(3_000);
        // Some twice, some that are not there.
        let names: Vec<[u8; 4]> = (0..count).map(|n| (n * 7 % 4_000).to_le_bytes()).collect();
        let keys: Vec<&[u8]> = names.iter().map(|name| &name[..]).collect();
        let mut found = BTreeMap::new();
        map.find_each(&keys, |index, number| {
            assert!(found.insert(keys[index], (index, *number)).is_none());
        });
        let first = |key: &[u8]| keys.iter().position(|other| *other == key);
        for key in &keys {
            let expected = map.get(key).map(|number| (first(key).unwrap(), *number));
            assert_eq!(found.get(key).copied(), expected);
        }
        let mut model: BTreeMap<_, _> = map.iter().map(|(key, n)| (key.to_vec(), *n)).collect();
        map.change_each(
            &names,
            |name| name,
            |index, slot| match slot {
                Some(number) if *number % 2 == 0 => *slot = None,
                Some(number) => *number = index as u32 + 10_000,
                None => {}
            },
        );
        for (index, name) in names.iter().enumerate() {
            match model.get_mut(&name[..]) {
                Some(number) if *number % 2 == 0 => drop(model.remove(&name[..])),
                Some(number) => *number = index as u32 + 10_000,
                None => {}
            }
        }
        assert!(map.is_sound() && map.len() == model.len());
        let content: BTreeMap<_, _> = map.iter().map(|(key, n)| (key.to_vec(), *n)).collect();
        assert_eq!(content, model);
    }
}
