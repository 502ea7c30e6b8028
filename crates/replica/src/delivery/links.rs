//! Which frame of each replica was applied last, and which ones before it.

use std::collections::{BTreeMap, VecDeque};

use isles_clock::ReplicaId;
use isles_transport::ChainLink;

/// Of each replica so many of the newest links are kept, to recognise a history that branched off further back.
pub const LINKS_MAX: usize = 1024;

/// The chain before a replica's first frame.
pub const GENESIS_CHAIN: u64 = 0;

/// The newest chain links of everything that was applied, own frames included.
///
/// A link names the end of a frame: the sequence of its last entry and its chain, which hashes all that came before.
/// Two histories of one replica that agree in a link agree in everything up to it.
#[derive(Clone, Debug, Default)]
pub struct Links {
    // Invariant: per replica in ascending order of sequence, never empty.
    origins: BTreeMap<ReplicaId, VecDeque<Link>>,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    sequence: u64,
    chain: u64,
}

/// How a link of somebody else lies to this history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkCheck {
    /// The same frame ends there.
    Same,
    /// Another frame ends there, or none does: the histories branched.
    Different {
        /// The chain here, where a frame ends there at all.
        ours: Option<u64>,
    },
    /// Not reached yet, or too long ago to tell.
    Unknown,
}

impl Links {
    pub(super) fn note(&mut self, replica: ReplicaId, sequence: u64, chain: u64) {
        let links = self.origins.entry(replica).or_default();
        debug_assert!(
            links.back().is_none_or(|last| last.sequence < sequence),
            "links are noted in order"
        );
        if links.len() == LINKS_MAX {
            links.pop_front();
        }
        links.push_back(Link { sequence, chain });
    }

    /// The newest link of a replica.
    pub fn last(&self, replica: ReplicaId) -> Option<ChainLink> {
        let last = self.origins.get(&replica)?.back()?;
        Some(ChainLink {
            replica,
            sequence: last.sequence,
            chain: last.chain,
        })
    }

    /// The newest link of a replica that is not after `sequence`, if it is still remembered.
    pub fn last_through(&self, replica: ReplicaId, sequence: u64) -> Option<ChainLink> {
        let links = self.origins.get(&replica)?;
        let after = links.partition_point(|link| link.sequence <= sequence);
        let link = links.get(after.checked_sub(1)?)?;
        Some(ChainLink {
            replica,
            sequence: link.sequence,
            chain: link.chain,
        })
    }

    /// Whether a frame with this last sequence and chain belongs to the history that was applied here.
    pub fn check(&self, theirs: ChainLink) -> LinkCheck {
        let Some(links) = self.origins.get(&theirs.replica) else {
            return LinkCheck::Unknown;
        };
        match links.binary_search_by_key(&theirs.sequence, |link| link.sequence) {
            Ok(index) if links[index].chain == theirs.chain => LinkCheck::Same,
            Ok(index) => LinkCheck::Different {
                ours: Some(links[index].chain),
            },
            Err(index) if index == 0 || index == links.len() => LinkCheck::Unknown,
            Err(_) => LinkCheck::Different { ours: None },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EU: ReplicaId = ReplicaId::from_u128(1);

    fn check(links: &Links, sequence: u64, chain: u64, expected: LinkCheck) {
        assert_eq!(
            links.check(ChainLink {
                replica: EU,
                sequence,
                chain
            }),
            expected,
            "{sequence}:{chain}"
        );
    }

    #[test]
    fn a_link_is_known_ours_or_another_history() {
        let mut links = Links::default();
        check(&links, 3, 30, LinkCheck::Unknown);
        for (sequence, chain) in [(3, 30), (7, 70), (9, 90)] {
            links.note(EU, sequence, chain);
        }
        check(&links, 7, 70, LinkCheck::Same);
        check(&links, 7, 71, LinkCheck::Different { ours: Some(70) });
        check(&links, 8, 80, LinkCheck::Different { ours: None });
        check(&links, 2, 20, LinkCheck::Unknown);
        check(&links, 10, 99, LinkCheck::Unknown);
        assert_eq!(links.last_through(EU, 8).map(|link| link.chain), Some(70));
        assert_eq!(links.last_through(EU, 2), None);
        assert_eq!(links.last(EU).map(|link| link.sequence), Some(9));
    }

    #[test]
    fn memory_is_bounded() {
        let mut links = Links::default();
        (1..=2 * LINKS_MAX as u64).for_each(|sequence| links.note(EU, sequence, sequence));
        check(&links, 1, 0, LinkCheck::Unknown);
        check(
            &links,
            2 * LINKS_MAX as u64,
            0,
            LinkCheck::Different {
                ours: Some(2 * LINKS_MAX as u64),
            },
        );
    }
}
