//! Redis settings that clients and tools read or set. Nothing here depends on most of them; the few that are obeyed are
//! taken over where CONFIG SET runs.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use isles_resolve_wasm::{ANSWER_BYTES_MAX, FUEL_MAX, MEMORY_BYTES_MAX, MODULE_BYTES_MAX};

use crate::busy::TIME_MAX_MS_MAX;
use crate::notify;
use crate::server::ServeOptions;

/// Names and defaults as in Redis 7.0. They are remembered when set, so that tools read back what they wrote.
const TOLERATED: &[(&str, &str)] = &[
    ("active-expire-effort", "1"),
    ("activedefrag", "no"),
    ("activerehashing", "yes"),
    ("appendfsync", "everysec"),
    ("appendonly", "yes"),
    ("auto-aof-rewrite-min-size", "67108864"),
    ("auto-aof-rewrite-percentage", "100"),
    ("busy-reply-threshold", "5000"),
    (
        "client-output-buffer-limit",
        "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
    ),
    ("client-query-buffer-limit", "1073741824"),
    ("cluster-enabled", "no"),
    ("hash-max-listpack-entries", "512"),
    ("hash-max-listpack-value", "64"),
    ("hash-max-ziplist-entries", "512"),
    ("hash-max-ziplist-value", "64"),
    ("hll-sparse-max-bytes", "3000"),
    ("hz", "10"),
    ("io-threads", "1"),
    ("key-load-delay", "0"),
    ("latency-monitor-threshold", "0"),
    ("latency-tracking", "yes"),
    ("lazyfree-lazy-expire", "yes"),
    ("lazyfree-lazy-server-del", "yes"),
    ("lazyfree-lazy-user-del", "yes"),
    ("lazyfree-lazy-user-flush", "yes"),
    ("list-compress-depth", "0"),
    ("list-max-listpack-size", "-2"),
    ("list-max-ziplist-size", "-2"),
    ("loglevel", "notice"),
    ("lua-time-limit", "5000"),
    ("maxmemory", "0"),
    ("maxmemory-clients", "0"),
    ("maxmemory-policy", "noeviction"),
    ("maxmemory-samples", "5"),
    ("min-replicas-max-lag", "10"),
    ("min-replicas-to-write", "0"),
    ("min-slaves-max-lag", "10"),
    ("min-slaves-to-write", "0"),
    ("notify-keyspace-events", ""),
    ("rdb-key-save-delay", "0"),
    ("rdbchecksum", "yes"),
    ("rdbcompression", "yes"),
    ("repl-backlog-size", "1048576"),
    ("repl-diskless-sync", "yes"),
    ("repl-diskless-sync-delay", "5"),
    ("repl-timeout", "60"),
    ("resolver-answer-max", "4194304"),
    ("resolver-fuel-max", "1000000"),
    ("resolver-memory-max", "16777216"),
    ("resolver-module-max", "262144"),
    ("sanitize-dump-payload", "no"),
    ("save", ""),
    ("script-time-max", "30000"),
    ("set-max-intset-entries", "512"),
    ("slowlog-log-slower-than", "10000"),
    ("slowlog-max-len", "128"),
    ("stop-writes-on-bgsave-error", "yes"),
    ("stream-node-max-bytes", "4096"),
    ("stream-node-max-entries", "100"),
    ("tcp-keepalive", "300"),
    ("tracking-table-max-keys", "1000000"),
    ("zset-max-listpack-entries", "128"),
    ("zset-max-listpack-value", "64"),
    ("zset-max-ziplist-entries", "128"),
    ("zset-max-ziplist-value", "64"),
];

/// CONFIG GET shows these only to those who know their names.
pub(crate) const HIDDEN: &[&str] = &["key-load-delay", "rdb-key-save-delay"];

/// Numbers that are not merely remembered.
const OBEYED: &[&str] = &[
    "busy-reply-threshold",
    "hll-sparse-max-bytes",
    "latency-monitor-threshold",
    "lua-time-limit",
    "min-replicas-max-lag",
    "min-replicas-to-write",
    "min-slaves-max-lag",
    "min-slaves-to-write",
    "resolver-answer-max",
    "resolver-fuel-max",
    "resolver-memory-max",
    "resolver-module-max",
    "script-time-max",
    "slowlog-log-slower-than",
    "slowlog-max-len",
    "tracking-table-max-keys",
];

