//! What a key costs in memory, beside `redis-server` with the same data.
//!
//! The process is asked what it holds, at two sizes. All of it over the keys, at the larger size, is what is judged. The
//! difference of both sizes over the difference of keys leaves out what is fixed, but also what was free again at the
//! smaller size and is in use at the larger one. A node's rows come to rest some seconds after they were used, so both
//! servers are given time to settle before they are asked.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::{Report, Settings};
use crate::report;
use crate::resp::Client;
use crate::servers::{NodePlan, Running};
use crate::workspace::Workspace;

/// Two sizes each, of which the smaller fills what a node keeps of the log and of its table in memory.
const KEYS: [usize; 2] = [2_000_000, 4_000_000];
const COLLECTIONS: [usize; 2] = [1_000_000, 2_000_000];
const ELEMENTS: [usize; 2] = [1_000_000, 2_000_000];
/// Commands in one write while loading.
const BATCH: usize = 1000;
/// Isles may take so many times as much as Redis.
const GOAL: f64 = 1.0;
/// Elements of a small collection.
const FEW: usize = 5;
/// Elements of a big collection.
const MANY: usize = 100_000;
/// A server has settled when its memory has not changed by more than a hundredth for so long. A node comes to rest in
/// steps, each after a checkpoint.
const STILL: Duration = Duration::from_secs(25);
const REDIS_STILL: Duration = Duration::from_secs(5);
const SETTLED_MAX: Duration = Duration::from_secs(180);
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

/// What a server held with the first and the second count of units, and at most in between.
struct Held {
    bytes: [u64; 2],
    peak: u64,
}

impl Held {
    fn per_unit(&self, [first, second]: [usize; 2]) -> f64 {
        (self.bytes[1] as f64 - self.bytes[0] as f64) / (second - first) as f64
    }

    /// All that it held with the second count, per unit.
    fn whole(&self, counts: [usize; 2]) -> f64 {
        self.bytes[1] as f64 / counts[1] as f64
    }

    fn peak(&self, counts: [usize; 2]) -> f64 {
        self.peak as f64 / counts[1] as f64
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
        let redis = Running::redis(
            &folder.join("redis"),
            &["--appendonly", "yes", "--appendfsync", "everysec"],
        )?;
        let of_redis = held(&redis, case, counts, REDIS_STILL)?;
        drop(redis);
        let node_folder = folder.join("node");
        let node = Running::node(&NodePlan {
            binary: &binary,
            folder: &node_folder,
            name: "bench",
            durability: "interval",
            more: "",
        })?;
        let of_node = held(&node, case, counts, STILL)?;
        drop(node);
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
        "Redis more",
        "Isles more",
        "Redis peak",
        "Isles peak",
    ];
    let body = format!(
        "Bytes of resident memory per unit, of {KEYS:?} keys, {COLLECTIONS:?} small collections, {ELEMENTS:?} elements of big ones: all that the \
         server holds with the larger number, over that number; *more* is the difference between both over the difference of units; the peak is \
         the most that was held while loading, over the larger number. Read when nothing had changed by more than a hundredth for {} s. A node \
         holds the end of its log (64 MiB) and its table's buffers as well. Keys of 16 bytes; members, fields and values of 10. One round.\n\n{}",
        STILL.as_secs(),
        report::table(&head, &rows)
    );
    let commands = vec![
        "grep -E 'VmRSS|VmHWM' /proc/PID/status".to_owned(),
        "redis-server --save '' --appendonly yes --appendfsync everysec".to_owned(),
        "isles start --config isles.toml   # durability = interval".to_owned(),
    ];
    Ok(Report { commands, body })
}

fn row(case: &Case, counts: [usize; 2], redis: &Held, node: &Held) -> Vec<String> {
    let times = node.whole(counts) / redis.whole(counts);
    vec![
        case.name.to_owned(),
        case.unit.to_owned(),
        format!("{:.0}", redis.whole(counts)),
        format!("{:.0}", node.whole(counts)),
        format!("{times:.2}"),
        format!("{GOAL:.1}"),
        if times <= GOAL { "yes" } else { "NO" }.to_owned(),
        format!("{:.0}", redis.per_unit(counts)),
        format!("{:.0}", node.per_unit(counts)),
        format!("{:.0}", redis.peak(counts)),
        format!("{:.0}", node.peak(counts)),
    ]
}

/// Loads both sizes, and reads what the server holds of each.
fn held(server: &Running, case: &Case, counts: [usize; 2], still: Duration) -> Result<Held> {
    let mut client = Client::connect(server.port)?;
    let mut loaded = 0;
    let mut load = |count: usize| -> Result<u64> {
        for first in (loaded..count).step_by(BATCH.max(case.per_command)) {
            let last = (first + BATCH.max(case.per_command)).min(count);
            let numbers = (first..last).step_by(case.per_command);
            let commands: Vec<Vec<String>> = numbers.map(case.command).collect();
            client.pipeline(&commands)?;
        }
        loaded = count;
        settled(server, still)
    };
    let bytes = [load(counts[0])?, load(counts[1])?];
    let peak = server.resident_bytes_max()?;
    Ok(Held { bytes, peak })
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
