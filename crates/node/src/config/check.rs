//! From raw layers to a checked [`Config`], collecting every problem on the way.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::{ConfigError, Problem};
use super::key::{Fallback, Key, Kind};
use super::layer::{Form, Layers, Origin, PEER_FIELDS, Raw, RawPeer};
use super::{
    AdminConfig, CheckpointConfig, ClockConfig, Config, Durability, JournalConfig, LogConfig,
    MemoryConfig, Peer, PeersConfig, RedisConfig, SiblingsConfig, TlsConfig, TraceConfig,
    TraceFormat,
};

/// Longest name of a cluster, node or region: they become labels of host names and metrics.
const NAME_BYTES_MAX: usize = 63;

/// Checks everything; `place` is what a missing key is missing from.
pub(super) fn check(layers: Layers, place: &Origin) -> Result<Config, ConfigError> {
    if layers.broken {
        return Err(ConfigError(layers.problems));
    }
    let mut checker = Checker {
        values: layers.values,
        problems: layers.problems,
        place: place.clone(),
    };
    let config = checker.config(&layers.peers);
    match config {
        Some(config) if checker.problems.is_empty() => Ok(config),
        _ => Err(ConfigError(checker.problems)),
    }
}

struct Checker {
    values: BTreeMap<&'static str, Raw>,
    problems: Vec<Problem>,
    place: Origin,
}

impl Checker {
    fn config(&mut self, raw_peers: &[RawPeer]) -> Option<Config> {
        // Evaluated before anything is unwrapped, so that one problem does not hide the next.
        let cluster = self.text("cluster");
        let node = self.text("node");
        let region = self.text("region");
        let data_dir = self.path("data_dir");
        let durability = self.durability();
        let redis = self.redis();
        let admin = self
            .address("admin.listen")
            .map(|listen| AdminConfig { listen });
        let peers = PeersConfig {
            listen: self.address("peers.listen"),
        };
        let tls = self.tls();
        let clock = self
            .number("clock.max_skew_ms")
            .map(|max_skew_ms| ClockConfig { max_skew_ms });
        let siblings = self.count("siblings.max").map(|max| SiblingsConfig { max });
        let memory = self.number("memory.max").map(|max| MemoryConfig { max });
        let log = self.log();
        let journal = self.journal();
        let checkpoint = self.checkpoint();
        let trace = self.trace();
        let peer = self.peers(raw_peers, node.as_deref());
        self.peers_need_tls(&peers, raw_peers, tls.as_ref());
        self.listeners_need_their_own(redis.as_ref(), admin.as_ref());
        Some(Config {
            file: None,
            cluster: cluster?,
            node: node?,
            region: region?,
            data_dir: data_dir?,
            durability: durability?,
            redis: redis?,
            admin: admin?,
            peers,
            peer,
            tls,
            clock: clock?,
            siblings: siblings?,
            memory,
            log: log?,
            journal: journal?,
            checkpoint: checkpoint?,
            trace: trace?,
        })
    }

    fn durability(&mut self) -> Option<Durability> {
        let policy = self.text("durability");
        let interval_ms = self.number("durability_interval_ms");
        match policy?.as_str() {
            "always" => Some(Durability::Always),
            "interval" => Some(Durability::Interval(Duration::from_millis(interval_ms?))),
            _ => Some(Durability::Never),
        }
    }

