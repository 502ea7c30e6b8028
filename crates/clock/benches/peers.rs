//! The same work done by this crate and by its peers, in one run: readings and stamps beside `uhlc`, vector clocks
//! beside the one in `crdts`, with the same replica ids. Sizes are printed first.
#![expect(clippy::print_stdout, reason = "a benchmark reports what it measured")]

use std::hint::black_box;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use crdts::{CmRDT, CvRDT, VClock};
use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use isles_clock::{AtomicHybridClock, Hlc, HybridClock, ReplicaId, Stamp, VectorClock, delta};

const NOW_MS: u64 = 1_700_000_000_000;
const MAX_SKEW_MS: u64 = 500;
const RUN: usize = 1_000;
const REPLICAS: [usize; 4] = [3, 5, 16, 100];

fn system_time_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

fn replica(index: usize) -> ReplicaId {
    // Spread as random ids are, and so in another order than the indexes.
    ReplicaId::from_u128(
        (index as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835),
    )
}

fn peer_clock(clock: fn() -> uhlc::NTP64) -> uhlc::HLC {
    let id = uhlc::ID::try_from(replica(0).as_bytes()).expect("an id is not zero");
    uhlc::HLCBuilder::new()
        .with_id(id)
        .with_clock(clock)
        .build()
}

fn standing_clock() -> uhlc::NTP64 {
    uhlc::NTP64::from(std::time::Duration::from_millis(NOW_MS))
}

fn encode<T: serde::Serialize>(value: &T) -> Vec<u8> {
    postcard::to_allocvec(value).expect("a value has an encoding")
}

fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> T {
    postcard::from_bytes(bytes).expect("an encoding is a value")
}

/// A second of one busy replica.
fn run() -> (Vec<Stamp>, Vec<uhlc::Timestamp>) {
    let mut clock = HybridClock::new(Hlc::ZERO, MAX_SKEW_MS);
    let stamps = (0..RUN as u64).map(|n| Stamp::new(clock.now(NOW_MS + n), replica(0)));
    let time = |n| std::time::Duration::from_millis(NOW_MS + n).into();
    let id = *peer_clock(standing_clock).get_id();
    let peers = (0..RUN as u64).map(|n| uhlc::Timestamp::new(time(n), id));
    (stamps.collect(), peers.collect())
}

fn clocks(replicas: usize) -> (VectorClock, VectorClock) {
    let ours = (0..replicas).map(|index| (replica(index), 1_000 + index as u64));
    let mut theirs: VectorClock = ours.clone().collect();
    let mut ours: VectorClock = ours.collect();
    ours.next(replica(0));
    theirs.next(replica(replicas - 1));
    (ours, theirs)
}

fn peer(clock: &VectorClock) -> VClock<ReplicaId> {
    clock
        .iter()
        .map(|(replica, sequence)| crdts::Dot::new(replica, sequence))
        .collect()
}

fn sizes(_: &mut Criterion) {
    let (stamps, peers) = run();
    let (reading, stamp, timestamp) = (stamps[0].hlc, stamps[0], peers[0]);
    println!(
        "size: reading in memory {}, fixed {}",
        size_of_val(&reading),
        reading.to_bytes().len()
    );
    println!(
        "size: stamp in memory {}, fixed {}",
        size_of_val(&stamp),
        stamp.to_bytes().len()
    );
    println!(
        "size: stamp in postcard {}, reading alone {}",
        encode(&stamp).len(),
        encode(&reading).len()
    );
    println!(
        "size: uhlc in memory {}, in postcard {}",
        size_of_val(&timestamp),
        encode(&timestamp).len()
    );
    let mut bytes = Vec::new();
    delta::encode_stamps(&stamps, stamps[0].hlc, &mut bytes);
    println!(
        "size: run of {RUN} stamps {}, of uhlc in postcard {}",
        bytes.len(),
        encode(&peers).len()
    );
    for replicas in REPLICAS {
        let (clock, base) = clocks(replicas);
        let mut over_base = Vec::new();
        delta::encode_clock(&clock, &base, &mut over_base);
        let (ours, theirs) = (encode(&clock).len(), encode(&peer(&clock)).len());
        println!(
            "size: clock of {replicas} in postcard {ours}, crdts {theirs}, over a base {}",
            over_base.len()
        );
    }
}

