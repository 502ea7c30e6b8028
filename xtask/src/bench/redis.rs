//! One node against `redis-server` on the same machine, driven by `redis-benchmark`.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::rounds::{interleaved, median};
use super::{Report, Settings};
use crate::process;
use crate::report;
use crate::servers::{NodePlan, Running};
use crate::workspace::Workspace;

/// What is compared: the node's policy and Redis's, which promise the same.
struct Setup {
    durability: &'static str,
    redis: &'static [&'static str],
    title: &'static str,
    /// Share of the usual number of requests: syncing each write is slow on every side.
    percent: usize,
    /// Throughput over Redis's that we want at pipeline 1 and at pipeline 16.
    goals: [f64; 2],
}

const SETUPS: &[Setup] = &[
    Setup {
        durability: "interval",
        redis: &["--appendonly", "yes", "--appendfsync", "everysec"],
        title: "interval against appendfsync everysec",
        percent: 100,
        goals: [0.9, 1.3],
    },
    Setup {
        durability: "always",
        redis: &["--appendonly", "yes", "--appendfsync", "always"],
        title: "always against appendfsync always",
        percent: 25,
        goals: [0.9, 1.3],
    },
    Setup {
        durability: "interval",
        redis: &["--appendonly", "no"],
        title: "interval against Redis without AOF",
        percent: 100,
        goals: [0.9, 1.0],
    },
];

const COMMANDS: &[&str] = &["SET", "GET", "INCR", "SADD", "HSET"];
/// Commands in flight per connection, and requests per measurement: two to four seconds each.
const PIPELINES: [(usize, usize); 2] = [(1, 200_000), (16, 1_600_000)];
const CONNECTIONS: usize = 50;
const VALUE_BYTES: &str = "100";
const KEYS: &str = "100000";

/// What one run of the client asks for.
pub(super) struct Load {
    pub(super) command: &'static str,
    /// Commands in flight per connection.
    pub(super) pipeline: usize,
    pub(super) connections: usize,
    pub(super) requests: usize,
}

/// What it saw.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measurement {
    pub(super) per_second: f64,
    /// Time that the server's threads ran, per request.
    pub(super) cpu_us: f64,
}

pub(super) fn run(workspace: &Workspace, settings: &Settings) -> Result<Report> {
    if !process::answers("redis-benchmark", &["--version"]) {
        bail!(
            "redis-benchmark is not installed; to install it: apt-get install redis-tools redis-server"
        );
    }
    let binary = workspace.node_binary(settings.binary.as_deref())?;
    let folder = workspace.target_dir()?.join("bench-redis");
    let mut body = format!(
        "Requests per second in thousands and server CPU per request, median of {} interleaved rounds; the ratio is the median of \
         the rounds' ratios. Client and servers share the machine. {VALUE_BYTES}-byte values, {KEYS} keys, {CONNECTIONS} \
         connections.\n",
        settings.rounds
    );
    for setup in SETUPS {
        body.push_str(&format!(
            "\n**{}**\n\n{}",
            setup.title,
            measure(setup, &binary, &folder, settings)?
        ));
    }
    let line = |(pipeline, requests): (usize, usize)| {
        let load = Load {
            command: "SET",
            pipeline,
            connections: CONNECTIONS,
            requests,
        };
        process::line(&client(0, &load)).replace("-p 0", "-p PORT")
    };
    let mut commands: Vec<String> = PIPELINES.into_iter().map(line).collect();
    commands.push(
        "redis-server --save '' --appendonly yes|no --appendfsync everysec|always".to_owned(),
    );
    commands.push("isles start --config isles.toml   # durability = interval|always".to_owned());
    Ok(Report { commands, body })
}

