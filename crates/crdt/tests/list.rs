//! The list: what stays together, what it costs, and what its decoders refuse.

use isles_clock::{Dot, Everything, Hlc, ReplicaId, Stamp};
use isles_crdt::list::{InsertError, ListOp, Position};
use isles_crdt::op::{self, OpBased};
use isles_crdt::update::ListUpdate;
use isles_crdt::{Delta, DeltaState, List, Merge};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

const A: ReplicaId = ReplicaId::from_bytes([0xd0; 16]);
const B: ReplicaId = ReplicaId::from_bytes([0xe0; 16]);
const C: ReplicaId = ReplicaId::from_bytes([0xf0; 16]);

/// How a replica puts the characters of a run in, one by one, at a gap of the text.
#[derive(Clone, Copy, Debug)]
enum Typing {
    Forwards,
    Backwards,
    /// From the middle, alternating between both ends.
    Outwards,
    /// Always between the two newest.
    Inwards,
    AtOnce,
}

fn type_run(list: &mut List<char>, who: ReplicaId, gap: usize, run: &[char], typing: Typing) {
    let mut typed = 0;
    match typing {
        Typing::AtOnce => insert(list, who, gap, run),
        Typing::Forwards => {
            for letter in run {
                insert(list, who, gap + typed, &[*letter]);
                typed += 1;
            }
        }
        Typing::Backwards => run
            .iter()
            .rev()
            .for_each(|letter| insert(list, who, gap, &[*letter])),
        Typing::Outwards => {
            for letter in run {
                insert(list, who, gap + typed % 2 * typed, &[*letter]);
                typed += 1;
            }
        }
        Typing::Inwards => {
            for letter in run {
                insert(list, who, gap + typed / 2, &[*letter]);
                typed += 1;
            }
        }
    }
}

fn insert(list: &mut List<char>, who: ReplicaId, index: usize, letters: &[char]) {
    let _delta = list.insert(who, index, letters).expect("there is room");
}

/// Every letter's places are one next to the other.
fn assert_apart(list: &List<char>, letters: &[char]) {
    let text: String = list.iter().collect();
    for letter in letters {
        let count = text.chars().filter(|other| other == letter).count();
        let run: String = std::iter::repeat_n(*letter, count).collect();
        assert!(text.contains(&run), "{letter} is parted in {text}");
    }
}

fn typing() -> impl Strategy<Value = Typing> {
    prop_oneof![
        Just(Typing::Forwards),
        Just(Typing::Backwards),
        Just(Typing::Outwards),
        Just(Typing::Inwards),
        Just(Typing::AtOnce),
    ]
}

proptest! {
    /// Three replicas type at the same place of a text that all have, in two sittings, and do not see each other.
    #[test]
    fn concurrent_runs_never_mix(
        text in prop::collection::vec((0u128..4, 0usize..10), 0..12),
        gap in 0usize..12,
        typings in prop::array::uniform3((typing(), typing())),
        lens in prop::array::uniform3(1usize..40),
    ) {
        let mut start = List::new();
        for (who, index) in text {
            let index = index.min(start.len());
            insert(&mut start, ReplicaId::from_u128(who), index, &['.']);
        }
        let gap = gap.min(start.len());
        let mut merged = start.clone();
        for (index, (who, letter)) in [(A, 'a'), (B, 'b'), (C, 'c')].into_iter().enumerate() {
            let mut list = start.clone();
            let run = vec![letter; lens[index]];
            type_run(&mut list, who, gap, &run, typings[index].0);
            let again = gap + run.len() / 2; // and then inside of what it typed
            type_run(&mut list, who, again, &run, typings[index].1);
            merged.merge(&list);
        }
        assert_apart(&merged, &['a', 'b', 'c']);
        let text: String = merged.iter().collect();
        let (before, after) = (text.find(['a', 'b', 'c']).unwrap(), text.rfind(['a', 'b', 'c']).unwrap());
        prop_assert_eq!(&text[..before], ".".repeat(gap));
        prop_assert_eq!(&text[after + 1..], ".".repeat(start.len() - gap));
    }
}

/// Two groups of two replicas each, cut off from each other, in each of which the two take turns.
fn two_groups(turns: usize, write: impl Fn(&mut List<char>, ReplicaId, char, usize)) -> List<char> {
    let group = |one, other, letter| {
        let mut list = List::new();
        for turn in 0..turns {
            write(
                &mut list,
                if turn % 2 == 0 { one } else { other },
                letter,
                turn,
            );
        }
        list
    };
    let mut merged = group(A, B, 'a');
    merged.merge(&group(ReplicaId::from_u128(0), C, 'b'));
    merged
}

