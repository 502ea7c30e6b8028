//! What checkpoints cost whoever writes meanwhile: a load that does not wait for anybody, on one node, with and without
//! checkpoints in turn; and how many bytes are written for each that a client sends.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use super::lines::number;
use super::rounds::{interleaved, median};
use super::{Report, Settings};
use crate::report;
use crate::resp::Client;
use crate::servers::{NodePlan, Running};
use crate::workspace::Workspace;

/// Writes that begin in each millisecond, on each connection, whether or not those before are answered.
const WRITES_PER_TICK: usize = 5;
const CONNECTIONS: usize = 2;
const TICK: Duration = Duration::from_millis(1);
/// How long the load goes on with checkpoints, and without, each round.
const RUN: Duration = Duration::from_secs(10);
/// From the end of a checkpoint to the beginning of the next: far less than a node leaves by itself.
const REST: Duration = Duration::from_millis(500);
const KEYS: usize = 200_000;
const VALUE_BYTES: usize = 100;
/// What a client sends of a write that is its own: the key and the value.
const USER_BYTES: usize = "key:".len() + KEY_DIGITS + VALUE_BYTES;
const KEY_DIGITS: usize = 12;
/// No pause of commands above this is to come from a checkpoint.
const GOAL_MS: f64 = 2.0;
/// Checkpoints are taken when they are asked for, and for nothing else.
const CONFIG: &str = "checkpoint.interval_ms = 86400000\ncheckpoint.dirty_bytes = \"1024GiB\"";

/// What half, 99 %, 99.9 % and all writes have taken at most, in milliseconds from when each was to begin.
#[derive(Clone, Copy)]
struct Times([f64; 4]);

/// One stretch of load.
#[derive(Clone, Copy)]
struct Stretch {
    times: Times,
    checkpoints: f64,
    /// Per byte that clients sent.
    log: f64,
    table: f64,
    disk: f64,
    /// How often a checkpoint has kept commands waiting, and how often for longer than the goal.
    holds: f64,
    long_holds: f64,
}

pub(super) fn run(workspace: &Workspace, settings: &Settings) -> Result<Report> {
    let binary = workspace.node_binary(settings.binary.as_deref())?;
    let folder = workspace.target_dir()?.join("bench-checkpoint");
    let mut body = format!(
        "SET of {VALUE_BYTES} bytes to {KEYS} keys at random, {} a second on {CONNECTIONS} connections, each sent when its time has come and timed from there: a \
         pause counts for every write that falls into it. In turn {} s with one checkpoint after the other, {} ms between them, and {} s without, on the \
         same node; client and node share the machine. Milliseconds; median of {} rounds of each. The difference is the median of the rounds' differences; \
         at 99.9 % it is to be at most {GOAL_MS:.0} ms.\n",
        rate(),
        run_time(settings).as_secs_f64(),
        REST.as_millis(),
        run_time(settings).as_secs_f64(),
        settings.rounds,
    );
    for durability in ["interval", "always"] {
        let plan = NodePlan {
            binary: &binary,
            folder: &folder,
            name: "bench",
            durability,
            more: CONFIG,
        };
        let node = Running::node(&plan)?;
        // Every key is there, and in the table.
        load(&node, run_time(settings))?;
        Client::connect(node.port)?.command(&["SAVE"])?;
        let rounds = interleaved(
            settings.rounds,
            || with_checkpoints(&node, settings),
            || stretch(&node, run_time(settings)),
        )?;
        body.push_str(&format!(
            "\n**`durability = \"{durability}\"`**\n\n{}",
            table(&rounds)
        ));
    }
    body.push_str(
        "\nBytes per byte of keys and values that clients sent: written to the log, handed to the table, and written to the disk by the process in all, with \
         what the table rewrites when it merges its files. The longer the time between checkpoints, the more often a key has changed that the table gets once.\n",
    );
    Ok(Report {
        commands: vec![
            "isles start --config isles.toml   # and a client of cargo xtask bench checkpoint"
                .to_owned(),
        ],
        body,
    })
}

fn rate() -> usize {
    WRITES_PER_TICK * CONNECTIONS * 1000 / TICK.as_millis() as usize
}

