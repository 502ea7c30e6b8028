//! The cluster's own certificate authority, the certificates that it issues, and their files.
//!
//! A directory of the authority holds `ca.pem` and `ca.key`; a node's directory holds `ca.pem`, `node.pem` and
//! `node.key`. Keys are readable by their owner only. The authority's key is needed to add nodes, never to run one.

mod authority;
mod files;
mod info;
mod node;

use std::path::PathBuf;

pub use authority::{CertificateAuthority, IssueRequest};
pub use info::CertificateInfo;
pub use node::NodeCertificate;

/// What is wrong with a certificate or its file, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// A file could not be read.
    #[error("cannot read {path}: {error}; make certificates with `isles certs init` and `isles certs node`", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        error: std::io::Error,
    },
    /// A file could not be written.
    #[error("cannot write {path}: {error}", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        error: std::io::Error,
    },
    /// Writing would destroy a key.
    #[error("{path} exists already; remove it if its key is really not needed any more, or use another directory", path = path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A file is not what its name says.
    #[error("{path} does not hold {expected}; make it anew with `isles certs`", path = path.display())]
    Malformed {
        /// The file, or what stands for it.
        path: PathBuf,
        /// What should be in it.
        expected: &'static str,
    },
    /// The certificate is for something else than a node.
    #[error(
        "the certificate names no isles node (it has no isles://cluster/region/node name); issue one with `isles certs node`"
    )]
    NoIdentity,
    /// A name that cannot stand in a certificate.
    #[error(
        "{name:?} cannot be the name of a {what}: use 1 to 63 letters, digits, '-', '_' or '.'"
    )]
    Name {
        /// What the name is for.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A DNS name or an IP address that is neither.
    #[error("{name:?} is neither a DNS name nor an IP address")]
    Host {
        /// The name.
        name: String,
    },
    /// The certificate is not valid any more.
    #[error("the certificate of {node} expired on {on}; issue a new one with `isles certs node`")]
    Expired {
        /// The node that it names.
        node: String,
        /// When it ended.
        on: String,
    },
    /// The certificate is not valid yet.
    #[error("the certificate of {node} is not valid before {from}; check this machine's clock")]
    NotYetValid {
        /// The node that it names.
        node: String,
        /// When it begins.
        from: String,
    },
    /// Generating keys or certificates failed.
    #[error("cannot make a certificate: {0}")]
    Generate(#[from] rcgen::Error),
}