fn readings(c: &mut Criterion) {
    let mut group = c.benchmark_group("stamp");
    let mut own = HybridClock::new(Hlc::ZERO, MAX_SKEW_MS);
    let shared = AtomicHybridClock::new(Hlc::ZERO, MAX_SKEW_MS);
    let eu = replica(0);
    group.bench_function("standing/isles", |b| {
        b.iter(|| Stamp::new(own.now(black_box(NOW_MS)), eu));
    });
    group.bench_function("standing/isles_atomic", |b| {
        b.iter(|| Stamp::new(shared.now(black_box(NOW_MS)), eu));
    });
    let peer = peer_clock(standing_clock);
    group.bench_function("standing/uhlc", |b| b.iter(|| peer.new_timestamp()));
    group.bench_function("system/isles", |b| {
        b.iter(|| Stamp::new(own.now(system_time_ms()), eu))
    });
    group.bench_function("system/isles_atomic", |b| {
        b.iter(|| Stamp::new(shared.now(system_time_ms()), eu));
    });
    let peer = peer_clock(uhlc::system_time_clock);
    group.bench_function("system/uhlc", |b| b.iter(|| peer.new_timestamp()));
    group.finish();

    let mut group = c.benchmark_group("follow");
    let remote = Hlc::new(NOW_MS + 100, 7);
    group.bench_function("isles", |b| {
        b.iter(|| own.observe(black_box(remote), NOW_MS))
    });
    group.bench_function("isles_atomic", |b| {
        b.iter(|| shared.observe(black_box(remote), NOW_MS))
    });
    let peer = peer_clock(standing_clock);
    let remote = uhlc::Timestamp::new(standing_clock(), *peer.get_id());
    group.bench_function("uhlc", |b| {
        b.iter(|| peer.update_with_timestamp(black_box(&remote)))
    });
    group.finish();
}

fn stamp_bytes(c: &mut Criterion) {
    let (stamps, peers) = run();
    let (stamp, timestamp) = (stamps[7], peers[7]);
    let mut buffer = [0; 64];
    let mut group = c.benchmark_group("stamp_bytes");
    group.bench_function("encode/isles", |b| {
        b.iter(|| postcard::to_slice(black_box(&stamp), &mut buffer).map(|bytes| bytes.len()));
    });
    group.bench_function("encode/isles_fixed", |b| {
        b.iter(|| black_box(stamp).to_bytes())
    });
    group.bench_function("encode/uhlc", |b| {
        b.iter(|| postcard::to_slice(black_box(&timestamp), &mut buffer).map(|bytes| bytes.len()));
    });
    let (ours, theirs, fixed) = (encode(&stamp), encode(&timestamp), stamp.to_bytes());
    group.bench_function("decode/isles", |b| {
        b.iter(|| decode::<Stamp>(black_box(&ours)))
    });
    group.bench_function("decode/isles_fixed", |b| {
        b.iter(|| Stamp::from_bytes(black_box(&fixed)))
    });
    group.bench_function("decode/uhlc", |b| {
        b.iter(|| decode::<uhlc::Timestamp>(black_box(&theirs)))
    });
    group.finish();

    let mut group = c.benchmark_group("stamp_text");
    let (ours, theirs) = (format!("{stamp:#}"), timestamp.to_string());
    group.bench_function("print/isles", |b| {
        b.iter(|| format!("{:#}", black_box(stamp)))
    });
    group.bench_function("print/uhlc", |b| {
        b.iter(|| black_box(timestamp).to_string())
    });
    group.bench_function("parse/isles", |b| {
        b.iter(|| Stamp::from_str(black_box(&ours)))
    });
    group.bench_function("parse/uhlc", |b| {
        b.iter(|| uhlc::Timestamp::from_str(black_box(&theirs)))
    });
    group.finish();

    let mut group = c.benchmark_group("run_of_1000_stamps");
    let (base, mut bytes) = (stamps[0].hlc, Vec::new());
    group.bench_function("encode/isles_delta", |b| {
        b.iter(|| {
            bytes.clear();
            delta::encode_stamps(black_box(&stamps), base, &mut bytes);
        });
    });
    let mut buffer = vec![0; RUN * 32];
    group.bench_function("encode/uhlc", |b| {
        b.iter(|| postcard::to_slice(black_box(&peers), &mut buffer).map(|bytes| bytes.len()));
    });
    group.bench_function("decode/isles_delta", |b| {
        b.iter(|| delta::decode_stamps(base, &mut black_box(bytes.as_slice()), RUN));
    });
    let bytes = encode(&peers);
    group.bench_function("decode/uhlc", |b| {
        b.iter(|| decode::<Vec<uhlc::Timestamp>>(black_box(&bytes)))
    });
    group.finish();
}

