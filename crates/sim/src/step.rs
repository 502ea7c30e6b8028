//! What happens, one thing at a time. The steps of a run are drawn before it begins and mean something whatever came
//! before, so that any of them can be left out and the rest executed again.

use isles_transport::TrafficClass;

use crate::command::{self, Script};
use crate::options::{Options, Policy};
use crate::random::Random;

/// The lanes that messages travel in here.
pub const LANES: [TrafficClass; 3] = [
    TrafficClass::Control,
    TrafficClass::Frames,
    TrafficClass::Pull,
];

/// One thing that happens. What is impossible at its time does nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A client's script runs at a node.
    Run {
        /// The node.
        node: usize,
        /// What the client sent.
        script: Script,
    },
    /// What is open is sealed and appended, and remote frames that are ready are applied.
    Seal(usize),
    /// What was appended is written.
    Write(usize),
    /// What was written is synced.
    Sync(usize),
    /// All three.
    Log(usize),
    /// The checkpoint goes on by one stage.
    Checkpoint {
        /// The node.
        node: usize,
        /// Images of so many rows at most.
        rows: usize,
    },
    /// Messages arrive.
    Deliver {
        /// The sender.
        from: usize,
        /// The receiver.
        to: usize,
        /// An index of [`LANES`].
        lane: usize,
        /// So many at most.
        count: usize,
    },
    /// Time passes everywhere.
    Advance {
        /// So much, in milliseconds.
        ms: u64,
    },
    /// A clock is set.
    Jump {
        /// The node.
        node: usize,
        /// To this distance from true time, in milliseconds.
        skew_ms: i64,
    },
    /// Nothing arrives any more in this direction.
    Cut {
        /// The sender.
        from: usize,
        /// The receiver.
        to: usize,
    },
    /// Messages arrive again in this direction.
    Heal {
        /// The sender.
        from: usize,
        /// The receiver.
        to: usize,
    },
    /// A node dials another.
    Connect {
        /// The dialler.
        from: usize,
        /// The other.
        to: usize,
    },
    /// One end finds its connections with the other broken.
    Drop {
        /// The end that notices.
        node: usize,
        /// The other.
        peer: usize,
    },
    /// A process is killed.
    Kill {
        /// The node.
        node: usize,
        /// Decides what a table keeps.
        seed: u64,
    },
    /// A machine loses power.
    PowerLoss {
        /// The node.
        node: usize,
        /// Decides what the disk keeps.
        seed: u64,
    },
    /// A process ends in order.
    Stop(usize),
    /// A node that is down starts again.
    Restart(usize),
    /// The `nth` sync or write of a node's disk from now fails.
    FailDisk {
        /// The node.
        node: usize,
        /// Whether it is a sync.
        sync: bool,
        /// Which one.
        nth: u64,
    },
    /// Rows leave memory.
    Evict {
        /// The node.
        node: usize,
        /// So many at most.
        rows: usize,
        /// Decides which.
        seed: u64,
    },
    /// A key that is not in memory is read from the table.
    Load {
        /// The node.
        node: usize,
        /// Decides which.
        pick: usize,
    },
    /// What was read is admitted.
    Admit {
        /// The node.
        node: usize,
        /// Decides what.
        pick: usize,
    },
    /// A copy of a node's disks is put aside.
    SaveImage(usize),
    /// The copy replaces the disks, and the node starts from it.
    RestoreImage(usize),
}

/// Draws the steps of a run.
pub fn draw(options: &Options, seed: u64) -> Vec<Step> {
    let random = &mut Random::new(seed);
    let mut steps = Vec::with_capacity(options.steps + 32);
    connect_all(options, &mut steps);
    if options.keyspaces {
        let strategy = match options.sums {
            true => isles_resolve::Strategy::JsonSum,
            false => isles_resolve::Strategy::MultiValue,
        };
        let commands = vec![command::Command::Keyspace(
            command::PREFIX.to_vec(),
            strategy.into(),
            isles_replica::SetRule::RemoveWins,
        )];
        steps.push(Step::Run {
            node: 0,
            script: Script {
                commands,
                many: false,
            },
        });
    }
    let mut faults = Faults {
        power_left: if options.policy == Policy::Always {
            8
        } else {
            1
        },
    };
    let weights = weights(options);
    while steps.len() < options.steps {
        let kind = *random.weighted(&weights);
        steps.push(draw_one(kind, options, &mut faults, random));
    }
    steps
}

fn connect_all(options: &Options, steps: &mut Vec<Step>) {
    for from in 0..options.nodes {
        for to in 0..from {
            steps.push(Step::Connect { from, to });
        }
    }
}

