//! What nodes say to each other: connections, sessions, and what travels between them.

use isles_replica::session::{Effect, Effects, Received, SessionError};
use isles_transport::{Message, RejectCode};

use crate::failure::{Breaks, Checked, Invariant};
use crate::mutant::Mutant;
use crate::node::Process;
use crate::plant;
use crate::step::LANES;
use crate::world::World;

impl World {
    pub(crate) fn pass(&mut self, ms: u64) -> Checked {
        self.now_ms += ms;
        (0..self.nodes.len()).try_for_each(|node| self.pump(node))
    }

    pub(crate) fn connect(&mut self, from: usize, to: usize) -> Checked {
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

    pub(crate) fn drop_connections(&mut self, node: usize, peer: usize) -> Checked {
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
    pub(crate) fn close(&mut self, node: usize, id: u64) {
        let lies = self.lies();
        let Some(process) = &mut self.nodes[node].process else {
            return;
        };
        let Some(mut talk) = process.sessions.remove(&id) else {
            return;
        };
        // Whoever waits for its place is advanced with all others of the node.
        _ = talk
            .session
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
    pub(crate) fn deliver_one(
        &mut self,
        id: u64,
        end: usize,
        to: usize,
        lane: usize,
    ) -> Checked<bool> {
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
    pub(crate) fn notice_end(&mut self, id: u64, end: usize, node: usize) {
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

    pub(crate) fn conclude(
        &mut self,
        node: usize,
        id: u64,
        result: Result<Effects, SessionError>,
    ) -> Checked {
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

    pub(crate) fn end_session(&mut self, node: usize, id: u64, error: &SessionError) -> Checked {
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
        let is_left = |peer: usize| {
            let process = self.nodes[peer].process.as_ref();
            process.is_none_or(|process| !process.sessions.contains_key(&id))
        };
        if matches!(error, SessionError::Clone { .. }) && peer.is_some_and(is_left) {
            // A hello on its way when its process ended arrives after that of the next one, which answers.
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

    pub(crate) fn send_control(&mut self, node: usize, id: u64) {
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

    pub(crate) fn send_frames(&mut self, node: usize, id: u64, lane: usize) -> Checked {
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

    pub(crate) fn send(&mut self, node: usize, id: u64, lane: usize, messages: Vec<Message>) {
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
    pub(crate) fn note_told(&mut self, node: usize, message: &Message) {
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
}
