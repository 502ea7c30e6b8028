//! Who a certificate is for: `isles://<cluster>/<region>/<node>`, a URI among its subject alternative names.

use isles_transport::PeerIdentity;

use crate::certificates::CertificateError;

const SCHEME: &str = "isles://";

/// Longest name of a cluster, region or node: three fit into a URI and a refusal's text.
const MAX_NAME_BYTES: usize = 63;

/// The URI of a node.
pub(crate) fn node_uri(identity: &PeerIdentity) -> Result<String, CertificateError> {
    let PeerIdentity {
        cluster,
        node,
        region,
    } = identity;
    check_name("cluster", cluster)?;
    check_name("region", region)?;
    check_name("node", node)?;
    Ok(format!("{SCHEME}{cluster}/{region}/{node}"))
}

/// The URI of a cluster, as it stands in its authority's certificate.
pub(crate) fn cluster_uri(cluster: &str) -> Result<String, CertificateError> {
    check_name("cluster", cluster)?;
    Ok(format!("{SCHEME}{cluster}"))
}

/// The node that `uri` names, unless it is some other URI.
pub(crate) fn parse_node_uri(uri: &str) -> Option<PeerIdentity> {
    let mut parts = uri.strip_prefix(SCHEME)?.split('/').map(str::to_owned);
    let identity = PeerIdentity {
        cluster: parts.next()?,
        region: parts.next()?,
        node: parts.next()?,
    };
    (parts.next().is_none() && node_uri(&identity).is_ok()).then_some(identity)
}

/// The cluster that `uri` names, unless it is some other URI.
pub(crate) fn parse_cluster_uri(uri: &str) -> Option<String> {
    let cluster = uri.strip_prefix(SCHEME)?;
    check_name("cluster", cluster)
        .is_ok()
        .then(|| cluster.to_owned())
}

fn check_name(what: &'static str, name: &str) -> Result<(), CertificateError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(plain) {
        return Ok(());
    }
    Err(CertificateError::Name {
        what,
        name: name.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_uri_reads_back() {
        let identity = PeerIdentity {
            cluster: "demo".into(),
            node: "eu-1".into(),
            region: "eu_west.2".into(),
        };
        let uri = node_uri(&identity).expect("plain names");
        assert_eq!(uri, "isles://demo/eu_west.2/eu-1");
        assert_eq!(parse_node_uri(&uri), Some(identity));
        assert_eq!(parse_cluster_uri("isles://demo"), Some("demo".into()));
    }

    #[test]
    fn anything_else_names_nobody() {
        for uri in [
            "",
            "isles://",
            "isles://a/b",
            "isles://a/b/c/d",
            "isles://a//c",
            "http://a/b/c",
            "isles://a/b/ö",
        ] {
            assert_eq!(parse_node_uri(uri), None, "{uri}");
        }
        assert_eq!(parse_cluster_uri("isles://a/b/c"), None);
    }
}
