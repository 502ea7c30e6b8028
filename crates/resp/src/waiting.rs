//! Clients whose command waits until a key is written: in which order, until when, and who runs it then.
//!
//! A command that finds nothing says so with a [`Wait`]: which keys it wants, holding what, and for how long. Alone, not
//! inside MULTI or a script, its connection is *parked*: it leaves its command here, lets go of the lock, and sleeps. The
//! replica is told the keys, and remembers which of them change, whoever changes them; while nobody waits that costs
//! nothing. After each command or transaction, and after what peers have sent was applied, [`serve`] runs the commands of
//! those who wait for a changed key, in the order in which they came, under the same lock: so nobody takes an element
//! from under them, and what two of them get follows from when they came. The answer goes to the sleeping connection.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use isles_replica::{Position, Replica, ValueType};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::call::{Call, Surroundings};
use crate::clients::Client;
use crate::error::{Failure, Outcome};
use crate::execute;
use crate::notices;
use crate::reply::Reply;
use crate::session::{Answers, Session};
use crate::spec::Run;
use crate::table::CommandId;
use crate::watch;

/// Bytes of the arguments of one waiting command, with what each of them costs.
const ARGUMENT_BYTES_MAX: usize = 16 << 20;
/// What an argument costs besides its bytes.
const ARGUMENT_OVERHEAD: usize = 64;
/// So many keys that nobody waits for any more may be known to the replica, besides as many as somebody does wait for.
const STALE_KEYS_MAX: usize = 1024;

/// What a command waits for that has found nothing.
#[derive(Debug)]
pub(crate) struct Wait {
    pub(crate) keys: Vec<Box<[u8]>>,
    /// Keys that hold another type than this are as good as absent.
    pub(crate) wanted: ValueType,
    /// None for ever.
    pub(crate) timeout: Option<Duration>,
    /// The arguments to run again with, where they are others than at first.
    pub(crate) args: Option<Vec<Box<[u8]>>>,
    /// It runs again also when a key holds nothing any more, or another type.
    pub(crate) misses: bool,
}

impl Call<'_, '_> {
    /// Says that the command has found nothing under these keys, and is to run again when one of them holds `wanted`.
    /// What the command has answered by then is what the client gets if it has waited in vain, or may not wait.
    pub(crate) fn wait(&mut self, keys: &[&[u8]], wanted: ValueType, timeout: Option<Duration>) {
        let keys = keys.iter().map(|key| Box::from(*key)).collect();
        self.session.wait = Some(Wait {
            keys,
            wanted,
            timeout,
            args: None,
            misses: false,
        });
    }

    /// The same, where the command also wants to know when one of the keys no longer holds `wanted`.
    pub(crate) fn wait_while_there(
        &mut self,
        keys: &[&[u8]],
        wanted: ValueType,
        timeout: Option<Duration>,
    ) {
        self.wait(keys, wanted, timeout);
        if let Some(wait) = &mut self.session.wait {
            wait.misses = true;
        }
    }

    /// The same, where the command is to run again with other arguments: one that says "what is new" means new from now
    /// on.
    pub(crate) fn wait_as(
        &mut self,
        args: Vec<Box<[u8]>>,
        keys: &[&[u8]],
        wanted: ValueType,
        timeout: Option<Duration>,
    ) {
        self.wait(keys, wanted, timeout);
        if let Some(wait) = &mut self.session.wait {
            wait.args = Some(args);
        }
    }

    /// Whether the command may look at this key: a command that has waited looks at the one that has changed only.
    pub(crate) fn looks_at(&self, key: &[u8]) -> bool {
        let changed = self.session.changed_key.as_deref();
        changed.is_none_or(|changed| changed == key)
    }
}

/// How a wait ends.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) answer: Vec<u8>,
    /// The log position that the answer depends on.
    pub(crate) barrier: Position,
}

/// What a parked connection holds.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) number: u64,
    pub(crate) end: oneshot::Receiver<End>,
    pub(crate) deadline: Option<Instant>,
}

/// Everyone who waits.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    line: Mutex<Line>,
    len: AtomicUsize,
}

#[derive(Debug, Default)]
struct Line {
    /// By ticket, that is, in the order of arrival.
    parked: HashMap<u64, Parked>,
    by_key: HashMap<Box<[u8]>, BTreeSet<u64>>,
    by_client: HashMap<u64, u64>,
    last: u64,
}

