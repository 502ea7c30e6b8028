//! How processes end and begin again, and what their disks keep.

use std::collections::BTreeMap;

use isles_clock::{Hlc, ReplicaId, VectorClock};
use isles_replica::{JournalLimits, ReplicaConfig};

use crate::cold::Wants;
use crate::engine::{Disks, Engine, Start};
use crate::failure::{Checked, Invariant};
use crate::mutant::Mutant;
use crate::node::{Image, Process, timing};
use crate::options::Policy;
use crate::random::Random;
use crate::world::World;

impl World {
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

    pub(crate) fn kill(&mut self, node: usize, seed: u64) -> Checked {
        if self.nodes[node].process.is_none() {
            return Ok(());
        }
        self.crash(node)?;
        let table = &self.nodes[node].disks.table;
        let kept = Random::new(seed).index(table.unpersisted() + 1);
        table.crash_keeping(kept);
        Ok(())
    }

    pub(crate) fn lose_power(&mut self, node: usize, seed: u64) -> Checked {
        self.crash(node)?;
        let node = &mut self.nodes[node];
        let kept = Random::new(seed).index(node.disks.table.unpersisted() + 1);
        node.disks.table.crash_keeping(kept);
        node.disks.log.crash(seed);
        node.boot += 1;
        Ok(())
    }

    pub(crate) fn stop(&mut self, node: usize) -> Checked {
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
            watched: BTreeMap::new(),
            timing: timing(self.options.audit),
            wants: Wants::default(),
            logged,
        });
        self.check_definitions(node)?;
        self.check_content(node)
    }

    pub(crate) fn start_of(&mut self, node: usize) -> Start {
        let fresh_id = ReplicaId::from_u128(
            u128::from(self.ids.number()) << 64 | u128::from(self.ids.number()),
        );
        let node = &self.nodes[node];
        let nonce = node.nonce();
        Start {
            policy: self.options.policy,
            boot: format!("boot {}", node.boot),
            nonce,
            fresh_id,
            config: ReplicaConfig {
                max_skew_ms: self.options.max_skew_ms,
                journal: JournalLimits {
                    bytes: self.options.journal_bytes,
                    ..JournalLimits::default()
                },
                ..ReplicaConfig::default()
            },
            segment_bytes: self.options.segment_bytes,
            history_bytes: self.options.history_bytes,
            evict_seed: self.options.evictions.then_some(nonce),
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

    pub(crate) fn save_image(&mut self, node: usize) -> Checked {
        let node = &mut self.nodes[node];
        let Some(process) = &node.process else {
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
    pub(crate) fn restore_image(&mut self, node: usize) -> Checked {
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
