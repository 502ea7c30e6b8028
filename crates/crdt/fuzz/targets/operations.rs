//! Operation-based states and operations of every type that has them beside its state.
#![no_main]

use isles_clock::{Dot, Everything, ReplicaId, VectorClock};
use isles_crdt::Crdt;
use isles_crdt::list::ListPage;
use isles_crdt::op::{self, OpBased};
use isles_crdt_fuzz::{Plain, decode, reads_back, with_replicas};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((number, bytes)) = bytes.split_first() else {
        return;
    };
    let bytes = with_replicas(bytes);
    match number % 18 {
        0 => check::<op::GCounter>(&bytes),
        1 => check::<op::PnCounter>(&bytes),
        2 => check::<op::ResettableCounter>(&bytes),
        3 => check::<op::MvRegister<u8>>(&bytes),
        4 => check::<op::EwFlag>(&bytes),
        5 => check::<op::DwFlag>(&bytes),
        6 => check::<op::AwSet<u8>>(&bytes),
        7 => check::<op::RwSet<u8>>(&bytes),
        8 => check::<op::AwMap<u8, op::AwMap<u8, op::ResettableCounter>>>(&bytes),
        9 => check::<op::List<u8>>(&bytes),
        10 => check::<op::SortedSet<u8>>(&bytes),
        11 => check::<op::HyperLogLog>(&bytes),
        12 => check::<op::BoundedCounter>(&bytes),
        13 => check::<op::Tally>(&bytes),
        14 => check::<op::AwMap<u8, op::List<u8>>>(&bytes),
        15 => check::<op::AwMap<u8, op::SortedSet<u8>>>(&bytes),
        16 => check::<op::AwMap<u8, op::HyperLogLog>>(&bytes),
        _ => check_pages(&bytes),
    }
});

/// Pages of a stored list: any that are accepted make a list that can be read, or are refused together.
fn check_pages(mut bytes: &[u8]) {
    let mut pages = Vec::new();
    while let Ok((page, rest)) = postcard::take_from_bytes::<ListPage<u8>>(bytes) {
        pages.push((pages.len() as u32, page));
        bytes = rest;
        if bytes.is_empty() {
            break;
        }
    }
    if let Ok(list) = op::List::<u8>::from_pages(pages) {
        let _value = list.value();
        reads_back(&list);
    }
}

fn check<S: OpBased<Op: Plain + Clone> + Plain>(mut bytes: &[u8]) {
    let Some(mut state) = decode::<S>(&mut bytes) else {
        return;
    };
    let dot = Dot::new(ReplicaId::from_bytes([0xe0; 16]), 3);
    while let Some(op) = decode::<S::Op>(&mut bytes) {
        let ctx = decode::<VectorClock>(&mut bytes).unwrap_or_default();
        state.effect(dot, &ctx, op.clone());
        state.effect(dot, &Everything, op);
        let _value = state.value();
        if bytes.is_empty() {
            break;
        }
    }
    let _bytes = postcard::to_allocvec(&state).expect("a state can be written");
    if let Some(clock) = decode::<VectorClock>(&mut bytes) {
        state.forget(&clock);
        let _value = state.value();
    }
    reads_back(&S::default());
}
