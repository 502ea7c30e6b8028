//! The nodes of a demo and the links between them.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::Context;
use isles_admin::NodeStatus;
use isles_wan::Relay;

use super::home::{Home, PeerAddress};
use super::plan::{Plan, Region};
use super::process::Process;
use super::snapshot;
use super::wait::{Look, until};

/// Starting takes a fraction of a second; reading a large kept database takes longer.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// What any wait for replication may take beside the links' own delays: a lost connection is noticed within 5 s and
/// made anew within a few more.
const SETTLE_LIMIT: Duration = Duration::from_secs(20);
/// Round trips that a lost connection needs to be made anew and to catch up.
const SETTLE_ROUND_TRIPS: u32 = 20;
/// UDP ports for nodes are looked for from here to `QUIC_PORT_LAST`, below those that systems give to clients: a relay's
/// sockets come and go, and must not take a node's port while it starts.
const QUIC_PORT_FIRST: u16 = 20_000;
const QUIC_PORT_LAST: u16 = 30_000;

/// Running nodes, with all their links.
pub(super) struct Cluster {
    regions: Vec<Region>,
    processes: Vec<Process>,
    links: Vec<RegionLink>,
    settle_limit: Duration,
}

/// The link between two regions.
pub(super) struct RegionLink {
    /// The regions' indexes, the smaller one first.
    pub(super) ends: (usize, usize),
    relay: Relay,
}

impl RegionLink {
    pub(super) fn is_open(&self) -> bool {
        self.relay.is_open()
    }

    /// Lets nothing through until it is healed.
    pub(super) fn cut(&self) {
        self.relay.cut();
    }

    pub(super) fn heal(&self) {
        self.relay.heal();
    }
}

impl Cluster {
    /// Starts everything; must be called inside a tokio runtime. Dropping the result kills the nodes.
    ///
    /// # Errors
    /// Names what could not be had.
    pub(super) fn start(plan: &Plan, home: &Home) -> anyhow::Result<Self> {
        let reserved = reserve_quic_ports(plan.regions.len())?;
        let addresses: Vec<SocketAddr> = reserved
            .iter()
            .map(UdpSocket::local_addr)
            .collect::<io::Result<_>>()
            .context("cannot use UDP sockets")?;
        let links = plan
            .pairs()
            .zip(1..)
            .map(|((a, b), seed)| {
                let relay = Relay::start(plan.link(a, b), addresses[a], addresses[b], seed)?;
                Ok(RegionLink {
                    ends: (a, b),
                    relay,
                })
            })
            .collect::<io::Result<Vec<_>>>()
            .context("cannot relay between the regions")?;
        drop(reserved);
        let processes = plan
            .regions
            .iter()
            .enumerate()
            .map(|(index, region)| {
                let peers = peers_of(index, plan, &links);
                let file = home.write_configuration(plan, region, addresses[index], &peers)?;
                Process::start(region.node(), &file, home.log(region))
            })
            .collect::<anyhow::Result<_>>()?;
        let settle_limit = SETTLE_LIMIT + SETTLE_ROUND_TRIPS * plan.longest_round_trip();
        Ok(Self {
            regions: plan.regions.clone(),
            processes,
            links,
            settle_limit,
        })
    }

    pub(super) fn regions(&self) -> &[Region] {
        &self.regions
    }

    pub(super) fn links(&self) -> &[RegionLink] {
        &self.links
    }

    /// The links of one region.
    pub(super) fn links_of(&self, region: usize) -> impl Iterator<Item = &RegionLink> {
        self.links
            .iter()
            .filter(move |link| link.ends.0 == region || link.ends.1 == region)
    }

    /// The longest that replication can need to settle after anything that a demo does.
    pub(super) fn settle_limit(&self) -> Duration {
        self.settle_limit
    }

