//! What stands in a certificate.

use std::time::{SystemTime, UNIX_EPOCH};

use isles_transport::PeerIdentity;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::time::ASN1Time;

use super::CertificateError;
use crate::identity;

/// What a node's certificate says, read without judging who issued it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateInfo {
    /// The node that it is for.
    pub identity: PeerIdentity,
    /// Its other names: DNS names and IP addresses.
    pub names: Vec<String>,
    /// First second at which it is valid, since 1970.
    pub not_before_unix_s: i64,
    /// Last second at which it is valid, since 1970.
    pub not_after_unix_s: i64,
}

impl CertificateInfo {
    /// Reads a certificate in DER.
    pub(crate) fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let (_rest, certificate) =
            X509Certificate::from_der(der).map_err(|_| CertificateError::NoIdentity)?;
        let uris = uris(&certificate);
        let identity = uris.iter().find_map(|uri| identity::parse_node_uri(uri));
        let validity = certificate.validity();
        Ok(Self {
            identity: identity.ok_or(CertificateError::NoIdentity)?,
            names: host_names(&certificate),
            not_before_unix_s: validity.not_before.timestamp(),
            not_after_unix_s: validity.not_after.timestamp(),
        })
    }

    /// The day and time after which it is not valid, in UTC.
    pub fn expires(&self) -> String {
        date(self.not_after_unix_s)
    }

    /// Whole days from `now` until it expires; negative when it has.
    pub fn days_left(&self, now: SystemTime) -> i64 {
        (self.not_after_unix_s - unix_s(now)).div_euclid(86_400)
    }

    /// Whether it is valid at `now`.
    ///
    /// # Errors
    /// Says when it is valid and what to do.
    pub fn check_at(&self, now: SystemTime) -> Result<(), CertificateError> {
        let (now, node) = (unix_s(now), self.identity.node.clone());
        if now > self.not_after_unix_s {
            return Err(CertificateError::Expired {
                node,
                on: self.expires(),
            });
        }
        if now < self.not_before_unix_s {
            return Err(CertificateError::NotYetValid {
                node,
                from: date(self.not_before_unix_s),
            });
        }
        Ok(())
    }
}

/// The cluster that an authority's certificate in DER names.
pub(super) fn authority_cluster(der: &[u8]) -> Option<String> {
    let (_rest, certificate) = X509Certificate::from_der(der).ok()?;
    uris(&certificate)
        .iter()
        .find_map(|uri| identity::parse_cluster_uri(uri))
}

fn uris(certificate: &X509Certificate<'_>) -> Vec<String> {
    general_names(certificate, |name| match name {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        _ => None,
    })
}

fn host_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    general_names(certificate, |name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => ip_text(bytes),
        _ => None,
    })
}

fn general_names(
    certificate: &X509Certificate<'_>,
    choose: impl Fn(&GeneralName<'_>) -> Option<String>,
) -> Vec<String> {
    match certificate.subject_alternative_name() {
        Ok(Some(names)) => names
            .value
            .general_names
            .iter()
            .filter_map(choose)
            .collect(),
        _ => Vec::new(),
    }
}

fn ip_text(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|octets| std::net::IpAddr::from(octets).to_string());
    let v6 = <[u8; 16]>::try_from(bytes).map(|octets| std::net::IpAddr::from(octets).to_string());
    v4.or(v6).ok()
}

fn unix_s(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn date(unix_s: i64) -> String {
    let Ok(time) = ASN1Time::from_timestamp(unix_s) else {
        return format!("second {unix_s} since 1970");
    };
    let time = time.to_datetime();
    let (year, month, day) = (time.year(), u8::from(time.month()), time.day());
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02} UTC",
        time.hour(),
        time.minute()
    )
}
