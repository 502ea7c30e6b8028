//! What is measured of commands, with handles looked up once.

use metrics::{Counter, Histogram};

use crate::spec::Family;

/// One command in so many is timed: two clock reads per command would be a tenth of its cost.
pub(crate) const TIMED_EVERY: u32 = 64;

/// Commands by family.
pub(crate) struct Meters {
    commands: [Counter; Family::COUNT],
    seconds: [Histogram; Family::COUNT],
}

/// Commands since the last report, by family.
pub(crate) type Counts = [u32; Family::COUNT];

impl Meters {
    pub(crate) fn new() -> Meters {
        Meters {
            commands: Family::ALL
                .map(|family| metrics::counter!("isles_commands_total", "family" => family.name())),
            seconds: Family::ALL.map(
                |family| metrics::histogram!("isles_command_seconds", "family" => family.name()),
            ),
        }
    }

    /// Reports the counts and starts over.
    pub(crate) fn count(&self, counts: &mut Counts) -> u64 {
        let mut sum = 0;
        for (counter, count) in self.commands.iter().zip(counts) {
            if *count > 0 {
                counter.increment(u64::from(*count));
                sum += u64::from(std::mem::take(count));
            }
        }
        sum
    }

    pub(crate) fn time(&self, family: Family, seconds: f64) {
        self.seconds[family as usize].record(seconds);
    }
}
