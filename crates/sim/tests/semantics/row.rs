//! One row in a simulated world: regions part, write, and meet again, unkindly.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use isles_clock::ReplicaId;
use isles_replica::Replica;
use isles_resp::{Console, Host, NodeInfo, ServeOptions, Writer};
use isles_sim::failure::Checked;
use isles_sim::random::Random;
use isles_sim::step::{self, Step};
use isles_sim::world::World;
use isles_sim::{Mutant, Options, Policy};

use crate::page::{Check, Command, Row};

/// After everything that was promised or written before; in milliseconds, as all times here.
const PAUSE_MS: u64 = 10;
/// B's commands without a time run so long after the start, and A's at the start.
const B_AHEAD_MS: u64 = 1;
/// After so long every deadline of a row has passed that is to pass.
const DEADLINES_MS: u64 = 1_000;
/// So many things happen until everything is healed.
const STEPS: usize = 60;
/// The regions by role: A, B, and those that only listen. Nodes in tests of clusters are called alike.
const REGIONS: [&str; 5] = ["eu", "us", "ap", "sa", "af"];

/// How A's and B's commands leave them, and what the others hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Each region's commands in one frame.
    Whole,
    /// Each command in a frame of its own, so that others may hear of A's and B's by turns.
    ByTurns,
}