fn vector_clocks(c: &mut Criterion) {
    let mut buffer = [0; 4_096];
    for replicas in REPLICAS {
        let (ours, theirs) = clocks(replicas);
        let (our_peer, their_peer) = (peer(&ours), peer(&theirs));
        let name = |what: &str, who: &str| BenchmarkId::new(format!("{what}/{who}"), replicas);
        let mut group = c.benchmark_group("vector_clock");
        group.bench_function(name("compare", "isles"), |b| {
            b.iter(|| black_box(&ours).compare(black_box(&theirs)));
        });
        group.bench_function(name("compare", "crdts"), |b| {
            b.iter(|| black_box(&our_peer).partial_cmp(black_box(&their_peer)));
        });
        group.bench_function(name("merge", "isles"), |b| {
            b.iter_batched_ref(
                || ours.clone(),
                |clock| clock.merge(&theirs),
                BatchSize::SmallInput,
            );
        });
        group.bench_function(name("merge", "crdts"), |b| {
            let clones = || (our_peer.clone(), Some(their_peer.clone()));
            let merge = |(clock, other): &mut (VClock<_>, Option<_>)| {
                other.take().map(|other| clock.merge(other))
            };
            b.iter_batched_ref(clones, merge, BatchSize::SmallInput);
        });
        group.bench_function(name("observe", "isles"), |b| {
            let mut clock = ours.clone();
            b.iter(|| clock.next(black_box(replica(replicas / 2))));
        });
        group.bench_function(name("observe", "crdts"), |b| {
            let mut clock = our_peer.clone();
            b.iter(|| clock.apply(clock.inc(black_box(replica(replicas / 2)))));
        });
        group.bench_function(name("clone", "isles"), |b| {
            b.iter(|| black_box(&ours).clone())
        });
        group.bench_function(name("clone", "crdts"), |b| {
            b.iter(|| black_box(&our_peer).clone())
        });
        group.bench_function(name("encode", "isles"), |b| {
            b.iter(|| postcard::to_slice(black_box(&ours), &mut buffer).map(|bytes| bytes.len()));
        });
        group.bench_function(name("encode", "crdts"), |b| {
            b.iter(|| {
                postcard::to_slice(black_box(&our_peer), &mut buffer).map(|bytes| bytes.len())
            });
        });
        let mut bytes = Vec::new();
        group.bench_function(name("encode", "isles_delta"), |b| {
            b.iter(|| {
                bytes.clear();
                delta::encode_clock(black_box(&ours), &theirs, &mut bytes);
            });
        });
        group.bench_function(name("decode", "isles_delta"), |b| {
            b.iter(|| delta::decode_clock(&theirs, &mut black_box(bytes.as_slice()), replicas));
        });
        let (ours, theirs) = (encode(&ours), encode(&our_peer));
        group.bench_function(name("decode", "isles"), |b| {
            b.iter(|| decode::<VectorClock>(black_box(&ours)))
        });
        group.bench_function(name("decode", "crdts"), |b| {
            b.iter(|| decode::<VClock<ReplicaId>>(black_box(&theirs)));
        });
        group.finish();
    }
}

criterion_group!(benches, sizes, readings, stamp_bytes, vector_clocks);
criterion_main!(benches);
