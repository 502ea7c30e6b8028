//! What another strategy would have answered for the conflicts of the journal.
//!
//! The records that are meant are gathered while the replica is held, and judged when it is not: to merge large values or
//! to run a module takes long. A [`Trial`] is what is carried from the one to the other, a [`Verdict`] what comes of it.

use std::sync::Arc;

use isles_replica::journal::{WhatIf, WhatIfAnswer};
use isles_replica::{JournalRecord, Lens, LoadedResolver, Replica, ResolverName};
use isles_resolve::{Resolver, Strategy};

use super::answer::write_number;
use super::query::Words;
use super::{Query, Reading};
use crate::call::{Call, is};
use crate::commands::resolvers;
use crate::engine::Host;
use crate::error::{Failure, Outcome};
use crate::reply::Reply;

/// Records that one question resolves anew.
const JUDGED_MAX: usize = 512;
/// Fuel that the modules of one question may burn, some two seconds' worth: one that may burn more in a call is asked
/// about fewer records.
const FUEL_MAX: u64 = 256_000_000;
/// Of an answer a sample shows this many bytes.
const SAMPLE_VALUE_BYTES: usize = 256;

/// What is to be judged, and by whom. It holds the records, which the journal may have dropped by then.
#[derive(Debug)]
pub(crate) struct Trial {
    lens: Lens,
    judge: Judge,
    records: Vec<JournalRecord>,
    /// The modules that the records name, as far as they are loaded.
    in_force: Vec<(ResolverName, Arc<LoadedResolver>)>,
    /// Where the next question goes on, zero at the end.
    cursor: u64,
    sample_max: usize,
}

/// What runs a lens.
#[derive(Debug)]
enum Judge {
    BuiltIn(Strategy),
    Module(Arc<LoadedResolver>),
}

/// What has come of a trial.
#[derive(Debug)]
pub(crate) struct Verdict {
    lens: Lens,
    same: u64,
    different: u64,
    undecided: u64,
    failed: u64,
    truncated: u64,
    no_choice: u64,
    cursor: u64,
    sample: Vec<Case>,
}

/// A record whose answer would have been another, or none because the resolver fails.
#[derive(Debug)]
struct Case {
    record: JournalRecord,
    now: WhatIfAnswer,
    then: Result<WhatIfAnswer, isles_resolve::Failure>,
}

/// `REPLAY STRATEGY strategy [filter ...]`, whose trial has come before it.
pub(super) fn replay(call: &mut Call<'_, '_>) -> Outcome {
    let verdict = match call.session.errands.take_verdict() {
        Some(verdict) => verdict,
        None => trial_here(call)?.run(),
    };
    // What was found depends on the journal as it was then.
    call.txn.journal();
    verdict.write(call.reply);
    Ok(())
}

/// Where nothing came before: mostly because something is wrong with the question, and this says what.
fn trial_here(call: &mut Call<'_, '_>) -> Result<Trial, Failure> {
    let loaded = call.txn.resolvers();
    let now_ms = call.txn.now_ms();
    let reading = Reading {
        journal: call.txn.journal(),
        host: Some(call.surroundings.host),
        now_ms,
    };
    let find = |name: &ResolverName| {
        let found = loaded.iter().find(|(known, _)| known == name);
        found.map(|(_, loaded)| Arc::clone(loaded))
    };
    Trial::new(&reading, &find, &call.args[2..])
}

impl Trial {
    /// The trial that a command asks for, which is better run before it; none if it asks for none or is wrong.
    pub(crate) fn of_command(
        args: &[&[u8]],
        replica: &Replica,
        host: &dyn Host,
        wall_ms: u64,
    ) -> Option<Trial> {
        let [_, subcommand, options @ ..] = args else {
            return None;
        };
        if !is(subcommand, "REPLAY") {
            return None;
        }
        Trial::of_replica(options, replica, host, wall_ms).ok()
    }

    pub(super) fn of_replica(
        options: &[&[u8]],
        replica: &Replica,
        host: &dyn Host,
        now_ms: u64,
    ) -> Result<Trial, Failure> {
        let reading = Reading {
            journal: replica.conflicts(),
            host: Some(host),
            now_ms,
        };
        Trial::new(&reading, &|name| replica.resolver(name), options)
    }

    /// Gathers the records that match, newest first.
    fn new(
        reading: &Reading<'_>,
        find: &dyn Fn(&ResolverName) -> Option<Arc<LoadedResolver>>,
        options: &[&[u8]],
    ) -> Result<Trial, Failure> {
        let words = Words {
            subcommand: "REPLAY",
            cursor: "CURSOR",
            strategy: true,
        };
        let query = Query::parse(options, &words, reading.now_ms)?;
        let name = query.strategy.ok_or_else(|| {
            Failure::other(
                "ERR say which strategy to try: ISLES.CONFLICTS REPLAY STRATEGY <strategy>",
            )
        })?;
        let lens = resolvers::parse_lens(name)?;
        let judge = match &lens {
            Lens::BuiltIn(strategy) => Judge::BuiltIn(*strategy),
            Lens::Module(name) => {
                Judge::Module(find(name).ok_or_else(|| resolvers::missing(name))?)
            }
        };
        let mut trial = Trial {
            lens,
            judge,
            records: Vec::new(),
            in_force: Vec::new(),
            cursor: 0,
            sample_max: query.count,
        };
        trial.gather(reading, &query);
        for record in &trial.records {
            let Some(name) = record.strategy.module() else {
                continue;
            };
            if !trial.in_force.iter().any(|(known, _)| known == name) {
                let found = find(name).map(|module| (name.clone(), module));
                trial.in_force.extend(found);
            }
        }
        Ok(trial)
    }

