//! The categories of access lists that a command is in, by Redis's rules: what it does, what it is about, and how long it takes.
//!
//! There are no access lists here, but tools choose commands by `COMMAND LIST FILTERBY ACLCAT`.

use crate::spec::{Family, Flags, Spec};

/// Commands that Redis calls dangerous though they are not for administrators.
const DANGEROUS: &[&str] = &[
    "flushall", "flushdb", "info", "keys", "restore", "sort", "sort_ro",
];

/// For administrators, though the table does not say so.
const ADMIN: &[(&str, &[&str])] = &[
    ("acl", &["deluser", "getuser", "list", "setuser", "users"]),
    (
        "client",
        &["kill", "list", "no-evict", "pause", "unblock", "unpause"],
    ),
    ("lastsave", &[]),
];

/// Subcommands that read a key, of commands of which not all do.
const READING: &[(&str, &[&str])] = &[
    ("memory", &["usage"]),
    ("object", &["encoding", "idletime", "refcount"]),
];

/// Of what is about scripts, the subcommands that write themselves.
const WRITING: &[(&str, &[&str])] = &[("function", &["delete", "flush", "load", "restore"])];

/// About keys as such, though the table has them in other families.
const KEYSPACE: &[&str] = &["dbsize", "flushall", "flushdb", "keys"];

/// The categories of a command, or of one of its subcommands, without the `@`.
pub(super) fn of(spec: &Spec, subcommand: Option<&str>) -> Vec<&'static str> {
    let mut categories = about(spec, subcommand);
    let container = subcommand.is_none() && !spec.subcommands.is_empty();
    if !container && subcommand != Some("help") {
        let rules = rules(spec, subcommand).into_iter();
        categories.extend(rules.filter(|(_, holds)| *holds).map(|(name, _)| name));
    }
    // Redis calls no subcommand fast, and waits for EXEC as long as for what it runs.
    let fast = spec.flags.has(Flags::FAST) && spec.subcommands.is_empty() && spec.name != "exec";
    categories.push(if fast { "fast" } else { "slow" });
    categories
}

/// What it does.
fn rules(spec: &Spec, subcommand: Option<&str>) -> [(&'static str, bool); 6] {
    let listed = |list: &[(&str, &[&str])]| {
        list.iter().any(|(name, subcommands)| {
            *name == spec.name && subcommand.is_none_or(|given| subcommands.contains(&given))
        })
    };
    let does = |flag: Flags| spec.flags.has(flag);
    let writes = match subcommand {
        // Not what a script or a transaction does.
        _ if spec.family == Family::Scripting => listed(WRITING),
        _ if spec.name == "exec" => false,
        Some(name) => spec.writing.is_empty() || spec.writing.contains(&name),
        None => true,
    };
    let reads = does(Flags::READ) && spec.family != Family::Scripting;
    let admin = does(Flags::ADMIN) || listed(ADMIN);
    [
        ("write", does(Flags::WRITE) && writes),
        ("read", reads || listed(READING)),
        ("admin", admin),
        ("dangerous", admin || DANGEROUS.contains(&spec.name)),
        ("pubsub", does(Flags::PUBSUB) || spec.name == "pubsub"),
        ("blocking", does(Flags::BLOCKING)),
    ]
}

/// What it is about.
fn about(spec: &Spec, subcommand: Option<&str>) -> Vec<&'static str> {
    if KEYSPACE.contains(&spec.name) {
        return vec!["keyspace"];
    }
    let container = subcommand.is_none() && !spec.subcommands.is_empty();
    match spec.name {
        "command" => return vec!["connection"],
        "sort" | "sort_ro" => return vec!["set", "sortedset", "list"],
        "acl" | "memory" => return Vec::new(),
        _ if container => return Vec::new(),
        _ => {}
    }
    match spec.family {
        Family::Strings => vec!["string"],
        Family::Keys => vec!["keyspace"],
        Family::Sets => vec!["set"],
        Family::Hashes => vec!["hash"],
        Family::Transactions => vec!["transaction"],
        Family::Connection => vec!["connection"],
        Family::SortedSets => vec!["sortedset"],
        Family::Geo => vec!["geo"],
        Family::Lists => vec!["list"],
        Family::HyperLogLog => vec!["hyperloglog"],
        Family::Bitmaps => vec!["bitmap"],
        Family::Scripting => vec!["scripting"],
        Family::Streams => vec!["stream"],
        Family::PubSub | Family::Server | Family::Isles | Family::Unknown => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::of;
    use crate::table;

    /// Of every command and subcommand of Redis 7.0.15, as its `COMMAND` answers.
    const REDIS: &str = include_str!("../tests/redis_categories.txt");

    /// What differs: RENAMENX writes a collection anew, and PFDEBUG only reads.
    const OTHERS: &[&str] = &["pfdebug", "renamenx"];

    #[test]
    fn categories_are_those_of_redis() {
        let mut others = Vec::new();
        for line in REDIS.lines() {
            let (name, wanted) = line.split_once(' ').unwrap();
            let (command, subcommand) = match name.split_once('|') {
                Some((command, subcommand)) => (command, Some(subcommand)),
                None => (name, None),
            };
            let Some(found) = table::find(command.as_bytes()) else {
                continue;
            };
            let spec = found.spec();
            let known = |wanted| spec.subcommands.iter().any(|(name, _)| *name == wanted);
            if !subcommand.is_none_or(known) {
                continue;
            }
            let mut categories = of(spec, subcommand);
            categories.sort_unstable();
            if categories.join(" ") != wanted && !OTHERS.contains(&name) {
                others.push(format!("{name}: {}, not {wanted}", categories.join(" ")));
            }
        }
        assert!(others.is_empty(), "{}", others.join("\n"));
    }
}
