//! Merge functions in WebAssembly: run in a box, checked against the laws before they are trusted.
//!
//! A [`WasmResolver`] is a [`Resolver`](isles_resolve::Resolver) whose rule is a module that somebody else wrote. The module
//! has no imports and no floats, so it is a function of what it is given; every call has a fresh instance, so nothing is
//! left of the call before; and it has so much fuel, memory and depth and no more. What it cannot answer within that is
//! [`Failed`](isles_resolve::Resolution::Failed), never one of the siblings.
//!
//! It deliberately knows no replica, no keyspace, no files, and nothing of how a module came here.
//!
//! In reading order:
//!
//! * `limits`: [`Limits`], what a module may use.
//! * `module`: [`WasmResolver`], one that is loaded; [`LoadError`], why one is not; [`RunError`], why it gave no answer.
//! * `abi`: how siblings go in and an answer comes out, as `docs/resolvers.md` draws it.
//! * `check`: [`check`], which tries the laws and refuses with a counter-example.
//!
//! ```
//! use isles_clock::{Dot, Hlc, ReplicaId};
//! use isles_resolve::{Resolver, Sibling};
//! use isles_resolve_wasm::{Limits, WasmResolver, check};
//!
//! let cart = include_bytes!("../../resolver/examples/cart.wasm");
//! let cart = WasmResolver::load(cart, Limits::default())?;
//! let sibling = |replica, value| {
//!     Sibling::new(Dot::new(ReplicaId::from_u128(replica), 1), Hlc::new(1, 0), value)
//! };
//! let siblings = [sibling(1, b"eggs 6\nmilk 1\n"), sibling(2, b"milk 2\n")];
//! assert_eq!(cart.resolve(&siblings).value(), Some(&b"eggs 6\nmilk 2\n"[..]));
//! assert!(check(&cart, &[b"eggs 6\n", b"milk 1\n", b"milk 2\n"]).is_ok());
//! # Ok::<(), isles_resolve_wasm::LoadError>(())
//! ```

mod abi;
mod check;
mod limits;
mod module;

pub use crate::check::{Refusal, Report, SAMPLES_MAX, check};
pub use crate::limits::{
    ANSWER_BYTES_MAX, FUEL_MAX, INPUT_BYTES_MAX, Limits, MEMORY_BYTES_MAX, MODULE_BYTES_MAX,
};
pub use crate::module::{LoadError, RunError, WasmResolver};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
