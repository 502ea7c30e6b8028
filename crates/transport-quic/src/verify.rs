//! Who is let in.
//!
//! The checks run inside the TLS handshake, on both sides, so that nobody who fails them gets a connection. What they
//! say travels to the other side in the closing packet; each text therefore reads well at both ends.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use isles_transport::PeerIdentity;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError as TlsCertificateError, DigitallySignedStruct, DistinguishedName, Error,
    OtherError, RootCertStore, SignatureScheme,
};

use crate::certificates::CertificateInfo;
use crate::config::PeerRule;

/// The peers to expect, changeable while connections are made.
pub(crate) type PeerRules = Arc<RwLock<Vec<PeerRule>>>;

/// What every peer is held to.
#[derive(Clone, Debug)]
pub(crate) struct Doorkeeper {
    pub(crate) own: PeerIdentity,
    pub(crate) rules: PeerRules,
    pub(crate) roots: Arc<RootCertStore>,
    pub(crate) algorithms: WebPkiSupportedAlgorithms,
}

/// A refusal in words.
#[derive(Debug)]
struct Refusal(String);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

fn refuse(text: String) -> Error {
    Error::Other(OtherError(Arc::new(Refusal(text))))
}

impl Doorkeeper {
    /// Whether the holder of `certificate`, whose signatures have been judged to be `chain`, may come in.
    fn check(
        &self,
        certificate: &CertificateDer<'_>,
        chain: Result<(), Error>,
        dialled: Option<&PeerRule>,
    ) -> Result<(), Error> {
        let info =
            CertificateInfo::from_der(certificate).map_err(|error| refuse(error.to_string()))?;
        chain.map_err(|error| refuse(self.chain_refusal(&error, &info)))?;
        match self.refusal(&info.identity, dialled) {
            Some(reason) => Err(refuse(reason)),
            None => Ok(()),
        }
    }

    fn chain_refusal(&self, error: &Error, info: &CertificateInfo) -> String {
        use TlsCertificateError as Tls;
        let who = &info.identity;
        match error {
            Error::InvalidCertificate(Tls::Expired | Tls::ExpiredContext { .. }) => format!(
                "the certificate of {who} expired on {}; issue a new one with `isles certs node`",
                info.expires()
            ),
            Error::InvalidCertificate(Tls::NotValidYet | Tls::NotValidYetContext { .. }) => {
                format!(
                    "the certificate of {who} is not valid yet; check the clocks of both machines"
                )
            }
            Error::InvalidCertificate(Tls::UnknownIssuer | Tls::BadSignature) => format!(
                "the certificate of {who} was not issued by the authority that {} of cluster {} trusts",
                self.own.node, self.own.cluster
            ),
            other => format!("the certificate of {who} is not acceptable: {other}"),
        }
    }

    /// Why the proven `peer` may not come in, if so. `dialled` is whom we expected to reach.
    fn refusal(&self, peer: &PeerIdentity, dialled: Option<&PeerRule>) -> Option<String> {
        let own = &self.own;
        if peer.cluster != own.cluster {
            return Some(format!(
                "{} belongs to cluster {}, {} to cluster {}",
                peer.node, peer.cluster, own.node, own.cluster
            ));
        }
        if peer.node == own.node {
            return Some(format!(
                "both ends are called {}: two nodes share a name, or an address leads back to its own node",
                own.node
            ));
        }
        if let Some(rule) = dialled {
            return mismatch(rule, peer);
        }
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        if rules.is_empty() || rules.iter().any(|rule| mismatch(rule, peer).is_none()) {
            return None;
        }
        let namesake = rules.iter().find(|rule| rule.node == peer.node);
        Some(
            namesake
                .and_then(|rule| mismatch(rule, peer))
                .unwrap_or_else(|| {
                    format!(
                        "{} of region {} is not among the peers of {}",
                        peer.node, peer.region, own.node
                    )
                }),
        )
    }
}

fn mismatch(rule: &PeerRule, peer: &PeerIdentity) -> Option<String> {
    (rule.node != peer.node || rule.region != peer.region).then(|| {
        format!(
            "expected node {} of region {}, but the certificate names node {} of region {}",
            rule.node, rule.region, peer.node, peer.region
        )
    })
}

/// Judges whom we reach by dialling.
#[derive(Debug)]
pub(crate) struct DialledVerifier {
    pub(crate) doorkeeper: Doorkeeper,
    /// Whom we expect at the address, if that is known.
    pub(crate) expected: Option<PeerRule>,
}

impl ServerCertVerifier for DialledVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(end_entity)?;
        let Doorkeeper {
            roots, algorithms, ..
        } = &self.doorkeeper;
        let chain = verify_server_cert_signed_by_trust_anchor(
            &parsed,
            roots,
            intermediates,
            now,
            algorithms.all,
        );
        self.doorkeeper
            .check(end_entity, chain, self.expected.as_ref())?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.doorkeeper.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.doorkeeper.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.doorkeeper.algorithms.supported_schemes()
    }
}

/// Judges who dials us.
#[derive(Debug)]
pub(crate) struct DialerVerifier {
    pub(crate) doorkeeper: Doorkeeper,
    /// rustls' own judgement of chains for this purpose.
    pub(crate) chain: Arc<dyn ClientCertVerifier>,
}

impl ClientCertVerifier for DialerVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let chain = self
            .chain
            .verify_client_cert(end_entity, intermediates, now)
            .map(|_| ());
        self.doorkeeper.check(end_entity, chain, None)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}
