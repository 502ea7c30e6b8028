//! A script on the transaction of the command that started it: what it may call, how it ends, what its client is told.

use std::sync::Arc;

use isles_lua::{Answer, Host, Overseer, ScriptError, Version};
use tracing::{debug, info, trace, warn};

use crate::busy::Kind;
use crate::call::Call;
use crate::commands::stream_blocks;
use crate::error::{Failure, Outcome};
use crate::errors::ErrorStats;
use crate::execute::{check_here, failure_of, not_enough_replicas, refuse};
use crate::reply::{Protocol, Reply};
use crate::scripts::Access;
use crate::spec::{Flags, Run, Spec};
use crate::transaction::within;
use crate::{table, unsupported, watch};

/// Runs a script on a command's transaction and writes its answer.
pub(crate) fn hosted(
    call: &mut Call<'_, '_>,
    kind: Kind,
    access: Access,
    name: &str,
    run: impl FnOnce(&mut dyn Host, &Arc<dyn Overseer>) -> Result<Answer, ScriptError>,
) -> Outcome {
    let server = call.surroundings.server;
    let running = Arc::clone(&server.scripting.running);
    let overseer: Arc<dyn Overseer> = Arc::clone(&running) as _;
    let savepoint = call.txn.savepoint();
    let told = call.session.changes.len();
    let ran = running.begin(kind, call.args);
    let mut caller = Caller {
        call: &mut *call,
        access,
        reply: Reply::default(),
        last_error: Vec::new(),
        has_read: false,
    };
    let outcome = run(&mut caller, &overseer);
    let known = std::mem::take(&mut caller.last_error);
    if caller.has_read {
        watch::note_keys(call.session, call.args);
    }
    match outcome {
        Ok(Answer::Error(text)) => {
            call.txn.release(savepoint);
            call.session.error_counted = text == known;
            Err(Failure::other(String::from_utf8_lossy(&text)))
        }
        Ok(answer) => {
            call.txn.release(savepoint);
            let errors = Errors {
                stats: &server.errors,
                known: &known,
            };
            write(call.reply, &answer, &errors);
            Ok(())
        }
        Err(ScriptError::Raised { text, place }) => {
            // What it had written stays, as in Redis.
            call.txn.release(savepoint);
            call.session.error_counted = text.as_bytes() == known;
            let place = match place {
                Some((source, line)) => format!(", on {source}:{line}."),
                // A call in a tail position takes the place of the script's frame.
                None => ".".to_owned(),
            };
            Err(Failure::other(format!("{text} script: {name}{place}")))
        }
        Err(error) => {
            call.txn.roll_back(savepoint);
            call.session.changes.truncate(told);
            let why = match error {
                ScriptError::Time => ran.reason(),
                other => other.to_string(),
            };
            warn!(script = name, why, "ended a script, and undid it");
            Err(Failure::other(format!("ERR {why}; nothing of it was done")))
        }
    }
}

/// Runs a script's commands on the transaction of the command that started the script.
struct Caller<'a, 'c, 'r> {
    call: &'a mut Call<'c, 'r>,
    access: Access,
    reply: Reply,
    /// The text of the last error that a command has answered it, which is counted already.
    last_error: Vec<u8>,
    /// A command that reads was among them.
    has_read: bool,
}

