//! What a key costs in memory, beside `redis-server` with the same data.
//!
//! The process is asked what it holds, at two sizes, each in a server that was started for it: what is free again at the
//! smaller size is then not in use at the larger one. The difference of both over the difference of keys is what a key
//! costs, which is judged; all of it over the keys, at the larger size, is shown beside it, since a node holds more that
//! does not grow with its keys. Rows come to rest some seconds after they were used, so both servers are given time to
//! settle before they are asked.

use std::env;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::{Report, Settings};
use crate::report;
use crate::resp::Client;
use crate::servers::{NodePlan, Running};
use crate::workspace::Workspace;

/// Two sizes each, of which the smaller fills what a node keeps of the log and of its table in memory.
const KEYS: [usize; 2] = [1_500_000, 3_500_000];
const COLLECTIONS: [usize; 2] = [750_000, 1_750_000];
const ELEMENTS: [usize; 2] = [500_000, 1_500_000];
/// Commands in one write while loading.
const BATCH: usize = 1000;
/// Isles may take so many times as much as Redis.
const GOAL: f64 = 1.0;
/// Elements of a small collection.
const FEW: usize = 5;
/// Elements of a big collection.
const MANY: usize = 100_000;
/// A server has settled when its memory has not changed by more than a hundredth for so long. A node comes to rest in
/// steps, each after a checkpoint, and on a busy machine one takes long.
const STILL: Duration = Duration::from_secs(60);
/// Checkpoints come sooner than by themselves, so that nobody waits for them: what a row takes at rest is the same.
const MORE: &str = "checkpoint.interval_ms = 5000";
const REDIS_STILL: Duration = Duration::from_secs(5);
const SETTLED_MAX: Duration = Duration::from_secs(300);
const LOOK: Duration = Duration::from_millis(500);

/// One kind of data.
struct Case {
    name: &'static str,
    /// What is counted.
    unit: &'static str,
    /// How many of them at first and at last.
    counts: [usize; 2],
    /// Units that one command writes.
    per_command: usize,
    command: fn(usize) -> Vec<String>,
}

const CASES: &[Case] = &[
    Case {
        name: "strings of 100 bytes",
        unit: "key",
        counts: KEYS,
        per_command: 1,
        command: |number| words(&["SET", &key(number), &"x".repeat(100)]),
    },
    Case {
        name: "counters",
        unit: "key",
        counts: KEYS,
        per_command: 1,
        command: |number| words(&["INCRBY", &key(number), &number.to_string()]),
    },
    Case {
        name: "sets of 5 members",
        unit: "key",
        counts: COLLECTIONS,
        per_command: 1,
        command: |number| collection("SADD", key(number), FEW, member),
    },
    Case {
        name: "hashes of 5 fields",
        unit: "key",
        counts: COLLECTIONS,
        per_command: 1,
        command: |number| collection("HSET", key(number), FEW, field),
    },
    Case {
        name: "sorted sets of 5 members",
        unit: "key",
        counts: COLLECTIONS,
        per_command: 1,
        command: |number| collection("ZADD", key(number), FEW, scored),
    },
    Case {
        name: "sets of 100000 members",
        unit: "member",
        counts: ELEMENTS,
        per_command: BATCH,
        command: |number| big("SADD", number, member),
    },
    Case {
        name: "hashes of 100000 fields",
        unit: "field",
        counts: ELEMENTS,
        per_command: BATCH,
        command: |number| big("HSET", number, field),
    },
    Case {
        name: "sorted sets of 100000 members",
        unit: "member",
        counts: ELEMENTS,
        per_command: BATCH,
        command: |number| big("ZADD", number, scored),
    },
];

/// What a server held with the first and the second count of units, and at most before that.
struct Held {
    bytes: [u64; 2],
    peaks: [u64; 2],
}

impl Held {
    /// What a further unit costs.
    fn per_unit(&self, [first, second]: [usize; 2]) -> f64 {
        (self.bytes[1] as f64 - self.bytes[0] as f64) / (second - first) as f64
    }

    /// All that it held with the second count, per unit.
    fn whole(&self, counts: [usize; 2]) -> f64 {
        self.bytes[1] as f64 / counts[1] as f64
    }

    fn peak(&self, counts: [usize; 2]) -> f64 {
        self.peaks[1] as f64 / counts[1] as f64
    }
}

