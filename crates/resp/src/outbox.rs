//! What others send to a connection while it is idle, reading or executing.
//!
//! Anybody may post, at any time and without waiting: what is posted is a few pointers, since all receivers share the
//! bytes. Only the connection itself takes letters out and writes them, after the answers that it is making, so that a
//! message never lands inside an answer. A connection to which nobody posts pays one look at a flag per read.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use bytes::Bytes;
use isles_replica::Position;

/// What a letter costs besides its bytes.
const LETTER_OVERHEAD_BYTES: usize = 48;
/// Bytes that are taken out at once, and so copied into the output buffer before they are written.
const TAKE_BYTES_MAX: usize = 1 << 20;

/// A message as it goes to the client. The first byte says which kind of array it is, and is all that differs between
/// the versions of the protocol; the rest is shared by everyone who gets the message.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) first: u8,
    pub(crate) rest: Bytes,
}

/// The letters that wait for one connection.
#[derive(Debug)]
pub(crate) struct Outbox {
    bytes_max: usize,
    waiting: AtomicBool,
    letters: Mutex<Letters>,
}

#[derive(Debug, Default)]
struct Letters {
    queue: VecDeque<Letter>,
    bytes: usize,
    /// What they report is durable from here on.
    barrier: Position,
    owner: Option<Waker>,
    /// There was no room for a letter: no more are taken.
    overflowed: bool,
}

/// The outbox has no room for a letter: its owner must be disconnected. It is said once.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Overflow;

impl Outbox {
    pub(crate) fn new(bytes_max: usize) -> Outbox {
        Outbox {
            bytes_max,
            waiting: AtomicBool::new(false),
            letters: Mutex::default(),
        }
    }

    /// Puts a letter in and wakes the owner. It may be sent once the log is durable through `barrier`: nobody is told
    /// of a write that a restart could undo.
    pub(crate) fn post(&self, letter: Letter, barrier: Position) -> Result<(), Overflow> {
        let mut letters = self.lock();
        if letters.overflowed {
            return Ok(());
        }
        letters.bytes += letter.rest.len() + LETTER_OVERHEAD_BYTES;
        if letters.bytes > self.bytes_max {
            letters.overflowed = true;
            letters.queue.clear();
            return Err(Overflow);
        }
        letters.barrier = letters.barrier.max(barrier);
        letters.queue.push_back(letter);
        let first = !self.waiting.swap(true, Ordering::AcqRel);
        let owner = letters.owner.as_ref().filter(|_| first).cloned();
        drop(letters);
        // The first letter wakes; whoever takes it finds the others.
        if let Some(owner) = owner {
            owner.wake();
        }
        Ok(())
    }

    /// Whether letters wait: one look at a flag.
    pub(crate) fn has_letters(&self) -> bool {
        self.waiting.load(Ordering::Acquire)
    }

    /// Who is to be woken from now on.
    pub(crate) fn set_owner(&self, owner: &Waker) {
        self.lock().owner = Some(owner.clone());
    }

    /// Wakes the owner although there may be no letter, so that it looks at its state.
    pub(crate) fn wake_owner(&self) {
        let owner = self.lock().owner.clone();
        if let Some(owner) = owner {
            owner.wake();
        }
    }

    /// Moves letters, oldest first, to the end of `out`; returns what they wait for. If there are many, some stay.
    pub(crate) fn take(&self, out: &mut Vec<u8>) -> Position {
        let mut letters = self.lock();
        let start = out.len();
        while out.len() - start < TAKE_BYTES_MAX {
            let Some(letter) = letters.queue.pop_front() else {
                break;
            };
            letters.bytes -= letter.rest.len() + LETTER_OVERHEAD_BYTES;
            out.push(letter.first);
            out.extend_from_slice(&letter.rest);
        }
        if letters.queue.is_empty() {
            letters.queue.shrink_to(64);
            self.waiting.store(false, Ordering::Release);
        }
        letters.barrier
    }

    /// Forgets what waits.
    pub(crate) fn clear(&self) {
        let mut letters = self.lock();
        letters.queue.clear();
        letters.bytes = 0;
        self.waiting.store(false, Ordering::Release);
    }

    /// How many letters wait, and their bytes with all overhead.
    pub(crate) fn size(&self) -> (usize, usize) {
        let letters = self.lock();
        (letters.queue.len(), letters.bytes)
    }

    fn lock(&self) -> MutexGuard<'_, Letters> {
        // A panic elsewhere leaves nothing half-changed here.
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(text: &'static str) -> Letter {
        Letter {
            first: b'>',
            rest: Bytes::from_static(text.as_bytes()),
        }
    }

    #[test]
    fn letters_come_out_in_order_with_the_greatest_barrier() {
        let outbox = Outbox::new(1000);
        assert!(!outbox.has_letters());
        for (text, barrier) in [("a", 7), ("b", 3)] {
            outbox
                .post(letter(text), Position::from_u64(barrier))
                .unwrap();
        }
        assert!(outbox.has_letters());
        let mut out = b"before".to_vec();
        assert_eq!(outbox.take(&mut out), Position::from_u64(7));
        assert_eq!(out, b"before>a>b");
        assert!(!outbox.has_letters());
        assert_eq!(outbox.size(), (0, 0));
    }

    #[test]
    fn an_outbox_that_overflows_says_so_once_and_keeps_nothing() {
        let outbox = Outbox::new(3 * (LETTER_OVERHEAD_BYTES + 1));
        for _ in 0..3 {
            outbox.post(letter("x"), Position::ZERO).unwrap();
        }
        assert_eq!(outbox.post(letter("x"), Position::ZERO), Err(Overflow));
        assert_eq!(outbox.post(letter("x"), Position::ZERO), Ok(()));
        let mut out = Vec::new();
        outbox.take(&mut out);
        assert!(out.is_empty());
    }

    #[test]
    fn much_is_taken_in_pieces() {
        let outbox = Outbox::new(8 << 20);
        let large = Letter {
            first: b'$',
            rest: Bytes::from(vec![0; TAKE_BYTES_MAX]),
        };
        for _ in 0..2 {
            outbox.post(large.clone(), Position::ZERO).unwrap();
        }
        for left in [true, false] {
            let mut out = Vec::new();
            outbox.take(&mut out);
            assert_eq!(
                (out.len(), outbox.has_letters()),
                (TAKE_BYTES_MAX + 1, left)
            );
        }
    }
}
