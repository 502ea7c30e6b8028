//! Nodes, network and time, and what each step does to them.

use std::collections::BTreeMap;

use isles_clock::{Dot, Hlc, ReplicaId, VectorClock};
use isles_replica::ReplicaConfig;
use isles_replica::session::{Effect, Effects, Now, Received, SessionError};
use isles_transport::{Message, RejectCode};

use crate::client::{self, Tokens, Truth};
use crate::command::Script;
use crate::engine::{Disks, Engine, Sealed, Start};
use crate::failure::{Breaks, Checked, Invariant};
use crate::ledger::Ledger;
use crate::mutant::Mutant;
use crate::network::Network;
use crate::node::{Image, Node, Process, Reply, timing};
use crate::options::{Options, Policy};
use crate::plant;
use crate::random::Random;
use crate::step::{LANES, Step};

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
    tokens: Tokens,
    ids: Random,
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

    fn lies(&self) -> bool {
        self.options.mutant == Some(Mutant::AckFromMemory)
    }

    fn is_mutant(&self, mutant: Mutant) -> bool {
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
            Step::SaveImage(node) => self.save_image(*node),
            Step::RestoreImage(node) => self.restore_image(*node),
        }
    }

    fn run(&mut self, node: usize, script: &Script) -> Checked {
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
        let replica = &mut process.engine.replica;
        let truth = if *is_forked {
            Truth::Unknown
        } else {
            Truth::Ledger(&self.ledger)
        };
        let outcome = client::run(replica, truth, &mut self.tokens, script, wall_ms);
        let mut outcome = outcome.breaks(Invariant::Meaning)?;
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
                if !*is_forked {
                    self.ledger.sealed(frame).breaks(Invariant::Meaning)?;
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
    fn reply(&mut self, node: usize) -> Checked {
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
        match process.engine.checkpoint(rows, members) {
            Ok(()) => Ok(()),
            Err(_) => self.crash(node),
        }
    }

    fn pass(&mut self, ms: u64) -> Checked {
        self.now_ms += ms;
        (0..self.nodes.len()).try_for_each(|node| self.pump(node))
    }

    fn connect(&mut self, from: usize, to: usize) -> Checked {
        let both_run = self.nodes[from].process.is_some() && self.nodes[to].process.is_some();
        if !both_run || self.network.is_cut(from, to) || self.network.is_cut(to, from) {
            return Ok(());
        }
        let id = self.network.connect(from, to);
        for (end, (node, peer)) in [(from, to), (to, from)].into_iter().enumerate() {
            let (now, nonce) = (self.now(node), self.nodes[node].nonce());
            if let Some(process) = &mut self.nodes[node].process {
                process.open_session(node, peer, id, end, nonce, now);
            }
        }
        self.pump(from)?;
        self.pump(to)
    }

    fn drop_connections(&mut self, node: usize, peer: usize) -> Checked {
        let mine = |(id, end): (u64, usize)| {
            self.network
                .get(id)
                .is_some_and(|each| each.open[end])
                .then_some(id)
        };
        let ids: Vec<u64> = self
            .network
            .between(peer, node)
            .into_iter()
            .filter_map(mine)
            .collect();
        ids.into_iter().for_each(|id| self.close(node, id));
        Ok(())
    }

    /// One end lets a connection go.
    fn close(&mut self, node: usize, id: u64) {
        let lies = self.lies();
        let Some(process) = &mut self.nodes[node].process else {
            return;
        };
        let Some(mut talk) = process.sessions.remove(&id) else {
            return;
        };
        talk.session
            .close(&mut Process::host(&mut process.engine, lies));
        self.network.close(id, talk.end);
    }

    pub(crate) fn deliver(&mut self, from: usize, to: usize, lane: usize, count: usize) -> Checked {
        if self.network.is_cut(from, to) {
            return Ok(());
        }
        let mut left = count;
        for (id, end) in self.network.between(from, to) {
            while left > 0 && self.deliver_one(id, end, to, lane)? {
                left -= 1;
            }
            self.notice_end(id, end, to);
        }
        self.pump(to)?;
        self.pump(from)
    }

    /// Delivers the next message of a lane; false if there is none, or nobody reads it.
    fn deliver_one(&mut self, id: u64, end: usize, to: usize, lane: usize) -> Checked<bool> {
        let now = self.now(to);
        let Some(process) = &mut self.nodes[to].process else {
            return Ok(false);
        };
        if !process.sessions.contains_key(&id) || !process.may_read(id, LANES[lane]) {
            return Ok(false);
        }
        let Some(connection) = self.network.get_mut(id) else {
            return Ok(false);
        };
        let Some(bytes) = connection.queues[end][lane].pop_front() else {
            return Ok(false);
        };
        let mut message = Message::decode(bytes).breaks(Invariant::Sessions)?;
        if self.is_mutant(Mutant::NoChainCheck) {
            let process = self.nodes[to]
                .process
                .as_ref()
                .expect("invariant: it was just there");
            match plant::without_chain(message, &process.engine.replica) {
                Some(relinked) => message = relinked,
                None => return Ok(true),
            }
        }
        let lies = self.lies();
        let process = self.nodes[to]
            .process
            .as_mut()
            .expect("invariant: it was just there");
        let result = process.handle(id, Received::decode(LANES[lane], message), now, lies);
        self.conclude(to, id, result)?;
        Ok(true)
    }

    /// An end finds out that the other has let go once everything has arrived.
    fn notice_end(&mut self, id: u64, end: usize, node: usize) {
        let Some(connection) = self.network.get(id) else {
            return;
        };
        let drained = connection.queues[end].iter().all(|queue| queue.is_empty());
        if drained && !connection.open[1 - end] {
            match self.nodes[node].process {
                Some(_) => self.close(node, id),
                None => self.network.close(id, end),
            }
        }
    }

    fn conclude(&mut self, node: usize, id: u64, result: Result<Effects, SessionError>) -> Checked {
        let effects = match result {
            Ok(effects) => effects,
            Err(error) => return self.end_session(node, id, &error),
        };
        for effect in effects {
            match effect {
                Effect::Replace { session } => self.close(node, session),
                Effect::Wake { session } => {
                    let (now, lies) = (self.now(node), self.lies());
                    let Some(process) = &mut self.nodes[node].process else {
                        return Ok(());
                    };
                    let result = process.advance(session, now, lies);
                    self.conclude(node, session, result)?;
                }
                Effect::Diverged {
                    bucket,
                    ours,
                    theirs,
                } => {
                    let what = format!(
                        "n{node} found bucket {bucket:?} to differ from its peer's: {ours:x}, {theirs:x}"
                    );
                    return Err((Invariant::Convergence, what));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn end_session(&mut self, node: usize, id: u64, error: &SessionError) -> Checked {
        self.send_control(node, id);
        let peer = self.nodes[node]
            .process
            .as_ref()
            .and_then(|process| Some(process.sessions.get(&id)?.peer));
        self.close(node, id);
        let expected = match error {
            SessionError::Silent { .. } | SessionError::Replaced | SessionError::Redundant => true,
            // Silence, as the other end tells it.
            SessionError::Rejected {
                code: RejectCode::Violation,
                reason,
            } => reason.contains("said nothing"),
            _ => false,
        };
        if expected {
            return Ok(());
        }
        let forked = [Some(node), peer]
            .into_iter()
            .flatten()
            .find(|node| self.nodes[*node].is_forked);
        let identity = matches!(
            error,
            SessionError::Fork { .. }
                | SessionError::Amnesia { .. }
                | SessionError::Clone { .. }
                | SessionError::Rejected {
                    code: RejectCode::Fork | RejectCode::Clone,
                    ..
                }
        );
        let restored = [Some(node), peer]
            .into_iter()
            .flatten()
            .any(|node| self.nodes[node].was_restored);
        match forked {
            Some(forked) if identity => self.wipe(forked),
            None if identity && restored => Ok(()),
            _ => Err((
                Invariant::Sessions,
                format!("n{node} ended its session with n{peer:?}: {error}"),
            )),
        }
    }

    /// Says and sends everything that a node's sessions have to say and send.
    pub(crate) fn pump(&mut self, node: usize) -> Checked {
        let Some(process) = &self.nodes[node].process else {
            return Ok(());
        };
        let ids: Vec<u64> = process.sessions.keys().copied().collect();
        for id in ids {
            let (now, lies) = (self.now(node), self.lies());
            let Some(process) = &mut self.nodes[node].process else {
                return Ok(());
            };
            let result = process.advance(id, now, lies);
            self.conclude(node, id, result)?;
            self.send_control(node, id);
            for lane in [1, 2] {
                self.send_frames(node, id, lane)?;
            }
        }
        Ok(())
    }

    fn send_control(&mut self, node: usize, id: u64) {
        let (now, lies) = (self.now(node), self.lies());
        let Some(process) = &mut self.nodes[node].process else {
            return;
        };
        let messages = process.poll_transmit(id, now, lies);
        for message in &messages {
            self.note_told(node, message);
        }
        self.send(node, id, 0, messages);
    }

    fn send_frames(&mut self, node: usize, id: u64, lane: usize) -> Checked {
        let Some(process) = &mut self.nodes[node].process else {
            return Ok(());
        };
        let Some(talk) = process.sessions.get(&id) else {
            return Ok(());
        };
        let Some(connection) = self.network.get(id) else {
            return Ok(());
        };
        let queued = connection.queues[1 - talk.end][lane].len();
        match process.feed(id, LANES[lane], queued) {
            Ok(messages) => {
                self.send(node, id, lane, messages);
                Ok(())
            }
            Err(error) => self.end_session(node, id, &error),
        }
    }

    fn send(&mut self, node: usize, id: u64, lane: usize, messages: Vec<Message>) {
        let process = self.nodes[node].process.as_ref();
        let Some(talk) = process.and_then(|process| process.sessions.get(&id)) else {
            return;
        };
        let other = 1 - talk.end;
        let Some(connection) = self
            .network
            .get_mut(id)
            .filter(|connection| connection.open[other])
        else {
            return;
        };
        connection.queues[other][lane].extend(messages.iter().map(Message::encode));
    }

    /// Remembers what was said to be durable here: it must be, whatever happens.
    fn note_told(&mut self, node: usize, message: &Message) {
        let node = &mut self.nodes[node];
        match message {
            Message::Ack(ack) if Some(ack.about) == node.id => {
                node.told_durable.merge(&ack.durable);
                node.promised = node.promised.max(ack.promise);
            }
            Message::Hello(hello) => node.told_durable.merge(&hello.durable),
            _ => {}
        }
    }

    /// The process is gone.
    pub(crate) fn crash(&mut self, node: usize) -> Checked {
        let Some(process) = self.nodes[node].process.take() else {
            return Ok(());
        };
        for (id, talk) in process.sessions {
            self.network.close(id, talk.end);
        }
        Ok(())
    }

    fn kill(&mut self, node: usize, seed: u64) -> Checked {
        if self.nodes[node].process.is_none() {
            return Ok(());
        }
        self.crash(node)?;
        let table = &self.nodes[node].disks.table;
        let kept = Random::new(seed).index(table.unpersisted() + 1);
        table.crash_keeping(kept);
        Ok(())
    }

    fn lose_power(&mut self, node: usize, seed: u64) -> Checked {
        self.crash(node)?;
        let node = &mut self.nodes[node];
        let kept = Random::new(seed).index(node.disks.table.unpersisted() + 1);
        node.disks.table.crash_keeping(kept);
        node.disks.log.crash(seed);
        node.boot += 1;
        Ok(())
    }

    fn stop(&mut self, node: usize) -> Checked {
        // Twice: the first time takes what was on its way, the second what has become ready meanwhile.
        self.log(node)?;
        self.log(node)?;
        let wall_ms = self.now(node).wall_ms;
        let Some(process) = &mut self.nodes[node].process else {
            return Ok(());
        };
        // A disk that fails here makes it a crash, which the next start finds out.
        let _ = process.engine.finish(wall_ms);
        self.crash(node)
    }

    pub(crate) fn restart(&mut self, node: usize) -> Checked {
        if self.nodes[node].process.is_some() {
            return Ok(());
        }
        self.nodes[node].starts += 1;
        let wall_ms = self.now(node).wall_ms;
        let start = self.start_of(node);
        let fresh = start.fresh_id;
        let opened = Engine::open(&self.nodes[node].disks, start, wall_ms);
        let mut engine = match opened {
            Ok(engine) => engine,
            // The disk fails while it is read: as good as a later start.
            Err(error) if error.contains("injected") => return Ok(()),
            Err(error) => {
                return Err((
                    Invariant::Recovery,
                    format!("n{node} cannot start: {error}"),
                ));
            }
        };
        if let Some(damage) = self.options.mutant.and_then(Mutant::damage) {
            engine.replica.damage(damage);
        }
        self.counts.restarts += 1;
        let id = engine.replica.id();
        self.check_recovery(node, &engine, id == fresh)?;
        let logged = engine.replica.applied().clone();
        let this = &mut self.nodes[node];
        if this.id != Some(id) {
            this.promised = Hlc::ZERO;
        }
        this.id = Some(id);
        this.told_durable = VectorClock::new();
        this.process = Some(Process {
            engine,
            sessions: BTreeMap::new(),
            replies: Vec::new(),
            timing: timing(self.options.audit),
            logged,
        });
        self.check_definitions(node)?;
        self.check_content(node)
    }

    fn start_of(&mut self, node: usize) -> Start {
        let fresh_id =
            ReplicaId::from_u128(u128::from(self.ids.next()) << 64 | u128::from(self.ids.next()));
        let node = &self.nodes[node];
        Start {
            policy: self.options.policy,
            boot: format!("boot {}", node.boot),
            nonce: node.nonce(),
            fresh_id,
            config: ReplicaConfig {
                max_skew_ms: self.options.max_skew_ms,
                ..ReplicaConfig::default()
            },
            segment_bytes: self.options.segment_bytes,
            history_bytes: self.options.history_bytes,
            mutant: self.options.mutant,
        }
    }

    /// Forgets what clients were told of entries that are gone.
    pub(crate) fn forget_tokens(&mut self, replica: ReplicaId, after: u64) {
        for token in &mut self.tokens {
            if token
                .as_ref()
                .is_some_and(|token| token.get(replica) > after)
            {
                *token = None;
            }
        }
    }

    fn save_image(&mut self, node: usize) -> Checked {
        let node = &mut self.nodes[node];
        let Some(process) = &process_of(node) else {
            return Ok(());
        };
        let replica = &process.engine.replica;
        let (id, last) = (replica.id(), replica.durable().get(replica.id()));
        if node.is_forked || replica.durable() != replica.applied() {
            return Ok(());
        }
        node.image = Some(Image {
            disks: node.disks.fork(),
            id,
            last,
        });
        Ok(())
    }

    /// An operator puts an older copy of a disk back. Only if it is clear what others know of what that forgets.
    fn restore_image(&mut self, node: usize) -> Checked {
        let Some(Image { id, last, .. }) = self.nodes[node].image else {
            return Ok(());
        };
        // Once per run: two lost disks may lose what was acknowledged.
        let restored = self.nodes.iter().any(|node| node.was_restored);
        if restored || self.nodes[node].id != Some(id) {
            return Ok(());
        }
        let mut known = Vec::new();
        for other in self.nodes.iter().filter(|other| other.number != node) {
            let Some(process) = &other.process else {
                return Ok(());
            };
            let replica = &process.engine.replica;
            let (applied, durable) = (replica.applied().get(id), replica.durable().get(id));
            let delivery = replica.delivery();
            if applied != durable
                || delivery.reach(id, replica.applied()) != applied
                || delivery.has_gap(id, replica.applied())
            {
                return Ok(());
            }
            known.push(applied.max(last));
        }
        // Who knows nothing of what was forgotten would take the new history for the only one, and nobody could tell.
        let all_know = known.iter().all(|known| *known > last);
        let known = known.into_iter().max().unwrap_or(last);
        if known > last && !all_know {
            return Ok(());
        }
        self.crash(node)?;
        self.network.lose_messages_of(node);
        self.ledger.lose_after(id, known);
        self.forget_tokens(id, known);
        self.contents.retain(|clock, _| {
            clock
                .iter()
                .all(|(replica, last)| *replica != id || *last <= known)
        });
        let this = &mut self.nodes[node];
        let image = this.image.take().expect("invariant: it was just there");
        this.disks = image.disks;
        this.boot += 1;
        this.is_forked = known > last;
        this.was_restored = true;
        this.told_durable = VectorClock::new();
        this.promised = Hlc::ZERO;
        self.restart(node)?;
        let this = &mut self.nodes[node];
        this.is_forked &= this.id == Some(id);
        Ok(())
    }

    /// An operator empties the disks of a node whose history has forked.
    pub(crate) fn wipe(&mut self, node: usize) -> Checked {
        self.crash(node)?;
        let node = &mut self.nodes[node];
        node.disks = Disks::default();
        node.image = None;
        node.is_forked = false;
        node.boot += 1;
        node.id = None;
        Ok(())
    }

    /// Whether losing power may lose what was acknowledged.
    pub(crate) fn may_lose(&self) -> bool {
        self.options.policy != Policy::Always
    }
}

impl Node {
    /// Of this start alone.
    pub(crate) fn nonce(&self) -> u64 {
        (self.number as u64) << 32 | self.boot << 16 | self.starts
    }
}

fn process_of(node: &Node) -> Option<&Process> {
    node.process.as_ref()
}
