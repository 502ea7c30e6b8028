use alloc::vec::Vec;

use isles_clock::{Dot, Everything, Hlc, ReplicaId, VectorClock};
use proptest::prelude::*;

use super::*;
use crate::list::ListPage;
use crate::op::Version;

/// A list under construction, and every position that it has ever had.
#[derive(Default)]
struct Grown {
    list: List<u32>,
    positions: Vec<Position>,
    sequences: [u64; 2],
}

#[derive(Clone, Debug)]
enum Step {
    Insert(prop::sample::Index, u32),
    /// Concurrently to what is there, or not.
    Write(prop::sample::Index, bool),
    Remove(prop::sample::Index),
}

fn step() -> impl Strategy<Value = (usize, Step)> {
    let index = any::<prop::sample::Index>;
    let step = prop_oneof![
        4 => (index(), 1u32..80).prop_map(|(index, len)| Step::Insert(index, len)),
        2 => (index(), any::<bool>()).prop_map(|(index, seen)| Step::Write(index, seen)),
        1 => index().prop_map(Step::Remove),
    ];
    (0..2usize, step)
}

impl Grown {
    fn next(&mut self, who: usize) -> Dot {
        self.sequences[who] += 1;
        Dot::new(ReplicaId::from_u128(who as u128 + 1), self.sequences[who])
    }

    fn perform(&mut self, who: usize, step: &Step) {
        let dot = self.next(who);
        let len = self.list.len();
        match step {
            Step::Insert(index, count) => {
                let index = index.index(len + 1);
                let place = match index == len {
                    true => self.list.back(dot, 0),
                    false => self.list.place(index, dot, 0),
                };
                let place = place.expect("there is room");
                self.list.insert(&place, dot, 0, (0..*count).collect());
                let positions = (0..*count).filter_map(|ordinal| place.position(dot, ordinal));
                self.positions.extend(positions);
            }
            Step::Write(index, seen) if len > 0 => {
                let position = self.list.position(index.index(len)).expect("it is there");
                let (hlc, value) = (Hlc::ZERO, 99);
                let version = Version { dot, hlc, value };
                match seen {
                    true => self.list.set(&position, version, &Everything),
                    false => self.list.set(&position, version, &VectorClock::new()),
                }
            }
            Step::Remove(index) if len > 0 => {
                let position = self.list.position(index.index(len)).expect("it is there");
                self.list.remove(&position, &Everything);
            }
            _ => {}
        }
    }
}

/// The pages as whoever stores them has them.
fn store(list: &mut List<u32>, table: &mut Vec<Option<ListPage<u32>>>) {
    let changes = list.take_changes();
    changes
        .gone
        .into_iter()
        .for_each(|number| table[number as usize] = None);
    for (number, page) in changes.changed {
        table.resize(table.len().max(number as usize + 1), None);
        table[number as usize] = Some(page);
    }
}

fn stored(table: &[Option<ListPage<u32>>]) -> List<u32> {
    let numbered = (0..).zip(table.iter().cloned());
    let pages = numbered.filter_map(|(number, page)| Some((number, page?)));
    List::from_pages(pages).expect("the pages fit each other")
}

proptest! {
    #[test]
    fn sweeping_is_removing_each(
        steps in prop::collection::vec(step(), 1..40),
        named in prop::collection::vec(any::<bool>(), 64),
        stretch in 1usize..50,
        seen in prop::option::of((0u64..50, 0u64..50)),
    ) {
        let mut grown = Grown::default();
        steps.iter().for_each(|(who, step)| grown.perform(*who, step));
        grown.positions.sort();
        // Some in a row are named, some in a row are not.
        let some = grown.positions.iter().enumerate();
        let some = some.filter(|(index, _)| named[index / stretch % named.len()]);
        let positions: Positions = some.map(|(_, position)| position.clone()).collect();
        let mut table = Vec::new();
        store(&mut grown.list, &mut table);
        let (mut swept, mut each) = (grown.list.clone(), grown.list);
        let left = match seen {
            None => (swept.sweep(&positions, &Everything), each.remove_each(&positions, &Everything)),
            Some((eu, us)) => {
                let ids = [1, 2].map(ReplicaId::from_u128);
                let seen: VectorClock = ids.into_iter().zip([eu, us]).collect();
                (swept.sweep(&positions, &seen), each.remove_each(&positions, &seen))
            }
        };
        prop_assert_eq!(left.0, left.1);
        prop_assert_eq!(&swept, &each);
        store(&mut swept, &mut table);
        prop_assert_eq!(stored(&table), swept);
    }
}

#[test]
fn positions_are_found_by_value() {
    let mut list = List::new();
    let dot = Dot::new(ReplicaId::from_u128(1), 1);
    let place = list.back(dot, 0).expect("there is room at the end");
    list.insert(&place, dot, 0, (0..200u32).map(|value| value % 3).collect());
    let all = list.positions_of(usize::MAX, |value| *value == 1);
    assert_eq!(all.len(), 67);
    let indices = all.iter().map(|position| list.index_of(&position));
    assert!(indices.eq((0..67).map(|nth| Ok(3 * nth + 1))));
    assert_eq!(list.positions_of(2, |value| *value == 1).len(), 2);
}
