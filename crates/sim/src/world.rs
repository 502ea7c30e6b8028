//! Nodes, network and time, and what each step does to them.

use std::collections::BTreeMap;

use isles_clock::{Dot, Hlc, ReplicaId, VectorClock};
use isles_replica::session::Now;
use isles_replica::{Listing, Resting};

use crate::client::{self, Ran, Tokens, Truth};
use crate::command::{Command, Script};
use crate::engine::{Disks, Sealed};
use crate::failure::{Breaks, Checked, Invariant};
use crate::ledger::Ledger;
use crate::mutant::Mutant;
use crate::network::Network;
use crate::node::{Node, Reply};
use crate::options::Options;
use crate::plant;
use crate::random::Random;
use crate::step::Step;

/// Wall time at the beginning of every run, in milliseconds since 1970.
const BEGINNING_MS: u64 = 1_700_000_000_000;

/// What a run has done, for measuring it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Commands executed.
    pub commands: u64,
    /// Entries written.
    pub entries: u64,
    /// Frames applied that others had written.
    pub frames: u64,
    /// Processes started from what another had left.
    pub restarts: u64,
    /// Conflicts in the journals at the end.
    pub conflicts: u64,
    /// Rows that have left memory.
    pub evicted: u64,
    /// Scripts that needed such rows and were run again.
    pub misses: u64,
}

/// Everything there is.
pub struct World {
    pub(crate) options: Options,
    pub(crate) nodes: Vec<Node>,
    pub(crate) network: Network,
    pub(crate) ledger: Ledger,
    pub(crate) now_ms: u64,
    pub(crate) counts: Counts,
    /// Digest and content of every clock that was seen.
    pub(crate) contents: BTreeMap<Vec<(ReplicaId, u64)>, (u128, u64)>,
    /// Ids that were given up after a loss, and what of them is known to be left.
    pub(crate) abandoned: BTreeMap<ReplicaId, u64>,
    pub(crate) tokens: Tokens,
    pub(crate) ids: Random,
}

impl World {
    /// A world with all nodes running and nobody connected.
    ///
    /// # Errors
    /// A node could not start.
    pub fn new(options: &Options, seed: u64) -> Checked<World> {
        let mut random = Random::new(seed ^ 0x1D5);
        let nodes = (0..options.nodes).map(|number| Node {
            number,
            disks: Disks::default(),
            image: None,
            process: None,
            skew_ms: random.below(2 * options.skew_ms + 1) as i64 - options.skew_ms as i64,
            boot: 0,
            starts: 0,
            id: None,
            told_durable: VectorClock::new(),
            promised: Hlc::ZERO,
            is_forked: false,
            was_restored: false,
        });
        let mut world = World {
            nodes: nodes.collect(),
            options: options.clone(),
            network: Network::default(),
            ledger: Ledger::default(),
            now_ms: 0,
            counts: Counts::default(),
            contents: BTreeMap::new(),
            abandoned: BTreeMap::new(),
            tokens: vec![None; 4],
            ids: random,
        };
        for node in 0..options.nodes {
            world.restart(node)?;
        }
        world.counts = Counts::default();
        Ok(world)
    }

    pub(crate) fn now(&self, node: usize) -> Now {
        let wall_ms = BEGINNING_MS + self.now_ms;
        Now {
            ms: self.now_ms,
            wall_ms: wall_ms.saturating_add_signed(self.nodes[node].skew_ms),
        }
    }

    pub(crate) fn lies(&self) -> bool {
        self.options.mutant == Some(Mutant::AckFromMemory)
    }

    pub(crate) fn is_mutant(&self, mutant: Mutant) -> bool {
        self.options.mutant == Some(mutant)
    }

    /// Executes one step.
    ///
    /// # Errors
    /// What is broken after it.
    pub fn execute(&mut self, step: &Step) -> Checked {
        match step {
            Step::Run { node, script } => self.run(*node, script),
            Step::Seal(node) => self.seal(*node),
            Step::Write(node) => self.write(*node),
            Step::Sync(node) => self.sync(*node),
            Step::Log(node) => self.log(*node),
            Step::Checkpoint { node, rows } => self.checkpoint(*node, *rows),
            Step::Deliver {
                from,
                to,
                lane,
                count,
            } => self.deliver(*from, *to, *lane, *count),
            Step::Advance { ms } => self.pass(*ms),
            Step::Jump { node, skew_ms } => {
                self.nodes[*node].skew_ms = *skew_ms;
                Ok(())
            }
            Step::Cut { from, to } => {
                self.network.cut(*from, *to);
                Ok(())
            }
            Step::Heal { from, to } => {
                self.network.heal(*from, *to);
                Ok(())
            }
            Step::Connect { from, to } => self.connect(*from, *to),
            Step::Drop { node, peer } => self.drop_connections(*node, *peer),
            Step::Kill { node, seed } => self.kill(*node, *seed),
            Step::PowerLoss { node, seed } => self.lose_power(*node, *seed),
            Step::Stop(node) => self.stop(*node),
            Step::Restart(node) => self.restart(*node),
            Step::FailDisk { node, sync, nth } => {
                let disk = &self.nodes[*node].disks.log;
                if *sync {
                    disk.fail_sync(*nth)
                } else {
                    disk.fail_write(*nth)
                }
                Ok(())
            }
            Step::Evict { node, rows, seed } => self.evict(*node, *rows, *seed),
            Step::Load { node, pick } => {
                self.load(*node, *pick);
                Ok(())
            }
            Step::Admit { node, pick } => self.admit(*node, *pick),
            Step::SaveImage(node) => self.save_image(*node),
            Step::RestoreImage(node) => self.restore_image(*node),
        }
    }

