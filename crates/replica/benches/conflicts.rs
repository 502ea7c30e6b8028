//! What it costs to apply a remote op, with and without a conflict: detection, resolution, journal, sums, everything
//! that happens under the replica's lock. Each measurement applies one frame of 256 entries; the figure is per op.

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use isles_clock::ReplicaId;
use isles_replica::delivery::{Lane, LaneKind};
use isles_replica::{Expiry, Frame, Replica, ReplicaConfig, Scope, UnloggedContent};
use isles_resolve::Strategy;

const NOW_MS: u64 = 1_700_000_000_000;
const OPS: u32 = 256;
const VALUE: [u8; 100] = [b'v'; 100];
/// A journal that is full after a few frames.
const SMALL_JOURNAL_BYTES: usize = 1 << 20;

/// What a remote write meets.
#[derive(Clone, Copy, PartialEq)]
enum Meets {
    /// No such key.
    Nothing,
    /// A write that its writer had seen.
    Seen,
    /// A write that its writer had not seen, and that is older.
    Older,
    /// The same, but younger.
    Younger,
}

fn replica(id: u128, journal_bytes: usize) -> Replica {
    let mut config = ReplicaConfig::default();
    config.journal.bytes = journal_bytes;
    Replica::new(ReplicaId::from_u128(id), config)
}

fn key(index: u32) -> Vec<u8> {
    format!("mv:key:{index:06}").into_bytes()
}

fn write_all(replica: &mut Replica, at_ms: u64, round: u32) {
    for index in 0..OPS {
        let mut txn = replica.txn(at_ms, Scope::Once);
        txn.set_string(&key(round * OPS + index), &VALUE, Expiry::Clear);
        txn.commit().expect("the entry is small");
    }
}

fn seal(replica: &mut Replica, chain: u64) -> Vec<Frame> {
    let taken = replica.take_unlogged().into_iter();
    let mut previous = chain;
    let seal = |content| match content {
        UnloggedContent::Own(open) => {
            let frame = open.seal(previous);
            previous = frame.chain();
            Some(frame)
        }
        _ => None,
    };
    taken
        .map(|unlogged| unlogged.content)
        .filter_map(seal)
        .collect()
}

/// What is measured.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    strategy: Option<Strategy>,
    meets: Meets,
    journal_bytes: usize,
}

/// Applies frames of another replica, and says how long that took.
fn apply_all(to: &mut Replica, from: ReplicaId, frames: Vec<Frame>, now_ms: u64) -> Duration {
    let lane = Lane {
        peer: from,
        kind: LaneKind::Direct,
    };
    let mut spent = Duration::ZERO;
    for frame in frames {
        to.take_unlogged();
        let frame = Frame::decode(frame.bytes().clone()).expect("what was sealed decodes");
        let started = Instant::now();
        _ = to.offer(frame, lane).expect("what was sealed is known");
        while to.apply_ready(now_ms) > 0 {}
        spent += started.elapsed();
    }
    spent
}

/// Time to apply `rounds` frames of another replica.
fn apply(rounds: u64, case: Case) -> Duration {
    let [mut here, mut there] = [1, 2].map(|id| replica(id, case.journal_bytes));
    if let Some(strategy) = case.strategy {
        // The other one hears of it, or it has to say so itself.
        let both = [&mut here, &mut there];
        let writers = if case.meets == Meets::Seen { 1 } else { 2 };
        for replica in both.into_iter().take(writers) {
            let mut txn = replica.txn(NOW_MS, Scope::Once);
            txn.keyspace_set(b"mv:", strategy);
            txn.commit().expect("the entry is small");
        }
    }
    let (local_ms, remote_ms) = match case.meets {
        Meets::Younger => (NOW_MS + 10, NOW_MS),
        _ => (NOW_MS, NOW_MS + 10),
    };
    let rounds = 0..rounds as u32;
    if case.meets != Meets::Nothing {
        for round in rounds.clone() {
            write_all(&mut here, local_ms, round);
        }
    }
    if case.meets == Meets::Seen {
        let frames = seal(&mut here, 0);
        apply_all(&mut there, here.id(), frames, local_ms);
        there.take_unlogged();
    }
    for round in rounds {
        write_all(&mut there, remote_ms, round);
    }
    let frames = seal(&mut there, 0);
    let spent = apply_all(&mut here, there.id(), frames, remote_ms);
    assert_eq!(
        here.applied().get(there.id()),
        there.applied().get(there.id())
    );
    spent
}

fn conflicts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("apply");
    group.throughput(Throughput::Elements(1)).sample_size(20);
    let case = |name, strategy, meets| Case {
        name,
        strategy,
        meets,
        journal_bytes: ReplicaConfig::default().journal.bytes,
    };
    let lww_remote = case("lww-remote-wins", None, Meets::Older);
    let multi_value = Some(Strategy::MultiValue);
    let cases = [
        case("lww-new-key", None, Meets::Nothing),
        case("lww-no-conflict", None, Meets::Seen),
        lww_remote,
        case("lww-local-wins", None, Meets::Younger),
        case("multi-value-no-conflict", multi_value, Meets::Seen),
        case("multi-value-conflict", multi_value, Meets::Older),
        // Every record pushes an older one out, and all values are shortened, as after a minute of a storm.
        Case {
            name: "lww-journal-full",
            journal_bytes: SMALL_JOURNAL_BYTES,
            ..lww_remote
        },
    ];
    for case in cases {
        group.bench_function(case.name, |bencher| {
            bencher.iter_custom(|ops| {
                let rounds = ops.div_ceil(u64::from(OPS)).max(1);
                let spent = apply(rounds, case);
                spent.mul_f64(ops as f64 / (rounds * u64::from(OPS)) as f64)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, conflicts);
criterion_main!(benches);
