//! Keyspaces: which strategy holds for which prefix.
//!
//! A definition is an ordinary `lww` register under a reserved key: it replicates, conflicts and is logged as all else.
//! Its class says which kind of register a key gets that has none yet, and its rule of sets which kind of set; its lens is
//! applied on read. So a definition may change at any time, and what a replica does with an op never depends on it.

use std::fmt;
use std::str::FromStr;

use isles_resolve::Strategy;

use crate::lens::{Lens, ResolverName};
use crate::rows::RESERVED_PREFIX;

const DEFINITION: &[u8] = b"\0isles:keyspace:";

const _: () = assert!(RESERVED_PREFIX.len() < DEFINITION.len());

/// What stands before a definition that says more than a strategy, which is all that the first version knew.
const VERSION_2: &str = "v2";

/// What wins of a concurrent addition and removal of one member of a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SetRule {
    /// The addition.
    #[default]
    AddWins,
    /// The removal.
    RemoveWins,
}

impl SetRule {
    /// The name that people write.
    pub fn name(self) -> &'static str {
        match self {
            SetRule::AddWins => "add-wins",
            SetRule::RemoveWins => "remove-wins",
        }
    }

    /// The rule of this name, in any case of letters.
    pub fn from_name(name: &str) -> Option<SetRule> {
        let all = [SetRule::AddWins, SetRule::RemoveWins];
        all.into_iter()
            .find(|rule| rule.name().eq_ignore_ascii_case(name))
    }
}

/// What holds for the keys of a keyspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Definition {
    pub(crate) lens: Lens,
    pub(crate) sets: SetRule,
}

impl Definition {
    const OTHERWISE: Definition = Definition {
        lens: Lens::BuiltIn(Strategy::Lww),
        sets: SetRule::AddWins,
    };
}

impl fmt::Display for Definition {
    /// What the first version can say is said as it did.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sets {
            SetRule::AddWins => self.lens.fmt(f),
            rule => write!(f, "{VERSION_2} {} sets={}", self.lens, rule.name()),
        }
    }
}

impl FromStr for Definition {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words: Vec<&str> = text.split(' ').collect();
        let (lens, sets) = match words[..] {
            [lens] => (lens, SetRule::AddWins),
            [VERSION_2, lens, sets] => {
                let rule = sets.strip_prefix("sets=").and_then(SetRule::from_name);
                (lens, rule.ok_or(Unreadable)?)
            }
            _ => return Err(Unreadable),
        };
        let lens = lens.parse().map_err(|_| Unreadable)?;
        Ok(Definition { lens, sets })
    }
}

/// The text defines nothing that this version knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable;

/// The definitions in force, longest prefix first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keyspaces {
    definitions: Vec<(Box<[u8]>, Definition)>,
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
        let definition = value
            .and_then(|value| std::str::from_utf8(value).ok())
            .and_then(|text| text.parse().ok());
        let known = self
            .definitions
            .iter()
            .position(|(known, _)| **known == *prefix);
        match (known, definition) {
            (Some(place), Some(definition)) => self.definitions[place].1 = definition,
            (Some(place), None) => {
                self.definitions.remove(place);
                self.remote_ops_elsewhere += self.remote_ops.remove(place);
            }
            (None, Some(definition)) => {
                let place = self
                    .definitions
                    .partition_point(|(known, _)| known.len() > prefix.len());
                self.definitions.insert(place, (prefix.into(), definition));
                self.remote_ops.insert(place, 0);
            }
            (None, None) => {}
        }
        self.has_modules = self
            .definitions
            .iter()
            .any(|(_, definition)| definition.lens.module().is_some());
    }

    /// Whether any keyspace is read by a module.
    pub(crate) fn has_modules(&self) -> bool {
        self.has_modules
    }

    /// The prefixes of the keyspaces that are read by this module.
    pub(crate) fn under<'a>(&'a self, name: &'a ResolverName) -> impl Iterator<Item = &'a [u8]> {
        let definitions = self.definitions.iter();
        definitions
            .filter(move |(_, definition)| definition.lens.module() == Some(name))
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
        let (prefix, definition) = self.definition_of(key);
        (prefix, &definition.lens)
    }

    /// The rule that a set gets that is created under this key.
    pub(crate) fn sets_of(&self, key: &[u8]) -> SetRule {
        self.definition_of(key).1.sets
    }

    fn definition_of(&self, key: &[u8]) -> (&[u8], &Definition) {
        static OTHERWISE: Definition = Definition::OTHERWISE;
        let found = self.place_of(key).map(|place| &self.definitions[place]);
        found.map_or((b"", &OTHERWISE), |(prefix, definition)| {
            (prefix, definition)
        })
    }

    fn place_of(&self, key: &[u8]) -> Option<usize> {
        let is_own = key.starts_with(RESERVED_PREFIX);
        self.definitions
            .iter()
            .position(|(prefix, _)| !is_own && key.starts_with(prefix))
    }

    pub(crate) fn list(&self) -> &[(Box<[u8]>, Definition)] {
        &self.definitions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_round_trip() {
        for text in [
            "lww",
            "wasm:cart",
            "v2 lww sets=remove-wins",
            "v2 wasm:cart sets=remove-wins",
        ] {
            let definition: Definition = text.parse().unwrap();
            assert_eq!(definition.to_string(), text);
        }
        let plain: Definition = "v2 max sets=add-wins".parse().unwrap();
        assert_eq!(plain.to_string(), "max");
    }

    #[test]
    fn what_is_not_known_defines_nothing() {
        for text in [
            "",
            "newest",
            "v2",
            "v2 lww",
            "v2 lww sets=mine",
            "v2 lww remove-wins",
            "v3 lww sets=add-wins",
        ] {
            assert_eq!(text.parse::<Definition>(), Err(Unreadable), "{text}");
        }
    }
}
