//! The first message each way: who is there, and whether the two can replicate to each other.

use isles_clock::ReplicaId;
use isles_transport::message::EXTENSION_PUBLISH;
use isles_transport::{ChainLink, Hello};

use super::acks::shown_applied;
use super::{Host, SessionConfig, SessionError};
use crate::delivery::{Amnesia, Fork, LinkCheck};

/// The oldest protocol that this program speaks.
pub const PROTOCOL_MIN: u16 = 1;
/// The newest protocol that this program speaks.
pub const PROTOCOL_MAX: u16 = 1;

const _: () = assert!(PROTOCOL_MIN <= PROTOCOL_MAX);

/// What this node says of itself.
pub(super) fn compose<H: Host>(config: &SessionConfig, host: &H) -> Hello {
    let (applied, durable) = (shown_applied(host), host.durable().clone());
    let links = host.delivery().links();
    let chains = durable
        .iter()
        .filter_map(|(replica, through)| links.last_through(replica, through))
        .collect();
    Hello {
        protocol_min: PROTOCOL_MIN,
        protocol_max: PROTOCOL_MAX,
        cluster: config.cluster.clone(),
        replica: host.id(),
        node: config.node.clone(),
        region: config.region.clone(),
        role: config.role,
        nonce: config.nonce,
        applied,
        durable,
        chains,
        floor: host.exchange().log_floor().to_vec(),
        extensions: vec![(EXTENSION_PUBLISH, Vec::new())],
    }
}

/// Whether to talk to the node that said this; returns the protocol to use.
pub(super) fn judge<H: Host>(
    config: &SessionConfig,
    hello: &Hello,
    host: &H,
) -> Result<u16, SessionError> {
    let protocol = PROTOCOL_MAX.min(hello.protocol_max);
    if protocol < PROTOCOL_MIN.max(hello.protocol_min) {
        return Err(SessionError::Protocol {
            min: hello.protocol_min,
            max: hello.protocol_max,
        });
    }
    if hello.cluster != config.cluster {
        return Err(SessionError::Cluster {
            ours: config.cluster.clone(),
            theirs: hello.cluster.clone(),
        });
    }
    judge_identity(config, hello, host.id())?;
    judge_memory(hello, host)?;
    hello
        .chains
        .iter()
        .try_for_each(|link| judge_link(hello, *link, host))?;
    judge_floor(config, hello, host)?;
    Ok(protocol)
}

fn judge_identity(
    config: &SessionConfig,
    hello: &Hello,
    own: ReplicaId,
) -> Result<(), SessionError> {
    if hello.replica == own {
        let node = hello.node.clone();
        return Err(if hello.nonce == config.nonce {
            SessionError::Myself
        } else {
            SessionError::OwnId { own, node }
        });
    }
    let Some(proven) = &config.proven else {
        return Ok(());
    };
    if (&proven.node, &proven.region) != (&hello.node, &hello.region) {
        let said = format!("{} in {}", hello.node, hello.region);
        return Err(SessionError::Identity {
            proven: format!("{} in {}", proven.node, proven.region),
            said,
        });
    }
    Ok(())
}

/// This replica remembers all that it ever sent, so nobody can know more of it; the reverse cannot be judged here,
/// because the peer may have written since it said hello.
fn judge_memory<H: Host>(hello: &Hello, host: &H) -> Result<(), SessionError> {
    let own = host.id();
    let chained = hello
        .chains
        .iter()
        .filter(|link| link.replica == own)
        .map(|link| link.sequence)
        .max();
    let known = hello
        .applied
        .get(own)
        .max(hello.durable.get(own))
        .max(chained.unwrap_or(0));
    let remembered = host.applied().get(own);
    if known > remembered {
        return Err(SessionError::amnesia(
            own,
            &hello.node,
            Amnesia { known, remembered },
        ));
    }
    Ok(())
}

fn judge_link<H: Host>(hello: &Hello, link: ChainLink, host: &H) -> Result<(), SessionError> {
    let LinkCheck::Different { ours } = host.delivery().links().check(link) else {
        return Ok(());
    };
    let fork = Fork {
        replica: link.replica,
        sequence: link.sequence,
        ours,
        theirs: link.chain,
    };
    Err(SessionError::fork(&hello.node, fork))
}

/// Whether the log still holds all that the peer lacks of what it is sent unasked.
fn judge_floor<H: Host>(
    config: &SessionConfig,
    hello: &Hello,
    host: &H,
) -> Result<(), SessionError> {
    let origins = config.direct_origins(host.id(), hello);
    let held = host.exchange().held_by(hello);
    for &(replica, floor) in host.exchange().log_floor() {
        let later = held.map_or(0, |held| held.get(replica));
        let next = hello.applied.get(replica).max(later) + 1;
        if origins.include(replica) && next < floor {
            return Err(SessionError::TooOld {
                node: hello.node.clone(),
                replica,
                next,
                floor,
            });
        }
    }
    Ok(())
}
