//! What an element holds: a register that keeps every value that no write has observed.

use alloc::boxed::Box;
use alloc::vec::Vec;

use isles_clock::{Context, Dot, Hlc};

use super::position::Position;
use crate::op::Version;

/// The values of one element. Nearly all elements hold the value that they were inserted with, which is named like the
/// element itself; it is older than every other one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::box_collection,
    reason = "written elements are few, and all pay for the size"
)]
pub(crate) enum Entry<T> {
    Inserted(T),
    // Invariant: sorted by dot, each once; not just the one that the element was inserted with.
    Written(Box<Vec<Version<T>>>),
}

impl<T> Entry<T> {
    /// The entry with these versions, in the order of their dots.
    pub(crate) fn new(own: Dot, mut versions: Vec<Version<T>>) -> Self {
        match versions.pop() {
            Some(only) if versions.is_empty() && only.dot == own => Self::Inserted(only.value),
            last => {
                versions.extend(last);
                Self::Written(Box::new(versions))
            }
        }
    }

    /// An entry that holds nothing: the element is named, because it was removed.
    pub(crate) fn nothing() -> Self {
        Self::Written(Box::default())
    }

    /// Whether it holds something, and as [`new`](Self::new) makes it for the element at this position.
    pub(crate) fn is_normal(&self, position: &Position) -> bool {
        match self {
            Self::Inserted(_) => true,
            Self::Written(versions) => match versions.as_slice() {
                [] => false,
                [only] => only.dot != position.dot(),
                _ => true,
            },
        }
    }

    pub(crate) fn is_nothing(&self) -> bool {
        matches!(self, Self::Written(versions) if versions.is_empty())
    }

    /// The value with the greatest stamp, the same everywhere. There is one unless the entry holds nothing.
    pub(crate) fn latest(&self) -> Option<&T> {
        match self {
            Self::Inserted(value) => Some(value),
            Self::Written(versions) => versions
                .iter()
                .max_by_key(|version| (version.stamp(), version.dot))
                .map(|version| &version.value),
        }
    }

    /// Every value with its write, in the order of their dots; `own` is the element's own name.
    pub(crate) fn versions(&self, own: Dot) -> impl Iterator<Item = Version<&T>> {
        let (inserted, written) = match self {
            Self::Inserted(value) => {
                let version = Version {
                    dot: own,
                    hlc: Hlc::ZERO,
                    value,
                };
                (Some(version), [].as_slice())
            }
            Self::Written(versions) => (None, versions.as_slice()),
        };
        let written = written.iter().map(|version| Version {
            dot: version.dot,
            hlc: version.hlc,
            value: &version.value,
        });
        inserted.into_iter().chain(written)
    }

    /// Every value with its write.
    pub(crate) fn into_versions(self, own: Dot) -> Vec<Version<T>> {
        match self {
            Self::Inserted(value) => {
                let hlc = Hlc::ZERO;
                alloc::vec![Version {
                    dot: own,
                    hlc,
                    value
                }]
            }
            Self::Written(versions) => *versions,
        }
    }

    /// Adds what is not here yet.
    pub(crate) fn join(self, own: Dot, more: impl IntoIterator<Item = Version<T>>) -> Self {
        let mut versions = self.into_versions(own);
        for version in more {
            if let Err(index) = versions.binary_search_by_key(&version.dot, |old| old.dot) {
                versions.insert(index, version);
            }
        }
        Self::new(own, versions)
    }

    /// Keeps the versions whose dots are not `gone`.
    pub(crate) fn without(self, own: Dot, mut gone: impl FnMut(Dot) -> bool) -> Self {
        let mut versions = self.into_versions(own);
        versions.retain(|version| !gone(version.dot));
        Self::new(own, versions)
    }

    /// Puts `version` in the place of what its writer had observed.
    pub(crate) fn write(self, own: Dot, version: Version<T>, ctx: &impl Context) -> Self {
        self.without(own, |dot| dot == version.dot || ctx.covers(dot))
            .join(own, [version])
    }
}
