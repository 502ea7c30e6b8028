//! Every configuration key, once: the file, the environment, the flags, the help and the example all come from this table.

/// One key of the configuration.
pub(crate) struct Key {
    /// Section and name as in the file, such as `redis.listen`.
    pub(crate) name: &'static str,
    /// What a value looks like.
    pub(crate) kind: Kind,
    /// What holds when nobody says anything.
    pub(crate) default: Fallback,
    /// One sentence for the operator, with units.
    pub(crate) about: &'static str,
    /// A value that works, without quotes.
    pub(crate) example: &'static str,
}

/// What a value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The name of a cluster, node or region.
    Name,
    /// A file or folder.
    Path,
    /// `IP:PORT`.
    Address,
    /// A whole number.
    Count { min: u64, max: u64 },
    /// A whole number of bytes, or text such as `64MiB`.
    Bytes { min: u64, max: u64 },
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// Anything.
    Text,
}

/// What holds when nobody says anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fallback {
    /// The node cannot start without it.
    Required,
    /// It may be missing; the text says what that means.
    Absent(&'static str),
    /// This value.
    Value(&'static str),
}

use Fallback::{Absent, Required, Value};

const MIB: u64 = 1024 * 1024;
const GIB: u64 = 1024 * MIB;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// The largest entry a node accepts, and with it the largest request that makes sense.
const ENTRY_BYTES_MAX: u64 = 64 * MIB;

/// All keys, in the order of the example.
pub(crate) const KEYS: &[Key] = &[
    Key {
        name: "cluster",
        kind: Kind::Name,
        default: Required,
        about: "Name of the cluster: all nodes that replicate to each other; certificates carry it.",
        example: "example",
    },
    Key {
        name: "node",
        kind: Kind::Name,
        default: Required,
        about: "Name of this node, unique in the cluster; its certificate carries it.",
        example: "eu-1",
    },
    Key {
        name: "region",
        kind: Kind::Name,
        default: Required,
        about: "Region of this node: a failure domain with cheap links inside, such as a datacentre.",
        example: "eu",
    },
    Key {
        name: "data_dir",
        kind: Kind::Path,
        default: Required,
        about: "Folder of the log and the table, made if it is missing. A relative path starts at the file that names it.",
        example: "isles-data",
    },
    Key {
        name: "durability",
        kind: Kind::Choice(&["always", "interval", "never"]),
        default: Value("always"),
        about: "When a write counts as safe: always = synced to disk before the reply; interval = handed to the operating system \
                before the reply and synced every durability_interval_ms; never = synced when the operating system likes.",
        example: "always",
    },
    Key {
        name: "durability_interval_ms",
        kind: Kind::Count {
            min: 1,
            max: 3_600_000,
        },
        default: Value("1000"),
        about: "Milliseconds between syncs under durability = \"interval\".",
        example: "1000",
    },
    Key {
        name: "redis.listen",
        kind: Kind::Address,
        default: Value("127.0.0.1:6379"),
        about: "Where Redis clients connect. There are no passwords yet: open it only to networks you trust.",
        example: "127.0.0.1:6379",
    },
    Key {
        name: "redis.max_clients",
        kind: Kind::Count {
            min: 1,
            max: 1_000_000,
        },
        default: Value("10000"),
        about: "Connections served at once; one more is told so and closed.",
        example: "10000",
    },
    Key {
        name: "redis.max_request_bytes",
        kind: Kind::Bytes {
            min: 1024,
            max: ENTRY_BYTES_MAX,
        },
        default: Value("64MiB"),
        about: "Largest request: a command with all its arguments, in bytes or with KiB, MiB, GiB.",
        example: "64MiB",
    },
    Key {
        name: "redis.max_outbox_bytes",
        kind: Kind::Bytes {
            min: 64 * 1024,
            max: 64 * GIB,
        },
        default: Value("32MiB"),
        about: "Messages that wait for one client which listens to channels, tracks keys or monitors, in bytes or with KiB, MiB, GiB; \
                a client above it does not read and is disconnected.",
        example: "32MiB",
    },
    Key {
        name: "redis.select_any",
        kind: Kind::Choice(&["no", "yes"]),
        default: Value("no"),
        about: "Whether SELECT 1 to 15 is accepted, all of them meaning the one database; for clients that cannot be told otherwise.",
        example: "no",
    },
    Key {
        name: "redis.script_time_max_ms",
        kind: Kind::Count {
            min: 1,
            max: 600_000,
        },
        default: Value("30000"),
        about: "Milliseconds after which a script is ended and undone, as CONFIG's script-time-max. Others hear BUSY from \
                CONFIG's lua-time-limit on, and can end it with SCRIPT KILL.",
        example: "30000",
    },
    Key {
        name: "redis.allow_shutdown",
        kind: Kind::Choice(&["no", "yes"]),
        default: Value("no"),
        about: "Whether a client may stop the node with SHUTDOWN, as SIGTERM does: without passwords, whoever connects may.",
        example: "no",
    },
    Key {
        name: "redis.min_replicas_to_write",
        kind: Kind::Count { min: 0, max: 1_000 },
        default: Value("0"),
        about: "Peers that must be connected and have acknowledged something recently for writes to be taken; else they are refused \
                with NOREPLICAS, as CONFIG's min-replicas-to-write. 0 = none.",
        example: "0",
    },
    Key {
        name: "redis.min_replicas_max_lag_s",
        kind: Kind::Count {
            min: 1,
            max: 86_400,
        },
        default: Value("10"),
        about: "Seconds after which an acknowledgement no longer counts as recent, as CONFIG's min-replicas-max-lag.",
        example: "10",
    },
    Key {
        name: "redis.worker_threads",
        kind: Kind::Count { min: 1, max: 1024 },
        default: Absent("one less than the processor cores, at least one"),
        about: "Threads that serve clients and peers.",
        example: "1",
    },
    Key {
        name: "admin.listen",
        kind: Kind::Address,
        default: Value("127.0.0.1:9180"),
        about: "Where /metrics, /healthz, /readyz and /status answer over HTTP.",
        example: "127.0.0.1:9180",
    },
    Key {
        name: "peers.listen",
        kind: Kind::Address,
        default: Absent("no peer can connect"),
        about: "Where other nodes connect: QUIC, so a UDP port. Needs [tls].",
        example: "0.0.0.0:7400",
    },
    Key {
        name: "tls.ca",
        kind: Kind::Path,
        default: Absent("no peers"),
        about: "Certificate of the cluster's authority, from `isles certs init`.",
        example: "certs/eu-1/ca.pem",
    },
    Key {
        name: "tls.cert",
        kind: Kind::Path,
        default: Absent("no peers"),
        about: "Certificate of this node, from `isles certs node`.",
        example: "certs/eu-1/node.pem",
    },
    Key {
        name: "tls.key",
        kind: Kind::Path,
        default: Absent("no peers"),
        about: "Private key of this node; nobody else should be able to read it.",
        example: "certs/eu-1/node.key",
    },
    Key {
        name: "clock.max_skew_ms",
        kind: Kind::Count {
            min: 1,
            max: DAY_MS,
        },
        default: Value("500"),
        about: "Milliseconds by which this node's clock follows a peer's that runs ahead, and no further.",
        example: "500",
    },
    Key {
        name: "siblings.max",
        kind: Kind::Count {
            min: 1,
            max: 10_000,
        },
        default: Value("100"),
        about: "Values that a key may have beside each other here after a write with an older context; above it such a write is refused. Other regions' concurrent writes are never refused.",
        example: "100",
    },
    Key {
        name: "memory.max",
        kind: Kind::Bytes {
            min: 64 * MIB,
            max: 1024 * 1024 * GIB,
        },
        default: Absent("there is no limit: all data is in memory"),
        about: "Bytes that the node allocates, about. Above it keys that were not used for long leave memory and are read from the table when somebody wants them; the operating system counts more, see docs/operations.md.",
        example: "4GiB",
    },
    Key {
        name: "log.segment_bytes",
        kind: Kind::Bytes {
            min: MIB,
            max: 4 * GIB,
        },
        default: Value("64MiB"),
        about: "Size of one segment file of the log, in bytes or with KiB, MiB, GiB.",
        example: "64MiB",
    },
    Key {
        name: "log.retention_bytes",
        kind: Kind::Bytes {
            min: MIB,
            max: 1024 * 1024 * GIB,
        },
        default: Value("1GiB"),
        about: "Log kept for peers that were away, in bytes or with KiB, MiB, GiB; what somebody still needs is kept beyond it.",
        example: "1GiB",
    },
    Key {
        name: "journal.bytes",
        kind: Kind::Bytes {
            min: MIB,
            max: 64 * GIB,
        },
        default: Value("64MiB"),
        about: "Memory for records of conflicts, in bytes or with KiB, MiB, GiB; beyond it the oldest go, and are counted. A record takes about \
                640 bytes and the values that met, up to 64 KiB of each.",
        example: "64MiB",
    },
    Key {
        name: "journal.age_ms",
        kind: Kind::Count {
            min: 60_000,
            max: 3650 * DAY_MS,
        },
        default: Value("604800000"),
        about: "Milliseconds that records of conflicts are kept; older ones go, and are counted.",
        example: "604800000",
    },
    Key {
        name: "checkpoint.interval_ms",
        kind: Kind::Count {
            min: 100,
            max: DAY_MS,
        },
        default: Value("10000"),
        about: "Milliseconds between checkpoints; a restart replays the log after the last one.",
        example: "10000",
    },
    Key {
        name: "checkpoint.dirty_bytes",
        kind: Kind::Bytes {
            min: MIB,
            max: 1024 * GIB,
        },
        default: Value("256MiB"),
        about: "Log written since the last checkpoint that starts the next one early, in bytes or with KiB, MiB, GiB.",
        example: "256MiB",
    },
    Key {
        name: "trace.filter",
        kind: Kind::Text,
        // A prefix: of isles_node and all others of our own.
        default: Value("warn,isles=info"),
        about: "What is reported on standard error: error, warn, info, debug or trace, also per module; by default what Isles does, and \
                warnings of the libraries under it.",
        example: "warn,isles=info,isles_replica=debug",
    },
    Key {
        name: "trace.format",
        kind: Kind::Choice(&["text", "json"]),
        default: Value("text"),
        about: "How it is reported: text for people, json for machines.",
        example: "text",
    },
];

impl Key {
    /// The key called `name`.
    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.name == name)
    }

    /// Its flag without the dashes: `redis-listen`.
    pub(crate) fn flag(&self) -> String {
        self.name.replace(['.', '_'], "-")
    }

    /// Its environment variable: `ISLES_REDIS_LISTEN`.
    pub(crate) fn variable(&self) -> String {
        format!("ISLES_{}", self.name.replace('.', "_").to_uppercase())
    }

    /// Its section and its name inside it; the first keys have no section.
    pub(crate) fn section(&self) -> (&'static str, &'static str) {
        self.name.split_once('.').unwrap_or(("", self.name))
    }

    /// `value` as it is written in the file.
    pub(crate) fn in_toml(&self, value: &str) -> String {
        let plain = match self.kind {
            Kind::Count { .. } => true,
            Kind::Bytes { .. } => value.bytes().all(|byte| byte.is_ascii_digit()),
            _ => false,
        };
        if plain {
            value.to_owned()
        } else {
            format!("{value:?}")
        }
    }

    /// What help calls its value.
    pub(crate) fn placeholder(&self) -> String {
        match self.kind {
            Kind::Name => "NAME".into(),
            Kind::Path => "PATH".into(),
            Kind::Address => "IP:PORT".into(),
            Kind::Count { .. } if self.name.ends_with("_ms") => "MILLISECONDS".into(),
            Kind::Count { .. } => "COUNT".into(),
            Kind::Bytes { .. } => "BYTES".into(),
            Kind::Choice(choices) => choices.join("|"),
            Kind::Text => "TEXT".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_translate_to_flags_and_variables() {
        let key = Key::find("redis.max_request_bytes").unwrap();
        assert_eq!(key.flag(), "redis-max-request-bytes");
        assert_eq!(key.variable(), "ISLES_REDIS_MAX_REQUEST_BYTES");
        assert_eq!(key.section(), ("redis", "max_request_bytes"));
    }

    #[test]
    fn names_are_unique_in_every_spelling() {
        for spelling in [|key: &Key| key.name.to_owned(), Key::flag, Key::variable] {
            let mut all: Vec<String> = KEYS.iter().map(spelling).collect();
            all.sort();
            let count = all.len();
            all.dedup();
            assert_eq!(all.len(), count);
        }
    }
}
