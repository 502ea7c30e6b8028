//! The authority that issues a cluster's certificates.

use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use isles_transport::PeerIdentity;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::files::{self, Access};
use super::{CertificateError, NodeCertificate, info};
use crate::identity;

const CA_CERTIFICATE_FILE: &str = "ca.pem";
const CA_KEY_FILE: &str = "ca.key";

/// How long an authority lives: replacing it means a new certificate for every node.
const CA_VALIDITY_DAYS: u32 = 20 * 365;

/// Certificates begin this long before they are issued, so that a node whose clock is behind accepts them.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(3600);

/// Issues the certificates of one cluster's nodes.
pub struct CertificateAuthority {
    cluster: String,
    certificate_pem: String,
    key: KeyPair,
}

/// A node that wants a certificate.
#[derive(Clone, Debug)]
pub struct IssueRequest<'a> {
    /// Who it is for.
    pub identity: PeerIdentity,
    /// DNS names and IP addresses to put in beside it. Peers look at the identity only; these are for other tools.
    pub names: &'a [String],
    /// When it begins.
    pub start: SystemTime,
    /// How long it is valid, in days.
    pub validity_days: u32,
}

impl CertificateAuthority {
    /// A new authority, in memory: [`save`](Self::save) it, its key exists nowhere else.
    ///
    /// # Errors
    /// If `cluster` cannot stand in a certificate.
    pub fn create(cluster: &str) -> Result<Self, CertificateError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, format!("isles cluster {cluster}"));
        params.subject_alt_names = vec![SanType::URI(identity::cluster_uri(cluster)?.try_into()?)];
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        set_validity(&mut params, SystemTime::now(), CA_VALIDITY_DAYS);
        let certificate_pem = params.self_signed(&key)?.pem();
        Ok(Self {
            cluster: cluster.to_owned(),
            certificate_pem,
            key,
        })
    }

    /// Reads `ca.pem` and `ca.key` from `directory`.
    ///
    /// # Errors
    /// If a file is missing or is not an authority's.
    pub fn load(directory: &Path) -> Result<Self, CertificateError> {
        let malformed = |file: &str, expected| CertificateError::Malformed {
            path: directory.join(file),
            expected,
        };
        let certificate_pem = files::read(&directory.join(CA_CERTIFICATE_FILE))?;
        let der = CertificateDer::from_pem_slice(certificate_pem.as_bytes())
            .map_err(|_| malformed(CA_CERTIFICATE_FILE, "a certificate in PEM"))?;
        let cluster = info::authority_cluster(&der).ok_or_else(|| {
            malformed(
                CA_CERTIFICATE_FILE,
                "the certificate of a cluster's authority",
            )
        })?;
        let key = KeyPair::from_pem(&files::read(&directory.join(CA_KEY_FILE))?)
            .map_err(|_| malformed(CA_KEY_FILE, "a private key in PEM"))?;
        Ok(Self {
            cluster,
            certificate_pem,
            key,
        })
    }

    /// Writes `ca.pem` and `ca.key` (readable by its owner only) into `directory`, which is made if need be.
    ///
    /// # Errors
    /// If one of them exists already, or cannot be written.
    pub fn save(&self, directory: &Path) -> Result<(), CertificateError> {
        files::make_directory(directory)?;
        let key = self.key.serialize_pem();
        files::write_new(&directory.join(CA_KEY_FILE), &key, Access::OwnerOnly)?;
        let certificate = directory.join(CA_CERTIFICATE_FILE);
        files::write_new(&certificate, &self.certificate_pem, Access::Everyone)
    }

    /// The cluster that this authority is for.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Issues a certificate for a node of this cluster, with a new key, valid from now.
    ///
    /// # Errors
    /// Names what cannot stand in a certificate.
    pub fn issue(
        &self,
        node: &str,
        region: &str,
        names: &[String],
        validity_days: u32,
    ) -> Result<NodeCertificate, CertificateError> {
        let identity = PeerIdentity {
            cluster: self.cluster.clone(),
            node: node.to_owned(),
            region: region.to_owned(),
        };
        let start = SystemTime::now();
        self.issue_request(&IssueRequest {
            identity,
            names,
            start,
            validity_days,
        })
    }

    /// Issues a certificate with everything chosen by the caller, the cluster and the start included.
    ///
    /// # Errors
    /// Names what cannot stand in a certificate.
    pub fn issue_request(
        &self,
        request: &IssueRequest<'_>,
    ) -> Result<NodeCertificate, CertificateError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, request.identity.node.as_str());
        let uri = identity::node_uri(&request.identity)?;
        params.subject_alt_names = vec![SanType::URI(uri.try_into()?)];
        for name in request.names {
            params.subject_alt_names.push(host(name)?);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, request.start, request.validity_days);
        let issuer = Issuer::from_ca_cert_pem(&self.certificate_pem, &self.key)?;
        let certificate_pem = params.signed_by(&key, &issuer)?.pem();
        NodeCertificate::from_pem(
            &self.certificate_pem,
            &certificate_pem,
            &key.serialize_pem(),
        )
    }
}

fn host(name: &str) -> Result<SanType, CertificateError> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let wrong = || CertificateError::Host {
        name: name.to_owned(),
    };
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'*');
    if name.is_empty() || !name.bytes().all(plain) {
        return Err(wrong());
    }
    Ok(SanType::DnsName(name.try_into().map_err(|_| wrong())?))
}

fn set_validity(params: &mut CertificateParams, start: SystemTime, days: u32) {
    let since_1970 = start.duration_since(UNIX_EPOCH).unwrap_or_default();
    let start = rcgen::date_time_ymd(1970, 1, 1) + since_1970;
    params.not_before = start - CLOCK_TOLERANCE;
    params.not_after = start + Duration::from_secs(u64::from(days) * 86_400);
}
