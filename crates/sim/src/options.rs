//! What a run is like: plain data, drawn from the seed unless a test says otherwise.

use crate::mutant::Mutant;
use crate::random::Random;

/// When a node calls a write durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// When it is synced.
    Always,
    /// When the operating system has it; a sync comes now and then.
    Interval,
    /// When the operating system has it; nobody syncs.
    Never,
}

/// What clients write: a run with few of them finds what hides in a run with all (A. Groce et al., "Swarm testing",
/// ISSTA 2012).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Registers and counters.
    Strings,
    /// Sets.
    Sets,
    /// Maps.
    Hashes,
    /// Sorted sets.
    SortedSets,
    /// Lists.
    Lists,
    /// Streams.
    Streams,
    /// Flags, sketches and bounded counters.
    Small,
}

impl Family {
    /// All of them.
    pub const ALL: [Family; 7] = [
        Family::Strings,
        Family::Sets,
        Family::Hashes,
        Family::SortedSets,
        Family::Lists,
        Family::Streams,
        Family::Small,
    ];
}

/// Options of one run. Each fault that can be named is a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Number of nodes, 2 to 5.
    pub nodes: usize,
    /// Number of steps before everything is healed.
    pub steps: usize,
    /// When a write is durable.
    pub policy: Policy,
    /// Commands come from outside ([`World::serve`](crate::world::World::serve)): none are drawn, and what they mean is
    /// not checked, as the model does not know them. Everything else is.
    pub outside: bool,
    /// What clients write; at least one.
    pub families: Vec<Family>,
    /// Number of different keys outside keyspaces.
    pub keys: usize,
    /// One key space begins as multi-value, or as one that adds up, and definitions change.
    pub keyspaces: bool,
    /// Strings are numbers most of the time, and keyspaces add up their differences.
    pub sums: bool,
    /// Sets and maps grow over many pages.
    pub large: bool,
    /// Peers compare the sums of all buckets often.
    pub audit: bool,
    /// Commands that set deadlines.
    pub expiry: bool,
    /// MULTI/EXEC with several commands.
    pub transactions: bool,
    /// How far a node's clock may be off, in milliseconds.
    pub skew_ms: u64,
    /// How far hybrid clocks follow a remote stamp, in milliseconds.
    pub max_skew_ms: u64,
    /// Clocks jump in the middle of a run.
    pub clock_jumps: bool,
    /// Links are cut, one way or both ways, and heal.
    pub cuts: bool,
    /// Connections break and are made anew, sometimes one end earlier than the other.
    pub reconnects: bool,
    /// Processes are killed; what was written to the operating system stays.
    pub kills: bool,
    /// Machines lose power; what was not synced is lost, in part or torn. Without a sync per write it happens once.
    pub power_losses: bool,
    /// Syncs and writes fail.
    pub disk_faults: bool,
    /// Checkpoints are made.
    pub checkpoints: bool,
    /// The log is trimmed where everybody holds it durably.
    pub trims: bool,
    /// An older image of a disk is put back.
    pub image_restores: bool,
    /// Size of log segments, in bytes.
    pub segment_bytes: u64,
    /// Bytes of recent frames kept in memory; what is older is read from the log.
    pub history_bytes: usize,
    /// Bytes that a journal keeps.
    pub journal_bytes: usize,
    /// Rows leave memory once a checkpoint has written them, and come back when they are needed.
    pub evictions: bool,
    /// A planted bug.
    pub mutant: Option<Mutant>,
}

