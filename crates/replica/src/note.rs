//! Records of the log that are no frames.

use isles_clock::ReplicaId;
use serde::{Deserialize, Serialize};

use crate::journal::Detected;

/// A record of the log that is no frame: what the node tells itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Note {
    /// A process began to write this log.
    Start {
        /// The boot of the machine that it ran in.
        boot: String,
        /// Random, of this start alone.
        nonce: u64,
        /// Who writes.
        replica: ReplicaId,
    },
    /// The table holds everything through a record.
    Checkpoint {
        /// The number of the checkpoint, as in the table's [`Meta`](crate::image::Meta).
        checkpoint: u64,
        /// The number of the record.
        record: u64,
    },
    /// The process ended in order: nothing follows what is here.
    Stop,
    /// Conflicts were detected in what has been logged since the last such note.
    Detected(Detected),
}

impl Note {
    /// The bytes to log.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_allocvec(self).expect("a note holds nothing that cannot be encoded")
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// Says why the bytes are not a note that this version knows.
    pub fn decode(bytes: &[u8]) -> Result<Note, String> {
        postcard::from_bytes(bytes).map_err(|error| error.to_string())
    }
}
