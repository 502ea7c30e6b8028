//! A list of a million elements.

#![expect(clippy::print_stdout, reason = "sizes belong beside the times")]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use isles_clock::{Dot, Everything, Hlc, ReplicaId, Stamp, VectorClock};
use isles_crdt::op::{self, OpBased};
use isles_crdt::update::ListUpdate;
use isles_crdt::{DeltaState, List, Merge};

const ELEMENTS: usize = 1_000_000;
const CHANGES: usize = 10_000;
const EU: ReplicaId = ReplicaId::from_u128(1);
const US: ReplicaId = ReplicaId::from_u128(2);

/// A xorshift: the same places in every run.
struct Places(u64);

impl Places {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

/// A million elements of one replica, and ten thousand of another one between them.
fn list() -> List<u64> {
    let mut list = List::new();
    let _delta = list.push_back(EU, (0..ELEMENTS as u64).collect::<Vec<_>>());
    let mut places = Places(7);
    for value in 0..CHANGES as u64 {
        let index = places.below(list.len());
        let _delta = list.insert(US, index, [value]);
    }
    list
}

fn local(criterion: &mut Criterion) {
    let start = list();
    let mut group = criterion.benchmark_group("list of 1M");
    let (mut list, mut places) = (start.clone(), Places(1));
    group.bench_function("insert at random, with delta", |bencher| {
        bencher.iter(|| {
            let index = places.below(list.len());
            list.insert(US, index, [1])
        });
    });
    let (mut list, mut index) = (start.clone(), ELEMENTS / 2);
    group.bench_function("type on in the middle, with delta", |bencher| {
        bencher.iter(|| {
            index += 1;
            list.insert(US, index, [1])
        });
    });
    let mut list = start.clone();
    group.bench_function("push behind, pop in front, with deltas", |bencher| {
        bencher.iter(|| (list.push_back(EU, [1]), list.remove(EU, 0..1)));
    });
    group.bench_function("get by index", |bencher| {
        bencher.iter(|| start.get(places.below(ELEMENTS)).copied());
    });
    let positions: Vec<_> = (0..CHANGES)
        .filter_map(|_| start.position(places.below(ELEMENTS)))
        .collect();
    group.bench_function("rank of a position", |bencher| {
        bencher.iter(|| start.index_of(&positions[places.below(CHANGES)]));
    });
    group.bench_function("range of 100", |bencher| {
        bencher.iter(|| {
            let first = places.below(ELEMENTS - 100);
            start.range(first..first + 100).sum::<u64>()
        });
    });
    group.bench_function("clone", |bencher| bencher.iter(|| black_box(start.clone())));
    group.finish();
}

fn remote(criterion: &mut Criterion) {
    let start = list();
    let mut group = criterion.benchmark_group("list of 1M, remote");
    let (mut list, mut places) = (start.clone(), Places(3));
    let deltas: Vec<_> = (0..CHANGES)
        .filter_map(|_| {
            let index = places.below(list.len());
            list.insert(US, index, [1]).ok()
        })
        .collect();
    let encoded: Vec<Vec<u8>> = deltas
        .iter()
        .filter_map(|delta| postcard::to_allocvec(delta).ok())
        .collect();
    let bytes: usize = encoded.iter().map(Vec::len).sum();
    println!(
        "a delta of one insertion has {} bytes",
        bytes / encoded.len()
    );
    group.bench_function("apply 10 000 deltas of one insertion", |bencher| {
        let apply = |mut list: List<u64>| {
            deltas.iter().for_each(|delta| list.apply(delta));
            list
        };
        bencher.iter_batched(|| start.clone(), apply, BatchSize::PerIteration);
    });
    group.bench_function("decode and apply 10 000 deltas", |bencher| {
        let apply = |mut list: List<u64>| {
            for bytes in &encoded {
                list.apply(&postcard::from_bytes(bytes).expect("a delta was written"));
            }
            list
        };
        bencher.iter_batched(|| start.clone(), apply, BatchSize::PerIteration);
    });

    let (stamp, ctx) = (Stamp::new(Hlc::ZERO, US), VectorClock::from_iter([(EU, 1)]));
    let mut ops: op::List<u64> = op::List::new();
    let all = ListUpdate::PushBack((0..ELEMENTS as u64).collect());
    let op = ops.prepare(stamp, all).expect("it pushes");
    ops.effect(Dot::new(US, 1), &Everything, op);
    let start_ops = ops.clone();
    let sent: Vec<_> = (0..CHANGES)
        .filter_map(|sequence| {
            let index = places.below(ops.len());
            let update = ListUpdate::Insert {
                index,
                values: vec![1],
            };
            let (dot, op) = (
                Dot::new(EU, sequence as u64 + 1),
                ops.prepare(Stamp::new(Hlc::ZERO, EU), update)?,
            );
            ops.effect(dot, &Everything, op.clone());
            Some((dot, op))
        })
        .collect();
    group.bench_function("apply 10 000 operations", |bencher| {
        let apply = |(mut ops, sent): (op::List<u64>, Vec<_>)| {
            for (dot, op) in sent {
                ops.effect(dot, &ctx, op);
            }
            ops
        };
        bencher.iter_batched(
            || (start_ops.clone(), sent.clone()),
            apply,
            BatchSize::PerIteration,
        );
    });
    group.sample_size(10);
    let other = postcard::to_allocvec(&start).expect("a list has an encoding");
    println!(
        "the list has {:.1} bytes per element",
        other.len() as f64 / start.len() as f64
    );
    let other: List<u64> = postcard::from_bytes(&other).expect("a list was written");
    group.bench_function("merge two whole states", |bencher| {
        let merge = |mut list: List<u64>| {
            list.merge(&other);
            list
        };
        bencher.iter_batched(|| start.clone(), merge, BatchSize::PerIteration);
    });
    group.finish();
}

criterion_group!(benches, local, remote);
criterion_main!(benches);