impl Options {
    /// The options of a seed. Each run leaves some faults out, so that no fault hides behind another.
    pub fn of_seed(seed: u64) -> Options {
        let random = &mut Random::new(seed ^ 0x0071_0115);
        let policy = *random.weighted(&[
            (6, Policy::Always),
            (2, Policy::Interval),
            (2, Policy::Never),
        ]);
        let mut options = Options {
            nodes: 2 + *random.weighted(&[(3, 0), (5, 1), (2, 2), (1, 3)]),
            steps: 400 + random.index(1_600),
            policy,
            outside: false,
            families: families(random),
            keys: 1 + random.index(4),
            keyspaces: random.percent(60),
            sums: random.percent(25),
            large: random.percent(12),
            audit: random.percent(6),
            expiry: random.percent(60),
            transactions: random.percent(70),
            skew_ms: *random.pick(&[0, 0, 50, 500, 5_000]),
            max_skew_ms: *random.pick(&[200, 1_000, 1_000]),
            clock_jumps: random.percent(25),
            cuts: random.percent(60),
            reconnects: random.percent(60),
            kills: random.percent(50),
            power_losses: random.percent(50),
            disk_faults: random.percent(15),
            checkpoints: random.percent(70),
            trims: random.percent(40),
            image_restores: random.percent(12),
            segment_bytes: *random.pick(&[1 << 10, 2 << 10, 16 << 10]),
            history_bytes: *random.pick(&[256, 2 << 10, 1 << 20]),
            journal_bytes: *random.pick(&[1 << 10, 4 << 10, 24 << 10, 64 << 20, 64 << 20]),
            evictions: random.percent(50),
            mutant: None,
        };
        options.settle();
        options
    }

    /// The options of a seed under which a planted bug can show itself.
    pub fn of_mutant(mutant: Mutant, seed: u64) -> Options {
        let mut options = Options::of_seed(seed);
        options.mutant = Some(mutant);
        options.audit = false;
        options.evictions = matches!(mutant, Mutant::AdmitStale | Mutant::UnknownIsAbsent);
        options.families = match mutant {
            Mutant::OneValuePerElement => vec![Family::Lists],
            Mutant::OneEntryPerId | Mutant::SkipLateEntries | Mutant::ForgetAcknowledged => {
                vec![Family::Streams]
            }
            Mutant::DropRemovals | Mutant::ForgetTrails => vec![Family::Small],
            Mutant::ForgetInherited => vec![Family::Strings],
            Mutant::ForgetOtherRule => vec![Family::Sets],
            _ => vec![Family::Strings, Family::Sets, Family::Hashes],
        };
        match mutant {
            Mutant::NoChainCheck => {
                (options.policy, options.image_restores, options.cuts) =
                    (Policy::Always, true, true);
                (options.kills, options.power_losses) = (false, false);
            }
            Mutant::TableAheadOfLog => {
                (options.checkpoints, options.power_losses) = (true, true);
            }
            Mutant::KeepIdAfterLoss => {
                options.policy = Policy::Interval;
                (options.kills, options.power_losses) = (true, true);
            }
            Mutant::StartNotSynced => {
                (options.policy, options.checkpoints) = (Policy::Never, false);
                (options.kills, options.power_losses) = (true, true);
                options.segment_bytes = 16 << 10;
            }
            Mutant::AdmitStale | Mutant::UnknownIsAbsent => options.checkpoints = true,
            Mutant::ForgetInherited => {
                (options.keyspaces, options.sums, options.keys) = (true, true, 1);
            }
            Mutant::ForgetOtherRule => options.keyspaces = true,
            Mutant::SendBeforeDurable | Mutant::ReplyBeforeDurable | Mutant::AckFromMemory => {
                (options.policy, options.power_losses) = (Policy::Always, true);
            }
            _ => {}
        }
        options.settle();
        options
    }

    /// Takes out what cannot go together.
    pub fn settle(&mut self) {
        if self.policy != Policy::Always {
            // What a machine loses may be named by others; that needs parking, which is not there yet.
            self.image_restores = false;
            self.trims &= !self.power_losses;
            self.disk_faults &= !self.power_losses;
        }
        // Who comes from outside does not run again what has missed a key.
        self.evictions &= self.checkpoints && !self.outside;
        if self.outside {
            self.keyspaces = false;
            self.image_restores = false;
        }
        if self.image_restores {
            self.trims = false;
            self.disk_faults = false;
        }
    }
}

fn families(random: &mut Random) -> Vec<Family> {
    let several = Family::ALL.into_iter().filter(|_| random.percent(40));
    let several: Vec<Family> = several.collect();
    match several.is_empty() {
        true => Family::ALL.to_vec(),
        false => several,
    }
}
