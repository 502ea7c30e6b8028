//! The state of one connection between commands.

use std::sync::Arc;
use std::time::Duration;

use isles_replica::Position;

use crate::clients::Client;
use crate::cold::Miss;
use crate::errand::Errands;
use crate::execute::Arguments;
use crate::meters::{Counts, TIMED_EVERY};
use crate::monitor::Monitoring;
use crate::notices::Notice;
use crate::parser::{Batch, Span};
use crate::publications::Publication;
use crate::pubsub::Subscriptions;
use crate::random::Random;
use crate::reply::Protocol;
use crate::spec::{Family, Spec};
use crate::table::CommandId;
use crate::tracking::Tracker;
use crate::waiting::{Ticket, Wait};
use crate::watch::Told;

/// Commands in one MULTI.
pub(crate) const QUEUE_COMMANDS_MAX: usize = 1 << 20;
/// Bytes of all keys that a connection watches.
pub(crate) const WATCHED_BYTES_MAX: usize = 16 << 20;

/// One connection as its commands see it.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) client: Arc<Client>,
    /// The greatest log position that an answer in the output buffer depends on.
    pub(crate) barrier: Position,
    pub(crate) queue: Option<Queue>,
    pub(crate) watched: Watched,
    pub(crate) answers: Answers,
    /// What the connection does after the command.
    pub(crate) next: Next,
    pub(crate) random: Random,
    pub(crate) counts: Counts,
    /// Commands until the next one that is timed.
    pub(crate) until_timed: u32,
    /// The command that has just run has found nothing, and would wait if it may.
    pub(crate) wait: Option<Wait>,
    /// The command runs again, because this key has changed.
    pub(crate) changed_key: Option<Box<[u8]>>,
    /// What the connection waits with, when the next thing that it does is to wait.
    pub(crate) ticket: Option<Ticket>,
    /// What it listens to, from the first subscription on.
    pub(crate) subscriptions: Option<Subscriptions>,
    pub(crate) tracker: Option<Tracker>,
    /// It is told when a write of its own loses; shared with the command that waits for it, if one does.
    pub(crate) notice: Option<Arc<Notice>>,
    pub(crate) monitoring: Option<Monitoring>,
    /// It speaks RESP2 and listens to something, so that answers and messages look alike: few commands are allowed.
    pub(crate) restricted: bool,
    /// What the command has written is a message rather than an answer, and sent even if answers are not.
    pub(crate) told: bool,
    /// What the commands of EXEC or of a script have changed so far.
    pub(crate) changes: Told,
    /// Its commands run inside EXEC, whose array has no room for messages.
    pub(crate) executing: bool,
    /// Its commands do not count as uses of keys, as CLIENT NO-TOUCH says.
    pub(crate) unnoticed: bool,
    /// What the next command needs before it runs.
    pub(crate) errands: Errands,
    /// What the command that has just run has missed, so that it runs again.
    pub(crate) missed: Option<Miss>,
    /// What is published when the transaction is certain.
    pub(crate) publications: Vec<Publication>,
    /// The error that a script ends with has been counted, as that of a command which the script has called.
    pub(crate) error_counted: bool,
}

/// Which answers are sent, as CLIENT REPLY says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answers {
    All,
    /// Not this one, but the next.
    SkipThis,
    SkipNext,
    None,
}

/// What the connection does after a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Continue,
    /// What commands are to look at has changed.
    Release,
    Sleep(Duration),
    /// With the session's ticket, until the command gets what it wants.
    Wait,
    /// Until all of this is in the log's file and in a checkpoint.
    Save,
    /// After its answers have been sent.
    Close,
    /// Without sending anything further: an answer is too large.
    Abort,
}

