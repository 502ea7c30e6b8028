//! A resolver for each family of keys.

use std::fmt;

use crate::resolver::Part;
use crate::{Resolver, Strategy};

/// Chooses a resolver by the prefix of the key; the longest prefix that fits counts.
///
/// ```
/// # use isles_clock::{Dot, Hlc, ReplicaId};
/// use isles_resolve::{ByPrefix, Json, Resolver, Sibling, Strategy};
///
/// # let sibling = |replica, value| {
/// #     Sibling::new(Dot::new(ReplicaId::from_u128(replica), 1), Hlc::new(1, 0), value)
/// # };
/// let rules = ByPrefix::new(Strategy::Lww)
///     .with("best:", Strategy::Max)
///     .with("user:", Json::new());
/// let siblings = [sibling(1, b"10"), sibling(2, b"9")];
/// assert_eq!(rules.of(b"best:alice").resolve(&siblings).value(), Some(&b"10"[..]));
/// assert_eq!(rules.of(b"other").resolve(&siblings).value(), Some(&b"9"[..]));
/// ```
pub struct ByPrefix {
    /// Longest prefix first.
    rules: Vec<(Box<[u8]>, Part)>,
    otherwise: Part,
}

impl ByPrefix {
    /// Keys for which there is no other rule are resolved by `otherwise`.
    #[must_use]
    pub fn new(otherwise: impl Resolver + Send + Sync + 'static) -> Self {
        Self {
            rules: Vec::new(),
            otherwise: Box::new(otherwise),
        }
    }

    /// Keys that begin with `prefix` are resolved by `resolver`, which replaces one that was given for it before.
    #[must_use]
    pub fn with(
        mut self,
        prefix: impl AsRef<[u8]>,
        resolver: impl Resolver + Send + Sync + 'static,
    ) -> Self {
        let prefix = prefix.as_ref();
        self.rules.retain(|(known, _)| **known != *prefix);
        let place = self
            .rules
            .partition_point(|(known, _)| known.len() >= prefix.len());
        self.rules
            .insert(place, (prefix.into(), Box::new(resolver)));
        self
    }

    /// The resolver for `key`. Costs a look at each prefix.
    #[must_use]
    pub fn of(&self, key: &[u8]) -> &(dyn Resolver + Send + Sync) {
        let fits = |rule: &&(Box<[u8]>, _)| key.starts_with(&rule.0);
        let found = self.rules.iter().find(fits);
        found.map_or(&*self.otherwise, |(_, resolver)| &**resolver)
    }
}

impl Default for ByPrefix {
    /// The last write wins everywhere.
    fn default() -> Self {
        Self::new(Strategy::Lww)
    }
}

impl fmt::Debug for ByPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefixes = self
            .rules
            .iter()
            .map(|(prefix, _)| prefix.escape_ascii().to_string());
        f.debug_list().entries(prefixes).finish()
    }
}
