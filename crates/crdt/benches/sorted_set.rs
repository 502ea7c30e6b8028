//! A sorted set of a million members, and the count of different things.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use isles_clock::{Hlc, ReplicaId, Stamp};
use isles_crdt::hyper_log_log::Sketch;
use isles_crdt::sorted_set::Score;
use isles_crdt::{DeltaState, Merge, SortedSet};

const MEMBERS: u64 = 1_000_000;
const CHANGES: usize = 10_000;
const EU: ReplicaId = ReplicaId::from_u128(1);

/// Splitmix64: the same numbers in every run.
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn score(number: u64) -> Score {
    Score::from((mixed(number) % 1_000_000) as i32)
}

fn sorted_set(criterion: &mut Criterion) {
    let stamp = Stamp::new(Hlc::new(1, 0), EU);
    let mut start = SortedSet::new();
    for member in 0..MEMBERS {
        let _delta = start.set(stamp, member, score(member));
    }
    let mut group = criterion.benchmark_group("sorted set of 1M");
    let (mut set, mut round) = (start.clone(), 0);
    let mut next = move || {
        round += 1;
        mixed(round)
    };
    group.bench_function("set a score, with delta", |bencher| {
        bencher.iter(|| set.set(stamp, next() % MEMBERS, score(next())));
    });
    group.bench_function("add to a score, with delta", |bencher| {
        bencher.iter(|| set.add(EU, next() % MEMBERS, Score::from(1)));
    });
    group.bench_function("score", |bencher| {
        bencher.iter(|| start.score(&(next() % MEMBERS)))
    });
    group.bench_function("rank", |bencher| {
        bencher.iter(|| start.rank(&(next() % MEMBERS)))
    });
    group.bench_function("select", |bencher| {
        bencher.iter(|| start.select((next() % MEMBERS) as usize));
    });
    group.bench_function("count by score", |bencher| {
        bencher.iter(|| start.range_of(score(next())..).len());
    });
    group.bench_function("range of 100 by score", |bencher| {
        bencher.iter(|| {
            let first = start.range_of(score(next())..).start;
            start
                .range(first..first + 100)
                .map(|(member, _)| *member)
                .sum::<u64>()
        });
    });
    let mut writer = start.clone();
    let deltas: Vec<_> = (0..CHANGES)
        .map(|_| writer.set(stamp, next() % MEMBERS, score(next())))
        .collect();
    group.sample_size(10);
    group.bench_function("apply 10 000 deltas of one score", |bencher| {
        let apply = |mut set: SortedSet<u64>| {
            deltas.iter().for_each(|delta| set.apply(delta));
            set
        };
        bencher.iter_batched(|| start.clone(), apply, BatchSize::PerIteration);
    });
    group.finish();
}

fn hyper_log_log(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("HyperLogLog, dense");
    let (mut sketch, other) = (
        (0..100_000).map(mixed).collect::<Sketch>(),
        (50_000..150_000).map(mixed).collect::<Sketch>(),
    );
    let mut round = 1_000_000;
    group.bench_function("insert", |bencher| {
        bencher.iter(|| {
            round += 1;
            sketch.insert(mixed(round))
        });
    });
    group.bench_function("cardinality", |bencher| {
        bencher.iter(|| sketch.cardinality())
    });
    group.bench_function("merge", |bencher| {
        bencher.iter(|| {
            sketch.merge(black_box(&other));
        });
    });
    group.finish();
}

criterion_group!(benches, sorted_set, hyper_log_log);
criterion_main!(benches);
