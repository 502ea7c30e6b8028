//! A node's certificate with its key and the authority that issued it.

use std::fmt;
use std::path::Path;

use isles_transport::PeerIdentity;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::files::{self, Access};
use super::{CertificateError, CertificateInfo};

const CA_CERTIFICATE_FILE: &str = "ca.pem";
const CERTIFICATE_FILE: &str = "node.pem";
const KEY_FILE: &str = "node.key";

/// Everything that a node needs to prove who it is and to check who its peers are.
pub struct NodeCertificate {
    ca_pem: String,
    certificate_pem: String,
    key_pem: String,
    pub(crate) ca: CertificateDer<'static>,
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
    info: CertificateInfo,
}

impl NodeCertificate {
    /// Reads `ca.pem`, `node.pem` and `node.key` from `directory`.
    ///
    /// # Errors
    /// Names the file that is missing or malformed.
    pub fn load(directory: &Path) -> Result<Self, CertificateError> {
        Self::load_files(
            &directory.join(CA_CERTIFICATE_FILE),
            &directory.join(CERTIFICATE_FILE),
            &directory.join(KEY_FILE),
        )
    }

    /// Reads the three files from wherever they are.
    ///
    /// # Errors
    /// Names the file that is missing or malformed.
    pub fn load_files(ca: &Path, certificate: &Path, key: &Path) -> Result<Self, CertificateError> {
        let texts = [
            files::read(ca)?,
            files::read(certificate)?,
            files::read(key)?,
        ];
        Self::parse(texts, [ca, certificate, key])
    }

    /// Takes the three texts from memory.
    ///
    /// # Errors
    /// Says which of them is malformed.
    pub fn from_pem(ca: &str, certificate: &str, key: &str) -> Result<Self, CertificateError> {
        let names = [CA_CERTIFICATE_FILE, CERTIFICATE_FILE, KEY_FILE].map(Path::new);
        Self::parse([ca, certificate, key].map(str::to_owned), names)
    }

    fn parse(
        [ca_pem, certificate_pem, key_pem]: [String; 3],
        [ca_path, certificate_path, key_path]: [&Path; 3],
    ) -> Result<Self, CertificateError> {
        let malformed = |path: &Path, expected| CertificateError::Malformed {
            path: path.to_owned(),
            expected,
        };
        let ca = CertificateDer::from_pem_slice(ca_pem.as_bytes())
            .map_err(|_| malformed(ca_path, "a certificate in PEM"))?;
        let chain = CertificateDer::pem_slice_iter(certificate_pem.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| malformed(certificate_path, "a certificate in PEM"))?;
        let first = chain
            .first()
            .ok_or_else(|| malformed(certificate_path, "a certificate in PEM"))?;
        let info = CertificateInfo::from_der(first)?;
        let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes())
            .map_err(|_| malformed(key_path, "a private key in PEM"))?;
        Ok(Self {
            ca_pem,
            certificate_pem,
            key_pem,
            ca,
            chain,
            key,
            info,
        })
    }

    /// Writes the three files into `directory`, which is made if need be; the key is readable by its owner only.
    ///
    /// # Errors
    /// If the node's certificate or key exists already, or something cannot be written. An existing `ca.pem` is
    /// kept if it is the same.
    pub fn save(&self, directory: &Path) -> Result<(), CertificateError> {
        files::make_directory(directory)?;
        files::write_new(&directory.join(KEY_FILE), &self.key_pem, Access::OwnerOnly)?;
        let certificate = directory.join(CERTIFICATE_FILE);
        files::write_new(&certificate, &self.certificate_pem, Access::Everyone)?;
        let ca = directory.join(CA_CERTIFICATE_FILE);
        match files::write_new(&ca, &self.ca_pem, Access::Everyone) {
            Err(CertificateError::Exists { .. }) if files::read(&ca)? == self.ca_pem => Ok(()),
            written => written,
        }
    }

    /// What stands in the certificate: names and expiry.
    pub fn info(&self) -> &CertificateInfo {
        &self.info
    }

    /// The node that it is for.
    pub fn identity(&self) -> &PeerIdentity {
        &self.info.identity
    }

    /// Reads what stands in the certificate file at `path`, without its key.
    ///
    /// # Errors
    /// If the file is missing or is not a node's certificate.
    pub fn inspect(path: &Path) -> Result<CertificateInfo, CertificateError> {
        let der = CertificateDer::from_pem_slice(files::read(path)?.as_bytes());
        let expected = "a certificate in PEM";
        let der = der.map_err(|_| CertificateError::Malformed {
            path: path.to_owned(),
            expected,
        })?;
        CertificateInfo::from_der(&der)
    }
}

impl fmt::Debug for NodeCertificate {
    /// Leaves the key out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeCertificate")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}
