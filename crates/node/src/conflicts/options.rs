//! The command line of `isles conflicts`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `isles conflicts`.
#[derive(Debug, Args)]
pub(crate) struct ConflictsOptions {
    /// Address of the node for Redis clients, as in redis.listen of its configuration
    #[arg(
        long,
        global = true,
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:6379",
        env = "ISLES_REDIS"
    )]
    pub(crate) redis: String,
    /// Print one JSON object per line instead of a table
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Give up when an answer takes longer than this, in milliseconds
    #[arg(long, global = true, value_name = "MILLISECONDS", default_value_t = 5000, value_parser = clap::value_parser!(u64).range(1..=600_000))]
    pub(crate) timeout_ms: u64,
    #[command(subcommand)]
    pub(crate) command: ConflictsCommand,
}

/// What to do with conflicts.
#[derive(Debug, Subcommand)]
pub(crate) enum ConflictsCommand {
    /// List conflicts, newest first
    #[command(
        after_help = "Examples:\n  isles conflicts list --key 'cart:*' --since 1h --state open\n  isles conflicts list --kind write-delete --loser-region eu --json"
    )]
    List(ListOptions),
    /// Show one conflict with everything that is kept of it
    #[command(after_help = "Example:\n  isles conflicts show 86022cf366f58e46bd15afc988e45607")]
    Show {
        /// The conflict, as `list` names it
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Print conflicts as they are detected, until Ctrl-C
    #[command(after_help = "Example:\n  isles conflicts follow --keyspace cart: --json")]
    Follow(FollowOptions),
    /// Count conflicts by keyspace, kind, strategy and regions; how many are open, and what was dropped
    Stats,
    /// Write what lost a conflict back, as a write that has seen everything: one by its id, or many by a filter
    #[command(
        after_help = "Examples:\n  isles conflicts restore 86022cf366f58e46bd15afc988e45607\n  isles conflicts restore --key 'cart:*' --since 1h --dry-run   # what would be restored\n  isles conflicts restore --key 'cart:*' --since 1h --apply     # restore it\n\nOf several writes that lost in one place the latest is restored. A run that was interrupted is run again: a conflict that has\nbeen put right is not touched a second time."
    )]
    Restore(RestoreOptions),
    /// Choose the answer to a conflict: what one contender wrote, or another value
    #[command(
        after_help = "Examples:\n  isles conflicts resolve cart:42 --dot 1f3a9c02:17        # a sibling, as ISLES.SIBLINGS or `show` names it\n  isles conflicts resolve cart:42 --value '[\"tea\",\"milk\"]'\n  isles conflicts resolve --id 86022cf366f58e46bd15afc988e45607 --value 7"
    )]
    Resolve(ResolveOptions),
    /// Ask what another strategy would have answered for the recorded conflicts; changes nothing
    #[command(
        after_help = "Example:\n  isles conflicts replay --strategy json --keyspace profile: --since 7d\n  isles conflicts replay --strategy wasm:cart --keyspace cart:   # before the keyspace gets it"
    )]
    Replay(ReplayOptions),
}

/// Which conflicts are meant.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Filter {
    /// Only keys that match this pattern, such as 'cart:*'
    #[arg(long, value_name = "GLOB")]
    pub(crate) key: Option<String>,
    /// Only keys of the keyspace with this prefix
    #[arg(long, value_name = "PREFIX")]
    pub(crate) keyspace: Option<String>,
    /// Only this kind
    #[arg(long, value_name = "KIND", value_parser = ["write-write", "write-delete", "type", "expiry"])]
    pub(crate) kind: Option<String>,
    /// Only conflicts that a write of this region has won or lost
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// Only conflicts that a write of this region has lost
    #[arg(long, value_name = "REGION")]
    pub(crate) loser_region: Option<String>,
    /// Only conflicts that a write of this region has won
    #[arg(long, value_name = "REGION")]
    pub(crate) winner_region: Option<String>,
    /// Only those detected since: milliseconds since 1970, or how long ago, such as 90s, 15m, 1h, 7d
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Only those detected until then, as for --since
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// Only open ones, which nobody who had seen the lost write has written over, or only resolved ones
    #[arg(long, value_name = "STATE", value_parser = ["open", "resolved", "all"])]
    pub(crate) state: Option<String>,
}