/// Whether a setting is only remembered, or obeyed as text.
#[cfg(test)]
pub(crate) fn is_tolerated(name: &str) -> bool {
    TOLERATED.iter().any(|(known, _)| *known == name) && !OBEYED.contains(&name)
}

/// The least and the greatest value of those that have them.
const RANGES: &[(&str, i64, i64)] = &[
    ("min-replicas-max-lag", 0, i32::MAX as i64),
    ("min-replicas-to-write", 0, i32::MAX as i64),
    ("min-slaves-max-lag", 0, i32::MAX as i64),
    ("min-slaves-to-write", 0, i32::MAX as i64),
    ("resolver-answer-max", 0, ANSWER_BYTES_MAX as i64),
    ("resolver-fuel-max", 1, FUEL_MAX as i64),
    ("resolver-memory-max", 0, MEMORY_BYTES_MAX as i64),
    ("resolver-module-max", 0, MODULE_BYTES_MAX as i64),
    ("script-time-max", 1, TIME_MAX_MS_MAX as i64),
];

/// Settings with two names, the one that is obeyed first.
const ALIASES: &[(&str, &str)] = &[
    ("busy-reply-threshold", "lua-time-limit"),
    ("min-replicas-max-lag", "min-slaves-max-lag"),
    ("min-replicas-to-write", "min-slaves-to-write"),
];

/// The name under which a setting is obeyed.
pub(crate) fn obeyed_name(name: &str) -> &str {
    let named = ALIASES.iter().find(|(_, alias)| *alias == name);
    named.map_or(name, |(name, _)| name)
}

/// Bytes of a value that is merely remembered.
const VALUE_BYTES_MAX: usize = 64 << 10;

/// The remembered settings, and those that follow from the options of this listener.
#[derive(Debug)]
pub(crate) struct Settings {
    fixed: BTreeMap<&'static str, String>,
    tolerated: Mutex<BTreeMap<&'static str, String>>,
}

/// What became of an attempt to set something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Set {
    Remembered,
    /// It follows from the options and cannot change while the node runs.
    Fixed,
    TooLong,
    NotANumber,
    /// It is less than the one or more than the other.
    NotBetween(i64, i64),
    NotYesOrNo,
    /// It is none of these.
    NotOneOf(&'static [&'static str]),
    /// More than all of it.
    NotAPercentage,
    /// It names a class of events that does not exist.
    BadEvents,
    Unknown,
}

impl Settings {
    pub(crate) fn new(options: &ServeOptions) -> Settings {
        let databases = if options.select_any { 16 } else { 1 };
        let fixed = [
            ("bind", String::new()),
            ("daemonize", "no".to_owned()),
            ("databases", databases.to_string()),
            ("maxclients", options.max_clients.to_string()),
            ("proto-max-bulk-len", options.max_request_bytes.to_string()),
            ("replicaof", String::new()),
            ("slaveof", String::new()),
            // Remembering a password that nobody asks for would look like protection.
            ("requirepass", String::new()),
            (
                "timeout",
                options.idle.map_or(0, |idle| idle.as_secs()).to_string(),
            ),
        ];
        let mut tolerated: BTreeMap<_, _> = TOLERATED
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect();
        let least = options.min_replicas_to_write.to_string();
        let max_lag_s = options.min_replicas_max_lag.as_secs().to_string();
        tolerated.extend([
            ("min-replicas-max-lag", max_lag_s.clone()),
            ("min-replicas-to-write", least.clone()),
            ("min-slaves-max-lag", max_lag_s),
            ("min-slaves-to-write", least),
            (
                "script-time-max",
                options.script_time_max.as_millis().to_string(),
            ),
        ]);
        Settings {
            fixed: fixed.into_iter().collect(),
            tolerated: Mutex::new(tolerated),
        }
    }

