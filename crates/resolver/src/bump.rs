//! Memory for one call: taken in order, never given back, since the instance goes with the call.
//!
//! It begins in the page that the stack and the constants are in, so that a small merge never has to ask for another.

use core::alloc::{GlobalAlloc, Layout};
use core::arch::wasm32::{memory_grow, memory_size};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicUsize, Ordering};

const PAGE_BYTES: usize = 64 << 10;

/// The allocator that [`export!`](crate::export) installs.
#[derive(Debug, Default)]
pub struct Bump {
    /// Where the next allocation can begin; zero before the first.
    next: AtomicUsize,
}

impl Bump {
    /// With all memory free.
    pub const fn new() -> Self {
        Self {
            next: AtomicUsize::new(0),
        }
    }

    fn next(&self) -> usize {
        match self.next.load(Ordering::Relaxed) {
            0 => heap_base(),
            next => next,
        }
    }

    /// Takes what lies between two places; false if there is no memory there.
    fn take(&self, end: usize) -> bool {
        let bytes = memory_size(0) * PAGE_BYTES;
        if end > bytes {
            let pages = (end - bytes).div_ceil(PAGE_BYTES);
            if memory_grow(0, pages) == usize::MAX {
                return false;
            }
        }
        self.next.store(end, Ordering::Relaxed);
        true
    }
}

#[expect(unsafe_code, reason = "the linker says where the heap begins")]
fn heap_base() -> usize {
    unsafe extern "C" {
        static __heap_base: u8;
    }
    &raw const __heap_base as usize
}

#[expect(
    unsafe_code,
    reason = "an allocator; every block lies behind all blocks before it, within the memory"
)]
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let start = self.next().next_multiple_of(layout.align());
        match start.checked_add(layout.size()) {
            Some(end) if self.take(end) => start as *mut u8,
            _ => null_mut(),
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // Nobody has written there: memory is zero when it comes, and no block is used twice.
        unsafe { self.alloc(layout) }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        let start = block as usize;
        let is_last = start + layout.size() == self.next();
        if is_last && bytes >= layout.size() {
            let grown = start.checked_add(bytes).is_some_and(|end| self.take(end));
            return if grown { block } else { null_mut() };
        }
        if bytes <= layout.size() {
            return block;
        }
        let moved = unsafe { self.alloc(Layout::from_size_align_unchecked(bytes, layout.align())) };
        if !moved.is_null() {
            unsafe { core::ptr::copy_nonoverlapping(block, moved, layout.size()) };
        }
        moved
    }
}
