//! How a log is taken up again at start-up.

use isles_clock::{HybridClock, ReplicaId};

use super::Replica;
use crate::cold::{Missing, all_known};
use crate::frame::{Frame, FrameError};
use crate::note::Note;

impl Replica {
    /// Takes up a record of the log that is no frame, at start-up.
    pub fn replay_note(&mut self, number: u64, note: &Note) {
        if let Note::Detected(detected) = note {
            self.journal.replay_batch(detected);
        }
        self.durable_record = number;
        self.next_record = number + 1;
    }

    /// The unknown keys that some frames change, each once and in order, so that they can be read before the frames are replayed.
    pub fn missing_of<'f>(&self, frames: impl Iterator<Item = &'f Frame>) -> Vec<Missing> {
        let mut keys = Vec::new();
        if !self.rows.has_cold() {
            return Vec::new();
        }
        for frame in frames {
            // What does not decode is found when it is replayed.
            for entry in frame.entries().flatten() {
                keys.extend(entry.ops.iter().map(|op| op.key.0.to_vec()));
            }
        }
        keys.sort_unstable();
        keys.dedup();
        self.missing(keys.iter().map(Vec::as_slice))
    }

    /// Applies a frame of the log at start-up, the record with this number; rows whose images already include an entry
    /// skip it.
    ///
    /// # Errors
    /// The frame does not decode, or does not continue what is applied: the log does not belong to the table. Or it
    /// changes rows that are not in memory, which [`awaited`](Self::awaited) names: then it is to be replayed when they are
    /// in. Nothing was applied.
    pub fn replay(&mut self, number: u64, frame: &Frame, wall_ms: u64) -> Result<(), ReplayError> {
        let expected = self.applied.get(frame.replica()) + 1;
        if frame.first() != expected {
            return Err(ReplayError::Gap {
                replica: frame.replica(),
                expected,
                found: frame.first(),
            });
        }
        frame.verify()?;
        self.awaited.clear();
        if !all_known(&self.rows, frame, &mut self.awaited) {
            return Err(ReplayError::NotResident);
        }
        self.next_record = number;
        self.apply_frame(frame, wall_ms)?;
        // Nobody waits yet, and a long log removes much.
        drop(self.take_garbage());
        self.delivery.note_chain(frame);
        self.note_link(frame);
        self.durable.observe(frame.last_dot());
        self.durable_record = number;
        self.next_record = number + 1;
        if let Some(own) = self
            .newest_of(self.id)
            .filter(|_| frame.replica() == self.id)
        {
            // What this replica has said itself binds it, however far ahead of wall time it now seems to be.
            let latest = self.clock.latest().max(own);
            self.clock = HybridClock::new(latest, self.config.max_skew_ms);
            self.promise = self.promise.max(own);
        }
        Ok(())
    }
}

/// Why the log cannot be replayed onto the table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// A frame does not follow what is applied.
    #[error(
        "log goes on with {replica}:{found} where {replica}:{expected} is due: the table is not of this log"
    )]
    Gap {
        /// Whose frame.
        replica: ReplicaId,
        /// The sequence that was due.
        expected: u64,
        /// The sequence found.
        found: u64,
    },
    /// A frame does not decode.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A frame changes rows that are not in memory.
    #[error("log's next frame changes rows that are not in memory: load them and replay it again")]
    NotResident,
}
