//! The command line of `isles`, as clap reads it. What each command does lives in its own module.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Parser, Subcommand};

use crate::config::key::{Fallback, KEYS, Kind};
use crate::config::layer::Origin;
use crate::config::{ConfigError, Overrides};
use crate::conflicts::options::ConflictsOptions;

/// Several leaders, each takes writes at local speed; they replicate, disagree, and agree again.
#[derive(Debug, Parser)]
#[command(
    name = "isles",
    version,
    propagate_version = true,
    max_term_width = 120
)]
#[command(
    after_help = "Exit codes: 0 success, 1 failure, 2 a mistake on the command line or in the configuration."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run one node until Ctrl-C or SIGTERM
    Start(StartOptions),
    /// Run several regions on this machine, with links that can be slowed, cut and healed
    Demo(DemoOptions),
    /// Show an example configuration, or check one
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Make the cluster's certificate authority and the certificates of its nodes
    Certs {
        #[command(subcommand)]
        command: CertsCommand,
    },
    /// Give the data directory of a node that does not run a new replica id
    Identity {
        #[command(subcommand)]
        command: IdentityCommand,
    },
    /// Look at the log of a node that does not run, or cut it
    Log {
        #[command(subcommand)]
        command: LogCommand,
    },
    /// Make, list, check and remove backups
    Backup {
        #[command(subcommand)]
        command: BackupCommand,
    },
    /// Make a data directory from a backup, or bring keys of one back into a cluster that lives on
    Restore(RestoreOptions),
    /// Make the table of a node anew
    Table {
        #[command(subcommand)]
        command: TableCommand,
    },
    /// Ask a running node how it is
    Status(StatusOptions),
    /// Check merge functions in WebAssembly
    Resolver {
        #[command(subcommand)]
        command: ResolverCommand,
    },
    /// Find, explain and put right conflicts: what was lost to whom, on a running node
    Conflicts(ConflictsOptions),
    /// Print a completion script for a shell
    Completions {
        /// The shell to complete for
        shell: clap_complete::Shell,
    },
}

/// `isles start`.
#[derive(Debug, clap::Args)]
pub(crate) struct StartOptions {
    /// Configuration file; without one, everything comes from flags and the environment
    #[arg(long, short, value_name = "FILE", env = "ISLES_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Also stop when standard input ends, so that a node goes with the program that started it
    #[arg(long)]
    pub(crate) exit_with_stdin: bool,
    #[command(flatten)]
    pub(crate) overrides: Overrides,
}

/// `isles demo`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct DemoOptions {
    /// Let it play by itself: write on both sides of a cut, heal, explain every conflict; ends within 30 seconds
    #[arg(long)]
    pub(crate) story: bool,
    /// How many regions, in this order: eu, us, ap, sa, af, oc, me, in, jp
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=9))]
    pub(crate) regions: u8,
    /// Links between regions, with commas between: A-B=ROUND-TRIP, then, if wanted, /JITTER, /LOSS% and /MBIT, such as
    /// eu-us=80ms/5ms/0.1%/100mbit,eu-ap=180ms; the round trip is what ping would show, everything else holds in each
    /// direction [default: no delay]
    #[arg(long, value_name = "SPEC")]
    pub(crate) wan: Option<isles_wan::WanSpec>,
    /// Keep certificates and data in this folder and use them again; without it, they are in a temporary folder that is
    /// removed at the end
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,
    /// TCP port for Redis clients of the first region; the others count up from it
    #[arg(long, value_name = "PORT", default_value_t = 7001, value_parser = clap::value_parser!(u16).range(1..=65_500))]
    pub(crate) redis_port_base: u16,
    /// TCP port of the first region's admin server; the others count up from it
    #[arg(long, value_name = "PORT", default_value_t = 9181, value_parser = clap::value_parser!(u16).range(1..=65_500))]
    pub(crate) admin_port_base: u16,
    /// When a write counts as safe: always, interval (synced every 1000 ms) or never
    #[arg(long, value_name = "POLICY", default_value = "always", value_parser = ["always", "interval", "never"])]
    pub(crate) durability: String,
}