fn run_time(settings: &Settings) -> Duration {
    RUN * settings.percent as u32 / 100
}

fn table(rounds: &[(Stretch, Stretch)]) -> String {
    let of =
        |value: &dyn Fn(&(Stretch, Stretch)) -> f64| median(rounds.iter().map(value).collect());
    let times = |of_round: fn(&(Stretch, Stretch)) -> Stretch| {
        [0, 1, 2, 3].map(|at| number(of(&|round| of_round(round).times.0[at]), 2))
    };
    let bytes = |of_round: fn(&(Stretch, Stretch)) -> Stretch| {
        [
            number(of(&|round| of_round(round).checkpoints), 0),
            number(of(&|round| of_round(round).log), 2),
            number(of(&|round| of_round(round).table), 2),
            number(of(&|round| of_round(round).disk), 2),
        ]
    };
    let row = |name: &str, of_round: fn(&(Stretch, Stretch)) -> Stretch| {
        let name = vec![name.to_owned()];
        [name, times(of_round).to_vec(), bytes(of_round).to_vec()].concat()
    };
    let difference = |at: usize| of(&|(with, without)| with.times.0[at] - without.times.0[at]);
    let mut last = vec!["difference".to_owned()];
    last.extend([0, 1, 2, 3].map(|at| number(difference(at), 2)));
    last.extend(vec![String::new(); 4]);
    let lines = [
        row("with checkpoints", |round| round.0),
        row("without", |round| round.1),
        last,
    ];
    let head = [
        "",
        "p50",
        "p99",
        "p99.9",
        "max",
        "checkpoints",
        "log",
        "table",
        "disk",
    ];
    let verdict = if difference(2) <= GOAL_MS {
        "yes"
    } else {
        "no"
    };
    let sum = |value: fn(&Stretch) -> f64| rounds.iter().map(|(with, _)| value(with)).sum::<f64>();
    format!(
        "{}\nReached: {verdict}. Of {} times that a checkpoint held the lock for which commands wait, {} took longer than {GOAL_MS:.0} ms by the node's own clock.\n",
        report::table(&head, &lines),
        number(sum(|stretch| stretch.holds), 0),
        number(sum(|stretch| stretch.long_holds), 0),
    )
}

/// The load, while another connection asks for a checkpoint again and again.
fn with_checkpoints(node: &Running, settings: &Settings) -> Result<Stretch> {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let saver = scope.spawn(|| {
            let mut client = Client::connect(node.port)?;
            while !is_over.load(Ordering::Acquire) {
                client.command(&["SAVE"])?;
                thread::sleep(REST);
            }
            Ok(())
        });
        let stretch = stretch(node, run_time(settings));
        is_over.store(true, Ordering::Release);
        let saved: Result<()> = saver.join().map_err(|_| anyhow!("asking has panicked"))?;
        saved.and(stretch)
    })
}

/// Counters of the node, and what its process has had written to disks.
fn counters(node: &Running) -> Result<[f64; 6]> {
    let text = node.admin_get("/metrics")?;
    let find = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.map_or(Ok(0.0), |value| {
            value.trim().parse().context("a metric is no number")
        })
    };
    Ok([
        find("isles_checkpoint_seconds_count ")?,
        find("isles_log_written_bytes_total ")?,
        find("isles_table_written_bytes_total ")?,
        node.written_bytes()? as f64,
        find("isles_checkpoint_hold_seconds_count ")?,
        find("isles_checkpoint_hold_seconds_bucket{le=\"0.002\"} ")?,
    ])
}

fn stretch(node: &Running, run: Duration) -> Result<Stretch> {
    let before = counters(node)?;
    let mut times = load(node, run)?;
    let after = counters(node)?;
    times.sort_unstable();
    let at = |share: f64| {
        let at = (times.len() as f64 * share) as usize;
        f64::from(times[at.min(times.len() - 1)]) / 1000.0
    };
    let user = (times.len() * USER_BYTES) as f64;
    let per_byte = |counter: usize| (after[counter] - before[counter]) / user;
    Ok(Stretch {
        times: Times([at(0.5), at(0.99), at(0.999), at(1.0)]),
        checkpoints: after[0] - before[0],
        log: per_byte(1),
        table: per_byte(2),
        disk: per_byte(3),
        holds: after[4] - before[4],
        long_holds: (after[4] - after[5]) - (before[4] - before[5]),
    })
}

