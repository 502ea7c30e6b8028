//! The categories of access lists that a command is in, by Redis's rules: what it does, what it is about, and how long it takes.
//!
//! There are no access lists here, but tools choose commands by `COMMAND LIST FILTERBY ACLCAT`.

use crate::spec::{Family, Flags, Spec};

/// Commands that Redis calls dangerous though they are not for administrators.
const DANGEROUS: &[&str] = &[
    "flushall", "flushdb", "info", "keys", "lastsave", "restore", "role", "sort", "sort_ro",
];

/// About keys as such, though the table has them in other families.
const KEYSPACE: &[&str] = &["dbsize", "flushall", "flushdb", "keys"];

/// The categories of a command, or of one of its subcommands, without the `@`.
pub(super) fn of(spec: &Spec, subcommand: Option<&str>) -> Vec<&'static str> {
    let speed = match spec.flags.has(Flags::FAST) {
        true => "fast",
        false => "slow",
    };
    if subcommand.is_none() && !spec.subcommands.is_empty() {
        return vec![speed];
    }
    let mut categories = about(spec);
    let scripts = spec.family == Family::Scripting;
    let does = |flag: Flags| spec.flags.has(flag);
    let writes = match subcommand {
        Some(name) => spec.writing.is_empty() || spec.writing.contains(&name),
        None => true,
    };
    let rules = [
        ("write", does(Flags::WRITE) && writes),
        // Not what a script does.
        ("read", does(Flags::READ) && !scripts),
        ("admin", does(Flags::ADMIN)),
        (
            "dangerous",
            does(Flags::ADMIN) || DANGEROUS.contains(&spec.name),
        ),
        ("pubsub", does(Flags::PUBSUB)),
        ("blocking", does(Flags::BLOCKING)),
        (speed, true),
    ];
    let those = rules.into_iter().filter(|(_, holds)| *holds);
    categories.extend(those.map(|(name, _)| name));
    categories
}

fn about(spec: &Spec) -> Vec<&'static str> {
    if KEYSPACE.contains(&spec.name) {
        return vec!["keyspace"];
    }
    match spec.family {
        Family::Keys if matches!(spec.name, "sort" | "sort_ro") => vec!["set", "sortedset", "list"],
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
            if categories.join(" ") != wanted {
                others.push(format!("{name}: {}, not {wanted}", categories.join(" ")));
            }
        }
        assert!(others.is_empty(), "{}", others.join("\n"));
    }
}
