//! The configuration of a node: file, then environment, then flags; the later wins.
//!
//! Raw values ([`layer`]) and the checked [`Config`] are different types: whoever holds a `Config` need not doubt it.

mod check;
pub(crate) mod error;
mod example;
pub(crate) mod key;
pub(crate) mod layer;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) use self::check::name as check_name;
pub(crate) use self::error::ConfigError;
use self::error::Problem;
pub(crate) use self::example::example;
use self::key::Key;
use self::layer::{Layers, Origin};

/// Everything a node has to be told, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// The file that it was read from, if any.
    pub(crate) file: Option<PathBuf>,
    /// Name of the cluster.
    pub(crate) cluster: String,
    /// Name of this node, unique in the cluster.
    pub(crate) node: String,
    /// Region of this node.
    pub(crate) region: String,
    /// Folder of the log and the table.
    pub(crate) data_dir: PathBuf,
    /// When a write counts as safe.
    pub(crate) durability: Durability,
    /// The Redis front-end.
    pub(crate) redis: RedisConfig,
    /// The HTTP side.
    pub(crate) admin: AdminConfig,
    /// Where peers connect.
    pub(crate) peers: PeersConfig,
    /// The other nodes.
    pub(crate) peer: Vec<Peer>,
    /// Certificates; there are peers only with them.
    pub(crate) tls: Option<TlsConfig>,
    /// The hybrid clock.
    pub(crate) clock: ClockConfig,
    pub(crate) siblings: SiblingsConfig,
    /// How much may be in memory; everything unless said.
    pub(crate) memory: Option<MemoryConfig>,
    /// The log.
    pub(crate) log: LogConfig,
    /// The journal of conflicts.
    pub(crate) journal: JournalConfig,
    /// The checkpointer.
    pub(crate) checkpoint: CheckpointConfig,
    /// What is reported on standard error.
    pub(crate) trace: TraceConfig,
}

/// When a write counts as safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Synced before the reply.
    Always,
    /// Written before the reply, synced this often.
    Interval(Duration),
    /// Written before the reply, synced when the operating system likes.
    Never,
}

/// The Redis front-end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RedisConfig {
    pub(crate) listen: SocketAddr,
    pub(crate) max_clients: usize,
    pub(crate) max_request_bytes: usize,
    pub(crate) max_outbox_bytes: usize,
    pub(crate) select_any: bool,
    pub(crate) script_time_max: Duration,
    pub(crate) allow_shutdown: bool,
    pub(crate) min_replicas_to_write: usize,
    pub(crate) min_replicas_max_lag: Duration,
    pub(crate) worker_threads: usize,
}

/// The HTTP side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AdminConfig {
    pub(crate) listen: SocketAddr,
}

/// Where peers connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PeersConfig {
    /// A UDP address; without it nobody can connect here, but this node still connects to its peers.
    pub(crate) listen: Option<SocketAddr>,
}

/// Another node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) node: String,
    pub(crate) region: String,
    /// `HOST:PORT`, looked up at each attempt to connect.
    pub(crate) address: String,
}

/// Files with certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TlsConfig {
    pub(crate) ca: PathBuf,
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

/// The hybrid clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClockConfig {
    pub(crate) max_skew_ms: u64,
}

/// Several values of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SiblingsConfig {
    pub(crate) max: usize,
}

/// Memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MemoryConfig {
    /// Bytes allocated.
    pub(crate) max: u64,
}

/// The log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogConfig {
    pub(crate) segment_bytes: u64,
    pub(crate) retention_bytes: u64,
}

/// The journal of conflicts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JournalConfig {
    pub(crate) bytes: usize,
    pub(crate) age_ms: u64,
}

/// The checkpointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CheckpointConfig {
    pub(crate) interval: Duration,
    /// Log written since the last checkpoint that starts the next one early.
    pub(crate) dirty_bytes: u64,
}

/// What is reported on standard error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TraceConfig {
    /// As `tracing_subscriber::EnvFilter` reads it.
    pub(crate) filter: String,
    pub(crate) format: TraceFormat,
}

/// How it is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TraceFormat {
    Text,
    Json,
}

/// Values from the environment and from flags, in the order in which they win.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overrides {
    pub(crate) values: Vec<(&'static str, String, Origin)>,
    pub(crate) peers: Option<(Vec<String>, Origin)>,
}

impl Config {
    /// Reads `file`, if there is one, and puts `overrides` over it.
    ///
    /// # Errors
    /// Every problem at once, each with file and line, variable or flag.
    pub(crate) fn load(file: Option<&Path>, overrides: &Overrides) -> Result<Self, ConfigError> {
        let mut layers = Layers::default();
        let place = match file {
            Some(path) => {
                layers.read(path, &read(path)?);
                Origin::File(path.to_owned())
            }
            None => Origin::Flag("configuration".to_owned()),
        };
        let config = Self::layered(layers, overrides, &place)?;
        Ok(Config {
            file: file.map(Path::to_owned),
            ..config
        })
    }

    /// A node with the defaults of every other key, which must be good by themselves.
    #[cfg(test)]
    fn with_defaults(
        cluster: &str,
        node: &str,
        region: &str,
        data_dir: &Path,
    ) -> Result<Self, ConfigError> {
        let data_dir = data_dir.to_string_lossy();
        let values = [
            ("cluster", cluster),
            ("node", node),
            ("region", region),
            ("data_dir", &data_dir),
        ];
        let values = values
            .map(|(name, text)| (name, text.to_owned(), Origin::Default))
            .to_vec();
        Self::layered(
            Layers::default(),
            &Overrides {
                values,
                peers: None,
            },
            &Origin::Default,
        )
    }

    fn layered(
        mut layers: Layers,
        overrides: &Overrides,
        place: &Origin,
    ) -> Result<Self, ConfigError> {
        for (name, text, origin) in &overrides.values {
            let key =
                Key::find(name).expect("invariant: overrides are made from the table of keys");
            layers.set(key, text, origin.clone());
        }
        if let Some((specs, origin)) = &overrides.peers {
            layers.set_peers(specs, origin);
        }
        check::check(layers, place)
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::NotFound => "; `isles config example` prints one to start from",
            _ => "",
        };
        ConfigError(vec![Problem::new(
            Origin::File(path.to_owned()),
            format!("cannot be read: {error}{hint}"),
        )])
    })
}
