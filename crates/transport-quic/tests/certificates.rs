//! Certificates survive their files, and every mistake with them is explained.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use isles_transport_quic::{
    CertificateAuthority, CertificateError, NodeCertificate, QuicConfig, QuicTransport,
};

fn error<T>(result: Result<T, CertificateError>) -> String {
    result.err().expect("must fail").to_string()
}

#[test]
fn an_authority_and_its_certificates_survive_their_files() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let (ca, node) = (home.path().join("ca"), home.path().join("nodes/eu-1"));
    CertificateAuthority::create("demo")
        .expect("a plain name")
        .save(&ca)
        .expect("saves");

    let authority = CertificateAuthority::load(&ca).expect("loads");
    assert_eq!(authority.cluster(), "demo");
    let names = [
        "eu.example.net".to_owned(),
        "10.0.0.7".to_owned(),
        "::1".to_owned(),
    ];
    authority
        .issue("eu-1", "eu", &names, 30)
        .expect("issues")
        .save(&node)
        .expect("saves");

    let loaded = NodeCertificate::load(&node).expect("loads");
    assert_eq!(
        loaded.identity().to_string(),
        "eu-1 (region eu, cluster demo)"
    );
    let info = NodeCertificate::inspect(&node.join("node.pem")).expect("reads");
    assert_eq!(&info, loaded.info());
    assert_eq!(info.names, names);
    assert!((29..=30).contains(&info.days_left(SystemTime::now())));
    info.check_at(SystemTime::now()).expect("is valid now");
    let later = SystemTime::now() + Duration::from_secs(31 * 86_400);
    let expired = error(info.check_at(later));
    assert!(
        expired.starts_with("the certificate of eu-1 expired on 20"),
        "{expired}"
    );
    let early = error(info.check_at(SystemTime::UNIX_EPOCH));
    assert!(early.ends_with("check this machine's clock"), "{early}");
}

#[cfg(unix)]
#[test]
fn keys_are_readable_by_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().expect("a temporary directory");
    let authority = CertificateAuthority::create("demo").expect("a plain name");
    authority.save(home.path()).expect("saves");
    authority
        .issue("eu-1", "eu", &[], 1)
        .expect("issues")
        .save(home.path())
        .expect("saves");
    let mode = |file: &str| {
        let metadata = fs::metadata(home.path().join(file)).expect("exists");
        metadata.permissions().mode() & 0o777
    };
    assert_eq!([mode("ca.key"), mode("node.key")], [0o600; 2]);
}

#[test]
fn nothing_is_overwritten() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let authority = CertificateAuthority::create("demo").expect("a plain name");
    authority.save(home.path()).expect("saves");
    let again = error(
        CertificateAuthority::create("demo")
            .expect("a plain name")
            .save(home.path()),
    );
    assert!(
        again.contains("ca.key exists already; remove it"),
        "{again}"
    );

    let certificate = authority.issue("eu-1", "eu", &[], 1).expect("issues");
    certificate
        .save(home.path())
        .expect("saves beside its own authority");
    assert!(error(certificate.save(home.path())).contains("node.key exists already"));
}

#[test]
fn mistakes_are_explained() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let missing = error(NodeCertificate::load(home.path()));
    assert!(
        missing.contains("ca.pem") && missing.contains("isles certs init"),
        "{missing}"
    );

    let authority = CertificateAuthority::create("demo").expect("a plain name");
    authority.save(home.path()).expect("saves");
    let of_ca = error(NodeCertificate::inspect(&home.path().join("ca.pem")));
    assert!(of_ca.contains("names no isles node"), "{of_ca}");

    fs::write(home.path().join("node.pem"), "nonsense").expect("writes");
    let nonsense = error(NodeCertificate::inspect(&home.path().join("node.pem")));
    assert!(
        nonsense.contains("node.pem does not hold a certificate in PEM"),
        "{nonsense}"
    );

    assert!(
        error(CertificateAuthority::create("a/b"))
            .contains("\"a/b\" cannot be the name of a cluster")
    );
    assert!(error(authority.issue("eu 1", "eu", &[], 1)).contains("the name of a node"));
    assert!(error(authority.issue("eu-1", "", &[], 1)).contains("the name of a region"));
    let host = error(authority.issue("eu-1", "eu", &["not a host".to_owned()], 1));
    assert!(
        host.contains("neither a DNS name nor an IP address"),
        "{host}"
    );
}

#[tokio::test]
async fn a_key_that_does_not_fit_its_certificate_is_refused() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let authority = CertificateAuthority::create("demo").expect("a plain name");
    for node in ["eu-1", "us-1"] {
        let certificate = authority.issue(node, "eu", &[], 1).expect("issues");
        certificate.save(&home.path().join(node)).expect("saves");
    }
    let file = |name: &str| home.path().join(name);
    let mixed = NodeCertificate::load_files(
        &file("eu-1/ca.pem"),
        &file("eu-1/node.pem"),
        &file("us-1/node.key"),
    );
    let config = QuicConfig::new(
        "127.0.0.1:0".parse().expect("an address"),
        mixed.expect("well-formed"),
    );
    let error = QuicTransport::new(config)
        .err()
        .expect("key and certificate differ")
        .to_string();
    assert!(
        error.starts_with("cannot use the node's certificate: ")
            && error.ends_with("`isles certs node`")
    );
}

#[test]
fn a_file_in_an_impossible_place_is_named() {
    let unwritable = Path::new("/dev/null/certificates");
    let authority = CertificateAuthority::create("demo").expect("a plain name");
    assert!(error(authority.save(unwritable)).starts_with("cannot write /dev/null/certificates"));
}