impl Filter {
    /// The options of ISLES.CONFLICTS that say the same.
    pub(crate) fn words(&self) -> Vec<String> {
        let given = [
            ("KEY", &self.key),
            ("KEYSPACE", &self.keyspace),
            ("KIND", &self.kind),
            ("REGION", &self.region),
            ("LOSER", &self.loser_region),
            ("WINNER", &self.winner_region),
            ("SINCE", &self.since),
            ("UNTIL", &self.until),
            ("STATE", &self.state),
        ];
        let given = given.into_iter();
        given
            .filter_map(|(word, value)| Some([word.to_owned(), value.clone()?]))
            .flatten()
            .collect()
    }
}

/// `isles conflicts list`.
#[derive(Debug, Args)]
pub(crate) struct ListOptions {
    #[command(flatten)]
    pub(crate) filter: Filter,
    /// How many to list
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) count: u64,
    /// Go on where an earlier list ended
    #[arg(long, value_name = "CURSOR")]
    pub(crate) cursor: Option<u64>,
}

/// `isles conflicts follow`.
#[derive(Debug, Args)]
pub(crate) struct FollowOptions {
    #[command(flatten)]
    pub(crate) filter: Filter,
    /// Begin after this place of the node's journal, 0 being its beginning [default: where it ends now]
    #[arg(long, value_name = "CURSOR")]
    pub(crate) after: Option<u64>,
    /// End after so many
    #[arg(long, value_name = "COUNT")]
    pub(crate) count: Option<u64>,
    /// Milliseconds between two questions to the node
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 500, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    pub(crate) interval_ms: u64,
}

/// `isles conflicts restore`.
#[derive(Debug, Args)]
pub(crate) struct RestoreOptions {
    /// The conflict, as `list` names it; without it, all open ones that the filter leaves
    #[arg(value_name = "ID", conflicts_with_all = ["key", "keyspace", "kind", "region", "loser_region", "winner_region", "since", "until", "state", "dry_run", "apply", "limit"])]
    pub(crate) id: Option<String>,
    #[command(flatten)]
    pub(crate) filter: Filter,
    /// Say what would be restored, and restore nothing; so it is too without --apply
    #[arg(long, conflicts_with = "apply")]
    pub(crate) dry_run: bool,
    /// Restore what the filter leaves
    #[arg(long)]
    pub(crate) apply: bool,
    /// With --apply: end after so many
    #[arg(long, value_name = "COUNT")]
    pub(crate) limit: Option<u64>,
    /// Also where the key now holds another type, a deadline has passed, or the conflict was put right before
    #[arg(long, requires = "id")]
    pub(crate) force: bool,
}

/// `isles conflicts resolve`.
#[derive(Debug, Args)]
pub(crate) struct ResolveOptions {
    /// The key, a string
    #[arg(
        value_name = "KEY",
        required_unless_present = "id",
        conflicts_with = "id"
    )]
    pub(crate) key: Option<String>,
    /// The conflict, as `list` names it: for fields, members and elements
    #[arg(long, value_name = "ID")]
    pub(crate) id: Option<String>,
    /// Take what this entry wrote
    #[arg(long, value_name = "REPLICA:SEQUENCE", required_unless_present_any = ["value", "value_file"], conflicts_with_all = ["value", "value_file"])]
    pub(crate) dot: Option<String>,
    /// Take this value
    #[arg(long, value_name = "VALUE", conflicts_with = "value_file")]
    pub(crate) value: Option<String>,
    /// Take what this file holds
    #[arg(long, value_name = "FILE")]
    pub(crate) value_file: Option<PathBuf>,
    /// Also where the key now holds another type
    #[arg(long)]
    pub(crate) force: bool,
}

/// `isles conflicts replay`.
#[derive(Debug, Args)]
pub(crate) struct ReplayOptions {
    /// The strategy to try: lww, fww, multi-value, max, min, longest, union, json, json-min, json-sum, wasm:NAME of a loaded resolver
    #[arg(long, value_name = "STRATEGY")]
    pub(crate) strategy: String,
    #[command(flatten)]
    pub(crate) filter: Filter,
    /// How many differences to show
    #[arg(long, value_name = "COUNT", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub(crate) sample: u64,
}
