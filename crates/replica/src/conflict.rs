//! Conflicts as data: what was lost to whom.
//!
//! `stored` is the bytes that the table keeps of them; the [`Journal`](crate::Journal) holds them.

mod stored;

use std::fmt;
use std::sync::Arc;

use isles_clock::{Dot, Hlc, Stamp};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::lens::Lens;
use crate::op::Kind;

/// Of a contender's value the journal keeps this many bytes.
pub const CONTENDER_BYTES_MAX: usize = 64 << 10;
/// Under a storm of conflicts it keeps this many.
pub const CONTENDER_BYTES_TERSE: usize = 64;

/// What met what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ConflictKind {
    /// Two writes of one register, field, element, or stream id.
    WriteWrite,
    /// A write and a deletion of one register.
    WriteDelete,
    /// Two creations of one key with different kinds.
    Type,
    /// Two deadlines of one key, or a creation that un-hid what had expired elsewhere.
    Expiry,
}

impl ConflictKind {
    /// Every kind, in the order of their encoding.
    pub const ALL: [ConflictKind; 4] = [
        ConflictKind::WriteWrite,
        ConflictKind::WriteDelete,
        ConflictKind::Type,
        ConflictKind::Expiry,
    ];

    /// The name in metrics and answers.
    pub fn name(self) -> &'static str {
        match self {
            ConflictKind::WriteWrite => "write-write",
            ConflictKind::WriteDelete => "write-delete",
            ConflictKind::Type => "type",
            ConflictKind::Expiry => "expiry",
        }
    }
}

impl fmt::Display for ConflictKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which node writes under a replica id, and how far its clock was off when a conflict was detected.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Origin {
    /// The node's name.
    pub node: String,
    /// Its region.
    pub region: String,
    /// Its wall clock minus that of the node that detected the conflict, in milliseconds, if it had been measured.
    pub ahead_ms: Option<i64>,
}

/// One side of a conflict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contender {
    /// The entry that wrote it.
    pub dot: Dot,
    /// When it was written, by its writer's hybrid clock; zero where only a sum of its writer's increments is known.
    pub stamp: Stamp,
    /// Who wrote it; none if this node had not met the writer when it detected the conflict.
    pub origin: Option<Arc<Origin>>,
    /// The value or its first bytes, at most [`CONTENDER_BYTES_MAX`]; none for a deletion.
    pub value: Option<Vec<u8>>,
    /// The length of the whole value, in bytes.
    pub value_bytes: u64,
}

impl Contender {
    /// Of the value no more than `kept_bytes` are kept.
    pub(crate) fn new(dot: Dot, hlc: Hlc, value: Option<&[u8]>, kept_bytes: usize) -> Self {
        Contender {
            dot,
            stamp: Stamp {
                hlc,
                replica: dot.replica,
            },
            origin: None,
            value: value.map(|value| value[..value.len().min(kept_bytes)].to_vec()),
            value_bytes: value.map_or(0, |value| value.len() as u64),
        }
    }

    /// Whether more was written than is kept here.
    pub fn is_truncated(&self) -> bool {
        self.kept_bytes() as u64 != self.value_bytes
    }

    /// Bytes of the value that are kept.
    pub fn kept_bytes(&self) -> usize {
        self.value.as_ref().map_or(0, Vec::len)
    }

    /// Forgets what is beyond so many bytes of the value.
    pub(crate) fn truncate(&mut self, kept_bytes: usize) {
        if let Some(value) = self.value.as_mut().filter(|value| value.len() > kept_bytes) {
            value.truncate(kept_bytes);
            value.shrink_to_fit();
        }
    }
}

/// Two contenders that met, as the apply of an op reports them: the winner first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Clash {
    pub(crate) component: Option<Kind>,
    pub(crate) field: Option<Box<[u8]>>,
    pub(crate) kind: ConflictKind,
    pub(crate) kept: bool,
    pub(crate) contenders: [Contender; 2],
}

/// One lost write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConflictRecord {
    /// Hash of key, component and the loser's dot: the same in every region.
    pub id: u128,
    /// Its place in this node's journal, from one; another node gives it another.
    pub sequence: u64,
    /// The key.
    pub key: Vec<u8>,
    /// The prefix of the keyspace that the key belongs to.
    pub keyspace: Vec<u8>,
    /// The component that the contenders wrote; none for the key's deadline.
    pub component: Option<Kind>,
    /// The map field, member, list element or stream id, where the component has them.
    pub field: Option<Vec<u8>>,
    /// What met what.
    pub kind: ConflictKind,
    /// The strategy in force here when it was detected.
    pub strategy: Lens,
    /// Both values are still there, as siblings or beside each other.
    pub kept: bool,
    /// Which one reads answer.
    pub winner: Contender,
    /// Which one they do not.
    pub loser: Contender,
    /// When it was detected here, by this node's clock, in milliseconds since 1970.
    pub detected_ms: u64,
}

impl ConflictRecord {
    pub(crate) fn id(
        key: &[u8],
        component: Option<Kind>,
        field: Option<&[u8]>,
        loser: Dot,
    ) -> u128 {
        let mut bytes = [0; 41];
        bytes[..8].copy_from_slice(&xxh3_64(key).to_le_bytes());
        bytes[8] = component.map_or(0, |kind| kind as u8);
        bytes[9..17].copy_from_slice(&field.map_or(0, xxh3_64).to_le_bytes());
        bytes[17..33].copy_from_slice(loser.replica.as_bytes());
        bytes[33..].copy_from_slice(&loser.sequence.to_le_bytes());
        xxh3_128(&bytes)
    }

    /// What the component is called: its kind, or `deadline`.
    pub fn component_name(&self) -> &'static str {
        self.component.map_or("deadline", Kind::name)
    }

    /// About how many bytes of memory it takes, with what is kept beside it.
    pub(crate) fn bytes(&self) -> usize {
        let field = self.field.as_ref().map_or(0, Vec::len);
        let values = self.winner.kept_bytes() + self.loser.kept_bytes();
        self.key.len() + self.keyspace.len() + field + values + RECORD_BYTES
    }
}

/// What a record takes besides key and values: itself, its places in the indexes, and what allocating them costs.
const RECORD_BYTES: usize = 640;

/// How a conflict came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Settling {
    /// Somebody named it: the loser was restored, or an answer chosen.
    Explicit,
    /// A write whose writer's node had the lost one took its place.
    Overwritten,
    /// What had won was taken away by somebody who had not seen the lost write, which is what readers see again. If it
    /// loses once more, the record is open again.
    Reinstated,
}

impl Settling {
    /// The name in answers.
    pub fn name(self) -> &'static str {
        match self {
            Settling::Explicit => "explicit",
            Settling::Overwritten => "overwritten",
            Settling::Reinstated => "reinstated",
        }
    }
}

/// The write that has ended a conflict. The order says which of several that regions make without knowing of each other
/// counts everywhere: an explicit one before others, one that has overwritten the lost write before one that has brought it
/// back, then the one with the smallest stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Settled {
    /// How.
    pub how: Settling,
    /// When it was written, by its writer's hybrid clock.
    pub hlc: Hlc,
    /// The entry.
    pub dot: Dot,
}