/// Sends what is due, when it is due. Answers what each write has taken since it was due, in microseconds.
fn load(node: &Running, run: Duration) -> Result<Vec<u32>> {
    let ticks = (run.as_nanos() / TICK.as_nanos()) as usize;
    let begin = Instant::now() + 10 * TICK;
    thread::scope(|scope| {
        let connections: Vec<_> = (0..CONNECTIONS)
            .map(|seed| {
                let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, node.port))?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(Duration::from_secs(60)))?;
                let reading = stream.try_clone()?;
                let sender = scope.spawn(move || send(stream, begin, ticks, seed as u64));
                let reader = scope.spawn(move || receive(reading, begin, ticks));
                Ok((sender, reader))
            })
            .collect::<Result<_>>()?;
        let mut times = Vec::with_capacity(ticks * WRITES_PER_TICK * CONNECTIONS);
        for (sender, reader) in connections {
            sender
                .join()
                .map_err(|_| anyhow!("sending has panicked"))??;
            times.extend(
                reader
                    .join()
                    .map_err(|_| anyhow!("reading has panicked"))??,
            );
        }
        Ok(times)
    })
}

fn send(mut stream: TcpStream, begin: Instant, ticks: usize, seed: u64) -> Result<()> {
    let mut state = seed * 2 + 1;
    let value = "v".repeat(VALUE_BYTES);
    for tick in 0..ticks {
        let mut request = String::new();
        for _ in 0..WRITES_PER_TICK {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let key = (state >> 33) as usize % KEYS;
            request.push_str(&format!(
                "*3\r\n$3\r\nSET\r\n${}\r\nkey:{key:0KEY_DIGITS$}\r\n${VALUE_BYTES}\r\n{value}\r\n",
                "key:".len() + KEY_DIGITS,
            ));
        }
        let due = begin + TICK * tick as u32;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        stream.write_all(request.as_bytes())?;
    }
    Ok(())
}

fn receive(mut stream: TcpStream, begin: Instant, ticks: usize) -> Result<Vec<u32>> {
    const OK: &[u8] = b"+OK\r\n";
    let mut times = Vec::with_capacity(ticks * WRITES_PER_TICK);
    let (mut buffer, mut part) = (vec![0; 64 << 10], 0);
    while times.len() < ticks * WRITES_PER_TICK {
        let count = stream.read(&mut buffer)?;
        let now = Instant::now();
        if count == 0 {
            bail!("the node has closed the connection");
        }
        for byte in &buffer[..count] {
            if *byte != OK[part] {
                bail!(
                    "a write was refused: {}",
                    String::from_utf8_lossy(&buffer[..count])
                );
            }
            part = (part + 1) % OK.len();
            if part == 0 {
                let due = begin + TICK * (times.len() / WRITES_PER_TICK) as u32;
                times.push(now.saturating_duration_since(due).as_micros() as u32);
            }
        }
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_of_the_same_round() {
        let stretch = |nearly_all: f64| Stretch {
            times: Times([0.1, 1.0, nearly_all, 9.0]),
            checkpoints: 3.0,
            log: 1.5,
            table: 0.5,
            disk: 2.5,
            holds: 100.0,
            long_holds: 1.0,
        };
        let rounds = [(5.0, 1.0), (9.0, 8.0), (2.0, 1.5)]
            .map(|(with, without)| (stretch(with), stretch(without)));
        let text = table(&rounds).replace(' ', "");
        assert!(
            text.contains("|withcheckpoints|0.10|1.00|5.00|9.00|3|1.50|0.50|2.50|"),
            "{text}"
        );
        assert!(text.contains("|difference|0.00|0.00|1.00|0.00|"), "{text}");
        assert!(text.contains("Reached:yes.Of300times"), "{text}");
        assert!(text.contains("3tooklongerthan2ms"), "{text}");
    }
}
