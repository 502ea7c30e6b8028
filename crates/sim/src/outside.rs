//! Commands that the model does not know: whoever understands them runs them on a replica of this world.
//!
//! Of what they write only its dots, contexts and stamps are noted, so that what it means is not checked here. All the
//! rest is, as for commands that the model knows.

use std::collections::{BTreeMap, BTreeSet};

use isles_clock::Dot;
use isles_replica::{Position, Replica};

use crate::failure::Checked;
use crate::model::Entry;
use crate::node::Reply;
use crate::world::World;

impl World {
    /// Lets a client use the replica of a node, with the node's wall clock in milliseconds since 1970; nothing happens
    /// if the node is down. What it wrote counts as acknowledged once the log is durable through the place that it names.
    ///
    /// # Errors
    /// What is broken afterwards.
    ///
    /// # Panics
    /// If the commands of this world do not come from outside.
    pub fn serve<T>(
        &mut self,
        node: usize,
        client: impl FnOnce(&mut Replica, u64) -> (T, Position),
    ) -> Checked<Option<T>> {
        assert!(
            self.options.outside,
            "only where the model expects nothing may others write"
        );
        let wall_ms = self.now(node).wall_ms;
        let this = &mut self.nodes[node];
        let Some(process) = &mut this.process else {
            return Ok(None);
        };
        let replica = &mut process.engine.replica;
        let (own, mut context) = (replica.id(), replica.applied().clone());
        let (answer, barrier) = client(replica, wall_ms);
        let last = replica.applied().get(own);
        let mut dots = Vec::new();
        for sequence in context.get(own) + 1..=last {
            let dot = Dot::new(own, sequence);
            self.ledger.write(Entry {
                dot,
                hlc: this.promised,
                context: context.clone(),
                token: None,
                effects: BTreeMap::new(),
            });
            context.observe(dot);
            dots.push(dot);
        }
        self.counts.commands += 1;
        self.counts.entries += dots.len() as u64;
        process.replies.push(Reply {
            barrier,
            dots,
            keys: BTreeSet::new(),
            own: last,
        });
        self.check_versions(node)?;
        self.reply(node)?;
        Ok(Some(answer))
    }

    /// The replica of a node, unless it is down.
    pub fn replica(&self, node: usize) -> Option<&Replica> {
        let process = self.nodes[node].process.as_ref()?;
        Some(&process.engine.replica)
    }

    /// Whether answers of a node wait for its log: nobody was promised that what they tell of survives.
    pub fn owes_answers(&self, node: usize) -> bool {
        let process = self.nodes[node].process.as_ref();
        process.is_some_and(|process| !process.replies.is_empty())
    }
}
