//! Keyspaces: which strategy holds for which prefix.
//!
//! A definition is an ordinary `lww` register under a reserved key: it replicates, conflicts and is logged as all else.
//! Its class says which kind of register a key gets that has none yet; its lens is applied on read. So a definition may
//! change at any time, and what a replica does with an op never depends on it.

use isles_resolve::Strategy;

use crate::rows::RESERVED_PREFIX;

const DEFINITION: &[u8] = b"\0isles:keyspace:";

const _: () = assert!(RESERVED_PREFIX.len() < DEFINITION.len());

/// The definitions in force, longest prefix first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keyspaces {
    definitions: Vec<(Box<[u8]>, Strategy)>,
}

impl Keyspaces {
    /// The key whose value defines the keyspace with this prefix.
    pub(crate) fn definition_key(prefix: &[u8]) -> Vec<u8> {
        [DEFINITION, prefix].concat()
    }

    /// Takes note of a reserved key's value; other reserved keys and unreadable values are no definitions.
    pub(crate) fn note(&mut self, key: &[u8], value: Option<&[u8]>) {
        let Some(prefix) = key.strip_prefix(DEFINITION) else {
            return;
        };
        let strategy = value
            .and_then(|value| std::str::from_utf8(value).ok())
            .and_then(|name| name.parse().ok());
        self.definitions.retain(|(known, _)| **known != *prefix);
        if let Some(strategy) = strategy {
            let place = self
                .definitions
                .partition_point(|(known, _)| known.len() > prefix.len());
            self.definitions.insert(place, (prefix.into(), strategy));
        }
    }

    /// The keyspace of a key: its prefix and strategy. Keys outside all prefixes are under `lww`, prefix empty, and so
    /// are Isles' own: a definition of the empty prefix must not change what definitions are.
    pub(crate) fn of(&self, key: &[u8]) -> (&[u8], Strategy) {
        let is_own = key.starts_with(RESERVED_PREFIX);
        let found = self
            .definitions
            .iter()
            .find(|(prefix, _)| !is_own && key.starts_with(prefix));
        found.map_or((b"", Strategy::Lww), |(prefix, strategy)| {
            (prefix, *strategy)
        })
    }

    pub(crate) fn list(&self) -> &[(Box<[u8]>, Strategy)] {
        &self.definitions
    }
}