/// `isles config`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print a commented configuration that works as it stands
    Example,
    /// Say whether a configuration is good, or everything that is wrong with it
    Check {
        /// The file to check
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// `isles certs`.
#[derive(Debug, Subcommand)]
pub(crate) enum CertsCommand {
    /// Make the certificate authority of a new cluster: ca.pem for every node, ca.key for you alone
    Init {
        /// Name of the cluster, as in the configuration
        #[arg(long, value_name = "NAME")]
        cluster: String,
        /// Folder to write to, made if it is missing
        #[arg(long, value_name = "DIR", default_value = "certs")]
        dir: PathBuf,
    },
    /// Make the certificate and key of one node, in a folder with its name, signed by the cluster's authority
    Node {
        /// Folder with ca.pem and ca.key; the node's files go to a folder with its name inside it
        #[arg(long, value_name = "DIR", default_value = "certs")]
        dir: PathBuf,
        /// Name of the node, as in the configuration
        #[arg(long, value_name = "NAME")]
        node: String,
        /// Region of the node, as in the configuration
        #[arg(long, value_name = "NAME")]
        region: String,
        /// Further host name or IP address under which the node is reached; may be given several times
        #[arg(long = "name", value_name = "HOST")]
        names: Vec<String>,
        /// How long the certificate is good, in days
        #[arg(long, value_name = "DAYS", default_value_t = 825, value_parser = clap::value_parser!(u32).range(1..=36_500))]
        days: u32,
    },
}

/// `isles identity`.
#[derive(Debug, Subcommand)]
pub(crate) enum IdentityCommand {
    /// Let the node go on under a new replica id from its next start: after its data directory was restored from a copy,
    /// or copied, so that its peers refuse the old id. The node must not run. Nothing it holds is removed
    Renew {
        /// Configuration file of the node
        #[arg(long, short, value_name = "FILE", env = "ISLES_CONFIG")]
        config: PathBuf,
    },
}

/// `isles backup`.
#[derive(Debug, Subcommand)]
pub(crate) enum BackupCommand {
    /// Copy all data of a running node, as it is at one moment; of what earlier backups in the folder have nothing is
    /// written again
    Create(BackupCreateOptions),
    /// Show the backups of a folder
    List {
        /// Folder of backups
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// One JSON object per backup
        #[arg(long)]
        json: bool,
    },
    /// Read all of a backup, or of all of them, and check it; ends with exit code 1 if one is damaged
    Verify {
        /// Folder of backups
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// Only this one
        #[arg(value_name = "NAME")]
        name: Option<String>,
    },
    /// Remove a backup, and what no other one needs of it
    Remove {
        /// Folder of backups
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// Which one
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// `isles backup create`.
#[derive(Debug, clap::Args)]
pub(crate) struct BackupCreateOptions {
    /// Folder of backups on this machine, made if it is missing
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// What to call it [default: the time, in UTC]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Address of the node, as in redis.listen of its configuration
    #[arg(
        long,
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:6379",
        env = "ISLES_REDIS"
    )]
    pub(crate) redis: String,
    /// Give up when an answer takes longer than this, in milliseconds; the first one takes as long as a checkpoint
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 600_000, value_parser = clap::value_parser!(u64).range(1..=86_400_000))]
    pub(crate) timeout_ms: u64,
}

/// `isles restore`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("target").required(true).args(["data_dir", "into"]))]
pub(crate) struct RestoreOptions {
    /// Folder of backups
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Which one [default: the newest]
    #[arg(long, value_name = "NAME")]
    pub(crate) backup: Option<String>,
    /// Make a data directory there; it must not exist, or be empty
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Name of the cluster that the data directory will be of [default: that of the backup]
    #[arg(long, value_name = "NAME", conflicts_with = "into")]
    pub(crate) cluster: Option<String>,
    /// Bring keys back into the running node with this address, as in its redis.listen, and so into its cluster: those that
    /// the cluster has never seen. What was deleted or changed since stays so, unless one asks for it
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) into: Option<String>,
    /// With --into: only keys that match this pattern, written as for KEYS
    #[arg(long, value_name = "GLOB", requires = "into")]
    pub(crate) key: Option<String>,
    /// With --into: also keys that were deleted, or have been replaced by nothing, since the backup
    #[arg(long, requires = "into")]
    pub(crate) deleted: bool,
    /// With --into: also keys that hold something else now, which is overwritten
    #[arg(long, requires = "into")]
    pub(crate) changed: bool,
    /// With --into: one JSON object per key
    #[arg(long, requires = "into")]
    pub(crate) json: bool,
    /// With --into: give up when an answer takes longer than this, in milliseconds
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 60_000, value_parser = clap::value_parser!(u64).range(1..=86_400_000))]
    pub(crate) timeout_ms: u64,
    /// Say what would be restored, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `isles table`.
#[derive(Debug, Subcommand)]
pub(crate) enum TableCommand {
    /// Make the table of a node that does not run anew, of a backup and the log behind it: for one that is damaged, while
    /// the log does not reach back to its beginning. What was there is kept beside it
    Rebuild(TableRebuildOptions),
}

