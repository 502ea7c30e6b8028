//! Dialling and accepting.
//!
//! QUIC's dialer is done with the handshake before the other side has looked at its certificate. So the acceptor opens
//! its control lane as soon as it has let the dialer in, and the dialer waits for that: when `connect` returns, both
//! are sure, and when it fails, the reason is known on both sides.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use isles_transport::{
    AcceptError, Channel, ConnectError, PeerIdentity, Refuser, TrafficClass, Transport,
};
use quinn::{Connection, Endpoint, Incoming, TokioRuntime};
use rustls::pki_types::CertificateDer;
use tokio::sync::{Mutex, mpsc};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use tracing::debug;

use crate::certificates::{CertificateError, CertificateInfo};
use crate::channel::QuicChannel;
use crate::config::{PeerRule, QuicConfig};
use crate::lane::{LaneError, Switch, read_class};
use crate::reason::{self, Failure};
use crate::tls::Configs;
use crate::verify::PeerRules;
use crate::{restart, socket};

/// Peers whose handshake is under way; further ones are told to come back.
const MAX_HANDSHAKES: usize = 64;

/// Channels, and reports of refusals, that wait for `accept`.
const MAX_BACKLOG: usize = 64;

/// How long closing waits for the peers to hear of it.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The server name in a handshake. Nobody looks at it: identities are in the certificates.
const SERVER_NAME: &str = "isles";

