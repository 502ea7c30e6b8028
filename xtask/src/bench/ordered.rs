//! Sorted sets and lists of a million elements against `redis-server`: what stays fast when a collection is large.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::Command;

use anyhow::{Result, bail, ensure};

use super::redis::{Measurement, measure_client};
use super::rounds::{interleaved, median};
use super::{Report, Settings};
use crate::report;
use crate::servers::{NodePlan, Running};
use crate::workspace::Workspace;

const ELEMENTS: usize = 1_000_000;
/// Elements in one command while loading.
const BATCH: usize = 1000;
const CONNECTIONS: usize = 10;
/// Isles may take so many times as long as Redis.
const GOAL: f64 = 2.0;

/// A command on `zset` or `list`, and how often it is asked. `__rand_int__` is a number of an element.
struct Question {
    words: &'static str,
    requests: usize,
}

const QUESTIONS: &[Question] = &[
    ask("ZRANK zset m:__rand_int__", 200_000),
    ask("ZSCORE zset m:__rand_int__", 200_000),
    ask("ZRANGE zset 500000 500009", 200_000),
    ask("ZRANGEBYSCORE zset 250000 +inf LIMIT 0 10", 200_000),
    ask("ZADD zset __rand_int__ m:__rand_int__", 200_000),
    ask("ZADD zset __rand_int__ n:__rand_int__", 200_000),
    ask("LINDEX list 500000", 200_000),
    ask("LRANGE list 500000 500009", 200_000),
    ask("LSET list 500000 other", 200_000),
    ask("RPUSH list more", 200_000),
    ask("LINSERT list BEFORE e:000000500000 x", 200),
];

const fn ask(words: &'static str, requests: usize) -> Question {
    Question { words, requests }
}

pub(super) fn run(workspace: &Workspace, settings: &Settings) -> Result<Report> {
    let binary = workspace.node_binary(settings.binary.as_deref())?;
    let folder = workspace.target_dir()?.join("bench-ordered");
    let redis = Running::redis(
        &folder.join("redis"),
        &["--appendonly", "yes", "--appendfsync", "everysec"],
    )?;
    let node_folder = folder.join("node");
    let node = Running::node(&NodePlan {
        binary: &binary,
        folder: &node_folder,
        name: "bench",
        durability: "interval",
        more: "",
    })?;
    for server in [&redis, &node] {
        load(server.port)?;
    }
    let mut rows = Vec::new();
    for question in QUESTIONS {
        let rounds = interleaved(
            settings.rounds,
            || measure(&redis, question, settings),
            || measure(&node, question, settings),
        )?;
        let row = row(question, &rounds);
        println!("{}", row.join("  "));
        rows.push(row);
    }
    let head = [
        "command",
        "Redis k/s",
        "Isles k/s",
        "times as long",
        "goal",
        "reached",
        "Redis µs",
        "Isles µs",
    ];
    let body = format!(
        "A sorted set and a list of {ELEMENTS} elements each, `durability = \"interval\"` against `appendfsync everysec`, {CONNECTIONS} \
         connections, no pipelining. Requests per second in thousands and server CPU per request, median of {} interleaved rounds. \
         `__rand_int__` is another element each time: the first `ZADD` moves members, the second inserts new ones.\n\n{}",
        settings.rounds,
        report::table(&head, &rows)
    );
    let commands = vec![format!(
        "redis-benchmark -r {ELEMENTS} -c {CONNECTIONS} -P 1 -n COUNT COMMAND"
    )];
    Ok(Report { commands, body })
}

fn row(question: &Question, rounds: &[(Measurement, Measurement)]) -> Vec<String> {
    let of =
        |value: fn(&(Measurement, Measurement)) -> f64| median(rounds.iter().map(value).collect());
    let times = of(|(redis, node)| redis.per_second / node.per_second);
    vec![
        format!("`{}`", question.words),
        format!("{:.1}", of(|(redis, _)| redis.per_second / 1000.0)),
        format!("{:.1}", of(|(_, node)| node.per_second / 1000.0)),
        format!("{times:.2}"),
        format!("{GOAL:.1}"),
        if times <= GOAL { "yes" } else { "no" }.to_owned(),
        format!("{:.2}", of(|(redis, _)| redis.cpu_us)),
        format!("{:.2}", of(|(_, node)| node.cpu_us)),
    ]
}

fn measure(server: &Running, question: &Question, settings: &Settings) -> Result<Measurement> {
    let requests = (question.requests * settings.percent / 100).max(100);
    let mut client = Command::new("redis-benchmark");
    client.args(["-h", "127.0.0.1", "-p", &server.port.to_string(), "--csv"]);
    client.args(["-r", &ELEMENTS.to_string(), "-c", &CONNECTIONS.to_string()]);
    client.args(["-P", "1", "-n", &requests.to_string()]);
    client.args(question.words.split(' '));
    measure_client(server, &mut client, requests)
}

/// Fills `zset` and `list`; the names of elements are those that `redis-benchmark` makes of `__rand_int__`.
fn load(port: u16) -> Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    let mut answers = BufReader::new(stream.try_clone()?);
    let mut batch = |words: Vec<String>| -> Result<()> {
        let mut request = format!("*{}\r\n", words.len());
        for word in &words {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        answers.read_line(&mut answer)?;
        ensure!(answer.starts_with(':'), "{}: {answer}", words[0]);
        Ok(())
    };
    if !ELEMENTS.is_multiple_of(BATCH) {
        bail!("{BATCH} elements at a time do not make {ELEMENTS}");
    }
    for first in (0..ELEMENTS).step_by(BATCH) {
        let numbers = first..first + BATCH;
        let mut members = vec!["ZADD".to_owned(), "zset".to_owned()];
        let mut elements = vec!["RPUSH".to_owned(), "list".to_owned()];
        for number in numbers {
            members.extend([number.to_string(), format!("m:{number:012}")]);
            elements.push(format!("e:{number:012}"));
        }
        batch(members)?;
        batch(elements)?;
    }
    Ok(())
}
