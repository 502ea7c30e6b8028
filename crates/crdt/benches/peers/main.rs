//! The same work done by this crate and by its peers, in one run; `--bench sizes` has the bytes.

mod crdts;
mod isles;
mod kit;
mod subject;
mod types;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};

use crate::subject::{Deltas, Subject, decode, encode, two};
use crate::types::for_every_type;

/// What every crate can do.
fn common<S: Subject>(c: &mut Criterion, kind: &str, elements: u64) {
    let mut group = c.benchmark_group(kind);
    let name = |what: &str| BenchmarkId::new(format!("{what}/{}", S::CRATE), elements);
    let (mut ours, theirs): (S, S) = two(elements);
    group.bench_function(name("put_and_remove"), |b| {
        let mut state = ours.clone();
        b.iter(|| {
            state.put(black_box(u64::MAX));
            state.remove(black_box(u64::MAX));
        });
    });
    group.bench_function(name("merge"), |b| {
        let mut other = Some(theirs.clone());
        if S::CONSUMES {
            let other = || other.clone();
            b.iter_batched_ref(other, |other| ours.merge(other), BatchSize::LargeInput);
        } else {
            b.iter(|| ours.merge(black_box(&mut other)));
        }
    });
    let bytes = encode(ours.state());
    let mut buffer = vec![0; bytes.len()];
    group.bench_function(name("encode"), |b| {
        b.iter(|| {
            postcard::to_slice(black_box(ours.state()), &mut buffer).map(|bytes| bytes.len())
        });
    });
    group.bench_function(name("decode"), |b| {
        b.iter_with_large_drop(|| decode::<S::State>(black_box(&bytes)));
    });
    group.finish();
}

/// What only crates with deltas can do.
fn deltas<S: Deltas>(c: &mut Criterion, kind: &str, elements: u64) {
    let mut group = c.benchmark_group(kind);
    let name = |what: &str| BenchmarkId::new(format!("{what}/{}", S::CRATE), elements);
    let (mut ours, mut theirs): (S, S) = two(elements);
    ours.merge(&mut Some(theirs.clone()));
    theirs.merge(&mut Some(ours.clone()));
    let before = theirs.context();
    let put = theirs.put_delta(u64::MAX);
    group.bench_function(name("delta_since"), |b| {
        b.iter_with_large_drop(|| theirs.delta_since(black_box(&before)));
    });
    let removed = theirs.remove_delta(u64::MAX);
    group.bench_function(name("apply_known"), |b| {
        b.iter(|| {
            ours.apply(black_box(&put));
            ours.apply(black_box(&removed));
        });
    });
    group.finish();
}

/// Making an element's delta and that of its removal, and applying them elsewhere. The peer makes deltas by comparing
/// two states, which at this pace takes too long to be asked for.
fn new_deltas<S: Deltas>(c: &mut Criterion, kind: &str, elements: u64) {
    let mut group = c.benchmark_group(kind);
    let name = BenchmarkId::new(format!("apply_new/{}", S::CRATE), elements);
    let (mut ours, mut theirs): (S, S) = two(elements);
    group.bench_function(name, |b| {
        let make = || (theirs.put_delta(u64::MAX), theirs.remove_delta(u64::MAX));
        b.iter_batched_ref(
            make,
            |(put, removed)| {
                ours.apply(put);
                ours.apply(removed);
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn every_crate<I: Deltas, C: Subject, K: Deltas>(c: &mut Criterion, kind: &str, elements: u64) {
    common::<I>(c, kind, elements);
    common::<C>(c, kind, elements);
    common::<K>(c, kind, elements);
    deltas::<I>(c, kind, elements);
    deltas::<K>(c, kind, elements);
    new_deltas::<I>(c, kind, elements);
}

fn every_type(c: &mut Criterion) {
    for_every_type!(every_crate, c);
}

fn config() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600))
}

criterion_group! {
    name = benches;
    config = config();
    targets = every_type
}
criterion_main!(benches);
