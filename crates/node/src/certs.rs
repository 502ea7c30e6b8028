//! `isles certs`: the cluster's certificate authority and its nodes' certificates, as files.

use std::path::Path;

use isles_transport_quic::{CertificateAuthority, CertificateError};

use crate::cli::{CertsCommand, UsageError};
use crate::config::check_name;

/// Makes what was asked for and says which files it wrote and what to do with them.
///
/// # Errors
/// If a name cannot stand in a certificate, or a file is there already or cannot be written.
pub(crate) fn run(command: CertsCommand) -> anyhow::Result<()> {
    match command {
        CertsCommand::Init { cluster, dir } => init(&cluster, &dir),
        CertsCommand::Node {
            dir,
            node,
            region,
            names,
            days,
        } => issue(&dir, &node, &region, &names, days),
    }
}

fn init(cluster: &str, dir: &Path) -> anyhow::Result<()> {
    named("cluster", cluster)?;
    CertificateAuthority::create(cluster)
        .and_then(|authority| authority.save(dir))
        .map_err(blame)?;
    println!(
        "wrote {}: the certificate of cluster {cluster}'s authority, for every node",
        dir.join("ca.pem").display()
    );
    println!(
        "wrote {}: its key; whoever has it can add nodes, so keep it off them",
        dir.join("ca.key").display()
    );
    println!(
        "next: isles certs node --dir {} --node NAME --region NAME",
        dir.display()
    );
    Ok(())
}

fn issue(dir: &Path, node: &str, region: &str, names: &[String], days: u32) -> anyhow::Result<()> {
    named("node", node)?;
    named("region", region)?;
    let authority = CertificateAuthority::load(dir).map_err(blame)?;
    let certificate = authority.issue(node, region, names, days).map_err(blame)?;
    let folder = dir.join(node);
    certificate.save(&folder).map_err(blame)?;
    let cluster = authority.cluster();
    println!(
        "node {node} of region {region} in cluster {cluster}, good until {}",
        certificate.info().expires()
    );
    println!("copy the folder to the node and name its files in the configuration:\n\n[tls]");
    for (key, file) in [("ca", "ca.pem"), ("cert", "node.pem"), ("key", "node.key")] {
        println!("{key} = {:?}", folder.join(file).display().to_string());
    }
    Ok(())
}

/// The same rule as for names in the configuration, where the certificate has to match them.
fn named(what: &str, name: &str) -> Result<(), UsageError> {
    check_name(name).map_err(|why| {
        UsageError(format!(
            "--{what} '{name}' is {why}; for example --{what} eu-1"
        ))
    })
}

/// Bad names are the user's mistake; everything else is a failure.
fn blame(error: CertificateError) -> anyhow::Error {
    match error {
        CertificateError::Name { .. } | CertificateError::Host { .. } => {
            UsageError(error.to_string()).into()
        }
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(dir: &Path, node: &str, names: &[&str]) -> anyhow::Result<()> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        issue(dir, node, "eu", &names, 825)
    }

    #[test]
    fn an_authority_and_its_nodes_end_up_in_files() {
        let dir = tempfile::tempdir().unwrap();
        init("example", dir.path()).unwrap();
        node(dir.path(), "eu-1", &["eu-1.example.org", "127.0.0.1"]).unwrap();
        for file in [
            "ca.pem",
            "ca.key",
            "eu-1/ca.pem",
            "eu-1/node.pem",
            "eu-1/node.key",
        ] {
            assert!(dir.path().join(file).is_file(), "{file}");
        }
        assert!(!dir.path().join("eu-1/ca.key").exists());
    }

    #[test]
    fn keys_are_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        init("example", dir.path()).unwrap();
        let error = init("example", dir.path()).unwrap_err().to_string();
        assert!(error.contains("ca.key exists already"), "{error}");
    }

    #[test]
    fn bad_names_are_usage_errors_and_a_missing_authority_says_how_to_make_one() {
        let dir = tempfile::tempdir().unwrap();
        assert!(
            init("Example Corp", dir.path())
                .unwrap_err()
                .is::<UsageError>()
        );
        let missing = node(dir.path(), "eu-1", &[]).unwrap_err();
        assert!(
            !missing.is::<UsageError>() && missing.to_string().contains("isles certs init"),
            "{missing}"
        );
        init("example", dir.path()).unwrap();
        assert!(
            node(dir.path(), "eu-1", &["not a host"])
                .unwrap_err()
                .is::<UsageError>()
        );
    }
}