    /// Every setting by name.
    pub(crate) fn all(&self) -> BTreeMap<String, String> {
        let owned = |(name, value): (&&'static str, &String)| ((*name).to_owned(), value.clone());
        self.fixed
            .iter()
            .map(owned)
            .chain(self.lock().iter().map(owned))
            .collect()
    }

    /// The value of one setting.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        let fixed = self.fixed.get(name).cloned();
        fixed.or_else(|| self.lock().get(name).cloned())
    }

    pub(crate) fn check(&self, name: &str, value: &str) -> Set {
        if self.fixed.get(name).is_some_and(|fixed| fixed != value) {
            Set::Fixed
        } else if value.len() > VALUE_BYTES_MAX {
            Set::TooLong
        } else if self.fixed.contains_key(name) {
            Set::Remembered
        } else {
            match TOLERATED.iter().find(|(known, _)| *known == name) {
                Some(("notify-keyspace-events", _)) if notify::parse(value).is_none() => {
                    Set::BadEvents
                }
                Some(("maxmemory-clients", _)) if is_too_many_percent(value) => Set::NotAPercentage,
                Some((known, _)) if OBEYED.contains(known) && value.parse::<i64>().is_err() => {
                    Set::NotANumber
                }
                Some((known, _)) if let Some((min, max)) = out_of_range(known, value) => {
                    Set::NotBetween(min, max)
                }
                Some((_, default)) if is_number(default) && !is_number(value) => Set::NotANumber,
                Some((_, "yes" | "no")) if name != "sanitize-dump-payload" => {
                    match value.to_ascii_lowercase().as_str() {
                        "yes" | "no" => Set::Remembered,
                        _ => Set::NotYesOrNo,
                    }
                }
                Some(_) if let Some(choices) = choices(name) => {
                    let lower = value.to_ascii_lowercase();
                    match choices.contains(&lower.as_str()) {
                        true => Set::Remembered,
                        false => Set::NotOneOf(choices),
                    }
                }
                Some(_) => Set::Remembered,
                None => Set::Unknown,
            }
        }
    }

    /// Remembers a value that [`check`](Self::check) has passed.
    pub(crate) fn set(&self, name: &str, value: &str) {
        let shown;
        let value = match name {
            "notify-keyspace-events" => {
                shown = notify::parse(value).map(notify::show).unwrap_or_default();
                &shown
            }
            _ => value,
        };
        let mut settings = self.lock();
        let obeyed = obeyed_name(name);
        let alias = ALIASES.iter().find(|(name, _)| *name == obeyed);
        for name in [obeyed, alias.map_or(obeyed, |(_, alias)| alias)] {
            if let Some(known) = settings.get_mut(name) {
                value.clone_into(known);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, String>> {
        self.tolerated
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The bounds that a number is not within.
fn out_of_range(name: &str, value: &str) -> Option<(i64, i64)> {
    let (_, min, max) = RANGES.iter().find(|(known, _, _)| *known == name)?;
    let number: i64 = value.parse().ok()?;
    (!(*min..=*max).contains(&number)).then_some((*min, *max))
}

/// The values that a setting of a few words can have.
fn choices(name: &str) -> Option<&'static [&'static str]> {
    Some(match name {
        "appendfsync" => &["everysec", "always", "no"],
        "loglevel" => &["debug", "verbose", "notice", "warning"],
        "maxmemory-policy" => &[
            "volatile-lru",
            "volatile-lfu",
            "volatile-random",
            "volatile-ttl",
            "allkeys-lru",
            "allkeys-lfu",
            "allkeys-random",
            "noeviction",
        ],
        "sanitize-dump-payload" => &["no", "yes", "clients"],
        _ => return None,
    })
}

fn is_too_many_percent(value: &str) -> bool {
    value
        .strip_suffix('%')
        .and_then(|number| number.parse::<u64>().ok())
        .is_some_and(|number| number > 100)
}

/// Whether it could be a number or an amount of memory such as `100mb`.
fn is_number(value: &str) -> bool {
    let digits = value.trim_start_matches('-');
    let unit = digits
        .trim_start_matches(|letter: char| letter.is_ascii_digit())
        .to_ascii_lowercase();
    let units = ["", "b", "k", "kb", "m", "mb", "g", "gb", "%"];
    digits.len() > unit.len() && units.contains(&unit.as_str())
}
