//! The folder of a demo: certificates, configurations, data and logs.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use isles_transport_quic::CertificateAuthority;

use super::plan::{Plan, Region};
use crate::cli::UsageError;

/// Name of every demo's cluster.
const CLUSTER: &str = "demo";
/// The file by which a folder is known to be a demo's.
const MARK: &str = "ISLES-DEMO";
const MARK_TEXT: &str =
    "This folder belongs to `isles demo --keep`. It can be removed while no demo runs in it.\n";
const CERTIFICATES: &str = "certs";
/// As for a cluster that is meant to last: a kept folder may be used again next year.
const CERTIFICATE_DAYS: u32 = 825;

/// The folder of a demo.
#[derive(Debug)]
pub(super) struct Home {
    path: PathBuf,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Temporary,
    Kept,
}

/// What becomes of a temporary folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// All went well, or somebody has had enough.
    Remove,
    /// Somebody will want to read the logs.
    KeepForInspection,
}

/// A peer as a node's configuration names it.
pub(super) struct PeerAddress<'a> {
    pub(super) region: &'a Region,
    /// Where the link to it begins.
    pub(super) address: SocketAddr,
}

impl Home {
    /// Makes the folder and its certificates, or takes a kept one over.
    ///
    /// # Errors
    /// If a kept folder holds something else, or something cannot be written.
    pub(super) fn open(plan: &Plan, keep: Option<&Path>) -> anyhow::Result<Self> {
        let home = match keep {
            Some(path) => Self::kept(path)?,
            None => Self::temporary()?,
        };
        home.make_certificates(plan)?;
        Ok(home)
    }

    fn temporary() -> anyhow::Result<Self> {
        let mut random = [0; 4];
        getrandom::fill(&mut random).context("the operating system gives no random numbers")?;
        let path =
            std::env::temp_dir().join(format!("isles-demo-{:08x}", u32::from_le_bytes(random)));
        fs::create_dir(&path).with_context(|| {
            format!(
                "cannot make {}; name another folder with --keep DIR",
                path.display()
            )
        })?;
        Ok(Self {
            path,
            kind: Kind::Temporary,
        })
    }

    fn kept(path: &Path) -> anyhow::Result<Self> {
        let place = path.display();
        let made = fs::create_dir_all(path).and_then(|()| fs::read_dir(path));
        let mut entries = made
            .with_context(|| format!("cannot use {place}; name another folder with --keep DIR"))?;
        let mark = path.join(MARK);
        if entries.next().is_some() && !mark.is_file() {
            return Err(UsageError(format!(
                "--keep {place}: this folder holds something else than a demo; name a new or empty one"
            ))
            .into());
        }
        fs::write(&mark, MARK_TEXT).with_context(|| format!("cannot write {}", mark.display()))?;
        let path = fs::canonicalize(path).with_context(|| format!("cannot find {place}"))?;
        Ok(Self {
            path,
            kind: Kind::Kept,
        })
    }

    fn make_certificates(&self, plan: &Plan) -> anyhow::Result<()> {
        let folder = self.path.join(CERTIFICATES);
        let authority = match folder.exists() {
            true => CertificateAuthority::load(&folder)?,
            false => {
                let authority = CertificateAuthority::create(CLUSTER)?;
                authority.save(&folder)?;
                authority
            }
        };
        for region in &plan.regions {
            let own = folder.join(region.node());
            if !own.exists() {
                let names = [region.redis.ip().to_string()];
                authority
                    .issue(&region.node(), region.name, &names, CERTIFICATE_DAYS)?
                    .save(&own)?;
            }
        }
        Ok(())
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where a region's node reports.
    pub(super) fn log(&self, region: &Region) -> PathBuf {
        self.path.join(format!("{}.log", region.node()))
    }

    /// Writes the configuration of a region's node; anybody can start the node by hand with it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn write_configuration(
        &self,
        plan: &Plan,
        region: &Region,
        quic: SocketAddr,
        peers: &[PeerAddress<'_>],
    ) -> anyhow::Result<PathBuf> {
        let file = self.path.join(format!("{}.toml", region.node()));
        fs::write(&file, configuration(plan, region, quic, peers))
            .with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file)
    }

