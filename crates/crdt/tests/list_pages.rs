//! A list stored page by page, of which only what has changed is written, is the same list when it is loaded.

use std::collections::BTreeMap;

use isles_clock::{Dot, Everything, Hlc, ReplicaId, Stamp, VectorClock};
use isles_crdt::list::ListPage;
use isles_crdt::op::{List, OpBased, Version};
use isles_crdt::update::ListUpdate;
use proptest::prelude::*;

/// A list and what is stored of it.
#[derive(Default)]
struct Stored {
    list: List<u32>,
    pages: BTreeMap<u32, Vec<u8>>,
    sequence: u64,
}

impl Stored {
    fn update(&mut self, writer: u128, update: ListUpdate<u32>) {
        let replica = ReplicaId::from_u128(writer);
        if let Some(op) = self.list.prepare(Stamp::new(Hlc::ZERO, replica), update) {
            self.sequence += 1;
            let dot = Dot::new(replica, self.sequence);
            self.list.effect(dot, &Everything, op);
        }
    }

    /// Writes what has changed; says how many pages that took.
    fn store(&mut self) -> usize {
        let changes = self.list.take_changes();
        for number in changes.gone {
            assert!(
                self.pages.remove(&number).is_some(),
                "page {number} was stored"
            );
        }
        for (number, page) in &changes.changed {
            assert!(*number < self.list.pages_bound());
            let bytes = postcard::to_allocvec(page).expect("a page can be encoded");
            self.pages.insert(*number, bytes);
        }
        changes.changed.len()
    }

    fn load(&self) -> List<u32> {
        let page = |(number, bytes): (&u32, &Vec<u8>)| {
            let page: ListPage<u32> =
                postcard::from_bytes(bytes).expect("what was written is read");
            (*number, page)
        };
        List::from_pages(self.pages.iter().map(page)).expect("stored pages make a list")
    }
}

#[test]
fn one_change_of_a_large_list_writes_one_page() {
    let mut stored = Stored::default();
    for value in 0..10_000 {
        stored.update(1, ListUpdate::PushBack(vec![value]));
    }
    assert!(stored.store() > 150);
    for update in [
        ListUpdate::Set {
            index: 5_000,
            value: 1,
        },
        ListUpdate::Remove {
            range: 7_000..7_001,
        },
        ListUpdate::PushFront(vec![2]),
    ] {
        stored.update(1, update);
        assert_eq!(stored.store(), 1);
    }
    stored.update(
        1,
        ListUpdate::Insert {
            index: 3_000,
            values: vec![3],
        },
    );
    assert!(
        stored.store() <= 3,
        "the page is cut in two beside what is inserted"
    );
    assert_eq!(stored.load(), stored.list);
}

#[test]
fn numbers_of_pages_are_used_again() {
    let mut stored = Stored::default();
    stored.update(1, ListUpdate::PushBack(vec![0; 640]));
    for _ in 0..100 {
        stored.update(1, ListUpdate::PushBack(vec![0; 64]));
        stored.update(1, ListUpdate::Remove { range: 0..64 });
        stored.store();
    }
    assert!(
        stored.list.pages_bound() <= 16,
        "{}",
        stored.list.pages_bound()
    );
    stored.list = stored.load();
    stored.update(1, ListUpdate::PushBack(vec![0; 64]));
    stored.store();
    assert_eq!(stored.load(), stored.list);
    assert!(stored.list.pages_bound() <= 16);
}

#[test]
fn what_a_concurrent_write_keeps_is_told_from_what_goes() {
    let (eu, us) = (ReplicaId::from_u128(1), ReplicaId::from_u128(2));
    let mut list = List::new();
    let op = list
        .prepare(
            Stamp::new(Hlc::ZERO, eu),
            ListUpdate::PushBack(vec!["a", "b", "c"]),
        )
        .expect("something is pushed");
    list.effect(Dot::new(eu, 1), &Everything, op);
    let position = list.position(1).expect("b is there");
    let seen = VectorClock::from_iter([(eu, 1)]);
    let version = Version {
        dot: Dot::new(us, 1),
        hlc: Hlc::ZERO,
        value: "B",
    };
    list.set(&position, version, &VectorClock::new());
    assert!(list.remove_each(&list.positions(0..3), &seen));
    assert!(list.iter().eq(&["B"]));
}

fn update() -> impl Strategy<Value = (u128, ListUpdate<u32>, bool)> {
    let values = prop::collection::vec(any::<u32>(), 1..90);
    let update = prop_oneof![
        3 => values.clone().prop_map(ListUpdate::PushBack),
        2 => values.clone().prop_map(ListUpdate::PushFront),
        3 => (0usize..400, values).prop_map(|(index, values)| ListUpdate::Insert { index, values }),
        3 => (0usize..400, 0usize..120).prop_map(|(start, len)| ListUpdate::Remove { range: start..start + len }),
        1 => (0usize..400, any::<u32>()).prop_map(|(index, value)| ListUpdate::Set { index, value }),
    ];
    (1u128..4, update, prop::bool::weighted(0.3))
}

proptest! {
    #[test]
    fn changed_pages_make_up_the_list(updates in prop::collection::vec(update(), 1..60)) {
        let mut stored = Stored::default();
        for (writer, update, store) in updates {
            stored.update(writer, update);
            if store {
                stored.store();
                let loaded = stored.load();
                prop_assert_eq!(&loaded, &stored.list);
                // From here on the loaded one is changed further, as after a restart.
                stored.list = loaded;
            }
        }
    }

    #[test]
    fn removing_many_at_once_is_removing_each(
        updates in prop::collection::vec(update(), 1..40), start in 0usize..300, len in 0usize..300, every in 1usize..5,
    ) {
        let mut stored = Stored::default();
        for (writer, update, _) in updates {
            stored.update(writer, update);
        }
        let end = (start + len).min(stored.list.len());
        let positions = (start..end).step_by(every).filter_map(|index| stored.list.position(index));
        let positions = positions.collect();
        let mut one_by_one = stored.list.clone();
        let left = stored.list.remove_each(&positions, &Everything);
        positions.iter().for_each(|position| one_by_one.remove(&position, &Everything));
        prop_assert!(!left);
        prop_assert_eq!(stored.list, one_by_one);
    }
}
