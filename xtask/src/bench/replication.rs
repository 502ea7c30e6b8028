//! Two leaders that replicate to each other, both under load.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::redis::{Load, measure_once};
use super::rounds::median;
use super::{Report, Settings};
use crate::report;
use crate::resp::Client;
use crate::servers::{Pair, Running, wait_until};
use crate::workspace::Workspace;

const DURABILITY: &str = "interval";
const CONNECTIONS: usize = 25;
/// Commands in flight per connection, and requests per leader and round.
const PIPELINES: [(usize, usize); 2] = [(1, 100_000), (16, 800_000)];
const CATCH_UP_MAX: Duration = Duration::from_secs(120);
/// A probe that has not arrived after this long never will.
const PROBE_MAX: Duration = Duration::from_secs(30);
/// A node reads its connections' counters this often, and a bit.
const FIGURES_EVERY: Duration = Duration::from_millis(1500);
/// Between probes, so that they are a sample and not a load.
const PROBE_EVERY: Duration = Duration::from_millis(5);

/// One round: both leaders loaded at once.
struct Round {
    /// Of both leaders together.
    writes_per_second: f64,
    lag_ms: Vec<f64>,
    bytes_per_write: f64,
    /// From the last reply until both are equal.
    catch_up_ms: f64,
}

pub(super) fn run(workspace: &Workspace, settings: &Settings) -> Result<Report> {
    let binary = workspace.node_binary(settings.binary.as_deref())?;
    let folder = workspace.target_dir()?.join("bench-replication");
    let mut rows = Vec::new();
    for (pipeline, requests) in PIPELINES {
        let pair = Pair::start(&binary, &folder, DURABILITY)?;
        wait_until_connected(&pair)?;
        let requests = (requests * settings.percent / 100).max(1000);
        let load = Load {
            command: "SET",
            pipeline,
            connections: CONNECTIONS,
            requests,
        };
        let rounds = (0..settings.rounds)
            .map(|_| round(&pair, &load))
            .collect::<Result<Vec<_>>>()?;
        let row = row(pipeline, &rounds);
        println!("{}", row.join("  "));
        rows.push(row);
    }
    let head = [
        "pipeline",
        "writes/s, both",
        "lag p50 ms",
        "lag p99 ms",
        "bytes per write",
        "equal after ms",
    ];
    let body = format!(
        "SET of 100 bytes on both at once, {CONNECTIONS} connections each, `durability = \"{DURABILITY}\"`, no added delay; nodes and clients \
         share the machine. Lag: from sending a write to one leader until a client reads it from the other. Bytes: what one leader sent \
         the other over QUIC, acks and all, per write of its own. Median of {} rounds; lag over all probes.\n\n{}",
        settings.rounds,
        report::table(&head, &rows)
    );
    let command = |(pipeline, requests)| {
        format!(
            "redis-benchmark -t set -d 100 -r 100000 -c {CONNECTIONS} -P {pipeline} -n {requests}   # on each"
        )
    };
    Ok(Report {
        commands: PIPELINES.map(command).to_vec(),
        body,
    })
}

fn row(pipeline: usize, rounds: &[Round]) -> Vec<String> {
    let of = |value: fn(&Round) -> f64| median(rounds.iter().map(value).collect());
    let mut lags: Vec<f64> = rounds
        .iter()
        .flat_map(|round| round.lag_ms.iter().copied())
        .collect();
    lags.sort_by(f64::total_cmp);
    vec![
        pipeline.to_string(),
        format!("{:.0}", of(|round| round.writes_per_second)),
        format!("{:.1}", percentile(&lags, 50)),
        format!("{:.1}", percentile(&lags, 99)),
        format!("{:.0}", of(|round| round.bytes_per_write)),
        format!("{:.0}", of(|round| round.catch_up_ms)),
    ]
}

/// Of sorted values: the smallest that at least `percent` of them do not exceed.
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
}

fn round(pair: &Pair, load: &Load) -> Result<Round> {
    thread::sleep(FIGURES_EVERY);
    let sent_before = bytes_sent(&pair.first)?;
    let loaded = AtomicBool::new(true);
    let begin = Instant::now();
    let (elapsed, lag_ms) = thread::scope(|scope| {
        let probes = scope.spawn(|| probe_while(&loaded, pair.first.port, pair.second.port));
        let loads =
            [&pair.first, &pair.second].map(|node| scope.spawn(move || measure_once(node, load)));
        let results = loads.map(|load| load.join().expect("invariant: a load does not panic"));
        let elapsed = begin.elapsed();
        loaded.store(false, Ordering::Relaxed);
        let lag_ms = probes.join().expect("invariant: probes do not panic")?;
        for result in results {
            result?;
        }
        anyhow::Ok((elapsed, lag_ms))
    })?;
    let done = Instant::now();
    pair.wait_until_equal(CATCH_UP_MAX)?;
    let catch_up_ms = done.elapsed().as_secs_f64() * 1000.0;
    thread::sleep(FIGURES_EVERY);
    let sent = bytes_sent(&pair.first)?.saturating_sub(sent_before);
    Ok(Round {
        writes_per_second: 2.0 * load.requests as f64 / elapsed.as_secs_f64(),
        lag_ms,
        bytes_per_write: sent as f64 / load.requests as f64,
        catch_up_ms,
    })
}

/// Writes a number to one, reads it from the other until it is there, and so on.
fn probe_while(loaded: &AtomicBool, write: u16, read: u16) -> Result<Vec<f64>> {
    let (mut writer, mut reader) = (Client::connect(write)?, Client::connect(read)?);
    let mut lags = Vec::new();
    while loaded.load(Ordering::Relaxed) {
        let number = format!("{}-{}", std::process::id(), lags.len());
        let begin = Instant::now();
        writer.command(&["SET", "probe", &number])?;
        while reader.command(&["GET", "probe"])?.as_deref() != Some(&number) {
            if begin.elapsed() > PROBE_MAX {
                bail!(
                    "a write did not reach the other leader within {} s",
                    PROBE_MAX.as_secs()
                );
            }
        }
        lags.push(begin.elapsed().as_secs_f64() * 1000.0);
        thread::sleep(PROBE_EVERY);
    }
    Ok(lags)
}

fn peer(node: &Running) -> Result<Value> {
    let status: Value = serde_json::from_str(&node.admin_get("/status")?)?;
    Ok(status["peers"][0].clone())
}

fn bytes_sent(node: &Running) -> Result<u64> {
    peer(node)?["bytes_sent"]
        .as_u64()
        .context("/status does not say how many bytes were sent")
}

fn wait_until_connected(pair: &Pair) -> Result<()> {
    wait_until(CATCH_UP_MAX, || {
        let connected = |node| Ok::<_, anyhow::Error>(peer(node)?["connected"] == true);
        Ok(connected(&pair.first)? && connected(&pair.second)?)
    })
    .context("the two leaders do not connect")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles() {
        let values: Vec<f64> = (1..=200).map(f64::from).collect();
        assert_eq!(percentile(&values, 50), 100.0);
        assert_eq!(percentile(&values, 99), 198.0);
        assert_eq!(percentile(&[7.0], 99), 7.0);
        assert!(percentile(&[], 50).is_nan());
    }
}
