//! Siblings in, one answer out: what a reader is told where writes were concurrent.
//!
//! A [`Resolver`] is a pure function of a set of [`Sibling`]s. It deliberately knows no replica, no clock, no order of
//! arrival and no randomness, so the same siblings give the same answer everywhere, and nothing has to be agreed on.
//!
//! In reading order:
//!
//! * `resolver`: [`Sibling`], [`Resolver`], [`Resolution`], the port.
//! * `failure`: [`Failure`], why one that should have answered did not.
//! * `strategy`: [`Strategy`], the resolvers that are built in.
//! * `json`, `union`: [`Json`] field by field, with a resolver for each; items of lists.
//! * `sums`, `amount`: [`Sums`], what a document remembers so that differences of its numbers add up; exact decimals.
//! * `by_prefix`: [`ByPrefix`], a resolver for each family of keys.
//! * `decimal`: exact comparison of numbers that are written as text.
//! * [`laws`]: what every resolver must satisfy, as a check that names the counter-example.
//!
//! ```
//! use isles_clock::{Dot, Hlc, ReplicaId};
//! use isles_resolve::{Resolver, Sibling, Strategy};
//!
//! let sibling = |replica, ms, value| {
//!     Sibling::new(Dot::new(ReplicaId::from_u128(replica), 1), Hlc::new(ms, 0), value)
//! };
//! let siblings = [sibling(1, 20, b"9"), sibling(2, 10, b"10")];
//!
//! assert_eq!(Strategy::Lww.resolve(&siblings).value(), Some(&b"9"[..]));
//! assert_eq!(Strategy::Max.resolve(&siblings).value(), Some(&b"10"[..]));
//! assert_eq!(Strategy::MultiValue.resolve(&siblings).value(), None); // the reader gets both
//! ```

mod amount;
mod by_prefix;
mod decimal;
mod failure;
mod json;
pub mod laws;
mod resolver;
mod strategy;
mod sums;
mod union;

pub use crate::by_prefix::ByPrefix;
pub use crate::failure::Failure;
pub use crate::json::Json;
pub use crate::resolver::{Resolution, Resolver, Sibling};
pub use crate::strategy::{Class, ParseStrategyError, Strategy};
pub use crate::sums::{DIFFERENCES_MAX, PATH_BYTES_MAX, Sums, TooManyDifferences, Writing};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