    fn redis(&mut self) -> Option<RedisConfig> {
        let listen = self.address("redis.listen");
        let max_clients = self.count("redis.max_clients");
        let max_request_bytes = self.count("redis.max_request_bytes");
        let max_outbox_bytes = self.count("redis.max_outbox_bytes");
        let select_any = self.text("redis.select_any");
        let script_time_max_ms = self.number("redis.script_time_max_ms");
        let allow_shutdown = self.text("redis.allow_shutdown");
        let min_replicas_to_write = self.count("redis.min_replicas_to_write");
        let min_replicas_max_lag_s = self.number("redis.min_replicas_max_lag_s");
        let worker_threads = self.count("redis.worker_threads");
        Some(RedisConfig {
            listen: listen?,
            max_clients: max_clients?,
            max_request_bytes: max_request_bytes?,
            max_outbox_bytes: max_outbox_bytes?,
            select_any: select_any? == "yes",
            script_time_max: Duration::from_millis(script_time_max_ms?),
            allow_shutdown: allow_shutdown? == "yes",
            min_replicas_to_write: min_replicas_to_write?,
            min_replicas_max_lag: Duration::from_secs(min_replicas_max_lag_s?),
            worker_threads: worker_threads.unwrap_or_else(worker_threads_by_default),
        })
    }

    fn log(&mut self) -> Option<LogConfig> {
        let segment_bytes = self.number("log.segment_bytes");
        let retention_bytes = self.number("log.retention_bytes");
        Some(LogConfig {
            segment_bytes: segment_bytes?,
            retention_bytes: retention_bytes?,
        })
    }

    fn journal(&mut self) -> Option<JournalConfig> {
        let bytes = self.count("journal.bytes");
        let age_ms = self.number("journal.age_ms");
        Some(JournalConfig {
            bytes: bytes?,
            age_ms: age_ms?,
        })
    }

    fn checkpoint(&mut self) -> Option<CheckpointConfig> {
        let interval_ms = self.number("checkpoint.interval_ms");
        let dirty_bytes = self.number("checkpoint.dirty_bytes");
        Some(CheckpointConfig {
            interval: Duration::from_millis(interval_ms?),
            dirty_bytes: dirty_bytes?,
        })
    }

    fn trace(&mut self) -> Option<TraceConfig> {
        let filter = self.text("trace.filter");
        let format = self.text("trace.format");
        let format = if format? == "json" {
            TraceFormat::Json
        } else {
            TraceFormat::Text
        };
        Some(TraceConfig {
            filter: filter?,
            format,
        })
    }

    /// All three or none.
    fn tls(&mut self) -> Option<TlsConfig> {
        let given = ["tls.ca", "tls.cert", "tls.key"]
            .map(|name| (name, self.values.get(name).map(|raw| raw.origin.clone())));
        let present = given.iter().find_map(|(_, origin)| origin.clone())?;
        for (name, origin) in &given {
            if origin.is_none() {
                let key = Key::find(name)?;
                self.complain(
                    present.clone(),
                    format!(
                        "{name} is missing beside this; for example {}",
                        assignment(key)
                    ),
                );
            }
        }
        let [ca, cert, key] = given.map(|(name, _)| self.path(name));
        Some(TlsConfig {
            ca: ca?,
            cert: cert?,
            key: key?,
        })
    }

    fn peers_need_tls(&mut self, listen: &PeersConfig, peers: &[RawPeer], tls: Option<&TlsConfig>) {
        let half_given = ["tls.ca", "tls.cert", "tls.key"]
            .iter()
            .any(|name| self.values.contains_key(name));
        if tls.is_some() || half_given {
            return;
        }
        let listen_origin = self
            .values
            .get("peers.listen")
            .filter(|_| listen.listen.is_some())
            .map(|raw| raw.origin.clone());
        if let Some(origin) =
            listen_origin.or_else(|| peers.first().map(|peer| peer.origin.clone()))
        {
            self.complain(
                origin,
                "peers need certificates: give tls.ca, tls.cert and tls.key; `isles certs init` and `isles certs node` make them",
            );
        }
    }

    /// Both are TCP; peers.listen is UDP, whose ports are others.
    fn listeners_need_their_own(
        &mut self,
        redis: Option<&RedisConfig>,
        admin: Option<&AdminConfig>,
    ) {
        let (Some(redis), Some(admin)) = (redis, admin) else {
            return;
        };
        if !overlap(redis.listen, admin.listen) {
            return;
        }
        let given = ["admin.listen", "redis.listen"]
            .iter()
            .find_map(|name| self.values.get(name));
        let origin = given.map_or(Origin::Default, |raw| raw.origin.clone());
        let message = format!(
            "redis.listen = \"{}\" and admin.listen = \"{}\" take the same port; give each its own",
            redis.listen, admin.listen
        );
        self.complain(origin, message);
    }