#[test]
fn what_two_wrote_together_does_not_mix_with_what_two_others_did() {
    let forwards = two_groups(12, |list, who, letter, turn| {
        insert(list, who, turn, &[letter])
    });
    assert_apart(&forwards, &['a', 'b']);
    let backwards = two_groups(12, |list, who, letter, _| insert(list, who, 0, &[letter]));
    assert_apart(&backwards, &['a', 'b']);
}

#[test]
fn pushes_of_two_groups_meet_step_by_step() {
    let merged = two_groups(4, |list, who, letter, _| {
        let _delta = list.push_back(who, [letter, letter]);
    });
    assert_eq!(merged.iter().collect::<String>(), "bbaaaabbbbaaaabb");
}

#[test]
fn consecutive_pushes_of_one_replica_stay_together() {
    let push = |who, letter, count| {
        let mut list = List::new();
        for _ in 0..count {
            let _delta = list.push_back(who, [letter]);
        }
        list
    };
    let mut merged = push(A, 'a', 5);
    merged.merge(&push(B, 'b', 7));
    assert_apart(&merged, &['a', 'b']);
}

#[test]
fn a_queue_does_not_grow() {
    let mut queue = List::new();
    let bytes = |queue: &List<u32>| {
        postcard::to_allocvec(queue)
            .expect("a list has an encoding")
            .len()
    };
    let mut most = 0;
    for round in 0..3_000u32 {
        let who = [A, B, C][round as usize % 3];
        let _delta = queue.push_back(who, [round]);
        let position = queue.position(queue.len() - 1).expect("it was pushed");
        assert_eq!(position.depth(), 1);
        if queue.len() > 10 {
            assert_eq!(queue.get(0), Some(&(round - 10)));
            let _delta = queue.remove(who, 0..1);
        }
        most = most.max(bytes(&queue));
    }
    assert!(most < 400, "{most}");
    let _delta = queue.clear(A);
    let clock = postcard::to_allocvec(&queue.context())
        .expect("a context has an encoding")
        .len();
    assert!(
        bytes(&queue) <= clock + 8,
        "nothing is kept but the context"
    );
}

#[derive(Clone, Debug)]
enum Edit {
    Insert(prop::sample::Index, u8),
    PushFront(u8),
    PushBack(u8),
    Remove(prop::sample::Index, usize),
    Set(prop::sample::Index),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = prop_oneof![
        6 => (any::<prop::sample::Index>(), 0u8..5).prop_map(|(at, len)| Edit::Insert(at, len)),
        1 => (0u8..200).prop_map(Edit::PushFront),
        1 => (0u8..200).prop_map(Edit::PushBack),
        3 => (any::<prop::sample::Index>(), 0usize..6).prop_map(|(at, len)| Edit::Remove(at, len)),
        1 => any::<prop::sample::Index>().prop_map(Edit::Set),
    ];
    prop::collection::vec(edit, 1..150)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Seen from one place it is a vector; the deltas make the same of another one.
    #[test]
    fn it_is_a_vector(edits in edits()) {
        let (mut list, mut other, mut model) = (List::<u32>::new(), List::new(), Vec::new());
        let mut next = 0;
        for (round, edit) in edits.into_iter().enumerate() {
            let who = if round % 7 < 4 { A } else { B };
            let mut values = |len: u8| (0..u32::from(len)).map(|_| { next += 1; next }).collect::<Vec<_>>();
            let delta = match edit {
                Edit::Insert(at, len) => {
                    let (at, values) = (at.index(model.len() + 1), values(len));
                    model.splice(at..at, values.clone());
                    list.insert(who, at, values).unwrap()
                }
                Edit::PushFront(len) => {
                    let values = values(len);
                    model.splice(0..0, values.clone());
                    list.push_front(who, values)
                }
                Edit::PushBack(len) => {
                    let values = values(len);
                    model.extend(values.clone());
                    list.push_back(who, values)
                }
                Edit::Remove(at, len) => {
                    let at = at.index(model.len() + 1);
                    model.drain(at..(at + len).min(model.len()));
                    list.remove(who, at..at + len)
                }
                Edit::Set(at) => match model.len() {
                    0 => Delta::default(),
                    len => {
                        model[at.index(len)] = values(1)[0];
                        list.set(Stamp::new(Hlc::ZERO, who), at.index(len), next)
                    }
                },
            };
            other.apply(&delta);
            prop_assert!(list.iter().eq(&model));
        }
        prop_assert_eq!(&list, &other);
        for index in 0..model.len() {
            let position = list.position(index).unwrap();
            prop_assert_eq!(list.index_of(&position), Ok(index));
            prop_assert_eq!(list.get(index), model.get(index));
        }
        let (start, end) = (model.len() / 3, model.len() / 3 * 2 + 1);
        prop_assert!(list.range(start..end).eq(&model[start..end.min(model.len())]));
        check_encoding(&list)?;
    }
}