    pub(crate) fn run(&mut self, node: usize, script: &Script) -> Checked {
        let wall_ms = self.now(node).wall_ms;
        let Node {
            process: Some(process),
            is_forked,
            promised,
            ..
        } = &mut self.nodes[node]
        else {
            return Ok(());
        };
        let mut listing = Listing::default();
        if script.commands.contains(&Command::Keys) {
            let admitted = process.engine.admit_due(wall_ms);
            admitted.breaks(Invariant::Recovery)?;
            listing = process.engine.listing();
        }
        let replica = &mut process.engine.replica;
        let truth = if *is_forked {
            Truth::Unknown
        } else {
            Truth::Ledger(&self.ledger)
        };
        let outcome = client::run(replica, truth, &mut self.tokens, script, &listing, wall_ms);
        let mut outcome = match outcome.breaks(Invariant::Meaning)? {
            Ran::Through(outcome) => outcome,
            Ran::Missed(missed) => {
                self.park(node, script, missed);
                return Ok(());
            }
        };
        if *is_forked {
            return Ok(());
        }
        self.counts.commands += script.commands.len() as u64;
        self.counts.entries += outcome.entries.len() as u64;
        if outcome.entries.iter().any(|entry| entry.hlc <= *promised) {
            let what =
                format!("n{node} wrote with a stamp that it had promised not to use: {promised}");
            return Err((Invariant::Order, what));
        }
        if let [entry] = &mut outcome.entries[..] {
            for (key, effect) in entry
                .effects
                .iter_mut()
                .filter(|(_, effect)| effect.deadline_open)
            {
                effect.deadline_open = false;
                let written = replica
                    .deadline_stamp(key)
                    .map(|stamp| (stamp.hlc, stamp.replica));
                effect.deadline = effect
                    .deadline
                    .filter(|(hlc, _)| written == Some((*hlc, entry.dot.replica)));
            }
        }
        if self.options.mutant == Some(Mutant::NoNetEffect) {
            process
                .engine
                .undone
                .extend(plant::undone(script, &outcome.entries));
        }
        let dots: Vec<Dot> = outcome.entries.iter().map(|entry| entry.dot).collect();
        let own = replica.applied().get(replica.id());
        outcome
            .entries
            .into_iter()
            .for_each(|entry| self.ledger.write(entry));
        let reply = Reply {
            barrier: outcome.barrier,
            dots,
            keys: outcome.keys,
            own,
        };
        process.replies.push(reply);
        self.damage(node);
        self.check_versions(node)?;
        if self.is_mutant(Mutant::ReplyBeforeDurable) {
            self.reply_all(node);
            return Ok(());
        }
        self.reply(node)
    }

    fn damage(&mut self, node: usize) {
        let damage = self.options.mutant.and_then(Mutant::damage);
        if let (Some(damage), Some(process)) = (damage, &mut self.nodes[node].process) {
            process.engine.replica.damage(damage);
        }
    }

    fn seal(&mut self, node: usize) -> Checked {
        let wall_ms = self.now(node).wall_ms;
        let Some(process) = &mut self.nodes[node].process else {
            return Ok(());
        };
        let sealed = process.engine.seal(wall_ms);
        self.want_awaited(node);
        self.damage(node);
        if let Some(sealed) = sealed {
            self.note_sealed(node, &sealed)?;
        }
        self.pump(node)
    }

