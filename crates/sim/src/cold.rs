//! Rows that leave memory: what is asked of the table because of them, and what waits for its answers.
//!
//! A row is loaded in steps between which anything may happen: somebody misses it, it is read from the table, it is
//! admitted. Any number of loads of one key are under way at once, and they end in any order.

use std::ops::ControlFlow;

use isles_replica::image::{ROWS, ScanTable, due_range, key_of_due, key_of_row};
use isles_replica::{Admitted, Evicted, Eviction, Loaded, Missing, Replica};
use isles_store::{MemoryTable, Table};

use crate::command::Script;
use crate::failure::{Breaks, Checked, Invariant};
use crate::mutant::Mutant;
use crate::node::Node;
use crate::world::World;

/// So many rounds must be enough for all that waits for the table.
const ROUNDS_MAX: usize = 100;

/// What a process wants of its table.
#[derive(Debug, Default)]
pub struct Wants {
    /// Keys to be read.
    wanted: Vec<Missing>,
    /// What was read, to be admitted.
    loaded: Vec<Loaded>,
    /// Scripts that have missed keys, to be run again.
    parked: Vec<Script>,
}

impl Wants {
    /// Whether nobody waits for the table.
    pub fn is_idle(&self) -> bool {
        self.wanted.is_empty() && self.loaded.is_empty() && self.parked.is_empty()
    }

    fn add(&mut self, missing: Vec<Missing>) {
        for missing in missing {
            if !self.wanted.contains(&missing) {
                self.wanted.push(missing);
            }
        }
    }
}

/// What a script needs that is not in memory.
#[derive(Debug)]
pub enum Missed {
    /// These keys.
    Keys(Vec<Missing>),
    /// All of them.
    Everything,
}

/// Calls back for every row of a table whose key starts with a prefix.
pub(crate) fn scan(table: &MemoryTable, prefix: &[u8], each: &mut dyn FnMut(&[u8], &[u8])) {
    let result = table.scan(prefix, None, &mut |key, value| {
        if !key.starts_with(prefix) {
            return ControlFlow::Break(());
        }
        each(key, value);
        ControlFlow::Continue(())
    });
    result.expect("invariant: a table in memory can be read");
}

/// The keys whose deadline has passed, as the table has it.
pub(crate) fn due(table: &MemoryTable, now_ms: u64) -> Vec<Vec<u8>> {
    let (from, to) = due_range(now_ms);
    let mut keys = Vec::new();
    let scanned = table.scan(&from, Some(&to), &mut |key, _| {
        keys.extend(key_of_due(key).map(<[u8]>::to_vec));
        ControlFlow::Continue(())
    });
    scanned.expect("invariant: a table in memory can be read");
    keys
}

/// Reads a key from a table.
pub(crate) fn load(table: &MemoryTable, missing: Missing) -> Loaded {
    let get = &mut |key: &[u8]| table.get(key).map_err(|error| error.to_string());
    let scan: &mut ScanTable<'_> = &mut |prefix, each| scan(table, prefix, each);
    missing.load(get, scan)
}

/// Every key of which memory cannot say whether it is there.
pub(crate) fn all_missing(replica: &Replica, table: &MemoryTable) -> Vec<Missing> {
    let mut keys = Vec::new();
    if replica.cold_rows() > 0 {
        scan(table, ROWS, &mut |key, _| {
            keys.extend(key_of_row(key).map(<[u8]>::to_vec));
        });
    }
    replica.missing(keys.iter().map(Vec::as_slice))
}

/// Has rows leave as a node starts, when nobody has used any.
pub(crate) fn evict_at_start(replica: &mut Replica, seed: u64, wall_ms: u64) -> Result<(), String> {
    let which = Eviction {
        rows: (seed % 8) as usize,
        idle_ms: 0,
        seed,
    };
    let evicted = replica.evict(which, wall_ms);
    evicted.map(drop).map_err(|error| error.to_string())
}

impl Node {
    /// How many keys are to be read, to be admitted, and how many scripts wait; none if nobody waits for the table.
    fn wants_of_table(&self) -> Option<[usize; 3]> {
        let wants = &self.process.as_ref()?.wants;
        let counts = [wants.wanted.len(), wants.loaded.len(), wants.parked.len()];
        (!wants.is_idle()).then_some(counts)
    }
}

