//! Replicas that hear of each other when the test says so, in several orders.

use std::collections::BTreeSet;

use isles_clock::ReplicaId;
use isles_replica::delivery::{Lane, LaneKind};
use isles_replica::{Frame, Replica, ReplicaConfig, UnloggedContent};
use isles_resp::{Console, Host, NodeInfo, ServeOptions, Writer};

use crate::page::{Check, Command, Row};

/// Some time in 2026.
const BEFORE_MS: u64 = 1_790_000_000_000;
/// What happens before the two part.
const START_MS: u64 = BEFORE_MS + 10_000;
/// How far B's clock is ahead of A's.
const B_AHEAD_MS: u64 = 1;
/// When both are asked, unless the row says so.
const AFTER_MS: u64 = 1_000;

/// How the two frames of a row reach the others, and whose id is the greater one: nothing but the order of elements that are
/// pushed at the same time may depend on that.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    /// Each region's commands in one frame.
    Whole,
    /// Each command in a frame of its own, A's and B's by turns.
    ByTurns,
}

impl Order {
    /// The ids of A's and B's replicas, and of those that only listen.
    fn ids(self) -> [u128; 4] {
        match self {
            Order::Whole => [1, 2, 3, 4],
            Order::ByTurns => [4, 3, 2, 1],
        }
    }
}

/// The regions in the order of the islands; nodes in tests of clusters are called alike.
const REGIONS: [&str; 4] = ["eu", "us", "ap", "sa"];

struct Names {
    ids: [u128; 4],
}

impl Host for Names {
    fn info(&self) -> NodeInfo {
        NodeInfo::default()
    }

    fn writers(&self) -> Vec<(ReplicaId, Writer)> {
        let writer = |region: &&str| Writer {
            node: format!("{region}-1"),
            region: (*region).to_owned(),
        };
        let ids = self.ids.into_iter().map(ReplicaId::from_u128);
        ids.zip(REGIONS.iter().map(writer)).collect()
    }
}

/// A replica with everything that it has written.
struct Island {
    replica: Replica,
    console: Console,
    frames: Vec<Frame>,
    chain: u64,
}

impl Island {
    fn new(id: u128, ids: [u128; 4]) -> Island {
        Island {
            replica: Replica::new(ReplicaId::from_u128(id), ReplicaConfig::default()),
            console: Console::with(ServeOptions::default(), Box::new(Names { ids })),
            frames: Vec::new(),
            chain: 0,
        }
    }

    fn run(&mut self, line: &str, wall_ms: u64) -> Result<String, String> {
        let answer = self.console.line(&mut self.replica, wall_ms, line);
        let answer = answer.map_err(|error| format!("{line:?}: {error}"))?;
        Ok(answer.to_string())
    }

    /// Runs commands that must succeed. Time does not go back.
    fn run_all(&mut self, commands: &[Command], start_ms: u64, order: Order) -> Result<(), String> {
        let mut wall_ms = start_ms;
        for command in commands {
            wall_ms = command.at_ms.map_or(wall_ms, |at_ms| START_MS + at_ms);
            let answer = self.run(&command.line, wall_ms)?;
            // A number below zero is no error.
            if answer.starts_with('-') && answer.parse::<f64>().is_err() {
                return Err(format!("{:?} answers {answer}", command.line));
            }
            if matches!(order, Order::ByTurns) {
                self.flush();
            }
        }
        self.flush();
        Ok(())
    }

    /// Makes everything durable.
    fn flush(&mut self) {
        let taken = self.replica.take_unlogged();
        let Some(last) = taken.last().map(|unlogged| unlogged.number) else {
            return;
        };
        let mut logged = Vec::new();
        for unlogged in taken {
            match unlogged.content {
                UnloggedContent::Own(open) => {
                    let frame = open.seal(self.chain);
                    self.chain = frame.chain();
                    self.frames.push(frame.clone());
                    logged.push(frame);
                }
                UnloggedContent::Remote(frame) => logged.push(frame),
                UnloggedContent::Note(_) => {}
            }
        }
        self.replica.note_durable(last, &logged);
    }

    fn learn(&mut self, frame: &Frame, wall_ms: u64) -> Result<(), String> {
        let lane = Lane {
            peer: frame.replica(),
            kind: LaneKind::Direct,
        };
        let frame = Frame::decode(frame.bytes().clone()).map_err(|error| error.to_string())?;
        _ = self
            .replica
            .offer(frame, lane)
            .map_err(|error| error.to_string())?;
        while self.replica.apply_ready(wall_ms) > 0 {}
        self.flush();
        Ok(())
    }
}