impl Caller<'_, '_, '_> {
    fn run(&mut self, args: &[&[u8]]) -> Outcome {
        let command = table::find(args[0]).ok_or_else(|| match unsupported::find(args[0]) {
            Some(known) => Failure::other(format!(
                "{NOT_ALLOWED}: it is not supported by Isles: {}",
                known.reason
            )),
            None => Failure::other("ERR Unknown Redis command called from script"),
        })?;
        let spec = command.spec();
        let run = self.check(spec, args).inspect_err(|_| {
            let stats = &self.call.surroundings.server.stats;
            stats.count_rejected(command, args);
        })?;
        self.call.session.counts[spec.family as usize] += 1;
        self.has_read |= spec.flags.has(Flags::READ);
        let mut inner = Call {
            txn: &mut *self.call.txn,
            args,
            reply: &mut self.reply,
            session: &mut *self.call.session,
            surroundings: self.call.surroundings,
        };
        within(&mut inner, command, run, Some("lua"));
        match self.call.txn.refusal() {
            Some(refused) => Err(failure_of(refused, self.call.surroundings)),
            None => Ok(()),
        }
    }

    /// What runs the command, if a script may call it now.
    fn check(&self, spec: &Spec, args: &[&[u8]]) -> Result<RunData, Failure> {
        if spec.flags.has(Flags::NO_SCRIPT) {
            return Err(not_allowed());
        }
        spec.check(args).map_err(|failure| match failure {
            Failure::Arity(_) => {
                Failure::other("ERR Wrong number of args calling Redis command from script")
            }
            other => other,
        })?;
        let Run::Data(run) = spec.run else {
            return Err(not_allowed());
        };
        let writes = spec.flags.has(Flags::WRITE);
        if self.access == Access::Read && (writes || spec.flags.has(Flags::MAY_REPLICATE)) {
            return Err(Failure::other(
                "ERR Write commands are not allowed from read-only scripts.",
            ));
        }
        if stream_blocks(args) {
            return Err(Failure::other(format!(
                "ERR {} command is not allowed with BLOCK option from scripts",
                spec.name
            )));
        }
        if writes && self.call.surroundings.watch.lacks_replicas {
            return Err(not_enough_replicas());
        }
        check_here(spec, args, self.call.surroundings)?;
        Ok(run)
    }
}

/// A command that runs on a transaction.
type RunData = fn(&mut Call<'_, '_>) -> Outcome;

const NOT_ALLOWED: &str = "ERR This Redis command is not allowed from script";

fn not_allowed() -> Failure {
    Failure::other(NOT_ALLOWED)
}

impl Host for Caller<'_, '_, '_> {
    fn call(&mut self, args: &[&[u8]], version: Version) -> &[u8] {
        self.reply.clear();
        self.reply.protocol = match version {
            Version::Two => Protocol::Resp2,
            Version::Three => Protocol::Resp3,
        };
        if let Err(failure) = self.run(args) {
            self.reply.clear();
            refuse(&mut self.reply, &failure, self.call.surroundings.server);
        }
        if let Some(error) = self.reply.as_bytes().strip_prefix(b"-") {
            self.last_error.clear();
            self.last_error.extend_from_slice(error.trim_ascii_end());
        }
        self.reply.as_bytes()
    }

    fn is_command(&self, name: &[u8]) -> bool {
        table::find(name).is_some()
    }

    fn log(&mut self, severity: u8, text: &str) {
        log(severity, text);
    }
}

/// A line that a script has written, for the log.
pub(crate) fn log(severity: u8, text: &str) {
    match severity {
        0 => trace!(target: "isles::script", "{text}"),
        1 => debug!(target: "isles::script", "{text}"),
        2 => info!(target: "isles::script", "{text}"),
        _ => warn!(target: "isles::script", "{text}"),
    }
}

/// Counts the errors in an answer, except for the one that a command has answered the script.
struct Errors<'e> {
    stats: &'e ErrorStats,
    known: &'e [u8],
}

/// A script's answer in the client's version of the protocol.
fn write(reply: &mut Reply, answer: &Answer, errors: &Errors<'_>) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match answer {
        Answer::Boolean(value) => reply.boolean_or_null(*value),
        Answer::Integer(value) => reply.integer(*value),
        Answer::Double(value) => reply.double(*value),
        Answer::Bulk(bytes) => reply.bulk(bytes),
        Answer::Status(bytes) => reply.simple(&text(bytes)),
        Answer::Error(bytes) => {
            if bytes != errors.known {
                errors.stats.count(bytes);
            }
            reply.error(&Failure::other(text(bytes)));
        }
        Answer::BigNumber(digits) => reply.big_number(digits),
        Answer::Verbatim(format, bytes) => reply.verbatim_as(*format, bytes),
        Answer::Array(answers) => {
            reply.array(answers.len());
            answers
                .iter()
                .for_each(|answer| write(reply, answer, errors));
        }
        Answer::Set(members) => {
            reply.set(members.len());
            members
                .iter()
                .for_each(|answer| write(reply, answer, errors));
        }
        Answer::Map(pairs) => {
            reply.map(pairs.len());
            for (key, value) in pairs {
                write(reply, key, errors);
                write(reply, value, errors);
            }
        }
        _ => reply.null(),
    }
}
