//! LATENCY.

use super::config::help;
use crate::call::{Call, is};
use crate::error::{Failure, Outcome};
use crate::latency::{graph, report};
use crate::spec::{Family, Run, Spec, Subcommand};
use crate::stats::Stat;

pub(super) const COMMANDS: &[Spec] = &[Spec::new(
    Family::Server,
    "latency",
    -2,
    Run::Data(latency),
    "Shows when something took longer than it should.",
)
.subcommands(SUBCOMMANDS)
.admin()
.no_script()
.loading()];

const SUBCOMMANDS: &[Subcommand] = &[
    ("doctor", 2),
    ("graph", 3),
    ("help", 2),
    ("histogram", -2),
    ("history", 3),
    ("latest", 2),
    ("reset", -2),
];

const HELP: &[&str] = &[
    "DOCTOR",
    "GRAPH <event>",
    "HISTOGRAM [COMMAND ...]",
    "HISTORY <event>",
    "LATEST",
    "RESET [<event> ...]",
];

fn latency(call: &mut Call<'_, '_>) -> Outcome {
    let (subcommand, rest) = (call.args[1], &call.args[2..]);
    let latency = &call.surroundings.server.latency;
    let known = |word| is(subcommand, word);
    match *rest {
        [] if known("LATEST") => latest(call),
        [event] if known("HISTORY") => history(call, event),
        [event] if known("GRAPH") => {
            let (event, series) = latency.of(event).ok_or_else(|| {
                let event = crate::error::preview(event);
                Failure::other(format!("ERR No samples available for event '{event}'"))
            })?;
            let now_s = call.surroundings.wall_ms / 1000;
            call.reply.verbatim(&graph(event, &series, now_s));
        }
        [] if known("DOCTOR") => {
            let text = report(&latency.all(), latency.threshold_ms());
            call.reply.verbatim(&text);
        }
        _ if known("RESET") => call.reply.count(latency.reset(rest)),
        _ if known("HISTOGRAM") => histograms(call, rest),
        [] if known("HELP") => help(call, "LATENCY", HELP),
        _ => return Err(Failure::subcommand(subcommand, "LATENCY")),
    }
    Ok(())
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn latest(call: &mut Call<'_, '_>) {
    let events = call.surroundings.server.latency.all();
    call.reply.array(events.len());
    for (event, series) in events {
        let (at_s, took_ms) = series
            .samples
            .back()
            .map_or((0, 0), |sample| (sample.at_s, sample.took_ms));
        call.reply.array(4);
        call.reply.text(event);
        for number in [at_s, took_ms, series.worst_ms] {
            call.reply.integer(signed(number));
        }
    }
}

fn history(call: &mut Call<'_, '_>, event: &[u8]) {
    let series = call.surroundings.server.latency.of(event);
    let samples = series.map_or_else(Default::default, |(_, series)| series.samples);
    call.reply.array(samples.len());
    for sample in samples {
        call.reply.array(2);
        call.reply.integer(signed(sample.at_s));
        call.reply.integer(signed(sample.took_ms));
    }
}

/// Calls are counted exactly; the histogram is of those that were timed, usually one in 64.
fn histograms(call: &mut Call<'_, '_>, names: &[&[u8]]) {
    let used = call.surroundings.server.stats.used();
    let wanted = |name: &str| {
        let command = name.split('|').next().unwrap_or(name);
        names.is_empty()
            || names
                .iter()
                .any(|given| is(given, name) || is(given, command))
    };
    let shown: Vec<&(String, &Stat)> = used
        .iter()
        .filter(|(name, stat)| stat.calls() > 0 && wanted(name))
        .collect();
    call.reply.map(shown.len());
    for (name, stat) in shown {
        let histogram = stat.histogram();
        call.reply.text(name);
        call.reply.map(2);
        call.reply.text("calls");
        call.reply.integer(signed(stat.calls()));
        call.reply.text("histogram_usec");
        call.reply.map(histogram.len());
        for (below_us, count) in histogram {
            call.reply.integer(signed(below_us));
            call.reply.integer(signed(count));
        }
    }
}