/// Runs a row: A and B write, and two more regions only listen, each in another order.
///
/// # Errors
/// Says what was not as the row has it.
pub(crate) fn check(row: &Row, order: Order) -> Result<(), String> {
    let ids = order.ids();
    let mut islands = ids.map(|id| Island::new(id, ids));
    islands[0].run_all(&row.before, BEFORE_MS, Order::Whole)?;
    for frame in islands[0].frames.clone() {
        for other in &mut islands[1..] {
            other.learn(&frame, BEFORE_MS)?;
        }
    }
    let row = &row.with_tokens(|key| {
        let answer = islands[0].run(&format!("ISLES.SIBLINGS {key}"), START_MS);
        answer.unwrap_or_default()
    });
    let known = islands[0].frames.len();
    islands[0].run_all(&row.a, START_MS, order)?;
    islands[1].run_all(&row.b, START_MS + B_AHEAD_MS, order)?;
    let (a, b) = (
        islands[0].frames[known..].to_vec(),
        islands[1].frames.clone(),
    );
    let heard_ms = START_MS + latest_ms(&row.a).max(latest_ms(&row.b)) + B_AHEAD_MS;
    let (a_then_b, b_then_a) = match order {
        Order::Whole => ([&a[..], &b[..]].concat(), [&b[..], &a[..]].concat()),
        Order::ByTurns => (by_turns(&a, &b), by_turns(&b, &a)),
    };
    for (island, frames) in islands.iter_mut().zip([&b, &a, &a_then_b, &b_then_a]) {
        for frame in frames {
            island.learn(frame, heard_ms)?;
        }
    }
    compare(&islands)?;
    let mut complaints = Vec::new();
    let recorded = recorded(&islands);
    if recorded != row.journal {
        complaints.push(format!(
            "every region has recorded {recorded:?}, not {:?}",
            row.journal
        ));
    }
    for check in &row.after {
        let ask_ms = check
            .command
            .at_ms
            .unwrap_or(heard_ms - START_MS + AFTER_MS);
        complaints.extend(ask(&mut islands, check, START_MS + ask_ms)?);
    }
    match complaints.is_empty() {
        true => Ok(()),
        false => Err(complaints.join("; ")),
    }
}

/// What is not as the row has it. Each region has a copy of its own to answer from, so that a question may write.
fn ask(islands: &mut [Island], check: &Check, wall_ms: u64) -> Result<Option<String>, String> {
    let line = &check.command.line;
    let answers = islands.iter_mut().map(|island| island.run(line, wall_ms));
    let answers = answers.collect::<Result<Vec<String>, String>>()?;
    let right = &check.answers;
    Ok(match &answers[..] {
        [first, others @ ..] if others.iter().any(|other| other != first) => Some(format!(
            "{line:?} answers differently in the four regions: {answers:?}"
        )),
        [first, ..] if !check.accepts(first) => {
            Some(format!("{line:?} answers {first:?}, not {right:?}"))
        }
        _ => None,
    })
}

/// The kinds of conflicts that all regions have recorded.
fn recorded(islands: &[Island]) -> Vec<String> {
    let kinds = |island: &Island| -> BTreeSet<&'static str> {
        let records = island.replica.conflicts().iter();
        records.map(|record| record.kind.name()).collect()
    };
    let everywhere = islands.iter().map(kinds);
    let everywhere = everywhere.reduce(|all, some| &all & &some);
    let names = everywhere.into_iter().flatten();
    names.map(str::to_owned).collect()
}

/// Equal clocks, equal content, and nothing derived that does not fit it.
fn compare(islands: &[Island]) -> Result<(), String> {
    let first = &islands[0].replica;
    for island in islands {
        island.replica.check()?;
        if island.replica.applied() != first.applied() {
            return Err("not every frame was applied everywhere".to_owned());
        }
        if island.replica.digest() != first.digest() {
            return Err("equal clocks, different content".to_owned());
        }
    }
    Ok(())
}

fn latest_ms(commands: &[Command]) -> u64 {
    commands
        .iter()
        .filter_map(|command| command.at_ms)
        .max()
        .unwrap_or(0)
}

fn by_turns(one: &[Frame], other: &[Frame]) -> Vec<Frame> {
    let mut turns = Vec::new();
    for index in 0..one.len().max(other.len()) {
        turns.extend(one.get(index).cloned());
        turns.extend(other.get(index).cloned());
    }
    turns
}
