//! What a command needs that must not be done under the replica's lock: running the modules of others.
//!
//! Before a command runs, its keys are looked at. Where a resolver has yet to answer for siblings that the command may
//! read, the connection lets go of the lock, has the questions answered, hands the answers to the replica and runs the
//! command then. What is read without being named, as a script can, is answered in place: it costs what the resolver's
//! fuel allows. In the same way a module is checked before ISLES.RESOLVER LOAD runs, and the records that
//! ISLES.CONFLICTS REPLAY asks about are judged before that answers, and what ISLES.BACKUP hands out is read from the disk.

use std::time::Instant;

use isles_replica::{Answered, Question, Replica};
use isles_resolve_wasm::{Limits, Report, WasmResolver, check};

use crate::call::{Surroundings, is};
use crate::cold::{self, Fetch, Fetched, Given};
use crate::commands::backup;
use crate::commands::conflicts::{self, Trial, Verdict};
use crate::engine::{BackupJob, BackupPiece};
use crate::server::Server;
use crate::session::Session;
use crate::spec::{Flow, Run};
use crate::table::CommandId;
use crate::{commands::resolvers, execute::Arguments};

/// Questions that are answered at once, and bytes of their siblings.
const QUESTIONS_MAX: usize = 256;
const QUESTION_BYTES_MAX: usize = 8 << 20;
/// A command whose siblings change again and again reads them in the end.
const ROUNDS_MAX: u32 = 64;

/// Something to do without the replica.
#[derive(Debug)]
pub(crate) enum Errand {
    Answer(Vec<Question>),
    Check(Candidate),
    Try(Trial),
    Copy(BackupJob),
    Fetch(Fetch),
}

/// A module that is to be loaded.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) module: Vec<u8>,
    pub(crate) samples: Vec<Vec<u8>>,
    pub(crate) limits: Limits,
}

/// What came of an errand.
#[derive(Debug)]
pub(crate) enum Done {
    /// With how long each took, in nanoseconds.
    Answered(Vec<(Answered, u64)>),
    Checked(Checked),
    Tried(Verdict),
    Copied(Result<BackupPiece, String>),
    Fetched(Fetched),
}

/// What a module was checked with, and what came of it: a refusal in words.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) limits: Limits,
    pub(crate) result: Result<Report, String>,
}

impl Errand {
    /// Does it, which takes as long as it takes.
    pub(crate) fn run(self) -> Done {
        match self {
            Errand::Answer(questions) => {
                let answered = questions.into_iter().map(|question| {
                    let started = Instant::now();
                    let answered = question.answer();
                    let ns = u64::try_from(started.elapsed().as_nanos());
                    (answered, ns.unwrap_or(u64::MAX))
                });
                Done::Answered(answered.collect())
            }
            Errand::Check(candidate) => Done::Checked(Checked {
                limits: candidate.limits,
                result: candidate.check(),
            }),
            Errand::Try(trial) => Done::Tried(trial.run()),
            Errand::Copy(job) => Done::Copied(job.run()),
            Errand::Fetch(fetch) => Done::Fetched(fetch.run()),
        }
    }
}

impl Candidate {
    fn check(&self) -> Result<Report, String> {
        let resolver = WasmResolver::load(&self.module, self.limits);
        let resolver = resolver.map_err(|error| error.to_string())?;
        check(&resolver, &self.samples).map_err(|refusal| refusal.to_string())
    }
}

/// The errands of the command that comes next.
#[derive(Debug, Default)]
pub(crate) struct Errands {
    pub(crate) pending: Option<Errand>,
    answered: Vec<(Answered, u64)>,
    checked: Option<Checked>,
    verdict: Option<Verdict>,
    copied: Option<Result<BackupPiece, String>>,
    fetched: Option<Fetched>,
    /// What was read because of it that is not in memory.
    pub(crate) given: Given,
    /// Rounds of questions.
    rounds: u32,
    is_begun: bool,
}

impl Errands {
    /// Takes note of what came of the one that was pending.
    pub(crate) fn note(&mut self, done: Done) {
        match done {
            Done::Answered(answered) => self.answered = answered,
            Done::Checked(checked) => self.checked = Some(checked),
            Done::Tried(verdict) => self.verdict = Some(verdict),
            Done::Copied(copied) => self.copied = Some(copied),
            Done::Fetched(fetched) => self.fetched = Some(fetched),
        }
    }

    /// Does what is pending at once, for those who have nothing else to do.
    pub(crate) fn run_here(&mut self) {
        if let Some(errand) = self.pending.take() {
            let done = errand.run();
            self.note(done);
        }
    }

    /// What came of checking the module that the command brings.
    pub(crate) fn take_checked(&mut self) -> Option<Checked> {
        self.checked.take()
    }

    /// What came of the trial that the command asks for.
    pub(crate) fn take_verdict(&mut self) -> Option<Verdict> {
        self.verdict.take()
    }