/// A command that waits.
#[derive(Debug)]
struct Parked {
    client: Arc<Client>,
    command: CommandId,
    args: Vec<Box<[u8]>>,
    keys: Vec<Box<[u8]>>,
    wanted: ValueType,
    misses: bool,
    /// What it answers when it has waited in vain.
    in_vain: Vec<u8>,
    /// The client does not want the answer.
    is_hidden: bool,
    /// A session of its own: that of the connection sleeps.
    session: Session,
    reply: Reply,
    end: oneshot::Sender<End>,
}

impl Parked {
    fn finish(self, answer: Vec<u8>, barrier: Position) {
        let answer = if self.is_hidden { Vec::new() } else { answer };
        // A connection that has gone needs no answer.
        let _ = self.end.send(End { answer, barrier });
    }
}

impl Waiting {
    /// Parks the connection of a command that has just said that it waits; `in_vain` is what it has answered.
    pub(crate) fn park(
        &self,
        wait: Wait,
        command: CommandId,
        args: &[&[u8]],
        in_vain: Vec<u8>,
        replica: &mut Replica,
        session: &mut Session,
    ) -> Outcome {
        let bytes = args
            .iter()
            .map(|argument| argument.len() + ARGUMENT_OVERHEAD);
        if bytes.sum::<usize>() > ARGUMENT_BYTES_MAX {
            return Err(Failure::other(format!(
                "ERR a command that waits has at most {ARGUMENT_BYTES_MAX} bytes of arguments"
            )));
        }
        let (sender, end) = oneshot::channel();
        let client = Arc::clone(&session.client);
        let mut reply = Reply::default();
        reply.protocol = client.protocol();
        let deadline = wait
            .timeout
            .and_then(|timeout| Instant::now().checked_add(timeout));
        let parked = Parked {
            command,
            args: wait
                .args
                .unwrap_or_else(|| args.iter().map(|argument| Box::from(*argument)).collect()),
            keys: wait.keys,
            wanted: wait.wanted,
            misses: wait.misses,
            in_vain,
            is_hidden: matches!(session.answers, Answers::SkipNext | Answers::None),
            session: Session {
                notice: session.notice.clone(),
                ..Session::new(Arc::clone(&client))
            },
            client,
            reply,
            end: sender,
        };
        let number = self.add(replica, parked);
        session.ticket = Some(Ticket {
            number,
            end,
            deadline,
        });
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        // A command that panics under the lock takes its connection with it; the others are where they were.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Number of clients that wait.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    fn add(&self, replica: &mut Replica, parked: Parked) -> u64 {
        let mut line = self.lock();
        line.last += 1;
        let number = line.last;
        for key in &parked.keys {
            replica.wait_for(key);
            line.by_key.entry(key.clone()).or_default().insert(number);
        }
        if replica.waited_for() > 2 * line.by_key.len() + STALE_KEYS_MAX {
            replica.wait_for_nothing();
            line.by_key.keys().for_each(|key| replica.wait_for(key));
        }
        parked.client.set_waiting(true);
        line.by_client.insert(parked.client.id, number);
        line.parked.insert(number, parked);
        self.len.store(line.parked.len(), Ordering::Relaxed);
        number
    }

    /// Ends a wait without an answer; says whether it had not ended yet. If it had, the answer is in the ticket.
    pub(crate) fn leave(&self, number: u64) -> bool {
        self.remove(&mut self.lock(), number).is_some()
    }

    /// The same, because the time is up: gives the answer.
    pub(crate) fn give_up(&self, number: u64) -> Option<Vec<u8>> {
        let parked = self.remove(&mut self.lock(), number)?;
        Some(if parked.is_hidden {
            Vec::new()
        } else {
            parked.in_vain
        })
    }

    /// Ends the wait of a client, as if its time were up or with an error; says whether it was waiting.
    pub(crate) fn unblock(&self, client: u64, error: Option<&Failure>) -> bool {
        let mut line = self.lock();
        let number = line.by_client.get(&client).copied();
        let Some(mut parked) = number.and_then(|number| self.remove(&mut line, number)) else {
            return false;
        };
        let mut answer = std::mem::take(&mut parked.in_vain);
        if let Some(failure) = error {
            parked.reply.clear();
            parked.reply.error(failure);
            answer = parked.reply.as_bytes().to_vec();
        }
        parked.finish(answer, Position::ZERO);
        true
    }