pub(super) fn run(workspace: &Workspace, settings: &Settings) -> Result<Report> {
    let binary = workspace.node_binary(settings.binary.as_deref())?;
    let folder = workspace.target_dir()?.join("bench-memory");
    let mut rows = Vec::new();
    for case in CASES {
        let counts = case.counts.map(|count| {
            let most = count * settings.percent / 100;
            most.next_multiple_of(case.per_command)
        });
        let of_redis = held(case, counts, REDIS_STILL, || {
            Running::redis(
                &folder.join("redis"),
                &["--appendonly", "yes", "--appendfsync", "everysec"],
            )
        })?;
        let of_node = held(case, counts, STILL, || {
            Running::node(&NodePlan {
                binary: &binary,
                folder: &folder.join("node"),
                name: "bench",
                durability: "interval",
                more: MORE,
            })
        })?;
        let row = row(case, counts, &of_redis, &of_node);
        println!("{}", row.join("  "));
        rows.push(row);
    }
    let head = [
        "data",
        "unit",
        "Redis",
        "Isles",
        "times as much",
        "goal",
        "reached",
        "all of Redis",
        "all of Isles",
        "Redis peak",
        "Isles peak",
    ];
    let body = format!(
        "Bytes of resident memory per unit: the difference between a server with {KEYS:?} keys, {COLLECTIONS:?} small collections or {ELEMENTS:?} \
         elements of big ones, each loaded into one of its own, over the difference of units. *All* is what the larger one holds, over its \
         units, and the peak the most that it held until then. Read when nothing had changed by more than a hundredth for {} s. A node holds the \
         end of its log (64 MiB) and its table's buffers as well. Keys of 16 bytes; members, fields and values of 10. One round.\n\n{}",
        STILL.as_secs(),
        report::table(&head, &rows)
    );
    let commands = vec![
        "grep -E 'VmRSS|VmHWM' /proc/PID/status".to_owned(),
        "redis-server --save '' --appendonly yes --appendfsync everysec".to_owned(),
        format!(
            "{}isles start --config isles.toml   # durability = interval, {MORE}",
            allocator()
        ),
    ];
    Ok(Report { commands, body })
}

/// What the environment tells the node's allocator.
fn allocator() -> String {
    let variables = env::vars().filter(|(name, _)| name.starts_with("MIMALLOC_"));
    variables
        .map(|(name, value)| format!("{name}={value} "))
        .collect()
}

fn row(case: &Case, counts: [usize; 2], redis: &Held, node: &Held) -> Vec<String> {
    let times = node.per_unit(counts) / redis.per_unit(counts);
    vec![
        case.name.to_owned(),
        case.unit.to_owned(),
        format!("{:.0}", redis.per_unit(counts)),
        format!("{:.0}", node.per_unit(counts)),
        format!("{times:.2}"),
        format!("{GOAL:.1}"),
        if times <= GOAL { "yes" } else { "NO" }.to_owned(),
        format!("{:.0}", redis.whole(counts)),
        format!("{:.0}", node.whole(counts)),
        format!("{:.0}", redis.peak(counts)),
        format!("{:.0}", node.peak(counts)),
    ]
}

/// Loads both sizes, each into a server of its own, and reads what it holds.
fn held(
    case: &Case,
    counts: [usize; 2],
    still: Duration,
    start: impl Fn() -> Result<Running>,
) -> Result<Held> {
    let mut held = Held {
        bytes: [0; 2],
        peaks: [0; 2],
    };
    for (size, count) in counts.into_iter().enumerate() {
        let server = start()?;
        load(&server, case, count)?;
        held.bytes[size] = settled(&server, still)?;
        held.peaks[size] = server.resident_bytes_max()?;
    }
    Ok(held)
}

fn load(server: &Running, case: &Case, count: usize) -> Result<()> {
    let mut client = Client::connect(server.port)?;
    let step = BATCH.max(case.per_command);
    for first in (0..count).step_by(step) {
        let last = (first + step).min(count);
        let numbers = (first..last).step_by(case.per_command);
        let commands: Vec<Vec<String>> = numbers.map(case.command).collect();
        client.pipeline(&commands)?;
    }
    Ok(())
}

/// What the server holds when it does not change any more.
fn settled(server: &Running, still: Duration) -> Result<u64> {
    let begun = Instant::now();
    let (mut bytes, mut since) = (server.resident_bytes()?, Instant::now());
    while since.elapsed() < still && begun.elapsed() < SETTLED_MAX {
        thread::sleep(LOOK);
        let now = server.resident_bytes()?;
        if now.abs_diff(bytes) > bytes / 100 {
            (bytes, since) = (now, Instant::now());
        }
    }
    server.resident_bytes()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn key(number: usize) -> String {
    format!("key:{number:012}")
}

fn member(number: usize) -> Vec<String> {
    vec![format!("m:{number:08}")]
}

fn field(number: usize) -> Vec<String> {
    vec![format!("f:{number:08}"), format!("v:{number:08}")]
}

fn scored(number: usize) -> Vec<String> {
    vec![number.to_string(), format!("m:{number:08}")]
}

fn collection(
    command: &str,
    key: String,
    elements: usize,
    element: fn(usize) -> Vec<String>,
) -> Vec<String> {
    let mut words = vec![command.to_owned(), key];
    words.extend((0..elements).flat_map(element));
    words
}

/// A thousand elements from this one on, of collections of [`MANY`].
fn big(command: &str, first: usize, element: fn(usize) -> Vec<String>) -> Vec<String> {
    let mut words = vec![command.to_owned(), key(first / MANY)];
    words.extend((first..first + BATCH).flat_map(element));
    words
}