impl World {
    /// Rows leave the memory of a node, unless images of some are on their way.
    pub(crate) fn evict(&mut self, node: usize, rows: usize, seed: u64) -> Checked {
        let wall_ms = self.now(node).wall_ms;
        let Some(process) = &mut self.nodes[node].process else {
            return Ok(());
        };
        let which = Eviction {
            rows,
            idle_ms: 0,
            seed,
        };
        let evicted = process.engine.replica.evict(which, wall_ms);
        drop(process.engine.replica.take_garbage());
        let evicted = evicted.unwrap_or_default();
        if evicted == Evicted::default() {
            return Ok(());
        }
        self.counts.evicted += evicted.rows as u64;
        self.check_definitions(node)?;
        self.check_content(node)
    }

    /// Remembers that a script has to be run again when what it needs is in memory.
    pub(crate) fn park(&mut self, node: usize, script: &Script, missed: Missed) {
        self.counts.misses += 1;
        let Some(process) = &mut self.nodes[node].process else {
            return;
        };
        let missing = match missed {
            Missed::Keys(missing) => missing,
            Missed::Everything => process.engine.all_missing(),
        };
        process.wants.add(missing);
        process.wants.parked.push(script.clone());
    }

    /// The rows that frames wait for are wanted.
    pub(crate) fn want_awaited(&mut self, node: usize) {
        let Some(process) = &mut self.nodes[node].process else {
            return;
        };
        let awaited = process.engine.replica.awaited().to_vec();
        process.wants.add(awaited);
    }

    /// Reads one of the keys that are wanted from the table.
    pub(crate) fn load(&mut self, node: usize, pick: usize) {
        let Some(process) = &mut self.nodes[node].process else {
            return;
        };
        let wanted = &mut process.wants.wanted;
        if wanted.is_empty() {
            return;
        }
        let missing = wanted.swap_remove(pick % wanted.len());
        process.wants.loaded.push(process.engine.load(missing));
    }

    /// Admits something that was read, and runs a script again that may have waited for it.
    pub(crate) fn admit(&mut self, node: usize, pick: usize) -> Checked {
        let is_stale_admitted = self.is_mutant(Mutant::AdmitStale);
        let wall_ms = self.now(node).wall_ms;
        let Some(process) = &mut self.nodes[node].process else {
            return Ok(());
        };
        let loaded = &mut process.wants.loaded;
        if loaded.is_empty() {
            return Ok(());
        }
        let mut loaded = loaded.swap_remove(pick % loaded.len());
        let replica = &mut process.engine.replica;
        if is_stale_admitted {
            replica.renew(&mut loaded);
        }
        let admitted = replica.admit(loaded, wall_ms);
        match admitted.breaks(Invariant::Recovery)? {
            Admitted::Known => {}
            Admitted::Stale(missing) => process.wants.add(vec![missing]),
        }
        self.check_content(node)?;
        self.run_parked(node)
    }

    fn run_parked(&mut self, node: usize) -> Checked {
        let Some(process) = &mut self.nodes[node].process else {
            return Ok(());
        };
        if process.wants.parked.is_empty() {
            return Ok(());
        }
        let script = process.wants.parked.remove(0);
        self.run(node, &script)
    }

    /// Brings every row back into memory.
    pub(crate) fn load_everything(&mut self, node: usize) -> Checked {
        if let Some(process) = &mut self.nodes[node].process {
            process.wants.add(process.engine.all_missing());
        }
        self.load_all(node)?;
        let process = self.nodes[node].process.as_ref();
        match process.map_or(0, |process| process.engine.replica.cold_rows()) {
            0 => Ok(()),
            rows => {
                let what = format!("n{node} counts {rows} rows that the table does not have");
                Err((Invariant::Bookkeeping, what))
            }
        }
    }

    /// Goes on until nobody waits for the table.
    pub(crate) fn load_all(&mut self, node: usize) -> Checked {
        for _ in 0..ROUNDS_MAX {
            let wants = |world: &World| world.nodes[node].wants_of_table();
            let Some([wanted, ..]) = wants(self) else {
                return Ok(());
            };
            (0..wanted).for_each(|_| self.load(node, 0));
            let [_, loaded, _] = wants(self).unwrap_or_default();
            (0..loaded).try_for_each(|_| self.admit(node, 0))?;
            let [_, _, parked] = wants(self).unwrap_or_default();
            (0..parked).try_for_each(|_| self.run_parked(node))?;
        }
        let what = format!("n{node} does not get what it wants of its table");
        Err((Invariant::Progress, what))
    }
}