/// `isles table rebuild`.
#[derive(Debug, clap::Args)]
pub(crate) struct TableRebuildOptions {
    /// Data directory of the node, as in its configuration
    #[arg(long, value_name = "DIR", env = "ISLES_DATA_DIR")]
    pub(crate) data_dir: PathBuf,
    /// Folder of backups of this node
    #[arg(long, value_name = "DIR")]
    pub(crate) backup: PathBuf,
    /// Which one [default: the newest that the log goes on from]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
}

/// `isles log`.
#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Read every record and say what is there and what is damaged; ends with exit code 1 if the node would not start
    Verify {
        /// Data directory of the node, as in its configuration
        #[arg(long, value_name = "DIR", env = "ISLES_DATA_DIR")]
        data_dir: PathBuf,
    },
    /// Print the records: who wrote which entries when, and which keys they change
    Dump(LogDumpOptions),
    /// Cut a damaged log so that the node can start again: what is cut away is kept in files beside it, and the node
    /// goes on under a new replica id and gets from its peers what they have of it
    Repair {
        /// Data directory of the node, as in its configuration
        #[arg(long, value_name = "DIR", env = "ISLES_DATA_DIR")]
        data_dir: PathBuf,
        /// The first record that goes, with everything behind it; isles log verify names the one that is damaged
        #[arg(long, value_name = "RECORD", value_parser = clap::value_parser!(u64).range(1..))]
        truncate_at: u64,
    },
}

/// `isles log dump`.
#[derive(Debug, clap::Args)]
pub(crate) struct LogDumpOptions {
    /// Data directory of the node, as in its configuration
    #[arg(long, value_name = "DIR", env = "ISLES_DATA_DIR")]
    pub(crate) data_dir: PathBuf,
    /// The first record to print
    #[arg(long, value_name = "RECORD", default_value_t = 1)]
    pub(crate) from: u64,
    /// How many records to print [default: all]
    #[arg(long, value_name = "COUNT")]
    pub(crate) limit: Option<u64>,
    /// Only records that change this key
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// One JSON object per record
    #[arg(long)]
    pub(crate) json: bool,
}

/// `isles status`.
#[derive(Debug, clap::Args)]
pub(crate) struct StatusOptions {
    /// Admin address of the node, as in admin.listen of its configuration
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:9180",
        env = "ISLES_ADMIN"
    )]
    pub(crate) admin: String,
    /// Print the answer as JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    /// Give up after this many milliseconds
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 5000, value_parser = clap::value_parser!(u64).range(1..=600_000))]
    pub(crate) timeout_ms: u64,
}

/// `isles resolver`.
#[derive(Debug, Subcommand)]
pub(crate) enum ResolverCommand {
    /// Try a module against the laws that every resolver keeps, as ISLES.RESOLVER LOAD does; ends with exit code 1 and a
    /// counter-example if it breaks one
    Check(ResolverCheckOptions),
}

/// `isles resolver check`.
#[derive(Debug, clap::Args)]
pub(crate) struct ResolverCheckOptions {
    /// The module
    #[arg(value_name = "FILE.wasm")]
    pub(crate) file: PathBuf,
    /// Folder whose files are values such as the keyspace will hold, one in each
    #[arg(long, value_name = "DIR")]
    pub(crate) samples: Option<PathBuf>,
    /// Units of fuel that one call may use, as resolver-fuel-max
    #[arg(long, value_name = "UNITS", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=isles_resolve_wasm::FUEL_MAX))]
    pub(crate) fuel: u64,
    /// Bytes of memory that one call may use, as resolver-memory-max
    #[arg(long, value_name = "BYTES", default_value_t = 16 << 20, value_parser = clap::value_parser!(u32).range(..=i64::from(isles_resolve_wasm::MEMORY_BYTES_MAX)))]
    pub(crate) memory: u32,
}

/// A mistake of the user that no configuration file is to blame for; ends with exit code 2.
#[derive(Debug)]
pub(crate) struct UsageError(pub(crate) String);

impl std::fmt::Display for UsageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// 2 for mistakes in usage or configuration, 1 for everything else.
pub(crate) fn exit_code(error: &anyhow::Error) -> ExitCode {
    let usage = error
        .chain()
        .any(|cause| cause.is::<UsageError>() || cause.is::<ConfigError>());
    ExitCode::from(if usage { 2 } else { 1 })
}

