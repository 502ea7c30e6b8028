//! Merge functions for Isles: one Rust function and one macro make the WebAssembly module that a keyspace resolves with.
//!
//! A resolver is given *siblings*, the values that several regions have written to one key without seeing each other's,
//! and makes one value of them. It must be a function of their set: their order must not matter, nor one that comes
//! twice, nor that some were merged earlier by somebody else. `isles resolver check` tries that, and `ISLES.RESOLVER LOAD`
//! takes no other.
//!
//! ```
//! use isles_resolver::Sibling;
//!
//! /// Every line that any of them has, once.
//! fn resolve(siblings: &[Sibling<'_>]) -> Vec<u8> {
//!     let lines = siblings.iter().flat_map(|sibling| sibling.value.split(|byte| *byte == b'\n'));
//!     let mut lines: Vec<&[u8]> = lines.filter(|line| !line.is_empty()).collect();
//!     lines.sort_unstable();
//!     lines.dedup();
//!     lines.join(&b'\n')
//! }
//!
//! isles_resolver::export!(resolve);
//! ```
//!
//! In a library with `crate-type = ["cdylib"]`, build it with
//! `cargo build --release --target wasm32-unknown-unknown`; the profile that keeps it small and fast is in the README.
//!
//! A resolver has no clock, no randomness, no floats and no imports, and each call has an instance of its own: nothing is
//! left of the call before. Where it cannot say, it returns `None` instead of a value and the reader gets all siblings, as
//! under `multi-value`; where it panics or takes too long the same happens, and the key is flagged.
//!
//! In reading order:
//!
//! * `sibling`: [`Sibling`], [`Dot`], [`Stamp`], what a resolver is given; [`Answer`], what it gives.
//! * [`abi`]: how both cross the border, for [`export!`] and for tests.
//! * `bump`: the allocator of a module, which frees nothing.

#![no_std]

extern crate alloc;

pub mod abi;
#[cfg(target_arch = "wasm32")]
mod bump;
mod sibling;

#[cfg(target_arch = "wasm32")]
pub use crate::bump::Bump;
pub use crate::sibling::{Answer, Dot, Sibling, Stamp};

/// Makes a function the resolver of this module: `fn(&[Sibling<'_>]) -> Vec<u8>`, or any other [`Answer`].
///
/// It also installs an allocator that frees nothing, since the instance goes with the call; `export!(resolve, no allocator)`
/// leaves that to the module. Outside of WebAssembly it only checks the function's type, so that the same crate can be
/// tested as any other.
#[macro_export]
macro_rules! export {
    ($resolve:path) => {
        $crate::export!($resolve, no allocator);

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            #[global_allocator]
            static MEMORY: $crate::Bump = $crate::Bump::new();
        };
    };
    ($resolve:path, no allocator) => {
        const _: () = {
            fn call(input: &[u8]) -> u64 {
                $crate::abi::answer(input, |siblings| $resolve(siblings))
            }

            #[cfg(target_arch = "wasm32")]
            #[expect(unsafe_code, reason = "the host finds the functions by their names")]
            #[unsafe(no_mangle)]
            extern "C" fn isles_alloc_v1(bytes: u32) -> u32 {
                $crate::abi::allocate(bytes)
            }

            #[cfg(target_arch = "wasm32")]
            #[expect(unsafe_code, reason = "the host finds the functions by their names")]
            #[unsafe(no_mangle)]
            extern "C" fn isles_resolve_v1(input: u32, bytes: u32) -> u64 {
                $crate::abi::with_input(input, bytes, call)
            }

            #[cfg(not(target_arch = "wasm32"))]
            const _: fn(&[u8]) -> u64 = call;
        };
    };
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;

/// The Rust of the page that says how to write a module, compiled as its readers would.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/resolvers.md")]
struct Page;