    fn peers(&mut self, raw_peers: &[RawPeer], own_name: Option<&str>) -> Vec<Peer> {
        let mut peers: Vec<Peer> = Vec::new();
        for raw in raw_peers {
            let Some(peer) = self.peer(raw) else { continue };
            if own_name == Some(peer.node.as_str()) {
                self.complain(
                    raw.origin.clone(),
                    format!("the peer has this node's own name, {}; every node needs its own, for example {0}-2", peer.node),
                );
            } else if peers.iter().any(|other| other.node == peer.node) {
                self.complain(
                    raw.origin.clone(),
                    format!(
                        "two peers are named {}; every node needs its own name, for example {0}-2",
                        peer.node
                    ),
                );
            } else if let Some(other) = peers.iter().find(|other| other.address == peer.address) {
                let message = format!(
                    "peers {} and {} have one address, {}",
                    other.node, peer.node, peer.address
                );
                self.complain(raw.origin.clone(), message);
            }
            peers.push(peer);
        }
        peers
    }

    fn peer(&mut self, raw: &RawPeer) -> Option<Peer> {
        let examples = ["us-1", "us", "us-1.example.org:7400"];
        let mut checked = Vec::new();
        for (field, example) in PEER_FIELDS.iter().zip(examples) {
            let Some(value) = raw.fields.get(*field) else {
                self.complain(
                    raw.origin.clone(),
                    format!("the peer has no {field}; for example {field} = \"{example}\""),
                );
                continue;
            };
            let verdict = if *field == "address" {
                host_and_port(&value.text)
            } else {
                name(&value.text)
            };
            match verdict {
                Ok(()) => checked.push(value.text.clone()),
                Err(why) => self.complain(
                    value.origin.clone(),
                    format!(
                        "{field} of the peer is '{}', {why}; for example {field} = \"{example}\"",
                        value.text
                    ),
                ),
            }
        }
        let [node, region, address] = <[String; 3]>::try_from(checked).ok()?;
        Some(Peer {
            node,
            region,
            address,
        })
    }

    fn address(&mut self, name: &'static str) -> Option<SocketAddr> {
        self.text(name)?.parse().ok()
    }

    fn count(&mut self, name: &'static str) -> Option<usize> {
        usize::try_from(self.number(name)?).ok()
    }

    fn number(&mut self, name: &'static str) -> Option<u64> {
        bytes(&self.text(name)?)
    }

    fn path(&mut self, name: &'static str) -> Option<PathBuf> {
        let origin = self.values.get(name).map(|raw| raw.origin.clone());
        let path = PathBuf::from(self.text(name)?);
        let folder = match &origin {
            Some(Origin::Line(file, _)) => file.parent().unwrap_or(Path::new("")),
            _ => Path::new(""),
        };
        Some(folder.join(path))
    }

    /// The value's text once it has been found good; complains if it is not, or is missing although required.
    fn text(&mut self, name: &'static str) -> Option<String> {
        let key = Key::find(name)?;
        let raw = match (self.values.get(name), key.default) {
            (Some(raw), _) => raw.clone(),
            (None, Fallback::Value(value)) => Raw {
                text: value.to_owned(),
                form: Form::Untyped,
                origin: Origin::Default,
            },
            (None, Fallback::Absent(_)) => return None,
            (None, Fallback::Required) => {
                let (flag, variable) = (key.flag(), key.variable());
                let message = format!(
                    "{name} is missing; for example {} (or --{flag}, or {variable})",
                    assignment(key)
                );
                self.complain(self.place.clone(), message);
                return None;
            }
        };
        match check_value(key.kind, &raw) {
            Ok(()) => Some(raw.text),
            Err(why) => {
                let written = key.in_toml(&raw.text);
                self.complain(
                    raw.origin,
                    format!("{name} = {written} {why}; for example {}", assignment(key)),
                );
                None
            }
        }
    }

