//! What commands on large collections cost everybody else: the longest that a GET on another connection waits meanwhile,
//! beside `redis-server`.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};

use super::rounds::{interleaved, median};
use super::{Report, Settings};
use crate::report;
use crate::resp::Client;
use crate::servers::{NodePlan, Running, wait_until};
use crate::workspace::Workspace;

const ELEMENTS: usize = 900_000;
/// Elements in one command while loading.
const BATCH: usize = 1000;
/// Members that one `SREM` names.
const NAMED: usize = 100_000;
/// A command may take so many times as long as Redis takes for it.
const GOAL: f64 = 2.0;
/// The same for the longest pause of others, where this is more than what the machine itself adds.
const PAUSE_GOAL_MS: f64 = 2.0;
/// Others are watched for so long after a command, since what was removed may be freed later.
const AFTER: Duration = Duration::from_millis(400);
/// What loading has left behind is waited for.
const SETTLE: Duration = Duration::from_millis(300);
const PROBES_BEFORE: u64 = 200;
/// Transactions that are timed for one number.
const TRANSACTIONS: usize = 2000;

/// The collections, all under the key `big`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Set,
    Hash,
    SortedSet,
    List,
    Stream,
    /// A single member: what a transaction costs without a large collection.
    SmallSet,
}

/// What is done to a collection; `SREM` is given names.
struct Question {
    kind: Kind,
    commands: &'static [&'static str],
}

const fn ask(kind: Kind, commands: &'static [&'static str]) -> Question {
    Question { kind, commands }
}

const QUESTIONS: &[Question] = &[
    ask(Kind::Set, &["GET nothing"]),
    ask(Kind::Set, &["DEL big"]),
    ask(Kind::Set, &["UNLINK big"]),
    ask(Kind::Set, &["SET big x"]),
    ask(Kind::Set, &["SINTERSTORE big few"]),
    ask(Kind::Set, &["PEXPIRE big 1", "SADD big x"]),
    ask(Kind::Set, &["FLUSHALL"]),
    ask(Kind::Set, &["SREM big"]),
    ask(Kind::Hash, &["DEL big"]),
    ask(Kind::Hash, &["UNLINK big"]),
    ask(Kind::SortedSet, &["DEL big"]),
    ask(Kind::SortedSet, &["UNLINK big"]),
    ask(Kind::SortedSet, &["ZREMRANGEBYRANK big 10 -11"]),
    ask(Kind::List, &["DEL big"]),
    ask(Kind::List, &["UNLINK big"]),
    ask(Kind::List, &["LTRIM big 0 9"]),
    ask(Kind::List, &["LTRIM big 0 449999"]),
    ask(Kind::List, &["LREM big 0 x"]),
    ask(Kind::Stream, &["DEL big"]),
    ask(Kind::Stream, &["UNLINK big"]),
    ask(Kind::Stream, &["XTRIM big MAXLEN 10"]),
];

/// What one round has shown.
#[derive(Clone, Copy)]
struct Measured {
    took_ms: f64,
    pause_ms: f64,
}

pub(super) fn run(workspace: &Workspace, settings: &Settings) -> Result<Report> {
    let binary = workspace.node_binary(settings.binary.as_deref())?;
    let folder = workspace.target_dir()?.join("bench-large");
    let redis = Running::redis(
        &folder.join("redis"),
        &["--appendonly", "yes", "--appendfsync", "everysec"],
    )?;
    let node = start_node(&binary, &folder.join("node"))?;
    let elements = ELEMENTS * settings.percent / 100;
    let mut pauses = Vec::new();
    for question in QUESTIONS {
        let rounds = interleaved(
            settings.rounds,
            || measure(redis.port, question, elements),
            || measure(node.port, question, elements),
        )?;
        let row = row(question, &rounds);
        println!("{}", row.join("  "));
        pauses.push(row);
    }
    let mut transactions = Vec::new();
    for (kind, name) in [(Kind::SmallSet, "1"), (Kind::Set, "large")] {
        let rounds = interleaved(
            settings.rounds,
            || time_transactions(redis.port, kind, elements),
            || time_transactions(node.port, kind, elements),
        )?;
        let of = |value: fn(&(Times, Times)) -> f64| {
            format!("{:.1}", median(rounds.iter().map(value).collect()))
        };
        let row = vec![
            name.to_owned(),
            of(|(redis, _)| redis.alone_us),
            of(|(redis, _)| redis.transaction_us),
            of(|(_, node)| node.alone_us),
            of(|(_, node)| node.transaction_us),
        ];
        println!("{}", row.join("  "));
        transactions.push(row);
    }
    Ok(Report {
        commands: vec!["GET probe   # again and again on a connection of its own".to_owned()],
        body: body(settings, &pauses, &transactions),
    })
}

