//! Who is where, and which links are cut.

use std::collections::{HashMap, HashSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::channel::{Link, MemoryChannel};
use crate::{AcceptError, Channel, ConnectError, PeerIdentity, Transport, port::Refuser};

/// Dialled channels that wait for `accept`; more are refused.
const MAX_BACKLOG: usize = 64;

/// Where the nodes of one process meet. Clones are the same network.
#[derive(Clone, Default)]
pub struct MemoryNetwork {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    listeners: HashMap<SocketAddr, Listener>,
    ports_used: u16,
    links: Vec<Weak<Link>>,
    /// Pairs of node names, smaller first.
    cut: HashSet<(String, String)>,
}

struct Listener {
    identity: PeerIdentity,
    incoming: mpsc::Sender<Result<Arc<dyn Channel>, AcceptError>>,
}

impl MemoryNetwork {
    /// An empty network.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a node on the network, at an address of its own.
    pub fn join(&self, identity: PeerIdentity) -> MemoryTransport {
        let (sender, receiver) = mpsc::channel(MAX_BACKLOG);
        let mut state = self.lock();
        state.ports_used += 1;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, state.ports_used));
        state.listeners.insert(
            address,
            Listener {
                identity: identity.clone(),
                incoming: sender,
            },
        );
        MemoryTransport {
            network: self.clone(),
            identity,
            address,
            incoming: tokio::sync::Mutex::new(receiver),
        }
    }

    /// Cuts the link between two nodes: their channels are lost and new ones cannot be opened.
    pub fn cut(&self, a: &str, b: &str) {
        let mut state = self.lock();
        state.cut.insert(pair(a, b));
        for link in state.open_links() {
            if link.joins(a) && link.joins(b) {
                link.lose("connection lost: the link is cut");
            }
        }
    }

    /// Undoes [`MemoryNetwork::cut`]. What was lost stays lost: the nodes dial again.
    pub fn heal(&self, a: &str, b: &str) {
        self.lock().cut.remove(&pair(a, b));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn open_links(&mut self) -> Vec<Arc<Link>> {
        let open: Vec<_> = self
            .links
            .iter()
            .filter_map(Weak::upgrade)
            .filter(|link| link.is_open())
            .collect();
        self.links = open.iter().map(Arc::downgrade).collect();
        open
    }

    fn connect(
        &mut self,
        me: &MemoryTransport,
        address: &str,
    ) -> Result<MemoryChannel, ConnectError> {
        let unreachable = |problem: &str| ConnectError::Unreachable {
            address: address.to_owned(),
            problem: problem.to_owned(),
        };
        let target: SocketAddr = address.parse().map_err(|_| ConnectError::Address {
            address: address.to_owned(),
            problem: "an address looks like 127.0.0.1:7101".to_owned(),
        })?;
        if !self.listeners.contains_key(&me.address) {
            return Err(ConnectError::Closed);
        }
        let listener = self
            .listeners
            .get(&target)
            .ok_or_else(|| unreachable("nobody listens there"))?;
        if self
            .cut
            .contains(&pair(&me.identity.node, &listener.identity.node))
        {
            return Err(unreachable("the link is cut"));
        }
        if let Some(reason) = refusal(&listener.identity, &me.identity) {
            let refused = AcceptError::Refused {
                address: me.address,
                by: Refuser::ThisNode,
                reason: reason.clone(),
            };
            // A full backlog loses the report, never the refusal.
            let _ = listener.incoming.try_send(Err(refused));
            return Err(ConnectError::Refused {
                by: Refuser::Peer,
                reason,
            });
        }
        let link = Link::new(&me.identity.node, &listener.identity.node);
        let theirs = MemoryChannel::new(Arc::clone(&link), 1, me.identity.clone());
        listener
            .incoming
            .try_send(Ok(Arc::new(theirs)))
            .map_err(|_| unreachable("too many connections wait to be accepted"))?;
        let ours = MemoryChannel::new(Arc::clone(&link), 0, listener.identity.clone());
        self.open_links();
        self.links.push(Arc::downgrade(&link));
        Ok(ours)
    }
}

/// Why `listener` will not talk to `dialer`.
fn refusal(listener: &PeerIdentity, dialer: &PeerIdentity) -> Option<String> {
    if listener.cluster != dialer.cluster {
        return Some(format!(
            "{} belongs to cluster {}, this is cluster {}",
            dialer.node, dialer.cluster, listener.cluster
        ));
    }
    (listener.node == dialer.node).then(|| format!("two nodes are called {}", dialer.node))
}

fn pair(a: &str, b: &str) -> (String, String) {
    let (a, b) = if a <= b { (a, b) } else { (b, a) };
    (a.to_owned(), b.to_owned())
}

/// One node on a [`MemoryNetwork`].
pub struct MemoryTransport {
    network: MemoryNetwork,
    identity: PeerIdentity,
    address: SocketAddr,
    incoming: tokio::sync::Mutex<mpsc::Receiver<Result<Arc<dyn Channel>, AcceptError>>>,
}

#[async_trait]
impl Transport for MemoryTransport {
    async fn connect(&self, address: &str) -> Result<Arc<dyn Channel>, ConnectError> {
        let channel = self.network.lock().connect(self, address)?;
        Ok(Arc::new(channel))
    }

    async fn accept(&self) -> Result<Arc<dyn Channel>, AcceptError> {
        self.incoming
            .lock()
            .await
            .recv()
            .await
            .unwrap_or(Err(AcceptError::Closed))
    }

    fn local_address(&self) -> SocketAddr {
        self.address
    }

    async fn close(&self) {
        let mut state = self.network.lock();
        state.listeners.remove(&self.address);
        for link in state.open_links() {
            link.close_by(&self.identity.node, "the node stops");
        }
    }
}
