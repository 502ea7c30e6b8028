//! What every target checks: what is accepted means the same after it was written again.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// What is read and written.
pub trait Plain: Serialize + DeserializeOwned + PartialEq + Debug {}
impl<T: Serialize + DeserializeOwned + PartialEq + Debug> Plain for T {}

/// Takes a value off the front of `bytes`, if there is one, and checks that it reads back.
pub fn decode<T: Plain>(bytes: &mut &[u8]) -> Option<T> {
    let (value, rest) = postcard::take_from_bytes::<T>(bytes).ok()?;
    reads_back(&value);
    *bytes = rest;
    Some(value)
}

/// Checks that a value has an encoding, and that it is the value.
pub fn reads_back<T: Plain>(value: &T) {
    let bytes = postcard::to_allocvec(value).expect("a value can be written");
    assert_eq!(postcard::from_bytes::<T>(&bytes).as_ref(), Ok(value));
}

/// Writes each byte e0 and f0 sixteen times: a replica has 16 bytes, which no fuzzer would guess twice.
pub fn with_replicas(bytes: &[u8]) -> Vec<u8> {
    let many = |byte: &u8| match byte {
        0xe0 | 0xf0 => 16,
        _ => 1,
    };
    let repeated = bytes
        .iter()
        .flat_map(|byte| std::iter::repeat_n(*byte, many(byte)));
    repeated.collect()
}

/// Calls a macro with every type: its state, its operation-based form, and an update from two bytes.
#[macro_export]
macro_rules! for_every_type {
    ($number:expr, $call:ident, $argument:expr) => {
        match $number % 22 {
            0 => $call::<isles_crdt::GCounter>($argument, |a, _| a.into()),
            1 => $call::<isles_crdt::PnCounter>($argument, |a, _| i64::from(a) - 128),
            2 => $call::<isles_crdt::ResettableCounter>($argument, $crate::counter),
            3 => $call::<isles_crdt::LwwRegister<u8>>($argument, |a, _| a),
            4 => $call::<isles_crdt::MaxRegister<u8>>($argument, |a, _| a),
            5 => $call::<isles_crdt::MinRegister<u8>>($argument, |a, _| a),
            6 => $call::<isles_crdt::MvRegister<u8>>($argument, $crate::register),
            7 => $call::<isles_crdt::EwFlag>($argument, $crate::flag),
            8 => $call::<isles_crdt::DwFlag>($argument, $crate::flag),
            9 => $call::<isles_crdt::GSet<u8>>($argument, |a, _| a),
            10 => $call::<isles_crdt::AwSet<u8>>($argument, $crate::set),
            11 => $call::<isles_crdt::RwSet<u8>>($argument, $crate::set),
            12 => $call::<
                isles_crdt::AwMap<u8, isles_crdt::op::AwMap<u8, isles_crdt::op::RwSet<u8>>>,
            >($argument, |a, b| {
                $crate::map(a, $crate::map(a / 4, $crate::set(a / 16, b)))
            }),
            13 => $call::<isles_crdt::AwMap<u8, isles_crdt::op::ResettableCounter>>(
                $argument,
                |a, b| $crate::map(a, $crate::counter(a / 4, b)),
            ),
            14 => $call::<isles_crdt::List<u8>>($argument, $crate::list),
            15 => $call::<isles_crdt::SortedSet<u8>>($argument, $crate::sorted_set),
            16 => $call::<isles_crdt::HyperLogLog>($argument, $crate::hyper_log_log),
            17 => $call::<isles_crdt::AwMap<u8, isles_crdt::op::List<u8>>>($argument, |a, b| {
                $crate::map(a, $crate::list(a / 4, b))
            }),
            18 => {
                $call::<isles_crdt::AwMap<u8, isles_crdt::op::SortedSet<u8>>>($argument, |a, b| {
                    $crate::map(a, $crate::sorted_set(a / 4, b))
                })
            }
            19 => $call::<isles_crdt::AwMap<u8, isles_crdt::op::HyperLogLog>>($argument, |a, b| {
                $crate::map(a, $crate::hyper_log_log(a / 4, b))
            }),
            20 => $call::<isles_crdt::AwMap<u8, isles_crdt::op::EwFlag>>($argument, |a, b| {
                $crate::map(a, $crate::flag(a / 4, b))
            }),
            _ => $call::<isles_crdt::BoundedCounter>($argument, $crate::bounded_counter),
        }
    };
}