fn start_node(binary: &Path, folder: &Path) -> Result<Running> {
    Running::node(&NodePlan {
        binary,
        folder,
        name: "bench",
        durability: "interval",
        more: "",
    })
}

fn body(settings: &Settings, pauses: &[Vec<String>], transactions: &[Vec<String>]) -> String {
    let head = [
        "collection",
        "commands",
        "Redis ms",
        "Isles ms",
        "times as long",
        "goal",
        "reached",
        "Redis pause ms",
        "Isles pause ms",
        "reached",
    ];
    let pauses = report::table(&head, pauses);
    let head = [
        "members",
        "Redis SADD µs",
        "Redis MULTI µs",
        "Isles SADD µs",
        "Isles MULTI µs",
    ];
    let transactions = report::table(&head, transactions);
    format!(
        "Collections of {ELEMENTS} elements, `durability = \"interval\"` against `appendfsync everysec`. A pause is the longest that a \
         `GET` on another connection has taken during the command and {} ms after it; the first row shows what the machine \
         itself adds. `SREM` names {NAMED} members, 9 of 10 elements of the list are `x`, `few` does not exist. Median of {} interleaved rounds. A pause \
         is as it should be if it is not longer than Redis's for the same command, or than {PAUSE_GOAL_MS} ms.\n\n{pauses}\n\
         The median of {TRANSACTIONS} times from sending `SADD`, alone and between `MULTI` and `EXEC` in one write, to the last answer:\n\n\
         {transactions}",
        AFTER.as_millis(),
        settings.rounds,
    )
}

fn row(question: &Question, rounds: &[(Measured, Measured)]) -> Vec<String> {
    let of = |value: fn(&(Measured, Measured)) -> f64| median(rounds.iter().map(value).collect());
    let times = of(|(redis, node)| node.took_ms / redis.took_ms);
    let pauses = [
        of(|(redis, _)| redis.pause_ms),
        of(|(_, node)| node.pause_ms),
    ];
    let commands: Vec<String> = question
        .commands
        .iter()
        .map(|command| format!("`{command}`"))
        .collect();
    let yes = |reached| if reached { "yes" } else { "no" }.to_owned();
    vec![
        format!("{:?}", question.kind),
        commands.join(", "),
        format!("{:.2}", of(|(redis, _)| redis.took_ms)),
        format!("{:.2}", of(|(_, node)| node.took_ms)),
        format!("{times:.2}"),
        format!("{GOAL:.1}"),
        yes(times <= GOAL),
        format!("{:.2}", pauses[0]),
        format!("{:.2}", pauses[1]),
        yes(pauses[1] <= pauses[0].max(PAUSE_GOAL_MS)),
    ]
}

