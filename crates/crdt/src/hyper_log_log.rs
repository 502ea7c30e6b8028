//! How many different things were seen.

mod estimate;
mod sketch;

use alloc::vec::Vec;

use isles_clock::ReplicaId;
use serde::{Deserialize, Serialize};

pub use self::sketch::Sketch;
use crate::causal::{Causal, Delta};
use crate::op;
pub use crate::op::hyper_log_log::HyperLogLogOp;

/// A count of different things that can be cleared.
///
/// It holds [`Sketch`]es by the dots that created them, nearly always one. The first addition creates one; further ones
/// raise registers of one that is there, and so go with it: clearing removes the sketches it has observed, and with them
/// what is added to them concurrently. (A sketch forgets what was put in, so nothing could tell an addition that the
/// clearing had observed from one that it had not.) What is created concurrently is counted together.
///
/// ```text
/// eu: add a ---- clear -------->  0: the addition of b went to the sketch that was cleared
/// us:      \---- add b -------->
/// ```
///
/// **Cost.** Adding *k* hashes O(k) where the sketch is dense, and O(k · 2048) at worst where it is sparse; a delta or
/// operation carries the registers that changed; merging and reading 2¹⁴ registers, some 10 µs. What a peer lacks is
/// always every sketch, because a register has no dot.
///
/// Flajolet, Fusy, Gandouet and Meunier, *HyperLogLog*, 2007; the estimate is that of Ertl, 2017.
///
/// ```
/// use isles_clock::ReplicaId;
/// use isles_crdt::{DeltaState, HyperLogLog};
///
/// let (eu, us) = (ReplicaId::from_u128(1), ReplicaId::from_u128(2));
/// let (mut here, mut there) = (HyperLogLog::new(), HyperLogLog::new());
/// let ours = here.add(eu, [0x9e37_79b9_7f4a_7c15, 0x3c6e_f372_fe94_f82a]);
/// let theirs = there.add(us, [0x9e37_79b9_7f4a_7c15, 0xdaa6_6d2c_7ddf_743f]);
/// here.apply(&theirs);
/// there.apply(&ours);
/// assert_eq!(here.cardinality(), 3);
/// assert_eq!(here, there);
/// ```
pub type HyperLogLog = Causal<op::HyperLogLog>;

/// What is asked of a [`HyperLogLog`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HyperLogLogUpdate {
    /// Count the things with these hashes.
    Add(Vec<u64>),
    /// Count what this sketch counts.
    Join(Sketch),
    /// Forget everything that is here.
    Clear,
}

impl HyperLogLog {
    /// Counts the things with these hashes: 64 good bits, by the same function everywhere.
    pub fn add(
        &mut self,
        replica: ReplicaId,
        hashes: impl Into<Vec<u64>>,
    ) -> Delta<op::HyperLogLog> {
        self.update_at(replica, HyperLogLogUpdate::Add(hashes.into()))
    }

    /// Counts what this sketch counts.
    pub fn join_sketch(&mut self, replica: ReplicaId, sketch: Sketch) -> Delta<op::HyperLogLog> {
        self.update_at(replica, HyperLogLogUpdate::Join(sketch))
    }

    /// Forgets everything that is here.
    pub fn clear(&mut self, replica: ReplicaId) -> Delta<op::HyperLogLog> {
        self.update_at(replica, HyperLogLogUpdate::Clear)
    }

    /// The union of all sketches, to be merged with that of other keys, or counted.
    #[must_use]
    pub fn sketch(&self) -> Sketch {
        self.store().sketch()
    }

    /// The number of different hashes: within 0.81 % of the truth in two of three cases.
    #[must_use]
    pub fn cardinality(&self) -> u64 {
        self.store().cardinality()
    }
}
