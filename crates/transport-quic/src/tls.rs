//! quinn's and rustls' configurations, made from ours.

use std::sync::Arc;

use quinn::congestion::{BbrConfig, ControllerFactory, CubicConfig};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, IdleTimeout, MtuDiscoveryConfig, ServerConfig, TransportConfig, VarInt};
use rustls::RootCertStore;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;

use crate::config::{CongestionControl, PeerRule, QuicConfig};
use crate::transport::QuicError;
use crate::verify::{DialerVerifier, DialledVerifier, Doorkeeper, PeerRules};

/// The protocol that both ends must name in the handshake; another major version of the peer protocol is another name.
const ALPN: &[u8] = b"isles/1";

/// Streams that a peer may have open. There are five lanes; the rest is room for newer versions.
const MAX_PEER_STREAMS: u32 = 16;

/// Both halves of TLS, and QUIC's own settings.
pub(crate) struct Configs {
    pub(crate) server: ServerConfig,
    client_tls: rustls::ClientConfig,
    doorkeeper: Doorkeeper,
    transport: Arc<TransportConfig>,
}

impl Configs {
    pub(crate) fn new(config: &QuicConfig, rules: &PeerRules) -> Result<Self, QuicError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(config.certificate.ca.clone())?;
        let doorkeeper = Doorkeeper {
            own: config.certificate.identity().clone(),
            rules: Arc::clone(rules),
            roots: Arc::new(roots),
            algorithms: provider.signature_verification_algorithms,
        };
        let transport = Arc::new(transport_config(config)?);
        let server_tls = server_tls(config, &provider, &doorkeeper)?;
        let server_tls = QuicServerConfig::try_from(server_tls)
            .expect("invariant: ring offers the cipher suite of QUIC's first packets");
        let mut server = ServerConfig::with_crypto(Arc::new(server_tls));
        server.transport_config(Arc::clone(&transport));
        let client_tls = client_tls(config, &provider, &doorkeeper)?;
        Ok(Self {
            server,
            client_tls,
            doorkeeper,
            transport,
        })
    }

    /// The configuration for dialling an address at which `expected` should answer.
    pub(crate) fn client(&self, expected: Option<PeerRule>) -> ClientConfig {
        let doorkeeper = self.doorkeeper.clone();
        let verifier = Arc::new(DialledVerifier {
            doorkeeper,
            expected,
        });
        let mut tls = self.client_tls.clone();
        tls.dangerous().set_certificate_verifier(verifier);
        let tls = QuicClientConfig::try_from(tls)
            .expect("invariant: ring offers the cipher suite of QUIC's first packets");
        let mut client = ClientConfig::new(Arc::new(tls));
        client.transport_config(Arc::clone(&self.transport));
        client
    }
}

fn server_tls(
    config: &QuicConfig,
    provider: &Arc<CryptoProvider>,
    doorkeeper: &Doorkeeper,
) -> Result<rustls::ServerConfig, QuicError> {
    let roots = Arc::clone(&doorkeeper.roots);
    let chain = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider))
        .build()
        .expect(
            "invariant: the store holds the cluster's authority, and there are no revocation lists",
        );
    let verifier = Arc::new(DialerVerifier {
        doorkeeper: doorkeeper.clone(),
        chain,
    });
    let mut tls = rustls::ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            config.certificate.chain.clone(),
            config.certificate.key.clone_key(),
        )?;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    // A resumed session skips the check of the certificate, and with it expiry and changed peers.
    tls.send_tls13_tickets = 0;
    Ok(tls)
}

fn client_tls(
    config: &QuicConfig,
    provider: &Arc<CryptoProvider>,
    doorkeeper: &Doorkeeper,
) -> Result<rustls::ClientConfig, QuicError> {
    let verifier = Arc::new(DialledVerifier {
        doorkeeper: doorkeeper.clone(),
        expected: None,
    });
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert(
            config.certificate.chain.clone(),
            config.certificate.key.clone_key(),
        )?;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.resumption = Resumption::disabled();
    Ok(tls)
}

fn transport_config(config: &QuicConfig) -> Result<TransportConfig, QuicError> {
    let idle_timeout =
        IdleTimeout::try_from(config.idle_timeout).map_err(|_| QuicError::Setting {
            what: "the idle timeout",
            problem: "it is too long",
        })?;
    if config.keep_alive >= config.idle_timeout {
        let problem = "it must be shorter than the idle timeout";
        return Err(QuicError::Setting {
            what: "the keep-alive interval",
            problem,
        });
    }
    let mut discovery = MtuDiscoveryConfig::default();
    discovery.upper_bound(config.mtu_max_bytes);
    let window = config.connection_window_bytes();
    let mut transport = TransportConfig::default();
    transport
        .stream_receive_window(VarInt::from_u32(config.lane_window_bytes))
        .receive_window(VarInt::from_u32(window))
        .send_window(u64::from(window))
        .keep_alive_interval(Some(config.keep_alive))
        .max_idle_timeout(Some(idle_timeout))
        .max_concurrent_uni_streams(VarInt::from_u32(MAX_PEER_STREAMS))
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .initial_mtu(config.mtu_initial_bytes)
        .mtu_discovery_config(Some(discovery))
        .congestion_controller_factory(congestion(config));
    Ok(transport)
}

fn congestion(config: &QuicConfig) -> Arc<dyn ControllerFactory + Send + Sync> {
    match config.congestion {
        CongestionControl::Cubic => {
            let mut cubic = CubicConfig::default();
            cubic.initial_window(config.initial_window_bytes);
            Arc::new(cubic)
        }
        CongestionControl::Bbr => {
            let mut bbr = BbrConfig::default();
            bbr.initial_window(config.initial_window_bytes);
            Arc::new(bbr)
        }
    }
}
