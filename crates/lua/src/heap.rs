//! When garbage is collected.
//!
//! Lua collects when it holds twice what it held after the last collection. Where that is only the environment, it would go
//! through all of it every few dozen scripts, which takes longer than the scripts. So a small heap grows further first, and a
//! large one does as ever, since garbage counts against the limit of memory.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use mlua::Lua;
use mlua::state::{GcIncParams, GcMode};

/// Garbage that gathers where scripts keep nothing. More of it would no longer fit the processor's caches.
const GARBAGE_BYTES: usize = 512 << 10;
/// A heap that grows by more than this is no small one.
const GROWTH_BYTES_MAX: usize = 4 << 20;
/// Lua's own setting: percent of what is left when a collection ends at which the next one begins.
const PAUSE_PERCENT: usize = 200;

/// What is known of a state's memory.
#[derive(Debug, Default)]
pub(crate) struct Heap {
    /// Bytes in use when everything was collected last.
    live_bytes: AtomicUsize,
    /// It has grown, so Lua's own setting holds.
    has_grown: AtomicBool,
}

impl Heap {
    /// Looks at the heap while a script runs.
    pub(crate) fn look(&self, lua: &Lua) {
        if !self.has_grown.load(Ordering::Relaxed) && !self.is_small(lua) {
            self.has_grown.store(true, Ordering::Relaxed);
            set_pause(lua, PAUSE_PERCENT);
        }
    }

    /// Before a script: what an earlier one has left goes, if it is much.
    pub(crate) fn begin(&self, lua: &Lua) {
        if self.has_grown.load(Ordering::Relaxed) || !self.is_small(lua) {
            self.collect(lua);
        }
    }

    pub(crate) fn is_small(&self, lua: &Lua) -> bool {
        lua.used_memory() <= self.live_bytes.load(Ordering::Relaxed) + GROWTH_BYTES_MAX
    }

    /// Collects everything.
    pub(crate) fn collect(&self, lua: &Lua) {
        // It runs no finalizers of scripts: they can make none.
        let _ = lua.gc_collect();
        let live = lua.used_memory();
        self.live_bytes.store(live, Ordering::Relaxed);
        self.has_grown.store(false, Ordering::Relaxed);
        let relaxed = 100 + 100 * GARBAGE_BYTES / live.max(1);
        set_pause(lua, relaxed.max(PAUSE_PERCENT));
    }
}

fn set_pause(lua: &Lua, percent: usize) {
    let percent = i32::try_from(percent).unwrap_or(i32::MAX);
    lua.gc_set_mode(GcMode::Incremental(GcIncParams::default().pause(percent)));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes after a little garbage: as if a few scripts had run.
    fn littered(lua: &Lua, tables: usize) -> usize {
        for _ in 0..tables {
            lua.create_table_with_capacity(100, 0)
                .expect("there is memory");
        }
        lua.used_memory()
    }

    #[test]
    fn a_small_heap_is_left_alone_for_longer_than_lua_would() {
        let (lua, heap) = (Lua::new(), Heap::default());
        heap.collect(&lua);
        let live = lua.used_memory();
        assert!(
            littered(&lua, 100) > live + 100_000,
            "nothing was collected"
        );
        assert!(heap.is_small(&lua));
        assert!(littered(&lua, 10_000) < live + 2 * GARBAGE_BYTES);
        heap.collect(&lua);
        assert!(lua.used_memory() < live + 10_000);
    }

    #[test]
    fn a_heap_that_has_grown_is_collected_before_the_next_script() {
        let (lua, heap) = (Lua::new(), Heap::default());
        heap.collect(&lua);
        let live = lua.used_memory();
        let kept = lua
            .create_string(vec![0; 2 * GROWTH_BYTES_MAX])
            .expect("there is memory");
        heap.look(&lua);
        assert!(heap.has_grown.load(Ordering::Relaxed));
        drop(kept);
        heap.begin(&lua);
        assert!(lua.used_memory() < live + 10_000);
        assert!(!heap.has_grown.load(Ordering::Relaxed));
    }
}