    pub(crate) fn note_sealed(&mut self, node: usize, sealed: &Sealed) -> Checked {
        let Node {
            process: Some(process),
            is_forked,
            ..
        } = &mut self.nodes[node]
        else {
            return Ok(());
        };
        let own = process.engine.replica.id();
        for frame in &sealed.frames {
            let (due, deps) = (
                process.logged.get(frame.replica()) + 1,
                &frame.header().deps,
            );
            if frame.first() != due || !process.logged.dominates(deps) {
                let what = format!(
                    "n{node} logged {} after {}, it depends on {deps}",
                    frame.last_dot(),
                    process.logged
                );
                return Err((Invariant::Order, what));
            }
            process.logged.observe(frame.last_dot());
            if frame.replica() == own {
                match (*is_forked, self.options.outside) {
                    (true, _) => {}
                    (false, true) => self.ledger.learn(frame).breaks(Invariant::Order)?,
                    (false, false) => self.ledger.sealed(frame).breaks(Invariant::Meaning)?,
                }
                continue;
            }
            self.counts.frames += 1;
            if !self.ledger.knows_frame(frame) {
                let what = format!(
                    "n{node} applied {}, which is not what its writer has logged",
                    frame.last_dot()
                );
                return Err((Invariant::Dots, what));
            }
        }
        if !*is_forked {
            let mut own_frames = sealed.as_logged.iter();
            own_frames
                .try_for_each(|frame| self.ledger.note_frame(frame))
                .breaks(Invariant::Dots)?;
        }
        let replica = &process.engine.replica;
        if !replica.is_open() && *replica.applied() != process.logged {
            let what = format!(
                "n{node} has applied {}, but logged {}",
                replica.applied(),
                process.logged
            );
            return Err((Invariant::Order, what));
        }
        self.check_versions(node)?;
        self.check_definitions(node)
    }

    fn write(&mut self, node: usize) -> Checked {
        let Some(process) = &mut self.nodes[node].process else {
            return Ok(());
        };
        match process.engine.write() {
            Ok(durable) => self.after_log(node, durable),
            Err(_) => self.crash(node),
        }
    }

    fn sync(&mut self, node: usize) -> Checked {
        let Some(process) = &mut self.nodes[node].process else {
            return Ok(());
        };
        match process.engine.sync() {
            Ok(durable) => self.after_log(node, durable),
            Err(_) => self.crash(node),
        }
    }

    pub(crate) fn log(&mut self, node: usize) -> Checked {
        self.write(node)?;
        self.sync(node)?;
        self.seal(node)?;
        self.write(node)?;
        self.sync(node)
    }

    fn after_log(&mut self, node: usize, durable: bool) -> Checked {
        if !durable {
            return Ok(());
        }
        self.check_content(node)?;
        self.reply(node)?;
        self.pump(node)
    }

    /// Sends the answers that the log has caught up with.
    pub(crate) fn reply(&mut self, node: usize) -> Checked {
        let Node {
            process: Some(process),
            is_forked: false,
            ..
        } = &mut self.nodes[node]
        else {
            return Ok(());
        };
        let durable = process.engine.durable();
        let replica = &process.engine.replica;
        let own_durable = replica.durable().get(replica.id());
        let ready = process
            .replies
            .extract_if(.., |reply| reply.barrier <= durable);
        for reply in ready {
            for key in &reply.keys {
                let told = self.ledger.of_key(key).map(|entry| entry.dot);
                let mut told =
                    told.filter(|dot| dot.replica == replica.id() && dot.sequence <= reply.own);
                if let Some(dot) = told.find(|dot| dot.sequence > own_durable) {
                    let key = key.escape_ascii();
                    let what = format!(
                        "n{node} told of \"{key}\" before {dot}, which it tells of, was durable"
                    );
                    return Err((Invariant::Durability, what));
                }
            }
            reply
                .dots
                .into_iter()
                .for_each(|dot| self.ledger.acknowledge(dot));
        }
        Ok(())
    }

    fn reply_all(&mut self, node: usize) {
        let Some(process) = &mut self.nodes[node].process else {
            return;
        };
        for reply in process.replies.drain(..) {
            reply
                .dots
                .into_iter()
                .for_each(|dot| self.ledger.acknowledge(dot));
        }
    }

    fn checkpoint(&mut self, node: usize, rows: usize) -> Checked {
        let all_known = self.nodes.iter().all(|node| node.id.is_some());
        let members: Vec<ReplicaId> = self.nodes.iter().filter_map(|node| node.id).collect();
        let members = (self.options.trims && all_known).then_some(&members[..]);
        let Some(process) = &mut self.nodes[node].process else {
            return Ok(());
        };
        let written = process.engine.checkpoint(rows, members);
        // Some of the rows come to rest: nobody may be able to tell.
        let which = Resting {
            idle_ms: 0,
            looked: rows,
            rested: rows,
        };
        process.engine.replica.rest(which, self.now_ms);
        match written {
            Ok(()) if self.options.evictions => self.evict(node, rows, self.now_ms),
            Ok(()) => Ok(()),
            Err(_) => self.crash(node),
        }
    }
}

impl Node {
    /// Of this start alone.
    pub(crate) fn nonce(&self) -> u64 {
        (self.number as u64) << 32 | self.boot << 16 | self.starts
    }
}
