//! Nodes that know each other, each in a region of its own, over links that can be cut.

use std::collections::BTreeMap;

use isles_transport_quic::CertificateAuthority;
use isles_wan::{LinkSpec, Relay};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::answers::{digest, metric};
use super::{Files, Node, Ports, Spec, eventually, eventually_some};

/// Regions, in the order of the nodes; a node is called after its region.
const REGIONS: [&str; 4] = ["eu", "us", "ap", "sa"];

/// What differs between clusters.
pub(crate) struct Options {
    pub(crate) nodes: usize,
    pub(crate) durability: &'static str,
    /// Whether links can be cut.
    pub(crate) relayed: bool,
    /// Whole sections of every node's configuration.
    pub(crate) more: String,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            nodes: 3,
            durability: "always",
            relayed: false,
            more: String::new(),
        }
    }
}

/// A running cluster. Its processes end with it; if the test fails, they show their logs.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    pub(crate) authority: CertificateAuthority,
    links: BTreeMap<(usize, usize), Relay>,
    /// Of the relays.
    _runtime: Runtime,
    _ports: Ports,
    folder: TempDir,
}

impl Cluster {
    /// Starts the nodes and waits until all are connected.
    pub(crate) fn start(options: &Options) -> Cluster {
        let mut cluster = Cluster::prepare(options);
        cluster.nodes.iter_mut().for_each(Node::spawn);
        cluster.nodes.iter_mut().for_each(Node::await_ready);
        cluster.await_connected();
        cluster
    }

    /// Everything but the processes.
    pub(crate) fn prepare(options: &Options) -> Cluster {
        let (folder, mut ports) = (tempfile::tempdir().unwrap(), Ports::take());
        let authority = CertificateAuthority::create("test").unwrap();
        let mut specs: Vec<Spec> = REGIONS[..options.nodes]
            .iter()
            .map(|region| Spec {
                durability: options.durability,
                tls: true,
                more: options.more.clone(),
                ..Spec::alone(&format!("{region}-1"), region, &mut ports)
            })
            .collect();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let links = match options.relayed {
            true => relays(&runtime, &specs),
            false => BTreeMap::new(),
        };
        for index in 0..specs.len() {
            let others = (0..specs.len()).filter(|other| *other != index);
            let peer = |other: usize| {
                let address = match links.get(&(index.min(other), index.max(other))) {
                    Some(relay) if index < other => relay.address_of_b(),
                    Some(relay) => relay.address_of_a(),
                    None => specs[other].listen,
                };
                (
                    specs[other].node.clone(),
                    specs[other].region.clone(),
                    address,
                )
            };
            specs[index].peers = others.map(peer).collect();
        }
        let node = |spec: Spec| {
            let certificate = authority.issue(&spec.node, &spec.region, &[], 30).unwrap();
            let files = Files::write(folder.path(), &spec, Some(&certificate));
            Node::new(spec, files)
        };
        let nodes = specs.into_iter().map(node).collect();
        Cluster {
            nodes,
            authority,
            links,
            _runtime: runtime,
            _ports: ports,
            folder,
        }
    }

    /// The link between two nodes.
    pub(crate) fn link(&self, one: usize, other: usize) -> &Relay {
        self.links
            .get(&(one.min(other), one.max(other)))
            .expect("the cluster was started with relays")
    }

    /// Cuts a node from all others.
    pub(crate) fn isolate(&self, node: usize) {
        self.links_of(node).for_each(Relay::cut);
    }

    /// Connects a node with all others again.
    pub(crate) fn rejoin(&self, node: usize) {
        self.links_of(node).for_each(Relay::heal);
    }

    fn links_of(&self, node: usize) -> impl Iterator<Item = &Relay> {
        self.links
            .iter()
            .filter(move |((one, other), _)| *one == node || *other == node)
            .map(|(_, relay)| relay)
    }

    pub(crate) fn connect(&self) -> Vec<redis::Connection> {
        self.nodes.iter().map(Node::connect).collect()
    }

    pub(crate) fn are_connected(&self, one: usize, other: usize) -> bool {
        self.nodes[one].is_connected_to(&self.nodes[other].spec.node)
            && self.nodes[other].is_connected_to(&self.nodes[one].spec.node)
    }

    /// Waits until every node has a session with every other.
    pub(crate) fn await_connected(&self) {
        for one in 0..self.nodes.len() {
            for other in 0..one {
                let (a, b) = (&self.nodes[one].spec.node, &self.nodes[other].spec.node);
                eventually(&format!("{a} and {b} are connected"), || {
                    self.are_connected(one, other)
                });
            }
        }
    }

    /// Waits until all nodes have applied the same; their content must be equal then. Gives the digest.
    pub(crate) fn await_convergence(&self) -> String {
        let mut connections = self.connect();
        let digest = eventually_some("all have applied the same", || {
            let digests: Vec<_> = connections.iter_mut().map(digest).collect();
            let (applied, digest) = &digests[0];
            if !digests.iter().all(|(other, _)| other == applied) {
                return None;
            }
            assert!(
                digests.iter().all(|(_, other)| other == digest),
                "equal clocks and different content: {digests:?}"
            );
            Some(digest.clone())
        });
        self.check_health();
        digest
    }

    /// No node has seen what must never be seen.
    pub(crate) fn check_health(&self) {
        for node in &self.nodes {
            let log = node.log();
            for bad in ["panicked", "content differs", "ERROR"] {
                assert!(
                    !log.contains(bad),
                    "{} says {bad:?}:\n{log}",
                    node.spec.node
                );
            }
            assert_eq!(
                metric(node, "isles_divergence_total"),
                0.0,
                "{}",
                node.spec.node
            );
        }
    }

    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }
}

fn relays(runtime: &Runtime, specs: &[Spec]) -> BTreeMap<(usize, usize), Relay> {
    let _entered = runtime.enter();
    let pairs = (0..specs.len()).flat_map(|other| (0..other).map(move |one| (one, other)));
    let relay = |(one, other): (usize, usize)| {
        let seed = (one * 10 + other) as u64;
        let relay = Relay::start(
            LinkSpec::default(),
            specs[one].listen,
            specs[other].listen,
            seed,
        )
        .unwrap();
        ((one, other), relay)
    };
    pairs.map(relay).collect()
}