/// Starts both servers fresh and measures every command in every pipeline.
fn measure(setup: &Setup, binary: &Path, folder: &Path, settings: &Settings) -> Result<String> {
    let redis = Running::redis(&folder.join("redis"), setup.redis)?;
    let node_folder = folder.join("node");
    let plan = NodePlan {
        binary,
        folder: &node_folder,
        name: "bench",
        durability: setup.durability,
        more: "",
    };
    let node = Running::node(&plan)?;
    let mut rows = Vec::new();
    for ((pipeline, requests), goal) in PIPELINES.iter().zip(setup.goals) {
        let requests = (requests * setup.percent * settings.percent / 10_000).max(1000);
        for command in COMMANDS {
            let load = Load {
                command,
                pipeline: *pipeline,
                connections: CONNECTIONS,
                requests,
            };
            let rounds = interleaved(
                settings.rounds,
                || measure_once(&redis, &load),
                || measure_once(&node, &load),
            )?;
            let row = row(command, *pipeline, &rounds, goal);
            println!("{}: {}", setup.title, row.join("  "));
            rows.push(row);
        }
    }
    let head = [
        "command",
        "pipeline",
        "Redis k/s",
        "Isles k/s",
        "ratio",
        "goal",
        "reached",
        "Redis µs",
        "Isles µs",
    ];
    Ok(report::table(&head, &rows))
}

fn row(
    command: &str,
    pipeline: usize,
    rounds: &[(Measurement, Measurement)],
    goal: f64,
) -> Vec<String> {
    let of =
        |value: fn(&(Measurement, Measurement)) -> f64| median(rounds.iter().map(value).collect());
    let ratio = of(|(redis, node)| node.per_second / redis.per_second);
    vec![
        command.to_owned(),
        pipeline.to_string(),
        format!("{:.1}", of(|(redis, _)| redis.per_second / 1000.0)),
        format!("{:.1}", of(|(_, node)| node.per_second / 1000.0)),
        format!("{ratio:.2}"),
        format!("{goal:.1}"),
        if ratio >= goal { "yes" } else { "no" }.to_owned(),
        format!("{:.2}", of(|(redis, _)| redis.cpu_us)),
        format!("{:.2}", of(|(_, node)| node.cpu_us)),
    ]
}

/// Runs the client once against a server.
pub(super) fn measure_once(server: &Running, load: &Load) -> Result<Measurement> {
    measure_client(server, &mut client(server.port, load), load.requests)
}

/// Runs a client that sends so many requests, and reads what it says of them.
pub(super) fn measure_client(
    server: &Running,
    client: &mut Command,
    requests: usize,
) -> Result<Measurement> {
    let before = server.cpu_us()?;
    let output = process::output(client)?;
    let used = server.cpu_us()? - before;
    let per_second = parse_rate(&output)
        .with_context(|| format!("redis-benchmark printed no result:\n{output}"))?;
    Ok(Measurement {
        per_second,
        cpu_us: used as f64 / requests as f64,
    })
}

fn client(port: u16, load: &Load) -> Command {
    let mut client = Command::new("redis-benchmark");
    client.args([
        "-h",
        "127.0.0.1",
        "-p",
        &port.to_string(),
        "--csv",
        "-t",
        &load.command.to_lowercase(),
    ]);
    client.args([
        "-d",
        VALUE_BYTES,
        "-r",
        KEYS,
        "-c",
        &load.connections.to_string(),
    ]);
    client.args([
        "-P",
        &load.pipeline.to_string(),
        "-n",
        &load.requests.to_string(),
    ]);
    client
}

/// The second field of the line after the header; the first may hold commas.
fn parse_rate(csv: &str) -> Option<f64> {
    let line = csv.lines().filter(|line| line.starts_with('"')).nth(1)?;
    line.split("\",\"").nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_from_csv() {
        let csv = "WARNING: Could not fetch server CONFIG\n\"test\",\"rps\",\"avg_latency_ms\"\n\"SET\",\"91743.12\",\"0.3\"\n";
        assert_eq!(parse_rate(csv), Some(91_743.12));
        let script = "\"test\",\"rps\"\n\"EVAL f('a',b)\",\"5.00\",\"0.3\"\n";
        assert_eq!(parse_rate(script), Some(5.0));
        assert_eq!(parse_rate("Error: connection refused"), None);
    }

    #[test]
    fn a_row_takes_medians_and_compares_with_the_goal() {
        let measured = |per_second: f64| Measurement {
            per_second,
            cpu_us: 1.0,
        };
        let rounds = [(100.0, 95.0), (100.0, 80.0), (50.0, 45.0)]
            .map(|(redis, node)| (measured(redis), measured(node)));
        let row = row("SET", 1, &rounds, 0.9);
        assert_eq!(row[2..7], ["0.1", "0.1", "0.90", "0.9", "yes"]);
    }
}