struct Faults {
    power_left: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drawn {
    Run,
    LogStage,
    Log,
    Checkpoint,
    Deliver,
    Flow,
    Advance,
    Jump,
    Cut,
    Heal,
    Connect,
    Drop,
    Kill,
    PowerLoss,
    Stop,
    Restart,
    FailDisk,
    SaveImage,
    RestoreImage,
    Evict,
    Load,
    Admit,
}

fn weights(options: &Options) -> Vec<(u64, Drawn)> {
    let when = |enabled: bool, weight| if enabled { weight } else { 0 };
    let stops =
        options.kills || options.power_losses || options.disk_faults || options.image_restores;
    vec![
        (when(!options.outside, 260), Drawn::Run),
        (90, Drawn::LogStage),
        (90, Drawn::Log),
        (when(options.checkpoints, 50), Drawn::Checkpoint),
        (330, Drawn::Deliver),
        (100, Drawn::Flow),
        (70, Drawn::Advance),
        (when(options.clock_jumps, 6), Drawn::Jump),
        (when(options.cuts, 10), Drawn::Cut),
        (when(options.cuts, 12), Drawn::Heal),
        (
            when(options.reconnects || options.cuts || stops, 25),
            Drawn::Connect,
        ),
        (when(options.reconnects || options.cuts, 8), Drawn::Drop),
        (when(options.kills, 8), Drawn::Kill),
        (when(options.power_losses, 8), Drawn::PowerLoss),
        (when(options.kills, 6), Drawn::Stop),
        (when(stops, 22), Drawn::Restart),
        (when(options.disk_faults, 6), Drawn::FailDisk),
        (when(options.image_restores, 8), Drawn::SaveImage),
        (when(options.image_restores, 5), Drawn::RestoreImage),
        (when(options.evictions, 60), Drawn::Checkpoint),
        (when(options.evictions, 60), Drawn::Evict),
        (when(options.evictions, 90), Drawn::Load),
        (when(options.evictions, 90), Drawn::Admit),
    ]
}

fn draw_one(kind: Drawn, options: &Options, faults: &mut Faults, random: &mut Random) -> Step {
    let node = random.index(options.nodes);
    let peer = (node + 1 + random.index(options.nodes - 1)) % options.nodes;
    match kind {
        Drawn::Run => Step::Run {
            node,
            script: command::draw(options, random),
        },
        Drawn::LogStage => match random.below(3) {
            0 => Step::Seal(node),
            1 => Step::Write(node),
            _ => Step::Sync(node),
        },
        Drawn::Log => Step::Log(node),
        Drawn::Checkpoint => Step::Checkpoint {
            node,
            rows: 1 + random.index(4),
        },
        Drawn::Deliver => Step::Deliver {
            from: node,
            to: peer,
            lane: random.index(LANES.len()),
            count: 1 + random.index(4),
        },
        Drawn::Flow => Step::Deliver {
            from: node,
            to: peer,
            lane: random.index(2),
            count: 32,
        },
        Drawn::Advance => Step::Advance {
            ms: *random.pick(&[1, 1, 2, 5, 10, 30, 100, 600]),
        },
        Drawn::Jump => {
            let bound = options.skew_ms.max(500) as i64;
            let skew_ms = random.below(2 * bound as u64) as i64 - bound;
            Step::Jump { node, skew_ms }
        }
        Drawn::Cut => Step::Cut {
            from: node,
            to: peer,
        },
        Drawn::Heal => Step::Heal {
            from: node,
            to: peer,
        },
        Drawn::Connect => Step::Connect {
            from: node,
            to: peer,
        },
        Drawn::Drop => Step::Drop { node, peer },
        Drawn::PowerLoss if faults.power_left > 0 => {
            faults.power_left -= 1;
            Step::PowerLoss {
                node,
                seed: random.number(),
            }
        }
        Drawn::PowerLoss if !options.kills => Step::Restart(node),
        Drawn::Kill | Drawn::PowerLoss => Step::Kill {
            node,
            seed: random.number(),
        },
        Drawn::Stop => Step::Stop(node),
        Drawn::Restart => Step::Restart(node),
        Drawn::FailDisk => Step::FailDisk {
            node,
            sync: random.percent(60),
            nth: 1 + random.below(4),
        },
        Drawn::Evict => Step::Evict {
            node,
            rows: 1 + random.index(4),
            seed: random.number(),
        },
        Drawn::Load => Step::Load {
            node,
            pick: random.index(8),
        },
        Drawn::Admit => Step::Admit {
            node,
            pick: random.index(8),
        },
        Drawn::SaveImage => Step::SaveImage(node),
        Drawn::RestoreImage => Step::RestoreImage(node),
    }
}