/// Why a transport could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuicError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address} (UDP): {error}; is another process using the port?")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        error: std::io::Error,
    },
    /// The certificate and its key do not make a TLS configuration.
    #[error("cannot use the node's certificate: {0}; make a new one with `isles certs node`")]
    Tls(#[from] rustls::Error),
    /// The certificate itself is at fault.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// A setting that cannot work.
    #[error("{what} cannot be used: {problem}")]
    Setting {
        /// The setting.
        what: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// The transport port on QUIC.
pub struct QuicTransport {
    endpoint: Endpoint,
    configs: Configs,
    rules: PeerRules,
    address: SocketAddr,
    connect_timeout: Duration,
    incoming: Mutex<mpsc::Receiver<Result<Arc<dyn Channel>, AcceptError>>>,
    accepting: AbortHandle,
}

impl QuicTransport {
    /// Listens. Must be called inside a tokio runtime.
    ///
    /// Whether the node's own certificate is still valid is for the caller to check
    /// ([`CertificateInfo::check_at`]): one that expires while the node runs ends nothing here either, the peers
    /// refuse it.
    ///
    /// # Errors
    /// If the address is taken, the certificate does not fit its key, or a setting makes no sense.
    pub fn new(config: QuicConfig) -> Result<Self, QuicError> {
        let rules = Arc::new(RwLock::new(config.peers.clone()));
        let configs = Configs::new(&config, &rules)?;
        let socket = socket::bind(config.listen, config.socket_buffer_bytes)?;
        let listen = |error| QuicError::Listen {
            address: config.listen,
            error,
        };
        let endpoint = Endpoint::new(
            restart::endpoint_config(&config.certificate),
            Some(configs.server.clone()),
            socket,
            Arc::new(TokioRuntime),
        )
        .map_err(listen)?;
        let address = endpoint.local_addr().map_err(listen)?;
        let (sender, receiver) = mpsc::channel(MAX_BACKLOG);
        let accepting = accept_all(endpoint.clone(), sender, config.connect_timeout);
        Ok(Self {
            endpoint,
            configs,
            rules,
            address,
            connect_timeout: config.connect_timeout,
            incoming: Mutex::new(receiver),
            accepting: tokio::spawn(accepting).abort_handle(),
        })
    }

    /// Changes the peers to expect, for connections made from now on.
    pub fn set_peers(&self, peers: Vec<PeerRule>) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = peers;
    }

    /// The peer that should answer at `address`, if the configuration says.
    fn expected(&self, address: &str) -> Option<PeerRule> {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        rules
            .iter()
            .find(|rule| rule.address.as_deref() == Some(address))
            .cloned()
    }

    async fn dial(&self, address: &str, target: SocketAddr) -> Result<QuicChannel, ConnectError> {
        let client = self.configs.client(self.expected(address));
        let connecting = self.endpoint.connect_with(client, target, SERVER_NAME);
        let connecting = connecting.map_err(|error| match error {
            quinn::ConnectError::EndpointStopping => ConnectError::Closed,
            other => bad_address(address, &other.to_string()),
        })?;
        let handshake = async {
            let connection = connecting.await?;
            let enter = enter(connection.clone()).await;
            if let Err(LaneError::Violation(text)) = &enter {
                connection.close(reason::VIOLATION, reason::fitting(text));
            }
            enter
        };
        match timeout(self.connect_timeout, handshake).await {
            Ok(channel) => channel.map_err(|error| connect_error(address, error)),
            Err(_elapsed) => {
                let problem = format!("no answer within {} s", self.connect_timeout.as_secs_f64());
                Err(ConnectError::Unreachable {
                    address: address.to_owned(),
                    problem,
                })
            }
        }
    }
}

/// The dialer's end: waits until the acceptor has let us in.
async fn enter(connection: Connection) -> Result<QuicChannel, LaneError> {
    let (mut switch, inbound) = Switch::new();
    let first = read_class(connection.accept_uni().await?).await?;
    let Some((TrafficClass::Control, stream)) = first else {
        return Err(LaneError::Violation(
            "the first stream is not control".to_owned(),
        ));
    };
    switch
        .connect(TrafficClass::Control, stream)
        .map_err(LaneError::Violation)?;
    let peer = proven_identity(&connection)?;
    Ok(QuicChannel::new(connection, peer, switch, inbound))
}

/// The acceptor's end: the handshake has judged the dialer's certificate; now say so.
async fn admit(incoming: Incoming) -> Result<QuicChannel, LaneError> {
    let connection = incoming.await?;
    let peer = proven_identity(&connection)?;
    let (switch, inbound) = Switch::new();
    let channel = QuicChannel::new(connection, peer, switch, inbound);
    channel.welcome().await?;
    Ok(channel)
}

/// Whom the certificate names that the handshake has accepted.
fn proven_identity(connection: &Connection) -> Result<PeerIdentity, LaneError> {
    let chain = connection
        .peer_identity()
        .and_then(|any| any.downcast::<Vec<CertificateDer<'_>>>().ok());
    let info = chain
        .as_ref()
        .and_then(|chain| CertificateInfo::from_der(chain.first()?).ok());
    let info =
        info.ok_or_else(|| LaneError::Violation("no certificate in the handshake".to_owned()))?;
    Ok(info.identity)
}

fn connect_error(address: &str, error: LaneError) -> ConnectError {
    let failure = match error {
        LaneError::Lost(error) => reason::handshake_failure(&error),
        LaneError::Violation(reason) => Failure::Refused {
            by: Refuser::ThisNode,
            reason,
        },
    };
    match failure {
        Failure::Refused { by, reason } => ConnectError::Refused { by, reason },
        Failure::Unreachable { problem } => ConnectError::Unreachable {
            address: address.to_owned(),
            problem,
        },
        Failure::Closed => ConnectError::Closed,
    }
}

fn bad_address(address: &str, problem: &str) -> ConnectError {
    ConnectError::Address {
        address: address.to_owned(),
        problem: problem.to_owned(),
    }
}

/// Finds the socket addresses behind `host:port` that `local` can reach.
async fn resolve(address: &str, local: SocketAddr) -> Result<Vec<SocketAddr>, ConnectError> {
    let port = address
        .rsplit_once(':')
        .map(|(_host, port)| port.parse::<u16>());
    if !matches!(port, Some(Ok(1..))) {
        return Err(bad_address(
            address,
            "an address is host:port, for example eu.example.net:7101",
        ));
    }
    let found = tokio::net::lookup_host(address).await.map_err(|error| {
        let problem = format!("the name cannot be resolved: {error}");
        ConnectError::Unreachable {
            address: address.to_owned(),
            problem,
        }
    })?;
    let usable: Vec<_> = found
        .filter(|target| target.is_ipv4() || local.is_ipv6())
        .collect();
    if usable.is_empty() {
        return Err(bad_address(
            address,
            "it has IPv6 addresses only, and this node listens on IPv4",
        ));
    }
    Ok(usable)
}

/// Takes all who dial us, several at once, and reports each one once.
async fn accept_all(
    endpoint: Endpoint,
    ready: mpsc::Sender<Result<Arc<dyn Channel>, AcceptError>>,
    handshake_timeout: Duration,
) {
    let mut handshakes = JoinSet::new();
    loop {
        tokio::select! {
            incoming = endpoint.accept() => match incoming {
                Some(incoming) => match Reception::of(&incoming, handshakes.len()) {
                    Reception::Welcome => {
                        handshakes.spawn(handshake(incoming, handshake_timeout));
                    }
                    // Fails only for an address that is validated already.
                    Reception::Validate => drop(incoming.retry()),
                    Reception::Refuse => incoming.refuse(),
                },
                None => return,
            },
            Some(done) = handshakes.join_next() => {
                if let Ok(Some(result)) = done {
                    report(&ready, result);
                }
            }
        }
    }
}

/// What to do about a first packet. Anybody can send one, under any address.
enum Reception {
    Welcome,
    /// Let it prove its address first, so that a flood under false addresses leaves room for peers.
    Validate,
    Refuse,
}

impl Reception {
    fn of(incoming: &Incoming, handshakes: usize) -> Self {
        if handshakes >= MAX_HANDSHAKES {
            return Self::Refuse;
        }
        let crowded = handshakes >= MAX_HANDSHAKES / 2;
        if crowded && incoming.may_retry() {
            Self::Validate
        } else {
            Self::Welcome
        }
    }
}

/// One peer that dials us. `None`: nothing that anybody must hear of.
async fn handshake(
    incoming: Incoming,
    limit: Duration,
) -> Option<Result<QuicChannel, AcceptError>> {
    let address = incoming.remote_address();
    let error = match timeout(limit, admit(incoming)).await {
        Ok(Ok(channel)) => return Some(Ok(channel)),
        Ok(Err(error)) => error,
        Err(_elapsed) => {
            debug!(%address, "a handshake took too long");
            return None;
        }
    };
    let failure = match error {
        LaneError::Lost(error) => reason::handshake_failure(&error),
        LaneError::Violation(reason) => Failure::Refused {
            by: Refuser::ThisNode,
            reason,
        },
    };
    match failure {
        Failure::Refused { by, reason } => Some(Err(AcceptError::Refused {
            address,
            by,
            reason,
        })),
        Failure::Unreachable { problem } => {
            debug!(%address, problem, "a handshake was not finished");
            None
        }
        Failure::Closed => None,
    }
}

fn report(
    ready: &mpsc::Sender<Result<Arc<dyn Channel>, AcceptError>>,
    result: Result<QuicChannel, AcceptError>,
) {
    match (ready.try_reserve(), result) {
        (Ok(place), Ok(channel)) => place.send(Ok(Arc::new(channel))),
        (Ok(place), Err(refused)) => place.send(Err(refused)),
        (Err(_full), Ok(channel)) => {
            channel.close_with(reason::BUSY, "too many connections wait to be accepted");
        }
        (Err(_full), Err(refused)) => debug!(%refused, "nobody takes reports"),
    }
}

#[async_trait]
impl Transport for QuicTransport {
    async fn connect(&self, address: &str) -> Result<Arc<dyn Channel>, ConnectError> {
        let mut last = bad_address(address, "it has no addresses");
        for target in resolve(address, self.address).await? {
            match self.dial(address, target).await {
                Ok(channel) => return Ok(Arc::new(channel)),
                Err(error @ ConnectError::Unreachable { .. }) => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
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
        self.endpoint.close(reason::CLOSED, b"the node stops");
        self.accepting.abort();
        // Peers that cannot be reached notice by their idle timeout.
        let _ = timeout(CLOSE_TIMEOUT, self.endpoint.wait_idle()).await;
    }
}

impl Drop for QuicTransport {
    fn drop(&mut self) {
        self.accepting.abort();
        self.endpoint.close(reason::CLOSED, b"the node stops");
    }
}
