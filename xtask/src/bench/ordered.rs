//! Sorted sets, lists and streams of a million elements, and scripts, against `redis-server`: what stays fast when a
//! collection is large.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::Command;

use anyhow::{Result, bail, ensure};

use super::redis::{Measurement, measure_client};
use super::rounds::{interleaved, median};
use super::{Report, Settings};
use crate::report;
use crate::resp::Client;
use crate::servers::{NodePlan, Running};
use crate::workspace::Workspace;

const ELEMENTS: usize = 1_000_000;
/// Elements in one command while loading.
const BATCH: usize = 1000;
const CONNECTIONS: usize = 10;
/// Requests that a client sends in one write, where it pipelines.
const PIPELINE: usize = 16;
/// Isles may take so many times as long as Redis.
const GOAL: f64 = 2.0;

/// A command on `zset`, `list` or `stream`, or a script, and how often it is asked. `__rand_int__` is a number of an element.
struct Question {
    words: &'static [&'static str],
    pipeline: usize,
    requests: usize,
}

const GET: &str = "return redis.call('GET', KEYS[1])";
const SET: &str = "return redis.call('SET', KEYS[1], ARGV[1])";

const QUESTIONS: &[Question] = &[
    ask(&["ZRANK", "zset", "m:__rand_int__"], 200_000),
    ask(&["ZSCORE", "zset", "m:__rand_int__"], 200_000),
    ask(&["ZRANGE", "zset", "500000", "500009"], 200_000),
    ask(
        &[
            "ZRANGEBYSCORE",
            "zset",
            "250000",
            "+inf",
            "LIMIT",
            "0",
            "10",
        ],
        200_000,
    ),
    ask(&["ZADD", "zset", "__rand_int__", "m:__rand_int__"], 200_000),
    ask(&["ZADD", "zset", "__rand_int__", "n:__rand_int__"], 200_000),
    ask(&["LINDEX", "list", "500000"], 200_000),
    ask(&["LRANGE", "list", "500000", "500009"], 200_000),
    ask(&["LSET", "list", "500000", "other"], 200_000),
    ask(&["RPUSH", "list", "more"], 200_000),
    ask(&["LINSERT", "list", "BEFORE", "e:000000500000", "x"], 200),
    pipelined(&["LPUSH", "list", "more"]),
    pipelined(&["LPOP", "list"]),
    pipelined(&["LMOVE", "list", "list", "LEFT", "RIGHT"]),
    pipelined(&["LMOVE", "list", "moved", "LEFT", "RIGHT"]),
    ask(&["XLEN", "stream"], 200_000),
    ask(&["XADD", "stream", "*", "field", "value"], 200_000),
    ask(
        &[
            "XADD", "stream", "MAXLEN", "~", "1000000", "*", "field", "value",
        ],
        200_000,
    ),
    ask(&["XRANGE", "stream", "500000", "+", "COUNT", "100"], 50_000),
    ask(&["XDEL", "stream", "__rand_int__"], 200_000),
    ask(&["EVAL", "return 1", "0"], 200_000),
    ask(&["EVAL", GET, "1", "key:__rand_int__"], 200_000),
    ask(&["EVAL", SET, "1", "key:__rand_int__", "value"], 200_000),
    pipelined(&["EVAL", "return 1", "0"]),
    pipelined(&["EVAL", GET, "1", "key:__rand_int__"]),
    pipelined(&["EVAL", SET, "1", "key:__rand_int__", "value"]),
];

const fn ask(words: &'static [&'static str], requests: usize) -> Question {
    Question {
        words,
        pipeline: 1,
        requests,
    }
}

const fn pipelined(words: &'static [&'static str]) -> Question {
    Question {
        words,
        pipeline: PIPELINE,
        requests: 1_000_000,
    }
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
    let mut entry_bytes = Vec::new();
    for server in [&redis, &node] {
        load(server.port)?;
        entry_bytes.push(load_stream(server)?.to_string());
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
        "pipeline",
        "Redis k/s",
        "Isles k/s",
        "times as long",
        "goal",
        "reached",
        "Redis µs",
        "Isles µs",
    ];
    let body = format!(
        "A sorted set, a list and a stream of {ELEMENTS} elements each, `durability = \"interval\"` against `appendfsync everysec`, \
         {CONNECTIONS} connections. Requests per second in thousands and server CPU per request, median of {} interleaved rounds. \
         `__rand_int__` is another element each time: the first `ZADD` moves members, the second inserts new ones. \
         An entry of the stream, with one field of 5 bytes and a value of 14, takes {} bytes of memory in Redis and {} in Isles.\n\n{}",
        settings.rounds,
        entry_bytes[0],
        entry_bytes[1],
        report::table(&head, &rows)
    );
    let commands = vec![format!(
        "redis-benchmark -r {ELEMENTS} -c {CONNECTIONS} -P PIPELINE -n COUNT COMMAND"
    )];
    Ok(Report { commands, body })
}

fn row(question: &Question, rounds: &[(Measurement, Measurement)]) -> Vec<String> {
    let of =
        |value: fn(&(Measurement, Measurement)) -> f64| median(rounds.iter().map(value).collect());
    let times = of(|(redis, node)| redis.per_second / node.per_second);
    vec![
        format!("`{}`", typed(question.words)),
        question.pipeline.to_string(),
        format!("{:.1}", of(|(redis, _)| redis.per_second / 1000.0)),
        format!("{:.1}", of(|(_, node)| node.per_second / 1000.0)),
        format!("{times:.2}"),
        format!("{GOAL:.1}"),
        if times <= GOAL { "yes" } else { "no" }.to_owned(),
        format!("{:.2}", of(|(redis, _)| redis.cpu_us)),
        format!("{:.2}", of(|(_, node)| node.cpu_us)),
    ]
}

/// The words as one would type them.
fn typed(words: &[&str]) -> String {
    let quoted = words.iter().map(|word| match word.contains(' ') {
        true => format!("\"{word}\""),
        false => (*word).to_owned(),
    });
    quoted.collect::<Vec<_>>().join(" ")
}

fn measure(server: &Running, question: &Question, settings: &Settings) -> Result<Measurement> {
    let requests = (question.requests * settings.percent / 100).max(100);
    let mut client = Command::new("redis-benchmark");
    client.args(["-h", "127.0.0.1", "-p", &server.port.to_string(), "--csv"]);
    client.args(["-r", &ELEMENTS.to_string(), "-c", &CONNECTIONS.to_string()]);
    client.args(["-P", &question.pipeline.to_string()]);
    client.args(["-n", &requests.to_string()]);
    client.args(question.words);
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

/// Fills `stream` with the ids from 1 on; returns how many bytes of memory an entry takes.
fn load_stream(server: &Running) -> Result<u64> {
    let mut client = Client::connect(server.port)?;
    let before = server.resident_bytes()?;
    for first in (1..=ELEMENTS).step_by(BATCH) {
        let add = |number: usize| {
            let id = format!("{number}-0");
            let value = format!("e:{number:012}");
            ["XADD", "stream", &id, "field", &value]
                .map(str::to_owned)
                .into()
        };
        let commands: Vec<Vec<String>> = (first..first + BATCH).map(add).collect();
        client.pipeline(&commands)?;
    }
    let used = server.resident_bytes()?.saturating_sub(before);
    Ok(used / ELEMENTS as u64)
}
