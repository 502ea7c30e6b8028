use proptest::prelude::*;

use super::*;

/// A block of `weight` elements under one key.
#[derive(Clone, Debug, PartialEq)]
struct Block {
    key: u32,
    weight: usize,
}

/// The keys, added up.
#[derive(Clone, Debug, Default, PartialEq)]
struct Keys(u64);

impl Summary for Keys {
    fn merge(&mut self, other: &Self) {
        self.0 += other.0;
    }

    fn exchange(&mut self, old: &Self, new: &Self) {
        self.0 = self.0 - old.0 + new.0;
    }
}

impl Item for Block {
    type Key = u32;
    type Summary = Keys;

    fn key(&self) -> &u32 {
        &self.key
    }

    fn weight(&self) -> usize {
        self.weight
    }

    fn summarize(&self, summary: &mut Keys) {
        summary.0 += u64::from(self.key);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Put(Block),
    Remove(u32),
    /// Many at once, beyond every key so far.
    Extend(usize),
    RemoveAt(usize),
    /// The items between the two.
    Cut(usize, usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u32..500, 1usize..4).prop_map(|(key, weight)| Step::Put(Block { key, weight })),
        3 => (0u32..500).prop_map(Step::Remove),
        1 => (1usize..6_000).prop_map(Step::Extend),
        4 => any::<usize>().prop_map(Step::RemoveAt),
        3 => any::<(usize, usize)>().prop_map(|(one, other)| Step::Cut(one, other)),
    ]
}

fn run(tree: &mut CountedTree<Block>, model: &mut Vec<Block>, step: &Step) {
    match step {
        Step::Put(block) => {
            let (block, key) = (block.clone(), block.key);
            match model.binary_search_by_key(&block.key, |old| old.key) {
                Ok(index) => model[index] = block.clone(),
                Err(index) => model.insert(index, block.clone()),
            }
            tree.edit_floor(
                |other| other.cmp(&key),
                |items, floor| match floor {
                    Some(index) if items[index].key == block.key => items[index] = block,
                    Some(index) => items.insert(index + 1, block),
                    None => items.insert(0, block),
                },
            );
        }
        Step::Remove(key) => {
            model.retain(|block| block.key != *key);
            tree.edit_floor(
                |other| other.cmp(key),
                |items, floor| {
                    if let Some(index) = floor.filter(|index| items[*index].key == *key) {
                        items.remove(index);
                    }
                },
            );
        }
        Step::Extend(count) => {
            let first = model.last().map_or(1_000, |block| block.key + 1);
            let more = (0..*count as u32).map(|index| Block {
                key: first + index,
                weight: 1,
            });
            model.extend(more.clone());
            tree.edit_at(usize::MAX, |items, _, _| items.extend(more));
        }
        Step::RemoveAt(index) => {
            if let Some(index) = index.checked_rem(tree.weight()) {
                let (at, offset) = model_at(model, index);
                let block = model.remove(at);
                let removed =
                    tree.edit_at(index, |items, item, inside| (items.remove(item), inside));
                assert_eq!(removed, (block, offset));
            }
        }
        Step::Cut(one, other) => {
            let mut ends = [one, other].map(|end| end % (model.len() + 1));
            ends.sort_unstable();
            let weight = |blocks: &[Block]| blocks.iter().map(|block| block.weight).sum::<usize>();
            let (before, cut) = (weight(&model[..ends[0]]), weight(&model[ends[0]..ends[1]]));
            let mut removed = tree.split_off(before);
            let rest = removed.split_off(cut);
            assert!(removed.iter().eq(&model[ends[0]..ends[1]]));
            assert!(rest.iter().eq(&model[ends[1]..]));
            tree.append(rest);
            model.drain(ends[0]..ends[1]);
        }
    }
}

fn model_at(model: &[Block], index: usize) -> (usize, usize) {
    let mut rest = index;
    for (at, block) in model.iter().enumerate() {
        if rest < block.weight {
            return (at, rest);
        }
        rest -= block.weight;
    }
    panic!("no element {index}");
}

fn check(tree: &CountedTree<Block>, model: &[Block], probe: usize) {
    let weight: usize = model.iter().map(|block| block.weight).sum();
    assert_eq!(tree.weight(), weight);
    assert!(tree.iter().eq(model));
    assert!(tree.at(weight).is_none());
    let keys = model.iter().map(|block| u64::from(block.key)).sum();
    assert_eq!(*tree.summary(), Keys(keys));
    assert!(tree.is_sound(Keys::eq));
    if let Some(index) = probe.checked_rem(weight) {
        let (at, offset) = model_at(model, index);
        assert_eq!(tree.at(index), Some((&model[at], offset)));
        let from: Vec<_> = tree
            .iter_from(index)
            .map(|(block, inside)| (block.key, inside))
            .collect();
        assert_eq!(from[0], (model[at].key, offset));
        assert!(
            from[1..]
                .iter()
                .map(|(key, _)| *key)
                .eq(model[at + 1..].iter().map(|block| block.key))
        );
    }
    let key = (probe % 1_200) as u32;
    let floor = model.iter().rposition(|block| block.key <= key);
    let expected = floor.map(|at| {
        let before = model[..at].iter().map(|block| block.weight).sum();
        (before, &model[at])
    });
    assert_eq!(tree.floor(|other| other.cmp(&key)), expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn it_is_a_sorted_vector(steps in prop::collection::vec((step(), any::<usize>()), 1..80)) {
        let (mut tree, mut model) = (CountedTree::new(), Vec::new());
        let mut before = tree.clone();
        let mut model_before = model.clone();
        for (step, probe) in steps {
            run(&mut tree, &mut model, &step);
            check(&tree, &model, probe);
            check(&before, &model_before, probe); // a clone keeps what it was
            (before, model_before) = (tree.clone(), model.clone());
        }
        assert_eq!(tree.iter().cloned().collect::<CountedTree<_>>().weight(), tree.weight());
    }
}

#[test]
fn removing_everything_leaves_one_empty_leaf() {
    let mut tree: CountedTree<Block> = (0..100_000).map(|key| Block { key, weight: 1 }).collect();
    for index in (0..100_000).rev() {
        tree.edit_at(index / 2, |items, item, _| items.remove(item));
    }
    assert_eq!(tree.weight(), 0);
    assert!(matches!(&*tree.root, Node::Leaf(items) if items.is_empty()));
}

#[test]
fn a_part_is_cut_out_without_a_look_at_it() {
    let mut tree: CountedTree<Block> = (0..100_000).map(|key| Block { key, weight: 1 }).collect();
    for round in 0..1_000 {
        let middle = tree.weight() / 2;
        let mut cut = tree.split_off(middle - 40);
        let rest = cut.split_off(80);
        tree.append(rest);
        assert_eq!(cut.weight(), 80, "in round {round}");
    }
    assert_eq!(tree.weight(), 20_000);
    assert!(tree.is_sound(Keys::eq));
    // Cutting leaves no thin nodes behind.
    assert!(tree.unshared_nodes(usize::MAX) < 2 * 20_000 / (FANOUT_MAX / 2));
}

#[test]
fn what_is_known_of_a_part_saves_looking_at_it() {
    let tree: CountedTree<Block> = (0..100_000).map(|key| Block { key, weight: 1 }).collect();
    let all = tree.summary().clone();
    let kept = tree.left_of(
        |keys| *keys != all,
        |block| panic!("{block:?} is looked at"),
    );
    assert!(kept.is_empty());
    let even = |block: &Block| (block.key.is_multiple_of(2)).then(|| block.clone());
    assert_eq!(tree.left_of(|_| false, even).len(), 50_000);
}