#[test]
fn an_index_beyond_the_end_is_refused() {
    let mut list: List<u8> = List::new();
    assert_eq!(
        list.insert(A, 1, [1]).unwrap_err(),
        InsertError::BeyondEnd { len: 0 }
    );
    assert_eq!(
        list.insert(A, 1, [1]).unwrap_err().to_string(),
        "the list has only 0 elements"
    );
    assert!(list.set(Stamp::new(Hlc::ZERO, A), 0, 1).is_empty());
    assert!(list.remove(A, 0..9).is_empty());
    assert!(list.insert(A, 0, []).unwrap().is_empty());
}

#[test]
fn concurrent_writes_of_one_element_are_siblings() {
    let at = |who, ms| Stamp::new(Hlc::new(ms, 0), who);
    let mut here = List::new();
    let _delta = here.push_back(A, ["x"]);
    let mut there = here.clone();
    let _delta = here.set(at(A, 2), 0, "a");
    let _delta = there.set(at(B, 1), 0, "b");
    here.merge(&there);
    assert_eq!(here.get(0), Some(&"a"));
    assert!(here.siblings(0).eq(&["a", "b"]));
    let _delta = here.set(at(B, 0), 0, "c"); // the clock of B is behind, and it has seen both
    assert!(here.siblings(0).eq(&["c"]));
}

#[test]
fn a_cursor_outlives_its_element() {
    let mut list = List::new();
    let _delta = list.push_back(A, (0..10).collect::<Vec<_>>());
    let cursor = list.position(5).unwrap();
    let _delta = list.remove(B, 3..7);
    assert_eq!(list.index_of(&cursor), Err(3));
    let _delta = list.push_front(B, [100]);
    assert_eq!(list.index_of(&cursor), Err(4));
}

fn encoded(value: &impl Serialize) -> Vec<u8> {
    postcard::to_allocvec(value).expect("a value has an encoding")
}

/// A small list with everything in it, as state, as delta of the last change, as operation, and as position.
fn samples() -> (List<u8>, Delta<op::List<u8>>, ListOp<u8>, Position) {
    let mut list = List::new();
    let _delta = list.push_back(A, [1, 2, 3]);
    let _delta = list.push_front(A, [0]);
    let _delta = list.insert(B, 2, [9]).expect("there is room");
    let _delta = list.set(Stamp::new(Hlc::new(1, 2), C), 1, 7);
    let position = list.position(2).expect("it is there");
    let mut ops: op::List<u8> = op::List::new();
    let update = ListUpdate::PushBack(vec![1, 2]);
    let op = ops
        .prepare(Stamp::new(Hlc::ZERO, A), update)
        .expect("it pushes");
    ops.effect(Dot::new(A, 1), &Everything, op);
    let update = ListUpdate::Insert {
        index: 1,
        values: vec![5],
    };
    let op = ops
        .prepare(Stamp::new(Hlc::ZERO, B), update)
        .expect("it inserts");
    let delta = list.remove(A, 3..5);
    (list, delta, op, position)
}

fn check_encoding<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(
    value: &T,
) -> Result<(), TestCaseError> {
    let bytes = encoded(value);
    prop_assert_eq!(
        &postcard::from_bytes::<T>(&bytes).expect("what is written can be read"),
        value
    );
    Ok(())
}

/// The bytes in hexadecimal, with the letters of the replicas for their names.
fn hex(value: &impl Serialize) -> String {
    let bytes = encoded(value);
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [("A", "d0"), ("B", "e0"), ("C", "f0")]
        .into_iter()
        .fold(text, |text, (letter, byte)| {
            text.replace(&byte.repeat(16), letter)
        })
}

#[test]
fn golden_bytes() {
    let (list, delta, op, position) = samples();
    assert_eq!(
        hex(&list),
        "0002AB020000000100010000020000000101000300ffffffff1f040000010000010000010100010000010300000101C0182800407000903A04B01C010000"
    );
    assert_eq!(
        hex(&delta),
        "0101A0100000001000100000200020202010001000001A020100"
    );
    assert_eq!(hex(&op), "0001A01000000010001010000010100000105");
    assert_eq!(
        hex(&position),
        "02AB0200000001000100000200000001010001000100"
    );
}