    /// What came of asking for a piece of a backup.
    pub(crate) fn take_copied(&mut self) -> Option<Result<BackupPiece, String>> {
        self.copied.take()
    }

    /// Hands over what was found while the replica was not held.
    pub(crate) fn settle(&mut self, replica: &mut Replica, surroundings: Surroundings<'_>) {
        for (answered, ns) in self.answered.drain(..) {
            replica.note_answer(answered, ns);
        }
        if let Some(fetched) = self.fetched.take() {
            cold::take_in(fetched, replica, &mut self.given, surroundings);
        }
    }

    /// The command is to run again, once this is done if there is something to do.
    pub(crate) fn begin_again(&mut self, errand: Option<Errand>) {
        self.is_begun = true;
        self.pending = errand;
    }

    /// The command has run.
    pub(crate) fn end(&mut self) {
        if self.is_begun || self.given.clears_alone {
            *self = Errands::default();
        }
    }
}

/// Whether the command needs something first, which is pending then.
pub(crate) fn comes_first(
    command: CommandId,
    args: &[&[u8]],
    replica: &Replica,
    session: &mut Session,
    surroundings: Surroundings<'_>,
) -> bool {
    let errand = match session.queue.is_some() && !matches!(command.spec().run, Run::Flow(_)) {
        // It is only put into the queue.
        true => None,
        false => check_of(command, args, session, surroundings.server)
            .or_else(|| trial_of(command, args, replica, session, surroundings))
            .or_else(|| copy_of(command, args, session, surroundings))
            .or_else(|| cold::fetch_of(command, args, replica, session, surroundings))
            .or_else(|| questions_of(command, args, replica, session)),
    };
    let comes_first = errand.is_some();
    session.errands.is_begun |= comes_first;
    session.errands.pending = errand;
    comes_first
}

fn check_of(
    command: CommandId,
    args: &[&[u8]],
    session: &Session,
    server: &Server,
) -> Option<Errand> {
    let is_load = command.spec().name == resolvers::NAME && args.len() >= 4 && is(args[1], "LOAD");
    if !is_load || session.errands.checked.is_some() {
        return None;
    }
    let [_, _, _, module, samples @ ..] = args else {
        return None;
    };
    let settings = resolvers::Limited::of(&server.settings);
    // What is refused in any case is not checked.
    if module.len() > settings.module_bytes_max || samples.len() > isles_resolve_wasm::SAMPLES_MAX {
        return None;
    }
    Some(Errand::Check(Candidate {
        module: module.to_vec(),
        samples: samples.iter().map(|sample| sample.to_vec()).collect(),
        limits: settings.limits,
    }))
}

fn trial_of(
    command: CommandId,
    args: &[&[u8]],
    replica: &Replica,
    session: &Session,
    surroundings: Surroundings<'_>,
) -> Option<Errand> {
    if command.spec().name != conflicts::NAME || session.errands.verdict.is_some() {
        return None;
    }
    let (host, wall_ms) = (surroundings.host, surroundings.wall_ms);
    Trial::of_command(args, replica, host, wall_ms).map(Errand::Try)
}

fn copy_of(
    command: CommandId,
    args: &[&[u8]],
    session: &Session,
    surroundings: Surroundings<'_>,
) -> Option<Errand> {
    if command.spec().name != backup::NAME || session.errands.copied.is_some() {
        return None;
    }
    let step = backup::step_of(args).ok()?;
    surroundings.host.backup(step).map(Errand::Copy)
}

fn questions_of(
    command: CommandId,
    args: &[&[u8]],
    replica: &Replica,
    session: &mut Session,
) -> Option<Errand> {
    if !replica.has_modules() || session.errands.rounds >= ROUNDS_MAX {
        return None;
    }
    session.errands.rounds += 1;
    let mut questions = Questions::default();
    match (command.spec().run, &session.queue) {
        (Run::Flow(Flow::Exec), Some(queue)) => {
            for (index, queued) in queue.commands.iter().enumerate() {
                let args: Arguments<'_> = queue.batch.arguments(index, &queue.bytes).collect();
                questions.ask(*queued, &args, replica);
            }
        }
        _ => questions.ask(command, args, replica),
    }
    (!questions.asked.is_empty()).then_some(Errand::Answer(questions.asked))
}

#[derive(Default)]
struct Questions {
    asked: Vec<Question>,
    bytes: usize,
}

impl Questions {
    fn ask(&mut self, command: CommandId, args: &[&[u8]], replica: &Replica) {
        for key in command.spec().keys_of(args) {
            if self.asked.len() == QUESTIONS_MAX || self.bytes > QUESTION_BYTES_MAX {
                return;
            }
            if let Some(question) = replica.question(key) {
                self.bytes += question.bytes();
                self.asked.push(question);
            }
        }
    }
}