    /// Ends the wait of a client whose connection is to end: there is no answer any more.
    pub(crate) fn dismiss(&self, client: u64) {
        let mut line = self.lock();
        if let Some(number) = line.by_client.get(&client).copied() {
            self.remove(&mut line, number);
        }
    }

    fn remove(&self, line: &mut Line, number: u64) -> Option<Parked> {
        let parked = line.parked.remove(&number)?;
        for key in &parked.keys {
            // A key may have been named twice.
            if let Some(numbers) = line.by_key.get_mut(key) {
                numbers.remove(&number);
                if numbers.is_empty() {
                    line.by_key.remove(key);
                }
            }
        }
        parked.client.set_waiting(false);
        line.by_client.remove(&parked.client.id);
        self.len.store(line.parked.len(), Ordering::Relaxed);
        Some(parked)
    }
}

/// Runs the commands that wait for keys which have changed since the last time.
pub(crate) fn serve(replica: &mut Replica, surroundings: Surroundings<'_>) {
    let waiting = &surroundings.server.waiting;
    // What they write may be what others wait for.
    while replica.has_changed_keys() {
        for key in replica.take_changed_keys() {
            let mut line = waiting.lock();
            serve_key(&key, waiting, &mut line, replica, surroundings);
            if line.by_key.contains_key(&key) {
                replica.wait_for(&key);
            }
        }
    }
}

/// Lets those run who wait for this key, as long as it holds something, and those who miss what it held.
fn serve_key(
    key: &[u8],
    waiting: &Waiting,
    line: &mut Line,
    replica: &mut Replica,
    surroundings: Surroundings<'_>,
) {
    let missing = replica.missing([key]);
    if !missing.is_empty() {
        replica.want(key, missing);
        return;
    }
    let mut served = 0;
    loop {
        let numbers = line.by_key.get(key);
        let Some(number) = numbers.and_then(|numbers| numbers.range(served + 1..).next().copied())
        else {
            return;
        };
        served = number;
        let held = replica
            .txn(surroundings.wall_ms, isles_replica::Scope::Once)
            .value_type(key);
        let Some(parked) = line
            .parked
            .get_mut(&number)
            .filter(|parked| parked.misses || held == Some(parked.wanted))
        else {
            continue;
        };
        if let Some(barrier) = parked.run(key, replica, surroundings)
            && let Some(parked) = waiting.remove(line, number)
        {
            let answer = parked.reply.as_bytes().to_vec();
            parked.finish(answer, barrier);
        }
    }
}

impl Parked {
    /// Runs the command again; none if it goes on waiting. The answer is in its reply.
    fn run(
        &mut self,
        key: &[u8],
        replica: &mut Replica,
        surroundings: Surroundings<'_>,
    ) -> Option<Position> {
        let Run::Data(run) = self.command.spec().run else {
            return None;
        };
        let args: Vec<&[u8]> = self.args.iter().map(|argument| &**argument).collect();
        self.session.changed_key = Some(key.into());
        self.reply.clear();
        let scope = execute::scope(self.command.spec(), &args);
        let times = surroundings.watch.times(self.command, args.len());
        let started = times.then(std::time::Instant::now);
        let before = notices::Before::of(&self.session, replica);
        let mut txn = replica.txn(surroundings.wall_ms, scope);
        let outcome = run(&mut Call {
            txn: &mut txn,
            args: &args,
            reply: &mut self.reply,
            session: &mut self.session,
            surroundings,
        });
        let committed = execute::commit(txn, &mut self.session, surroundings);
        before.note(&self.session, replica);
        if self.session.missed.take().is_some() {
            self.session.wait = None;
            let missing = replica.take_missing();
            replica.want(key, missing);
            return None;
        }
        if self.session.wait.take().is_some() {
            return None;
        }
        if let Some(started) = started {
            let took = started.elapsed();
            watch::note_time(&self.session, surroundings, self.command, &args, took);
        }
        if let Err(failure) = outcome.and(committed.clone().map(drop)) {
            self.reply.clear();
            let server = surroundings.server;
            server.stats.count_failed(self.command, &args);
            execute::refuse(&mut self.reply, &failure, server);
        }
        let position = committed.unwrap_or_else(|_| replica.position());
        if replica.has_changes() {
            let (session, command) = (&mut self.session, self.command);
            watch::after(replica, session, surroundings, command, &args, position);
        }
        Some(position)
    }
}