use isles_clock::ReplicaId;
use isles_crdt::sorted_set::Score;
use isles_crdt::update::{
    BoundedCounterUpdate, CounterUpdate, FlagUpdate, HyperLogLogUpdate, ListUpdate, MapUpdate,
    RegisterUpdate, SetUpdate, SortedSetUpdate,
};

/// An update of a counter.
pub fn counter(a: u8, b: u8) -> CounterUpdate {
    match a % 4 {
        0 => CounterUpdate::Reset,
        _ => CounterUpdate::Add(i64::from(b) - 128),
    }
}

/// An update of a register.
pub fn register(a: u8, b: u8) -> RegisterUpdate<u8> {
    match a % 4 {
        0 => RegisterUpdate::Clear,
        _ => RegisterUpdate::Write(b),
    }
}

/// An update of a flag.
pub fn flag(a: u8, _: u8) -> FlagUpdate {
    match a % 2 {
        0 => FlagUpdate::Disable,
        _ => FlagUpdate::Enable,
    }
}

/// An update of a set.
pub fn set(a: u8, b: u8) -> SetUpdate<u8> {
    match a % 4 {
        0 => SetUpdate::Remove(b % 4),
        1 if b == 0 => SetUpdate::Clear,
        _ => SetUpdate::Add(b % 4),
    }
}

/// An update of a map.
pub fn map<U>(a: u8, update: U) -> MapUpdate<u8, U> {
    match a % 8 {
        0 => MapUpdate::Remove(1),
        1 => MapUpdate::Clear,
        key => MapUpdate::Update(key % 2, update),
    }
}

/// An update of a list.
pub fn list(a: u8, b: u8) -> ListUpdate<u8> {
    let (index, values) = (usize::from(b % 8), vec![b; usize::from(a / 8 % 4)]);
    match a % 8 {
        0 => ListUpdate::PushFront(values),
        1 => ListUpdate::PushBack(values),
        2 => ListUpdate::Set { index, value: a },
        3 => ListUpdate::Remove {
            range: index..index + usize::from(a / 8 % 4),
        },
        4 if b == 0 => ListUpdate::Clear,
        _ => ListUpdate::Insert { index, values },
    }
}

/// An update of a sorted set.
pub fn sorted_set(a: u8, b: u8) -> SortedSetUpdate<u8> {
    let (member, score) = (a / 4 % 4, Score::from(i32::from(b) - 128));
    match a % 4 {
        0 => SortedSetUpdate::Remove(member),
        1 if b == 0 => SortedSetUpdate::Clear,
        1 | 2 => SortedSetUpdate::Add(member, score),
        _ => SortedSetUpdate::Set(member, score),
    }
}

/// An update of a sketch.
pub fn hyper_log_log(a: u8, b: u8) -> HyperLogLogUpdate {
    match a % 8 {
        0 => HyperLogLogUpdate::Clear,
        1 => HyperLogLogUpdate::Join([u64::from(a), u64::from(b)].into_iter().collect()),
        _ => HyperLogLogUpdate::Add(vec![u64::from(b) << (a % 64), u64::from(a)]),
    }
}

/// An update of a bounded counter.
pub fn bounded_counter(a: u8, b: u8) -> BoundedCounterUpdate {
    let amount = u64::from(b % 8);
    match a % 4 {
        0 => BoundedCounterUpdate::Decrement(amount),
        1 => BoundedCounterUpdate::Transfer {
            to: ReplicaId::from_bytes([a / 4 % 3 + 1; 16]),
            rights: amount,
        },
        _ => BoundedCounterUpdate::Increment(amount),
    }
}
