//! What strangers' bytes can do, and stamps that leave no later one: nothing lasting, and nothing dear.

use isles_clock::{Dot, Hlc, ReplicaId, Stamp};
use isles_crdt::decode::READING_MAX;
use isles_crdt::list::{ListOp, Positions};
use isles_crdt::op::{CellOp, OpBased};
use isles_crdt::update::RegisterUpdate;
use isles_crdt::{AwSet, DeltaState, LwwRegister, MvRegister, op};

const EU: ReplicaId = ReplicaId::from_u128(1);
const REPLICA: [u8; 16] = [7; 16];

type SlotRow = (i64, u64, u32);
type ElementRow = (u32, SlotRow);
type RunRow = (Option<(ElementRow, u8)>, i64, u32, u64, u32);
type PositionsRow = ((Vec<[u8; 16]>, Vec<RunRow>), Vec<(ElementRow, u8, u32)>);

fn bytes(row: &PositionsRow) -> Vec<u8> {
    postcard::to_allocvec(row).expect("a row has an encoding")
}

/// 34 bytes were 2^26 positions, which took ten seconds to remove.
#[test]
fn a_few_bytes_are_not_very_many_positions() {
    let run: RunRow = (None, 0, 0, 1, 0);
    let row = |len| {
        let span = ((0, (0, 1, 0)), 3, len);
        bytes(&((vec![REPLICA], vec![run]), vec![span]))
    };
    assert!(postcard::from_bytes::<Positions>(&row(1 << 10)).is_ok());
    assert!(postcard::from_bytes::<Positions>(&row((1 << 10) + 1)).is_err());
    let remove = [vec![2], row(1 << 26)].concat();
    assert!(postcard::from_bytes::<ListOp<u8>>(&remove).is_err());
}

/// Two towers of the same rows, and elements on both in turn: every comparison went down to the ground.
#[test]
fn a_run_that_comes_twice_is_refused() {
    let ground: RunRow = (None, 0, 0, 1, 0);
    let row: PositionsRow = ((vec![REPLICA], vec![ground, ground]), Vec::new());
    assert!(postcard::from_bytes::<Positions>(&bytes(&row)).is_err());
}

#[test]
fn a_dot_lies_in_one_place() {
    let mut set = AwSet::new();
    let _delta = set.add(EU, 1u8);
    let dot = Dot::new(EU, 1);
    let state = |elements: Vec<(u8, Vec<Dot>)>| {
        let rest = (set.seen(), 0u8);
        let mut bytes = vec![0];
        bytes.extend(postcard::to_allocvec(&(elements, rest)).expect("a row has an encoding"));
        postcard::from_bytes::<AwSet<u8>>(&bytes)
    };
    assert_eq!(state(vec![(1, vec![dot])]), Ok(set.clone()));
    assert!(state(vec![(1, vec![dot]), (2, vec![dot])]).is_err());
}

/// A stamp at the end of all readings was used twice: replicas forked for good, and the register was frozen.
#[test]
fn after_every_stamp_there_is_a_later_one() {
    let last = Stamp::new(Hlc::MAX, EU);
    let (mut here, mut there) = (LwwRegister::new(), LwwRegister::new());
    let first = here.mutate(last, 1);
    there.apply(&first);
    let second = here.mutate(Stamp::new(Hlc::new(5, 0), EU), 2);
    assert_eq!(here.get(), Some(&2));
    there.apply(&second);
    let mut late = LwwRegister::new();
    late.apply(&second);
    late.apply(&first);
    assert!(here == there && here == late);
    let third = here.mutate(last, 3);
    assert!(third.stamp() > second.stamp() && here.get() == Some(&3));

    let mut register = MvRegister::new();
    let _delta = register.mutate(last, RegisterUpdate::Write(1));
    let _delta = register.mutate(last, RegisterUpdate::Write(2));
    let hlc = register.store().latest().expect("it was written").hlc;
    assert_eq!(hlc, READING_MAX.next());
    let op = op::MvRegister::new().prepare(last, RegisterUpdate::Write(1));
    let hlc = READING_MAX;
    assert_eq!(op, Some(CellOp::Write { hlc, value: 1 }));
}

#[test]
fn readings_that_nobody_reaches_are_refused() {
    let register = |hlc| {
        let written = Some((Stamp::new(hlc, EU), 7u8));
        let bytes = postcard::to_allocvec(&written).expect("a row has an encoding");
        postcard::from_bytes::<LwwRegister<u8>>(&bytes)
    };
    assert!(register(READING_MAX.next()).is_ok());
    assert!(register(Hlc::MAX).is_err());
    let op = |hlc| {
        let op = CellOp::Write { hlc, value: 7u8 };
        let bytes = postcard::to_allocvec(&op).expect("an operation has an encoding");
        postcard::from_bytes::<CellOp<u8>>(&bytes)
    };
    assert!(op(READING_MAX).is_ok());
    assert!(op(Hlc::MAX).is_err());
}