    /// Removes a temporary folder, or says on standard error where it was left.
    pub(super) fn close(self, fate: Fate) {
        match (self.kind, fate) {
            (Kind::Temporary, Fate::Remove) => {
                if let Err(error) = fs::remove_dir_all(&self.path) {
                    eprintln!(
                        "note: {} could not be removed: {error}",
                        self.path.display()
                    );
                }
            }
            _ => eprintln!("certificates, data and logs are in {}", self.path.display()),
        }
    }
}

/// Paths are relative: they start at the file that names them.
fn configuration(
    plan: &Plan,
    region: &Region,
    quic: SocketAddr,
    peers: &[PeerAddress<'_>],
) -> String {
    let node = region.node();
    let mut text = format!(
        r#"# Written by `isles demo` at each start.
cluster = "{CLUSTER}"
node = "{node}"
region = "{}"
data_dir = "data/{node}"
durability = "{}"

[redis]
listen = "{}"

[admin]
listen = "{}"

[peers]
listen = "{quic}"

[tls]
ca = "{CERTIFICATES}/{node}/ca.pem"
cert = "{CERTIFICATES}/{node}/node.pem"
key = "{CERTIFICATES}/{node}/node.key"
"#,
        region.name, plan.durability, region.redis, region.admin
    );
    for peer in peers {
        text.push_str(&format!(
            "\n# Through the demo's relay, which can delay and cut.\n[[peer]]\nnode = \"{}\"\nregion = \"{}\"\naddress = \"{}\"\n",
            peer.region.node(),
            peer.region.name,
            peer.address
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::config::{Config, Overrides};

    fn plan() -> Plan {
        match Cli::try_parse_from(["isles", "demo"]).unwrap().command {
            Command::Demo(options) => Plan::new(&options).unwrap(),
            other => panic!("not demo: {other:?}"),
        }
    }

    #[test]
    fn a_kept_folder_is_used_again_with_its_certificates() {
        let (folder, plan) = (tempfile::tempdir().unwrap(), plan());
        let read = || fs::read(folder.path().join("certs/eu-1/node.pem")).unwrap();
        Home::open(&plan, Some(folder.path()))
            .unwrap()
            .close(Fate::Remove);
        let first = read();
        Home::open(&plan, Some(folder.path())).unwrap();
        assert_eq!(read(), first);
    }

    #[test]
    fn a_folder_of_somebody_else_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("thesis.txt"), "years of work").unwrap();
        let error = Home::open(&plan(), Some(folder.path())).unwrap_err();
        assert!(
            error.is::<UsageError>() && error.to_string().contains("holds something else"),
            "{error}"
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_temporary_folder_goes_unless_somebody_will_look() {
        let plan = plan();
        for (fate, stays) in [(Fate::Remove, false), (Fate::KeepForInspection, true)] {
            let home = Home::open(&plan, None).unwrap();
            let path = home.path().to_owned();
            assert!(path.join("certs/ap-1/node.key").is_file());
            home.close(fate);
            assert_eq!(path.exists(), stays);
            let _ = fs::remove_dir_all(path);
        }
    }

    #[test]
    fn configurations_are_good() {
        let (folder, plan) = (tempfile::tempdir().unwrap(), plan());
        let home = Home::open(&plan, Some(folder.path())).unwrap();
        let peer = PeerAddress {
            region: &plan.regions[1],
            address: "127.0.0.1:4001".parse().unwrap(),
        };
        let quic = "127.0.0.1:4000".parse().unwrap();
        let file = home
            .write_configuration(&plan, &plan.regions[0], quic, &[peer])
            .unwrap();
        let config = Config::load(Some(&file), &Overrides::default()).unwrap();
        assert_eq!(
            (config.node.as_str(), config.peers.listen),
            ("eu-1", Some(quic))
        );
        assert_eq!(config.peer[0].address, "127.0.0.1:4001");
        assert!(config.tls.unwrap().cert.is_file());
    }
}