    /// Waits until every node serves and is connected to all others.
    ///
    /// # Errors
    /// What is missing after a minute, or why a node has ended.
    pub(super) async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let limit = READY_LIMIT + self.settle_limit;
        until("all regions serve and are connected", limit, async || {
            self.check()?;
            let statuses = snapshot::statuses(&self.regions).await;
            let missing = self
                .regions
                .iter()
                .zip(&statuses)
                .find_map(|(region, status)| unready(region, status.as_ref()));
            Ok(missing.map_or(Look::Holds(()), Look::NotYet))
        })
        .await
    }

    /// Whether all nodes run.
    ///
    /// # Errors
    /// How one ended.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        self.processes.iter_mut().try_for_each(Process::check)
    }

    /// How each node ended, if it has.
    pub(super) fn endings(&mut self) -> Vec<Option<String>> {
        self.processes.iter_mut().map(Process::ended).collect()
    }

    /// Starts every node again that has ended.
    ///
    /// # Errors
    /// If one cannot be started.
    pub(super) fn restart_ended(&mut self) -> anyhow::Result<()> {
        self.processes
            .iter_mut()
            .try_for_each(Process::restart_if_ended)
    }

    /// Stops all nodes in order.
    pub(super) async fn stop(mut self) {
        self.processes.iter_mut().for_each(Process::ask_to_stop);
        for process in &mut self.processes {
            process.stopped().await;
        }
    }
}

/// What keeps a node from being ready.
fn unready(region: &Region, status: Option<&NodeStatus>) -> Option<String> {
    let Some(status) = status else {
        return Some(format!(
            "{} does not answer at http://{}",
            region.node(),
            region.admin
        ));
    };
    let away = status.peers.iter().find(|peer| !peer.connected)?;
    let reason = away
        .last_error
        .as_deref()
        .map(|reason| format!(": {reason}"))
        .unwrap_or_default();
    Some(format!(
        "{} has no connection to {}{reason}",
        region.node(),
        away.node
    ))
}

/// The other nodes, each at its link's near end.
fn peers_of<'a>(index: usize, plan: &'a Plan, links: &[RegionLink]) -> Vec<PeerAddress<'a>> {
    links
        .iter()
        .filter_map(|link| match link.ends {
            (a, b) if a == index => Some(PeerAddress {
                region: &plan.regions[b],
                address: link.relay.address_of_b(),
            }),
            (a, b) if b == index => Some(PeerAddress {
                region: &plan.regions[a],
                address: link.relay.address_of_a(),
            }),
            _ => None,
        })
        .collect()
}

/// Free UDP ports, held until the sockets are dropped. The search begins at random, so that two demos do not meet.
fn reserve_quic_ports(count: usize) -> anyhow::Result<Vec<UdpSocket>> {
    let mut random = [0; 2];
    getrandom::fill(&mut random).context("the operating system gives no random numbers")?;
    let span = QUIC_PORT_LAST - QUIC_PORT_FIRST;
    let start = u16::from_le_bytes(random) % span;
    let found: Vec<UdpSocket> = (0..span)
        .map(|step| QUIC_PORT_FIRST + (start + step) % span)
        .filter_map(|port| UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).ok())
        .take(count)
        .collect();
    anyhow::ensure!(
        found.len() == count,
        "cannot have {count} UDP ports between {QUIC_PORT_FIRST} and {QUIC_PORT_LAST} on 127.0.0.1; stop the programs that use them"
    );
    Ok(found)
}

#[cfg(test)]
mod tests {
    use isles_admin::PeerStatus;

    use super::*;

    #[test]
    fn a_node_is_ready_when_it_has_all_its_peers() {
        let address: SocketAddr = "127.0.0.1:9181".parse().unwrap();
        let region = Region {
            name: "eu",
            redis: address,
            admin: address,
        };
        let peer = |connected, reason: &str| NodeStatus {
            peers: vec![PeerStatus {
                node: "us-1".into(),
                connected,
                last_error: (!reason.is_empty()).then(|| reason.to_owned()),
                ..PeerStatus::default()
            }],
            ..NodeStatus::default()
        };
        let no_answer = "eu-1 does not answer at http://127.0.0.1:9181";
        assert_eq!(unready(&region, None).as_deref(), Some(no_answer));
        let away = "eu-1 has no connection to us-1: timed out";
        assert_eq!(
            unready(&region, Some(&peer(false, "timed out"))).as_deref(),
            Some(away)
        );
        assert_eq!(unready(&region, Some(&peer(true, "timed out"))), None);
    }

    #[test]
    fn reserved_ports_differ() {
        let sockets = reserve_quic_ports(9).unwrap();
        let mut ports: Vec<u16> = sockets
            .iter()
            .map(|socket| socket.local_addr().unwrap().port())
            .collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 9);
    }
}
