//! A node that was killed tells its peers at once that it has forgotten their connections.
//!
//! QUIC's stateless reset (RFC 9000, section 10.3) answers a packet of an unknown connection with a token that only its
//! end could know. quinn draws the key of these tokens anew for each endpoint, so that those of a process that was
//! started again convince nobody, and peers wait for their idle timeout. Here the key follows from the node's private
//! key. A copy of the node elsewhere has the same key, but packets of the original's connections never reach it.
//!
//! The end that has dialled gives no token for the first name of its connection (same section); a peer that was dialled
//! by a node which was killed finds out by asking.

use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::{CryptoError, HmacKey};
use quinn::{ConnectionId, ConnectionIdGenerator, EndpointConfig};
use rustls::SupportedCipherSuite;
use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::crypto::ring::default_provider;
use rustls::crypto::tls13::{Hkdf, OkmBlock};

use crate::certificates::NodeCertificate;

const SALT: &[u8] = b"isles stateless reset 1";
const TAG_BYTES: usize = 32;
/// As many as quinn's own, so that nobody can tell them apart.
const CONNECTION_ID_BYTES: usize = 8;

/// An endpoint whose resets its peers believe also after a restart.
pub(crate) fn endpoint_config(certificate: &NodeCertificate) -> EndpointConfig {
    let mut config = EndpointConfig::new(Arc::new(ResetKey::of(certificate)));
    // quinn's own generator knows only the connections of its own process, and drops packets of others unanswered.
    config.cid_generator(|| Box::new(RandomIds));
    config
}

/// HMAC-SHA-256 under a key that follows from the node's private key.
struct ResetKey {
    hkdf: &'static dyn Hkdf,
    key: OkmBlock,
}

impl ResetKey {
    fn of(certificate: &NodeCertificate) -> Self {
        let SupportedCipherSuite::Tls13(suite) = TLS13_AES_128_GCM_SHA256 else {
            unreachable!("the suite is one of TLS 1.3")
        };
        let hkdf = suite.hkdf_provider;
        let secret = hkdf.extract_from_secret(Some(SALT), certificate.key.secret_der());
        ResetKey {
            hkdf,
            key: secret.expand_block(&[]),
        }
    }
}

impl HmacKey for ResetKey {
    fn sign(&self, data: &[u8], signature_out: &mut [u8]) {
        signature_out.copy_from_slice(self.hkdf.hmac_sign(&self.key, data).as_ref());
    }

    fn signature_len(&self) -> usize {
        TAG_BYTES
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        let tag = self.hkdf.hmac_sign(&self.key, data);
        // In constant time, so that a forger learns nothing from a near miss.
        let differing = tag.as_ref().iter().zip(signature);
        let differing = differing.fold(0, |all, (ours, theirs)| all | (ours ^ theirs));
        match differing == 0 && signature.len() == TAG_BYTES {
            true => Ok(()),
            false => Err(CryptoError),
        }
    }
}

struct RandomIds;

impl ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut bytes = [0; CONNECTION_ID_BYTES];
        default_provider()
            .secure_random
            .fill(&mut bytes)
            .expect("the operating system gives random numbers, or TLS had not begun");
        ConnectionId::new(&bytes)
    }

    fn cid_len(&self) -> usize {
        CONNECTION_ID_BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CertificateAuthority;

    #[test]
    fn the_key_is_the_node_s_own_and_the_same_after_a_restart() {
        let authority = CertificateAuthority::create("demo").unwrap();
        let issue = |node| authority.issue(node, "eu", &[], 30).unwrap();
        let sign = |key: &ResetKey| {
            let mut tag = [0; TAG_BYTES];
            key.sign(b"a connection", &mut tag);
            tag
        };
        let (eu, us) = (issue("eu-1"), issue("us-1"));
        let key = ResetKey::of(&eu);
        let tag = sign(&key);
        assert_eq!(tag, sign(&ResetKey::of(&eu)));
        assert_ne!(tag, sign(&ResetKey::of(&us)));
        assert!(key.verify(b"a connection", &tag).is_ok());
        assert!(key.verify(b"another", &tag).is_err());
        assert!(key.verify(b"a connection", &tag[..8]).is_err());
    }
}