impl Session {
    pub(crate) fn new(client: Arc<Client>) -> Session {
        Session {
            client,
            barrier: Position::ZERO,
            queue: None,
            watched: Watched::default(),
            answers: Answers::All,
            next: Next::Continue,
            random: Random::from_system(),
            counts: [0; Family::COUNT],
            until_timed: TIMED_EVERY,
            wait: None,
            changed_key: None,
            ticket: None,
            subscriptions: None,
            tracker: None,
            notice: None,
            monitoring: None,
            restricted: false,
            told: false,
            changes: Told::default(),
            executing: false,
            unnoticed: false,
            errands: Errands::default(),
            missed: None,
            publications: Vec::new(),
            error_counted: false,
        }
    }

    /// Judges anew whether messages could be taken for answers.
    pub(crate) fn restrict(&mut self, protocol: Protocol) {
        let listens = self
            .subscriptions
            .as_ref()
            .is_some_and(|subscriptions| !subscriptions.is_empty());
        self.restricted = listens && protocol == Protocol::Resp2;
    }

    pub(crate) fn depend_on(&mut self, position: Position) {
        self.barrier = self.barrier.max(position);
    }

    /// Leaves MULTI, if in it, and watches nothing any more then.
    pub(crate) fn discard(&mut self) -> Option<Queue> {
        let queue = self.queue.take()?;
        self.watched.clear();
        self.client.details().queued = None;
        Some(queue)
    }

    /// An error while commands are queued makes EXEC refuse them all.
    pub(crate) fn spoil(&mut self) {
        if let Some(queue) = &mut self.queue {
            *queue = Queue {
                spoiled: true,
                ..Queue::default()
            };
        }
    }
}

/// The commands between MULTI and EXEC, copied out of the read buffer.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    pub(crate) bytes: Vec<u8>,
    pub(crate) batch: Batch,
    pub(crate) commands: Vec<CommandId>,
    pub(crate) spoiled: bool,
}

/// A queue has no room for another command.
#[derive(Debug)]
pub(crate) struct QueueFull;

impl Queue {
    /// Whether this holds for any of the commands.
    pub(crate) fn any(&self, holds: impl Fn(&Spec, &[&[u8]]) -> bool) -> bool {
        let mut queued = self.commands.iter().enumerate();
        queued.any(|(index, command)| {
            let args = self.batch.arguments(index, &self.bytes);
            holds(command.spec(), &args.collect::<Arguments<'_>>())
        })
    }

    pub(crate) fn push(
        &mut self,
        command: CommandId,
        args: &[&[u8]],
        bytes_max: usize,
    ) -> Result<(), QueueFull> {
        let bytes: usize = args.iter().map(|argument| argument.len()).sum();
        if self.bytes.len() + bytes > bytes_max || self.commands.len() == QUEUE_COMMANDS_MAX {
            return Err(QueueFull);
        }
        let bytes = &mut self.bytes;
        self.batch.push(args.iter().map(|argument| {
            let start = bytes.len();
            bytes.extend_from_slice(argument);
            Span::new(start, bytes.len())
        }));
        self.commands.push(command);
        Ok(())
    }
}

/// Keys under WATCH with the version at which they were seen.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    keys: Vec<(Box<[u8]>, u64)>,
    bytes: usize,
}

impl Watched {
    /// Remembers a key; false if there is no room.
    pub(crate) fn add(&mut self, key: &[u8], version: u64) -> bool {
        if self.keys.iter().any(|(known, _)| **known == *key) {
            return true;
        }
        if self.bytes + key.len() + WATCHED_OVERHEAD > WATCHED_BYTES_MAX {
            return false;
        }
        self.bytes += key.len() + WATCHED_OVERHEAD;
        self.keys.push((key.into(), version));
        true
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], u64)> {
        self.keys.iter().map(|(key, version)| (&**key, *version))
    }

    pub(crate) fn clear(&mut self) {
        self.keys.clear();
        self.bytes = 0;
    }
}

/// What a watched key costs besides its bytes.
const WATCHED_OVERHEAD: usize = 24;