fn position_of(text: &str) -> Result<Position, postcard::Error> {
    let text = text
        .replace('A', &"d0".repeat(16))
        .replace('B', &"e0".repeat(16))
        .replace(' ', "");
    let bytes: Vec<u8> = (0..text.len() / 2)
        .map(|at| u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).expect("hexadecimal"))
        .collect();
    postcard::from_bytes(&bytes)
}

#[test]
fn only_what_is_written_is_read() {
    // replicas; runs: above (run, offset, sequence, ordinal, side), step, replica, sequence, ordinal; run, offset, sequence, ordinal
    assert!(
        position_of("02AB 02 00 00 00 01 00  01 00 00 01 00 01 00 01 01 00  01 00 01 00").is_ok()
    );
    for (why, text) in [
        (
            "a replica twice",
            "02AA 02 00 00 00 01 00  01 00 00 01 00 01 00 01 01 00  01 00 01 00",
        ),
        ("a replica too many", "02AB 01 00 00 00 01 00  00 00 01 00"),
        (
            "a replica too few",
            "01A 02 00 00 00 01 00  01 00 00 01 00 01 00 01 01 00  01 00 01 00",
        ),
        (
            "a run that nothing hangs at",
            "02AB 02 00 00 00 01 00  01 00 00 01 00 01 00 01 01 00  00 00 01 00",
        ),
        (
            "a run that hangs at itself",
            "01A 01 01 00 00 01 00 01 00 00 01 00  00 00 01 00",
        ),
        ("a run of nobody", "01A 01 00 00 00 00 00  00 00 01 00"),
        (
            "an element older than its run",
            "01A 01 00 00 00 02 00  00 00 01 00",
        ),
        ("an element in no run", "01A 01 00 00 00 01 00  01 00 01 00"),
        (
            "a sequence that nobody reaches",
            "01A 01 00 00 00 01 00  00 00 ffffffffffffffffff01 00",
        ),
    ] {
        assert!(position_of(text).is_err(), "{why}");
    }
    // A few bytes can announce many elements: none is made before they are there.
    let (run, span) = ([0, 0, 0, 1, 0], [0, 0, 1, 0, 2, 0xff, 0xff, 0xff, 0x1f]);
    let many = [
        &[0, 1],
        [0xd0; 16].as_slice(),
        &[1],
        &run,
        &[1],
        &span,
        &[0],
    ]
    .concat();
    assert!(postcard::from_bytes::<List<u8>>(&many).is_err());
    let (_, delta, ..) = samples();
    let bytes = encoded(&delta);
    assert!(
        postcard::from_bytes::<List<u8>>(&bytes).is_err(),
        "a fragment is no state"
    );
}

/// Whatever is read back from damaged bytes is written as it was read.
fn check_damage<T: Serialize + DeserializeOwned>(
    value: &T,
    damage: &[(prop::sample::Index, u8)],
) -> Result<(), TestCaseError> {
    let mut bytes = encoded(value);
    for (at, byte) in damage {
        let at = at.index(bytes.len());
        bytes[at] = *byte;
    }
    if let Ok(read) = postcard::from_bytes::<T>(&bytes) {
        let written = encoded(&read);
        prop_assert_eq!(
            encoded(&postcard::from_bytes::<T>(&written).expect("what is written can be read")),
            written
        );
    }
    Ok(())
}

proptest! {
    #[test]
    fn no_bytes_make_a_decoder_panic(damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), noise in prop::collection::vec(any::<u8>(), 0..64)) {
        let (list, delta, op, position) = samples();
        check_damage(&list, &damage)?;
        check_damage(&delta, &damage)?;
        check_damage(&op, &damage)?;
        check_damage(&position, &damage)?;
        let _ = postcard::from_bytes::<List<u8>>(&noise);
        let _ = postcard::from_bytes::<ListOp<u8>>(&noise);
        let _ = postcard::from_bytes::<Position>(&noise);
        // What was read can be used, however odd it is.
        let mut bytes = encoded(&list);
        for (at, byte) in &damage {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        if let Ok(mut odd) = postcard::from_bytes::<List<u8>>(&bytes) {
            let mut list = list.clone();
            list.merge(&odd);
            let _delta = odd.insert(A, 1, [1]);
            let _delta = odd.push_back(B, [1]);
            let _delta = odd.push_front(C, [1]);
            list.apply(&odd.remove(A, 0..2));
            odd.merge(&list);
        }
        let mut bytes = encoded(&op);
        for (at, byte) in &damage {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        if let Ok(odd) = postcard::from_bytes::<ListOp<u8>>(&bytes) {
            let mut ops = list.store().clone();
            ops.effect(Dot::new(B, 5), &Everything, odd);
            prop_assert!(ops.len() <= list.len() + 64);
        }
    }
}