/// Who writes under which id, as all nodes know it.
#[derive(Clone, Default)]
struct Names(Arc<Mutex<Vec<(ReplicaId, &'static str)>>>);

impl Host for Names {
    fn info(&self) -> NodeInfo {
        NodeInfo::default()
    }

    fn writers(&self) -> Vec<(ReplicaId, Writer)> {
        let writer = |region: &str| Writer {
            node: format!("{region}-1"),
            region: region.to_owned(),
        };
        let names = self.0.lock().unwrap();
        names
            .iter()
            .map(|(id, region)| (*id, writer(region)))
            .collect()
    }
}

/// Runs a row under a seed.
///
/// # Errors
/// Says what was not as the row has it, or what broke.
pub(crate) fn check(row: &Row, order: Order, seed: u64) -> Result<(), String> {
    check_with(row, order, seed, None)
}

/// The same with a planted bug.
///
/// # Errors
/// As [`check`].
pub(crate) fn check_with(
    row: &Row,
    order: Order,
    seed: u64,
    mutant: Option<Mutant>,
) -> Result<(), String> {
    let run = AssertUnwindSafe(|| run(row, order, seed, mutant));
    catch_unwind(run).unwrap_or_else(|_| Err("panics, as printed above".to_owned()))
}

fn run(row: &Row, order: Order, seed: u64, mutant: Option<Mutant>) -> Result<(), String> {
    let mut regions = said(Regions::new(row, order, seed, mutant))?;
    let mut before = row.before.iter();
    before.try_for_each(|command| regions.write(0, &command.line))?;
    said(regions.world.settle())?;
    let row = &row.with_tokens(|key| {
        let siblings = regions.line(0, &format!("ISLES.SIBLINGS {key}"));
        siblings.unwrap_or_default()
    });
    said(regions.world.execute(&Step::Advance { ms: PAUSE_MS }))?;
    regions.part(row)?;
    said(regions.meet())?;
    let mut complaints = regions.complaints(row)?;
    said(regions.restart())?;
    let again = regions.complaints(row)?;
    complaints.extend(again.iter().map(|what| format!("after a restart {what}")));
    match complaints.is_empty() {
        true => Ok(()),
        false => Err(complaints.join("; ")),
    }
}

fn said<T>(checked: Checked<T>) -> Result<T, String> {
    checked.map_err(|(invariant, what)| format!("{invariant:?} is broken: {what}"))
}

struct Regions {
    world: World,
    order: Order,
    options: Options,
    random: Random,
    /// The nodes by role.
    nodes: Vec<usize>,
    /// The place of a client at each node that has had one since it started, by role.
    consoles: Vec<Option<Console>>,
    names: Names,
}

impl Regions {
    /// Which of A and B has the greater id depends on the seed: nothing but the order of elements that are pushed at the
    /// same time may depend on that.
    fn new(row: &Row, order: Order, seed: u64, mutant: Option<Mutant>) -> Checked<Regions> {
        let mix = |mixed, byte| Random::new(mixed ^ u64::from(byte)).number();
        let own_seed = row.name.bytes().fold(seed, mix);
        let options = Options {
            mutant,
            ..options(own_seed)
        };
        let mut world = World::new(&options, own_seed)?;
        let mut nodes: Vec<usize> = (0..options.nodes).collect();
        nodes.sort_by_key(|node| world.replica(*node).map(Replica::id));
        if seed % 2 == 1 {
            nodes.reverse();
        }
        let mut random = Random::new(own_seed);
        for node in &nodes[2..] {
            // Ahead it would take others along, and a row says what time it is at A and at B.
            let skew_ms = -(random.below(50) as i64);
            world.execute(&Step::Jump {
                node: *node,
                skew_ms,
            })?;
        }
        let regions = Regions {
            world,
            order,
            random,
            consoles: nodes.iter().map(|_| None).collect(),
            names: Names::default(),
            nodes,
            options,
        };
        regions.introduce();
        Ok(regions)
    }

    /// Notes who writes under which id: a node whose log was torn has a new one.
    fn introduce(&self) {
        let regions = self.nodes.iter().zip(REGIONS);
        let ids =
            regions.filter_map(|(node, region)| Some((self.world.replica(*node)?.id(), region)));
        let mut names = self.names.0.lock().unwrap();
        for (id, region) in ids {
            if !names.iter().any(|(known, _)| *known == id) {
                names.push((id, region));
            }
        }
    }

    fn line(&mut self, role: usize, line: &str) -> Result<String, String> {
        let names = || Box::new(self.names.clone());
        let console = self.consoles[role]
            .get_or_insert_with(|| Console::with(ServeOptions::default(), names()));
        let answer = self.world.serve(self.nodes[role], |replica, wall_ms| {
            let answer = console.line(replica, wall_ms, line);
            (answer, console.barrier())
        });
        let answer = said(answer)?.ok_or("a node is down")?;
        let answer = answer.map_err(|error| format!("{line:?}: {error}"))?;
        Ok(answer.to_string())
    }

    /// Runs a command that must succeed.
    fn write(&mut self, role: usize, line: &str) -> Result<(), String> {
        let answer = self.line(role, line)?;
        // A number below zero is no error.
        if answer.starts_with('-') && answer.parse::<f64>().is_err() {
            return Err(format!("{line:?} answers {answer}"));
        }
        match self.order {
            Order::Whole => Ok(()),
            Order::ByTurns => said(self.world.execute(&Step::Log(self.nodes[role]))),
        }
    }

    /// A and B write without hearing of each other. The others hear of one of them at most.
    fn part(&mut self, row: &Row) -> Result<(), String> {
        let listens_to = self.random.index(3);
        for role in 2..self.nodes.len() {
            (0..2)
                .filter(|other| *other != listens_to)
                .try_for_each(|other| said(self.link(role, other, cut)))?;
        }
        said(self.link(0, 1, cut))?;
        let mut due: Vec<(u64, usize, &str)> = Vec::new();
        due.extend(runs_of(&row.a, 0).map(|(at_ms, line)| (at_ms, 0, line)));
        due.extend(runs_of(&row.b, B_AHEAD_MS).map(|(at_ms, line)| (at_ms, 1, line)));
        due.sort_by_key(|(at_ms, ..)| *at_ms);
        let mut now_ms = 0;
        for (at_ms, role, line) in due {
            said(self.world.execute(&Step::Advance { ms: at_ms - now_ms }))?;
            now_ms = at_ms;
            self.write(role, line)?;
            for role in 2..self.nodes.len() {
                let deliver = Step::Deliver {
                    from: self.nodes[listens_to.min(1)],
                    to: self.nodes[role],
                    lane: 1,
                    count: self.random.index(3),
                };
                said(self.world.execute(&deliver))?;
            }
        }
        Ok(())
    }

    fn link(&mut self, one: usize, other: usize, step: fn(usize, usize) -> Step) -> Checked {
        let (one, other) = (self.nodes[one], self.nodes[other]);
        self.world.execute(&step(one, other))?;
        self.world.execute(&step(other, one))
    }

    /// Everything is delivered and logged in some order, while processes end and begin, until nothing is left to do.
    fn meet(&mut self) -> Checked {
        for role in 2..self.nodes.len() {
            (0..2).try_for_each(|other| self.link(role, other, heal))?;
        }
        // Else others must relay what A and B have to say to each other.
        if self.random.percent(50) {
            self.link(0, 1, heal)?;
        }
        for step in step::draw(&self.options, self.random.number()) {
            if let Step::Kill { node, .. } | Step::PowerLoss { node, .. } | Step::Stop(node) = step
            {
                self.end(node)?;
            }
            self.world.execute(&step)?;
            self.introduce();
        }
        self.world.execute(&Step::Advance { ms: DEADLINES_MS })?;
        self.world.settle()?;
        self.introduce();
        Ok(())
    }

    /// Before a process ends its clients must have their answers, or what they wrote may be lost, as it should be.
    fn end(&mut self, node: usize) -> Checked {
        while self.world.owes_answers(node) {
            self.world.execute(&Step::Log(node))?;
        }
        self.forget(node);
        Ok(())
    }

    /// What a process knows of its clients goes with it.
    fn forget(&mut self, node: usize) {
        let role = self.nodes.iter().position(|other| *other == node);
        self.consoles[role.expect("every node has a role")] = None;
    }

    /// All machines lose power, and with it what the questions have changed: nothing of that was logged.
    fn restart(&mut self) -> Checked {
        for node in 0..self.nodes.len() {
            let seed = self.random.number();
            self.world.execute(&Step::PowerLoss { node, seed })?;
            self.forget(node);
        }
        self.world.settle()?;
        self.introduce();
        Ok(())
    }

    /// What is not as the row has it.
    fn complaints(&mut self, row: &Row) -> Result<Vec<String>, String> {
        let recorded = self.recorded();
        let mut complaints = Vec::new();
        if recorded != row.journal {
            let right = &row.journal;
            complaints.push(format!(
                "every region has recorded {recorded:?}, not {right:?}"
            ));
        }
        for check in &row.after {
            complaints.extend(self.ask(check)?);
        }
        Ok(complaints)
    }

    /// The kinds of conflicts that all regions have recorded.
    fn recorded(&self) -> Vec<String> {
        let replicas = self
            .nodes
            .iter()
            .filter_map(|node| self.world.replica(*node));
        let kinds = replicas.map(|replica| -> BTreeSet<&'static str> {
            let records = replica.conflicts().iter();
            records.map(|record| record.kind.name()).collect()
        });
        let everywhere = kinds.reduce(|all, some| &all & &some);
        everywhere
            .into_iter()
            .flatten()
            .map(str::to_owned)
            .collect()
    }

    /// Nobody hears of what a question changes, so that every region answers from a copy of its own.
    fn ask(&mut self, check: &Check) -> Result<Option<String>, String> {
        let line = &check.command.line;
        let roles = 0..self.nodes.len();
        let answers = roles.map(|role| self.line(role, line));
        let answers = answers.collect::<Result<Vec<String>, String>>()?;
        let right = &check.answers;
        Ok(match &answers[..] {
            [first, others @ ..] if others.iter().any(|other| other != first) => Some(format!(
                "{line:?} answers differently in the regions: {answers:?}"
            )),
            [first, ..] if !check.accepts(first) => {
                Some(format!("{line:?} answers {first:?}, not {right:?}"))
            }
            _ => None,
        })
    }
}

/// What may happen to a row: everything but what loses a write or moves A's and B's clocks.
fn options(seed: u64) -> Options {
    let drawn = Options::of_seed(seed);
    let mut options = Options {
        nodes: drawn.nodes.clamp(3, REGIONS.len()),
        steps: STEPS,
        policy: Policy::Always,
        outside: true,
        skew_ms: 0,
        clock_jumps: false,
        disk_faults: false,
        journal_bytes: 64 << 20,
        ..drawn
    };
    options.settle();
    options
}

fn cut(from: usize, to: usize) -> Step {
    Step::Cut { from, to }
}

fn heal(from: usize, to: usize) -> Step {
    Step::Heal { from, to }
}

/// When each command runs: never before the one that precedes it.
fn runs_of(commands: &[Command], default_ms: u64) -> impl Iterator<Item = (u64, &str)> {
    let mut now_ms = default_ms;
    commands.iter().map(move |command| {
        now_ms = command.at_ms.unwrap_or(now_ms);
        (now_ms, &command.line[..])
    })
}
