//! What the demo is going to run: regions, ports and links, checked before anything is touched.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::Context;
use isles_wan::{LinkSpec, WanSpec};

use crate::cli::{DemoOptions, UsageError};

/// Names of regions, in the order in which they join.
const REGIONS: [&str; 9] = ["eu", "us", "ap", "sa", "af", "oc", "me", "in", "jp"];

/// Regions with their ports, and the links between them.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) regions: Vec<Region>,
    pub(super) durability: String,
    wan: WanSpec,
}

/// One region with its one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Region {
    pub(super) name: &'static str,
    pub(super) redis: SocketAddr,
    pub(super) admin: SocketAddr,
}

impl Region {
    /// The name of its node.
    pub(super) fn node(&self) -> String {
        format!("{}-1", self.name)
    }
}

impl Plan {
    /// # Errors
    /// A [`UsageError`] that names the option.
    pub(super) fn new(options: &DemoOptions) -> Result<Self, UsageError> {
        let redis = ports(
            "--redis-port-base",
            options.redis_port_base,
            options.regions,
        )?;
        let admin = ports(
            "--admin-port-base",
            options.admin_port_base,
            options.regions,
        )?;
        if let Some(port) = redis.iter().find(|port| admin.contains(port)) {
            return Err(UsageError(format!(
                "port {port} would serve both Redis clients and admin requests; \
                 keep --redis-port-base and --admin-port-base at least {} apart",
                options.regions
            )));
        }
        let regions: Vec<Region> = REGIONS
            .iter()
            .zip(redis.iter().zip(&admin))
            .map(|(name, (redis, admin))| Region {
                name,
                redis: local(*redis),
                admin: local(*admin),
            })
            .collect();
        let wan = options.wan.clone().unwrap_or_default();
        let names: Vec<&str> = regions.iter().map(|region| region.name).collect();
        wan.check(&names).map_err(|error| {
            UsageError(format!(
                "--wan: {error}; the regions of this demo are {} (--regions adds more)",
                names.join(", ")
            ))
        })?;
        Ok(Self {
            regions,
            durability: options.durability.clone(),
            wan,
        })
    }

    /// How the link between two regions behaves.
    pub(super) fn link(&self, a: usize, b: usize) -> LinkSpec {
        self.wan
            .link(self.regions[a].name, self.regions[b].name)
            .copied()
            .unwrap_or_default()
    }

    /// All pairs of regions, by index.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (usize, usize)> {
        let count = self.regions.len();
        (0..count).flat_map(move |a| (a + 1..count).map(move |b| (a, b)))
    }

    /// The longest round trip between two regions.
    pub(super) fn longest_round_trip(&self) -> Duration {
        let links = self.pairs().map(|(a, b)| self.link(a, b));
        links
            .map(|link| link.round_trip + 2 * link.jitter)
            .max()
            .unwrap_or_default()
    }

    /// Whether every port can be had. Asked here so that the answer can name the option; a node would name its own file.
    ///
    /// # Errors
    /// Names the port, the region and the option.
    pub(super) fn check_ports(&self) -> anyhow::Result<()> {
        for region in &self.regions {
            check_port(region, region.redis, "Redis clients", "--redis-port-base")?;
            check_port(region, region.admin, "admin requests", "--admin-port-base")?;
        }
        Ok(())
    }

    /// What is about to start.
    pub(super) fn introduction(&self) -> String {
        let names: Vec<&str> = self.regions.iter().map(|region| region.name).collect();
        let links = match self.wan.is_empty() {
            true => "QUIC with mutual TLS between them".to_owned(),
            false => format!("QUIC with mutual TLS over {} between them", self.wan),
        };
        format!(
            "{} regions on this machine: {}; {links}",
            names.len(),
            names.join(", ")
        )
    }
}

fn ports(option: &str, base: u16, count: u8) -> Result<Vec<u16>, UsageError> {
    let last = base.checked_add(u16::from(count) - 1);
    let last = last.ok_or_else(|| {
        UsageError(format!(
            "{option} {base} leaves no room for {count} ports; the last port is 65535"
        ))
    })?;
    Ok((base..=last).collect())
}

fn check_port(
    region: &Region,
    address: SocketAddr,
    purpose: &str,
    option: &str,
) -> anyhow::Result<()> {
    let port = address.port();
    TcpListener::bind(address).map(drop).with_context(|| {
        format!(
            "port {port} cannot serve the {purpose} of region {}; stop the program that uses it \
             (`ss -ltnp 'sport = :{port}'` names it) or choose other ports with {option}",
            region.name
        )
    })
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn plan(line: &str) -> Result<Plan, String> {
        let words = ["isles", "demo"].into_iter().chain(line.split_whitespace());
        match Cli::try_parse_from(words)
            .map_err(|error| error.to_string())?
            .command
        {
            Command::Demo(options) => Plan::new(&options).map_err(|error| error.to_string()),
            other => panic!("not demo: {other:?}"),
        }
    }

    #[test]
    fn three_regions_unless_told_otherwise() {
        let plan = plan("").unwrap();
        let shown: Vec<String> = plan
            .regions
            .iter()
            .map(|region| format!("{} {} {}", region.node(), region.redis, region.admin))
            .collect();
        assert_eq!(
            shown,
            [
                "eu-1 127.0.0.1:7001 127.0.0.1:9181",
                "us-1 127.0.0.1:7002 127.0.0.1:9182",
                "ap-1 127.0.0.1:7003 127.0.0.1:9183"
            ]
        );
        assert_eq!(plan.pairs().collect::<Vec<_>>(), [(0, 1), (0, 2), (1, 2)]);
        assert_eq!(plan.longest_round_trip(), Duration::ZERO);
    }

    #[test]
    fn links_are_found_in_either_order() {
        let plan = plan("--regions 4 --wan us-eu=80ms,eu-sa=200ms/10ms").unwrap();
        assert_eq!(plan.link(0, 1).to_string(), "80ms");
        assert_eq!(plan.link(1, 2), LinkSpec::default());
        assert_eq!(plan.longest_round_trip(), Duration::from_millis(220));
    }

    #[test]
    fn nonsense_names_the_option_and_a_remedy() {
        for (line, words) in [
            ("--wan eu-xx=80ms", ["--wan", "eu-xx", "eu, us, ap"]),
            ("--wan eu-sa=80ms", ["--wan", "eu-sa", "--regions"]),
            ("--wan eu-us=fast", ["--wan", "fast", "eu-us=80ms"]),
            ("--regions 1", ["--regions", "1", "2..=9"]),
            (
                "--redis-port-base 9180",
                ["9181", "--redis-port-base", "--admin-port-base"],
            ),
            (
                "--durability perhaps",
                ["--durability", "perhaps", "interval"],
            ),
        ] {
            let error = plan(line).unwrap_err();
            for word in words {
                assert!(
                    error.contains(word),
                    "{line}: {word} is missing in: {error}"
                );
            }
        }
    }

    #[test]
    fn a_port_in_use_is_named() {
        let holder = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = holder.local_addr().unwrap();
        let region = Region {
            name: "eu",
            redis: address,
            admin: address,
        };
        let error = format!(
            "{:#}",
            check_port(&region, address, "Redis clients", "--redis-port-base").unwrap_err()
        );
        for word in [
            &address.port().to_string(),
            "region eu",
            "--redis-port-base",
            "in use",
        ] {
            assert!(error.contains(word), "{word} is missing in: {error}");
        }
    }
}
