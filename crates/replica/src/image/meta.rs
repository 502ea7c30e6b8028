//! Where the checkpoint stands that a table holds.

use isles_clock::{Hlc, ReplicaId};
use serde::{Deserialize, Serialize};

use super::{ImageError, META};
use crate::replica::Restored;

/// The version that this crate writes, and the newest that it reads.
pub const META_VERSION: u8 = 2;
/// Written by builds whose tables list no keys and do not know what their buckets add up to.
const WITHOUT_INDEX: u8 = 1;

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
    /// Whether the table knows its buckets and keys; those of earlier builds do not. The version says so.
    #[serde(skip)]
    pub has_index: bool,
}

impl Meta {
    /// Where [`Meta`] lies in the table.
    pub fn key() -> &'static [u8] {
        META
    }

    /// The bytes to store.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![match self.has_index {
            true => META_VERSION,
            false => WITHOUT_INDEX,
        }];
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
        match bytes.split_first() {
            Some((&version @ (WITHOUT_INDEX | META_VERSION), rest)) => Ok(Meta {
                has_index: version == META_VERSION,
                ..postcard::from_bytes(rest)?
            }),
            Some((&found, _)) => Err(ImageError::Version {
                key: META.escape_ascii().to_string(),
                found,
                known: META_VERSION,
            }),
            None => Err(ImageError::Content("the checkpoint is empty".to_owned())),
        }
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