/// The error as the operator sees it: one line, or one per problem of a configuration.
pub(crate) fn explain(error: &anyhow::Error) -> String {
    match error.downcast_ref::<ConfigError>() {
        Some(config) => config
            .0
            .iter()
            .map(|problem| format!("error: {problem}"))
            .collect::<Vec<_>>()
            .join("\n"),
        None => format!("error: {}", with_causes(error)),
    }
}

/// The error and what caused it, on one line; many errors quote their cause in their own words already.
fn with_causes(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !text.contains(&cause) {
            let between = if text.is_empty() { "" } else { ": " };
            text = format!("{text}{between}{cause}");
        }
    }
    text
}

/// Ends with this id in clap's table of arguments, so that no key can collide with it.
const PEER: &str = "peer";
const HEADING: &str = "Configuration (a flag beats its environment variable, which beats the file)";

/// One flag per key of the configuration, made from the same table as everything else about keys.
impl Args for Overrides {
    fn augment_args(command: clap::Command) -> clap::Command {
        let peer = Arg::new(PEER)
            .long(PEER)
            .env("ISLES_PEER")
            .value_name("NODE@REGION=HOST:PORT")
            .action(ArgAction::Append)
            .value_delimiter(',')
            .help("Another node of the cluster; may be given several times, and replaces every [[peer]] of the file")
            .help_heading(HEADING);
        KEYS.iter()
            .fold(command, |command, key| command.arg(argument(key)))
            .arg(peer)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Overrides {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut overrides = Self::default();
        for key in KEYS {
            if let Some(value) = matches.get_one::<String>(key.name) {
                let origin = origin(matches, key.name, &key.flag(), key.variable());
                overrides.values.push((key.name, value.clone(), origin));
            }
        }
        if let Some(specs) = matches.get_many::<String>(PEER) {
            let origin = origin(matches, PEER, PEER, "ISLES_PEER".to_owned());
            overrides.peers = Some((specs.cloned().collect(), origin));
        }
        Ok(overrides)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn argument(key: &'static crate::config::key::Key) -> Arg {
    let help = match key.default {
        Fallback::Value(value) => format!("{} [default: {value}]", key.about),
        Fallback::Absent(meaning) => format!("{} [default: none: {meaning}]", key.about),
        Fallback::Required => format!("{} [required here or in the file]", key.about),
    };
    let hint = if key.kind == Kind::Path {
        clap::ValueHint::AnyPath
    } else {
        clap::ValueHint::Other
    };
    Arg::new(key.name)
        .long(key.flag())
        .env(key.variable())
        .value_name(key.placeholder())
        .value_hint(hint)
        .help(help)
        .help_heading(HEADING)
}

fn origin(matches: &ArgMatches, id: &str, flag: &str, variable: String) -> Origin {
    match matches.value_source(id) {
        Some(ValueSource::EnvVariable) => Origin::Variable(variable),
        _ => Origin::Flag(format!("--{flag}")),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn start(line: &str) -> Overrides {
        let words = ["isles", "start"]
            .into_iter()
            .chain(line.split_whitespace());
        match Cli::try_parse_from(words).unwrap().command {
            Command::Start(options) => options.overrides,
            other => panic!("not start: {other:?}"),
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_name_themselves() {
        let overrides = start("--redis-listen 1.2.3.4:5 --peer a@b=c:1 --peer d@e=f:2");
        assert_eq!(
            overrides.values,
            [(
                "redis.listen",
                "1.2.3.4:5".to_owned(),
                Origin::Flag("--redis-listen".into())
            )]
        );
        assert_eq!(overrides.peers.unwrap().0, ["a@b=c:1", "d@e=f:2"]);
    }

    #[test]
    fn every_flag_has_help() {
        let mut open = vec![Cli::command()];
        while let Some(command) = open.pop() {
            for argument in command.get_arguments() {
                assert!(
                    argument.get_help().is_some(),
                    "{} {}",
                    command.get_name(),
                    argument.get_id()
                );
            }
            open.extend(command.get_subcommands().cloned());
        }
    }

    #[test]
    fn mistakes_and_failures_have_their_own_exit_codes() {
        let code = |error: anyhow::Error| format!("{:?}", exit_code(&error));
        assert_eq!(
            code(UsageError("no".into()).into()),
            format!("{:?}", ExitCode::from(2))
        );
        assert_eq!(
            code(anyhow::Error::from(ConfigError(vec![])).context("more")),
            format!("{:?}", ExitCode::from(2))
        );
        assert_eq!(
            code(anyhow::anyhow!("disk full")),
            format!("{:?}", ExitCode::from(1))
        );
    }
}