/// Loads a collection, runs the commands while another connection asks, and takes away what is left.
fn measure(port: u16, question: &Question, elements: usize) -> Result<Measured> {
    let mut client = Client::connect(port)?;
    load(&mut client, question.kind, elements)?;
    thread::sleep(SETTLE);
    let named: Vec<String> = (0..NAMED.min(elements)).map(name).collect();
    let probe = Probe::start(port)?;
    let mut took = Duration::ZERO;
    for command in question.commands {
        let mut words: Vec<&str> = command.split(' ').collect();
        if words[0] == "SREM" {
            words.extend(named.iter().map(String::as_str));
        }
        let started = Instant::now();
        client.command(&words)?;
        took += started.elapsed();
        if words[0] == "PEXPIRE" {
            thread::sleep(Duration::from_millis(2));
        }
    }
    thread::sleep(AFTER);
    let pause = probe.stop()?;
    client.command(&["UNLINK", "big"])?;
    Ok(Measured {
        took_ms: millis(took),
        pause_ms: millis(pause),
    })
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn name(number: usize) -> String {
    format!("m:{number:012}")
}

fn load(client: &mut Client, kind: Kind, elements: usize) -> Result<()> {
    for first in (0..elements).step_by(BATCH) {
        let numbers = first..(first + BATCH).min(elements);
        let mut words: Vec<String> = Vec::with_capacity(2 * BATCH);
        let command = match kind {
            Kind::Set | Kind::SmallSet => "SADD",
            Kind::Hash => "HSET",
            Kind::SortedSet => "ZADD",
            Kind::List => "RPUSH",
            Kind::Stream => "XADD",
        };
        words.extend([command.to_owned(), "big".to_owned()]);
        match kind {
            Kind::SmallSet => words.push(name(0)),
            Kind::Set => words.extend(numbers.map(name)),
            Kind::Hash => words.extend(numbers.flat_map(|number| [name(number), "x".repeat(16)])),
            Kind::SortedSet => {
                words.extend(numbers.flat_map(|number| [number.to_string(), name(number)]));
            }
            Kind::List => words.extend(numbers.map(|number| match number % 10 {
                0 => name(number),
                _ => "x".to_owned(),
            })),
            Kind::Stream => {
                load_stream(client, numbers)?;
                continue;
            }
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        client.command(&words)?;
        if kind == Kind::SmallSet {
            break;
        }
    }
    Ok(())
}

fn load_stream(client: &mut Client, numbers: std::ops::Range<usize>) -> Result<()> {
    let commands: Vec<Vec<String>> = numbers
        .map(|number| {
            let id = format!("{}-0", number + 1);
            ["XADD", "big", &id, "field", &name(number)]
                .map(str::to_owned)
                .into()
        })
        .collect();
    client.pipeline(&commands)
}

/// Another client, which asks for a key again and again.
struct Probe {
    stop: &'static AtomicBool,
    thread: thread::JoinHandle<Result<Duration>>,
}

impl Probe {
    /// Starts to ask; returns when it has begun to measure.
    fn start(port: u16) -> Result<Self> {
        // One of each per measurement, for the few dozen that a run has.
        let stop: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));
        let asked: &'static AtomicU64 = Box::leak(Box::new(AtomicU64::new(0)));
        let mut client = Client::connect(port)?;
        let thread = thread::spawn(move || {
            let mut longest = Duration::ZERO;
            while !stop.load(Ordering::Relaxed) {
                let started = Instant::now();
                client.command(&["GET", "probe"])?;
                if asked.fetch_add(1, Ordering::Relaxed) > PROBES_BEFORE {
                    longest = longest.max(started.elapsed());
                }
            }
            Ok(longest)
        });
        wait_until(Duration::from_secs(10), || {
            Ok(asked.load(Ordering::Relaxed) > 2 * PROBES_BEFORE)
        })?;
        Ok(Self { stop, thread })
    }

    /// The longest that an answer has taken.
    fn stop(self) -> Result<Duration> {
        self.stop.store(true, Ordering::Relaxed);
        let longest = self.thread.join();
        longest.map_err(|_| anyhow!("the thread that asks has panicked"))?
    }
}

/// Medians, in microseconds.
#[derive(Clone, Copy)]
struct Times {
    alone_us: f64,
    transaction_us: f64,
}

fn time_transactions(port: u16, kind: Kind, elements: usize) -> Result<Times> {
    let mut client = Client::connect(port)?;
    load(&mut client, kind, elements)?;
    thread::sleep(SETTLE);
    let sadd = |number: usize| ["SADD", "big", &name(number * 37 % elements)].map(str::to_owned);
    let word = |word: &str| vec![word.to_owned()];
    let mut times = |transaction: bool| -> Result<f64> {
        let mut times = Vec::with_capacity(TRANSACTIONS);
        for number in 0..TRANSACTIONS {
            let number = if kind == Kind::SmallSet { 0 } else { number };
            let command = sadd(number).to_vec();
            let commands = match transaction {
                true => vec![word("MULTI"), command, word("EXEC")],
                false => vec![command],
            };
            let started = Instant::now();
            client.pipeline(&commands)?;
            times.push(started.elapsed().as_secs_f64() * 1e6);
        }
        Ok(median(times))
    };
    let measured = Times {
        alone_us: times(false)?,
        transaction_us: times(true)?,
    };
    let left = client.command(&["UNLINK", "big"])?;
    ensure!(left.as_deref() == Some("1"), "the set is gone");
    Ok(measured)
}
