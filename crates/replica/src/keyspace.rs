//! Keyspaces: which strategy holds for which prefix.
//!
//! A definition is an ordinary `lww` register under a reserved key: it replicates, conflicts and is logged as all else.
//! Its class says which kind of register a key gets that has none yet; its lens is applied on read. So a definition may
//! change at any time, and what a replica does with an op never depends on it.

use isles_resolve::Strategy;

use crate::lens::{Lens, ResolverName};
use crate::rows::RESERVED_PREFIX;

const DEFINITION: &[u8] = b"\0isles:keyspace:";

const _: () = assert!(RESERVED_PREFIX.len() < DEFINITION.len());

/// The definitions in force, longest prefix first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keyspaces {
    definitions: Vec<(Box<[u8]>, Lens)>,
    /// Some of them are read by a module.
    has_modules: bool,
    /// Ops of other replicas under each definition, in the same order.
    remote_ops: Vec<u64>,
    /// The same for keys outside all definitions, and for those whose definition has gone.
    remote_ops_elsewhere: u64,
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
        let lens = value
            .and_then(|value| std::str::from_utf8(value).ok())
            .and_then(|name| name.parse().ok());
        let known = self
            .definitions
            .iter()
            .position(|(known, _)| **known == *prefix);
        match (known, lens) {
            (Some(place), Some(lens)) => self.definitions[place].1 = lens,
            (Some(place), None) => {
                self.definitions.remove(place);
                self.remote_ops_elsewhere += self.remote_ops.remove(place);
            }
            (None, Some(lens)) => {
                let place = self
                    .definitions
                    .partition_point(|(known, _)| known.len() > prefix.len());
                self.definitions.insert(place, (prefix.into(), lens));
                self.remote_ops.insert(place, 0);
            }
            (None, None) => {}
        }
        self.has_modules = self
            .definitions
            .iter()
            .any(|(_, lens)| lens.module().is_some());
    }

    /// Whether any keyspace is read by a module.
    pub(crate) fn has_modules(&self) -> bool {
        self.has_modules
    }

    /// The prefixes of the keyspaces that are read by this module.
    pub(crate) fn under<'a>(&'a self, name: &'a ResolverName) -> impl Iterator<Item = &'a [u8]> {
        let definitions = self.definitions.iter();
        definitions
            .filter(move |(_, lens)| lens.module() == Some(name))
            .map(|(prefix, _)| &**prefix)
    }

    /// Counts an op of another replica. Costs a look at each definition, as each local write does.
    pub(crate) fn count_remote(&mut self, key: &[u8]) {
        match self.place_of(key) {
            Some(place) => self.remote_ops[place] += 1,
            None => self.remote_ops_elsewhere += 1,
        }
    }

    /// What was counted, by prefix; the empty one stands for keys outside all definitions.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&[u8], u64)> {
        let defined = self.definitions.iter().zip(&self.remote_ops);
        defined
            .map(|((prefix, _), count)| (&**prefix, *count))
            .chain(std::iter::once((&b""[..], self.remote_ops_elsewhere)))
    }

    pub(crate) fn forget_counts(&mut self) {
        self.remote_ops.fill(0);
        self.remote_ops_elsewhere = 0;
    }

    /// The keyspace of a key: its prefix and lens. Keys outside all prefixes are under `lww`, prefix empty, and so
    /// are Isles' own: a definition of the empty prefix must not change what definitions are.
    pub(crate) fn of(&self, key: &[u8]) -> (&[u8], &Lens) {
        static OTHERWISE: Lens = Lens::BuiltIn(Strategy::Lww);
        let found = self.place_of(key).map(|place| &self.definitions[place]);
        found.map_or((b"", &OTHERWISE), |(prefix, lens)| (prefix, lens))
    }

    fn place_of(&self, key: &[u8]) -> Option<usize> {
        let is_own = key.starts_with(RESERVED_PREFIX);
        self.definitions
            .iter()
            .position(|(prefix, _)| !is_own && key.starts_with(prefix))
    }

    pub(crate) fn list(&self) -> &[(Box<[u8]>, Lens)] {
        &self.definitions
    }
}