    fn gather(&mut self, reading: &Reading<'_>, query: &Query<'_>) {
        let before = query
            .cursor
            .filter(|cursor| *cursor > 0)
            .unwrap_or(u64::MAX);
        let (records_max, mut scanned, mut last) = (self.judge.records_max(), 0, 0);
        for record in reading.journal.before(before) {
            if query.is_past(record) {
                return;
            }
            if self.records.len() == records_max || scanned == super::query::SCANNED_MAX {
                self.cursor = last;
                return;
            }
            (scanned, last) = (scanned + 1, record.sequence);
            if query.matches(record, reading) {
                self.records.push(record.clone());
            }
        }
    }

    /// Judges the records. Takes as long as the strategy does, or as the fuel of a module lasts.
    pub(crate) fn run(self) -> Verdict {
        let mut verdict = Verdict {
            lens: self.lens.clone(),
            same: 0,
            different: 0,
            undecided: 0,
            failed: 0,
            truncated: 0,
            no_choice: 0,
            cursor: self.cursor,
            sample: Vec::new(),
        };
        for record in self.records {
            let named = |(name, _): &&(ResolverName, Arc<LoadedResolver>)| {
                record.strategy.module() == Some(name)
            };
            let in_force = self.in_force.iter().find(named);
            let in_force = in_force.map(|(_, module)| &**module as &dyn Resolver);
            let answer = record.what_if(self.judge.resolver(), self.lens.class(), in_force);
            verdict.count(record, answer, self.sample_max);
        }
        verdict
    }
}

impl Judge {
    fn resolver(&self) -> &dyn Resolver {
        match self {
            Judge::BuiltIn(strategy) => strategy,
            Judge::Module(module) => &**module,
        }
    }

    /// How many records it is asked about at once.
    fn records_max(&self) -> usize {
        let Judge::Module(module) = self else {
            return JUDGED_MAX;
        };
        let fuel = module.parts().map_or(1, |(limits, _)| limits.fuel.max(1));
        let affordable = usize::try_from(FUEL_MAX / fuel).unwrap_or(usize::MAX);
        affordable.clamp(1, JUDGED_MAX)
    }
}

impl Verdict {
    fn count(&mut self, record: JournalRecord, answer: WhatIf, sample_max: usize) {
        let (now, then) = match answer {
            // Siblings are what multi-value answers, and what a module leaves undecided.
            WhatIf::Answer {
                then: WhatIfAnswer::Siblings,
                ..
            } if self.lens.module().is_some() => return self.undecided += 1,
            WhatIf::Answer { now, then } if now == then => return self.same += 1,
            WhatIf::Answer { now, then } => {
                self.different += 1;
                (now, Ok(then))
            }
            WhatIf::Failed { now, failure } => {
                self.failed += 1;
                (now, Err(failure))
            }
            WhatIf::NoBaseline | WhatIf::NoDifferences => return self.undecided += 1,
            WhatIf::Truncated => return self.truncated += 1,
            _ => return self.no_choice += 1,
        };
        if self.sample.len() < sample_max {
            self.sample.push(Case { record, now, then });
        }
    }

    pub(super) fn write(&self, reply: &mut Reply) {
        reply.map(9);
        reply.text("strategy");
        reply.text(self.lens.to_string());
        for (name, number) in [
            ("same", self.same),
            ("different", self.different),
            ("undecided", self.undecided),
            ("failed", self.failed),
            ("truncated", self.truncated),
            ("no_choice", self.no_choice),
            ("cursor", self.cursor),
        ] {
            write_number(reply, name, number);
        }
        reply.text("sample");
        reply.array(self.sample.len());
        for case in &self.sample {
            reply.map(4);
            reply.text("id");
            reply.text(format!("{:032x}", case.record.id));
            reply.text("key");
            reply.bulk(&case.record.key);
            reply.text("now");
            write_answer(reply, &case.now);
            reply.text("then");
            match &case.then {
                Ok(answer) => write_answer(reply, answer),
                Err(failure) => write_failure(reply, *failure),
            }
        }
    }
}

fn write_answer(reply: &mut Reply, answer: &WhatIfAnswer) {
    let (what, value) = match answer {
        WhatIfAnswer::Value(value) => ("value", Some(&value[..])),
        WhatIfAnswer::Nothing => ("nothing", None),
        WhatIfAnswer::Siblings => ("siblings", None),
    };
    reply.map(2);
    reply.text("answer");
    reply.text(what);
    reply.text("value");
    reply.bulk_or_null(value.map(|value| &value[..value.len().min(SAMPLE_VALUE_BYTES)]));
}

fn write_failure(reply: &mut Reply, failure: isles_resolve::Failure) {
    reply.map(2);
    reply.text("answer");
    reply.text(format!("failed: {}", failure.name()));
    reply.text("value");
    reply.null();
}
