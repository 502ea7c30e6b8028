//! The end of a run: everything is healed, and everything must come to rest everywhere.

use crate::failure::{Checked, Invariant};
use crate::step::LANES;
use crate::world::World;

/// So many rounds must be enough to come to rest.
const ROUNDS_MAX: usize = 400;

impl World {
    /// Heals everything and goes on until all nodes hold the same.
    ///
    /// # Errors
    /// Something broke on the way, or they do not come to rest.
    pub fn settle(&mut self) -> Checked {
        self.network.heal_all();
        let mut quiet = 0;
        for _ in 0..ROUNDS_MAX {
            self.round()?;
            quiet = if self.is_settled() { quiet + 1 } else { 0 };
            if quiet == 2 {
                return self.check_end();
            }
        }
        Err((Invariant::Progress, self.why_not_settled()))
    }

    fn round(&mut self) -> Checked {
        let count = self.nodes.len();
        for node in 0..count {
            self.restart(node)?;
        }
        for from in 0..count {
            for to in 0..from {
                if !self.network.are_connected(from, to) {
                    self.execute(&crate::step::Step::Connect { from, to })?;
                }
            }
        }
        for node in 0..count {
            self.log(node)?;
            self.load_all(node)?;
        }
        for from in 0..count {
            for to in (0..count).filter(|to| *to != from) {
                for lane in 0..LANES.len() {
                    self.deliver(from, to, lane, usize::MAX)?;
                }
            }
        }
        self.execute(&crate::step::Step::Advance { ms: 20 })
    }

    fn is_settled(&self) -> bool {
        let mut clocks = self.nodes.iter().map(|node| {
            let process = node.process.as_ref().filter(|_| !node.is_forked)?;
            let replica = &process.engine.replica;
            (replica.applied() == replica.durable()
                && !replica.has_unlogged()
                && process.replies.is_empty()
                && process.wants.is_idle())
            .then(|| replica.applied())
        });
        let first = clocks.next().flatten();
        first.is_some() && clocks.all(|clock| clock == first)
    }

    fn why_not_settled(&self) -> String {
        let clocks = self.nodes.iter().map(|node| {
            let process = node.process.as_ref();
            let forked = if node.is_forked { ", forked" } else { "" };
            let clock = process.map_or_else(String::new, |process| {
                let replica = &process.engine.replica;
                let waiting = process.replies.len();
                format!(
                    "{} durable {}, {waiting} answers wait",
                    replica.applied(),
                    replica.durable()
                )
            });
            format!("n{} = {:?}: {clock}{forked}", node.number, node.id)
        });
        let clocks: Vec<String> = clocks.collect();
        format!(
            "the nodes do not come to the same clock: {}",
            clocks.join("; ")
        )
    }
}