    fn complain(&mut self, origin: Origin, message: impl Into<String>) {
        self.problems.push(Problem::new(origin, message));
    }
}

/// Whether two listeners of one protocol get in each other's way. An unspecified address takes the port of every other;
/// that of IPv6 takes those of IPv4 too.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let covers = |one: SocketAddr, other: SocketAddr| {
        let (one, other) = (one.ip().to_canonical(), other.ip().to_canonical());
        one == other || one.is_unspecified() && (one.is_ipv6() || other.is_ipv4())
    };
    // Port 0 asks for any that is free.
    one.port() == other.port() && one.port() != 0 && (covers(one, other) || covers(other, one))
}

fn assignment(key: &Key) -> String {
    format!("{} = {}", key.name, key.in_toml(key.example))
}

/// Whether the value is one that its kind takes; the error completes the sentence "`value` …".
fn check_value(kind: Kind, raw: &Raw) -> Result<(), String> {
    let number_wanted = matches!(kind, Kind::Count { .. });
    let text_wanted = !matches!(kind, Kind::Count { .. } | Kind::Bytes { .. });
    match raw.form {
        Form::Text if number_wanted => return Err("is text, not a number".into()),
        Form::Number if text_wanted => return Err("is a number, not text in quotes".into()),
        _ => {}
    }
    match kind {
        Kind::Name => name(&raw.text).map_err(|why| format!("is {why}")),
        Kind::Path if raw.text.is_empty() => Err("is empty".into()),
        Kind::Path | Kind::Text => Ok(()),
        Kind::Address => raw
            .text
            .parse::<SocketAddr>()
            .map(drop)
            .map_err(|_| "is not an IP address with a port".into()),
        Kind::Count { min, max } => in_range(raw.text.parse().ok(), "a whole number", min, max),
        Kind::Bytes { min, max } => in_range(bytes(&raw.text), "a number of bytes", min, max),
        Kind::Choice(choices) if choices.contains(&raw.text.as_str()) => Ok(()),
        Kind::Choice(choices) => Err(format!("is not one of {}", choices.join(", "))),
    }
}

fn in_range(number: Option<u64>, what: &str, min: u64, max: u64) -> Result<(), String> {
    match number {
        Some(number) if (min..=max).contains(&number) => Ok(()),
        Some(_) => Err(format!("is not between {min} and {max}")),
        None => Err(format!("is not {what}")),
    }
}

/// Whether `text` can name a cluster, node or region; the error completes the sentence "it is …".
pub(crate) fn name(text: &str) -> Result<(), &'static str> {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if text.is_empty() {
        return Err("empty");
    }
    if text.len() > NAME_BYTES_MAX {
        return Err("longer than 63 letters");
    }
    if !text.bytes().all(good) || text.starts_with('-') || text.ends_with('-') {
        return Err("not a name of small letters, digits and inner hyphens");
    }
    Ok(())
}

fn host_and_port(text: &str) -> Result<(), &'static str> {
    let (host, port) = text.rsplit_once(':').ok_or("without a port")?;
    if host.is_empty() || host.contains(char::is_whitespace) {
        return Err("without a host");
    }
    match port.parse::<u16>() {
        Ok(1..) => Ok(()),
        _ => Err("with a port that is not between 1 and 65535"),
    }
}

/// `4096`, `64KiB`, `64MiB`, `1GiB`.
fn bytes(text: &str) -> Option<u64> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30)];
    let (digits, shift) = units
        .iter()
        .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?.trim_end(), *shift)))
        .unwrap_or((text, 0));
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// The client of a small machine needs a core too, and a second worker on two cores only contends with it.
fn worker_threads_by_default() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().saturating_sub(1).max(1))
}
