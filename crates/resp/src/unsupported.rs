//! Redis's commands that Isles does not have, each with the reason and what to use instead.
//!
//! A command that is in the table is supported, whatever is said here: whoever adds one need not come by.

use crate::error::Failure;

/// Commands that are not supported for one reason.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unsupported {
    /// In lower case; of a subcommand with that of its command before it.
    pub(crate) names: &'static [&'static str],
    pub(crate) reason: &'static str,
    /// What to use instead.
    pub(crate) instead: &'static str,
}

/// Why a command of this name, in any case, is not supported; none for a name that Redis does not know either.
pub(crate) fn find(name: &[u8]) -> Option<&'static Unsupported> {
    ALL.iter().find(|each| {
        each.names
            .iter()
            .any(|known| known.as_bytes().eq_ignore_ascii_case(name))
    })
}

/// The same for a subcommand.
pub(crate) fn find_subcommand(command: &str, name: &[u8]) -> Option<&'static Unsupported> {
    let whole = [command.as_bytes(), b" ", name].concat();
    find(&whole)
}

impl Unsupported {
    /// What a client is told that asks for it by this name.
    pub(crate) fn refusal(&self, name: &str) -> Failure {
        let (
            name,
            Unsupported {
                reason, instead, ..
            },
        ) = (name.to_ascii_uppercase(), self);
        Failure::other(format!(
            "ERR {name} is not supported by Isles: {reason}; instead: {instead}"
        ))
    }
}

/// All of them, in the order of the page.
pub(crate) const ALL: &[Unsupported] = &[
    Unsupported {
        names: &["asking", "readonly", "readwrite", "restore-asking"],
        reason: "every node holds all keys, so there are no slots to ask for",
        instead: "connect to any node, without cluster mode",
    },
    Unsupported {
        names: &[
            "failover",
            "psync",
            "replconf",
            "replicaof",
            "role",
            "sentinel",
            "slaveof",
            "sync",
        ],
        reason: "every node takes writes and there is no master to follow or to replace",
        instead: "name the other nodes in the configuration; ISLES.STATUS shows them",
    },
    Unsupported {
        names: &["wait"],
        reason: "it counts the replicas of one master",
        instead: "durability = \"always\" for this node's disk; ISLES.STATUS shows how far the peers are",
    },
    Unsupported {
        names: &["move", "swapdb"],
        reason: "there is one database",
        instead: "prefixes of keys, and RENAME",
    },
    Unsupported {
        names: &["migrate"],
        reason: "other regions may write a key while it moves, so that none can be taken away whole",
        instead: "DUMP here, RESTORE there, between clusters of Isles, and DEL once nobody writes the key here",
    },
    Unsupported {
        names: &["module"],
        reason: "nothing can be loaded into a node",
        instead: "a client",
    },
    Unsupported {
        names: &[
            "acl cat",
            "acl dryrun",
            "acl genpass",
            "acl load",
            "acl log",
            "acl save",
        ],
        reason: "there is one user, who may do everything",
        instead: "redis.listen on an address that only applications reach",
    },
    Unsupported {
        names: &[
            "cluster addslots",
            "cluster addslotsrange",
            "cluster bumpepoch",
            "cluster count-failure-reports",
            "cluster delslots",
            "cluster delslotsrange",
            "cluster failover",
            "cluster flushslots",
            "cluster forget",
            "cluster getkeysinslot",
            "cluster links",
            "cluster meet",
            "cluster replicas",
            "cluster replicate",
            "cluster reset",
            "cluster saveconfig",
            "cluster set-config-epoch",
            "cluster setslot",
            "cluster slaves",
        ],
        reason: "this is no cluster of slots: every node holds all keys",
        instead: "name the other nodes in the configuration; ISLES.STATUS shows them",
    },
    Unsupported {
        names: &[
            "memory doctor",
            "memory malloc-stats",
            "memory purge",
            "memory stats",
        ],
        reason: "the allocator tells nothing of that",
        instead: "INFO memory, MEMORY USAGE of a key, and the metrics",
    },
    Unsupported {
        names: &["object freq"],
        reason: "no access frequencies are kept, whatever maxmemory-policy says: nothing is evicted",
        instead: "OBJECT IDLETIME, which this node knows of each key since it started",
    },
    Unsupported {
        names: &["pfdebug decode", "pfdebug todense"],
        reason: "a HyperLogLog is kept by its registers, and an encoding is chosen when it is read as a string",
        instead: "PFDEBUG GETREG and ENCODING",
    },
    Unsupported {
        names: &[
            "debug aof-flush-sleep",
            "debug assert",
            "debug change-repl-id",
            "debug client-eviction",
            "debug clusterlink",
            "debug config-rewrite-force-all",
            "debug crash-and-recover",
            "debug digest",
            "debug digest-value",
            "debug drop-cluster-packet-filter",
            "debug error",
            "debug htstats",
            "debug htstats-key",
            "debug jmap",
            "debug leak",
            "debug listpack",
            "debug loadaof",
            "debug log",
            "debug mallctl",
            "debug mallctl-str",
            "debug object",
            "debug oom",
            "debug panic",
            "debug pause-cron",
            "debug populate",
            "debug protocol",
            "debug quicklist",
            "debug quicklist-packed-threshold",
            "debug reload",
            "debug replicate",
            "debug replybuffer",
            "debug restart",
            "debug sdslen",
            "debug segfault",
            "debug set-skip-checksum-validation",
            "debug stringmatch-len",
            "debug structsize",
            "debug ziplist",
        ],
        reason: "it looks into Redis's own structures, or makes a server fail that others rely on",
        instead: "DEBUG SLEEP and SET-ACTIVE-EXPIRE; OBJECT and MEMORY USAGE of a key, ISLES.STATUS of a node, and the metrics",
    },
    Unsupported {
        names: &["lolwut"],
        reason: "it has no art",
        instead: "`isles demo`",
    },
];
