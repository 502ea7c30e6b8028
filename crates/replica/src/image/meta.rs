//! Where the checkpoint stands that a table holds.

use isles_clock::{Hlc, ReplicaId};
use serde::{Deserialize, Serialize};

use super::{ImageError, META, ROW_VERSION, versioned};
use crate::replica::Restored;

/// What the table says of the checkpoint that it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Whose table it is.
    pub replica: ReplicaId,
    /// Everything up to the log's record with this number is included; the log is replayed after it.
    pub record: u64,
    /// What had been applied then.
    pub applied: isles_clock::VectorClock,
    /// The greatest stamp seen then.
    pub hlc: Hlc,
    /// The links of each replica's last frame then.
    pub chains: Vec<isles_transport::ChainLink>,
    /// Number of the checkpoint.
    pub checkpoint: u64,
    /// The boot of the machine in which it was made.
    pub boot: String,
}

impl Meta {
    /// Where [`Meta`] lies in the table.
    pub fn key() -> &'static [u8] {
        META
    }

    /// The bytes to store.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![ROW_VERSION];
        bytes.extend(
            postcard::to_allocvec(self).expect("a checkpoint holds nothing that cannot be encoded"),
        );
        bytes
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// Names what is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Meta, ImageError> {
        Ok(postcard::from_bytes(versioned(bytes, META)?)?)
    }

    /// What a replica needs of it.
    pub fn restored(&self) -> Restored {
        Restored {
            record: self.record,
            applied: self.applied.clone(),
            hlc: self.hlc,
            chains: self.chains.clone(),
        }
    }
}
