//! Resolvers that users bring: modules that keyspaces are read by, and what they have answered.
//!
//! A resolver is an ordinary `lww` register under a reserved key, as a keyspace's definition is: it replicates, survives a
//! restart, and is applied at one causal point everywhere. Its limits are stored beside the module, so that what one
//! replica's resolver can answer every other's can.
//!
//! A module is compiled when it is first needed, and what it answers is remembered by the version of the resolver and the
//! dots of the siblings, of which the answer is a function. Whoever can should therefore ask a [`Question`] beforehand and
//! answer it without the replica: the read that follows finds it answered. One that does not is answered in place,
//! within the resolver's fuel.

mod answers;
mod question;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use isles_resolve::{Failure, Resolution, Resolver, Sibling};
use isles_resolve_wasm::{Limits, WasmResolver};
use serde::{Deserialize, Serialize};

use self::answers::Answers;
pub(crate) use self::answers::{Answer, Known};
pub use self::question::{Answered, Question};
use crate::lens::ResolverName;
use crate::replica::Replica;
use crate::rows::RESERVED_PREFIX;
use crate::txn::{Expiry, Txn};

const RESOLVER: &[u8] = b"\0isles:resolver:";

const _: () = assert!(RESERVED_PREFIX.len() < RESOLVER.len());

/// What is stored of a resolver.
#[derive(Serialize, Deserialize)]
struct StoredResolver<'a> {
    version: u8,
    limits: Limits,
    module: &'a [u8],
}

const STORED_VERSION: u8 = 1;

/// A resolver as this replica has it.
#[derive(Debug)]
pub struct LoadedResolver {
    /// Which of all that were loaded since start; none has the number zero.
    number: u64,
    stored: Box<[u8]>,
    /// None if this version cannot run it.
    module: OnceLock<Option<WasmResolver>>,
}

impl LoadedResolver {
    /// The limits that it was checked with, and its module; none if another version has stored it in another way.
    pub fn parts(&self) -> Option<(Limits, &[u8])> {
        let stored: StoredResolver<'_> = postcard::from_bytes(&self.stored).ok()?;
        (stored.version == STORED_VERSION).then_some((stored.limits, stored.module))
    }

    /// Compiles the module if that has not been done.
    fn module(&self) -> Option<&WasmResolver> {
        let compile = || {
            let (limits, module) = self.parts()?;
            WasmResolver::load(module, limits).ok()
        };
        self.module.get_or_init(compile).as_ref()
    }
}

impl Resolver for LoadedResolver {
    fn resolve<'a>(&self, siblings: &[Sibling<'a>]) -> Resolution<'a> {
        match self.module() {
            Some(module) => module.resolve(siblings),
            None => Resolution::Failed(Failure::Unusable),
        }
    }
}

/// The resolvers in force, by name.
#[derive(Debug, Default)]
pub(crate) struct Resolvers {
    loaded: BTreeMap<ResolverName, Arc<LoadedResolver>>,
    last_number: u64,
    /// Reading is what fills it.
    answers: RefCell<Answers>,
}

impl Resolvers {
    pub(crate) fn key(name: &ResolverName) -> Vec<u8> {
        [RESOLVER, name.as_str().as_bytes()].concat()
    }

    /// Takes note of a reserved key's value; other reserved keys are no resolvers.
    pub(crate) fn note(&mut self, key: &[u8], value: Option<&[u8]>) {
        let name = key
            .strip_prefix(RESOLVER)
            .and_then(|name| std::str::from_utf8(name).ok()?.parse().ok());
        let Some(name) = name else {
            return;
        };
        self.last_number += 1;
        match value {
            Some(stored) => {
                let loaded = LoadedResolver {
                    number: self.last_number,
                    stored: stored.into(),
                    module: OnceLock::new(),
                };
                self.loaded.insert(name, Arc::new(loaded));
            }
            None => {
                self.loaded.remove(&name);
            }
        }
    }

    fn number(&self, name: &ResolverName) -> u64 {
        self.loaded.get(name).map_or(0, |loaded| loaded.number)
    }

    /// What the resolver of this name answers for the siblings of a key. It is remembered if `settled`: if no other values
    /// can come to be under the same dots.
    pub(crate) fn answer(
        &self,
        name: &ResolverName,
        key: &[u8],
        siblings: &[Sibling<'_>],
        settled: bool,
    ) -> Answer {
        let number = self.number(name);
        let mut answers = self.answers.borrow_mut();
        if let Some(answer) = answers.get(key, number, siblings) {
            return answer;
        }
        let answer = match self.loaded.get(name) {
            Some(loaded) => Answer::from(loaded.resolve(siblings)),
            None => Answer::Failed(Failure::Absent),
        };
        if settled {
            let dots = siblings.iter().map(|sibling| sibling.dot).collect();
            let known = Known {
                number,
                dots,
                answer: answer.clone(),
            };
            answers.insert(key, name, known);
        }
        answer
    }

    /// The key holds no siblings any more.
    pub(crate) fn forget(&mut self, key: &[u8]) {
        self.answers.get_mut().forget(key);
    }
}

/// A key whose siblings a resolver should have answered and could not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedKey {
    /// The key.
    pub key: Vec<u8>,
    /// The resolver.
    pub name: ResolverName,
    /// Why.
    pub failure: Failure,
}

impl fmt::Display for FailedKey {
    /// The resolver and why.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.failure)
    }
}

impl Replica {
    /// The resolver that is loaded under a name.
    pub fn resolver(&self, name: &ResolverName) -> Option<Arc<LoadedResolver>> {
        self.resolvers.loaded.get(name).cloned()
    }

    /// The keys whose readers get the siblings because a resolver has failed, as far as somebody has read them since start;
    /// at most 10 000. Costs a look at each.
    pub fn failed_keys(&self) -> Vec<FailedKey> {
        let answers = self.resolvers.answers.borrow();
        let failed = answers.failed().filter(|(key, number, failed)| {
            let holds = self.keyspaces.of(key).1.module() == Some(&failed.name);
            holds && self.resolvers.number(&failed.name) == **number
        });
        failed.map(|(_, _, failed)| failed.clone()).collect()
    }

    /// Why the last reader of this key got its siblings; none if a resolver has answered, or has not been asked.
    pub fn failure_of(&self, key: &[u8]) -> Option<FailedKey> {
        let name = self.keyspaces.of(key).1.module()?;
        let answers = self.resolvers.answers.borrow();
        let (number, failed) = answers.failed_key(key)?;
        let holds = failed.name == *name && self.resolvers.number(name) == number;
        holds.then(|| failed.clone())
    }

    /// How often a resolver has failed since start, by its name and why. A failure that is remembered counts once.
    pub fn resolver_failures(&self) -> Vec<(ResolverName, Failure, u64)> {
        self.resolvers.answers.borrow().failures()
    }
}

/// The resolver is needed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a keyspace is read by it")]
pub struct ResolverInUse {
    /// The prefix of one such keyspace.
    pub prefix: Vec<u8>,
}

impl Txn<'_> {
    /// Puts a resolver in the place of one of its name, in every region. Whether the module is any good is for the caller
    /// to check before.
    pub fn resolver_set(&mut self, name: &ResolverName, module: &[u8], limits: Limits) {
        let stored = StoredResolver {
            version: STORED_VERSION,
            limits,
            module,
        };
        let stored = postcard::to_allocvec(&stored)
            .expect("a resolver holds nothing that cannot be encoded");
        self.set_string(&Resolvers::key(name), &stored, Expiry::Keep);
    }

    /// Takes a resolver away, in every region; whether it was there.
    ///
    /// # Errors
    /// A keyspace is read by it. One that another region defines at the same time is not known here: its readers get
    /// siblings, and are told why.
    pub fn resolver_delete(&mut self, name: &ResolverName) -> Result<bool, ResolverInUse> {
        if let Some(prefix) = self.replica.keyspaces.under(name).next() {
            return Err(ResolverInUse {
                prefix: prefix.to_vec(),
            });
        }
        Ok(self.delete(&Resolvers::key(name)))
    }

    /// Every resolver, by name. Notes that the answer depends on all of them.
    pub fn resolvers(&mut self) -> Vec<(ResolverName, Arc<LoadedResolver>)> {
        let loaded = self.replica.resolvers.loaded.iter();
        let loaded: Vec<_> = loaded
            .map(|(name, loaded)| (name.clone(), Arc::clone(loaded)))
            .collect();
        for (name, _) in &loaded {
            self.spot(&Resolvers::key(name));
        }
        loaded
    }

    /// Whether a resolver of this name is loaded. Notes that the answer depends on it.
    pub fn has_resolver(&mut self, name: &ResolverName) -> bool {
        self.spot(&Resolvers::key(name));
        self.replica.resolvers.loaded.contains_key(name)
    }

    /// The write that a resolver came with: its dot and stamp, as of any register.
    pub fn resolver_version(&mut self, name: &ResolverName) -> Option<crate::txn::SiblingVersion> {
        self.siblings(&Resolvers::key(name))?.versions.pop()
    }

    /// The prefixes of the keyspaces that a resolver reads.
    pub fn keyspaces_under(&self, name: &ResolverName) -> Vec<Vec<u8>> {
        let prefixes = self.replica.keyspaces.under(name);
        prefixes.map(<[u8]>::to_vec).collect()
    }

    /// See [`Replica::failure_of`].
    pub fn failure_of(&self, key: &[u8]) -> Option<FailedKey> {
        self.replica.failure_of(key)
    }

    /// See [`Replica::failed_keys`].
    pub fn failed_keys(&self) -> Vec<FailedKey> {
        self.replica.failed_keys()
    }

    /// How often a resolver has failed here since start, by why.
    pub fn failures_of(&self, name: &ResolverName) -> Vec<(Failure, u64)> {
        let failures = self.replica.resolver_failures().into_iter();
        failures
            .filter(|(each, ..)| each == name)
            .map(|(_, failure, count)| (failure, count))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use isles_clock::ReplicaId;

    use super::*;
    use crate::replica::ReplicaConfig;
    use crate::txn::Scope;

    const LIMITS: Limits = Limits {
        fuel: 1_000,
        memory_bytes: 65_536,
        answer_bytes: 7,
    };

    fn replica() -> Replica {
        Replica::new(ReplicaId::from_u128(1), ReplicaConfig::default())
    }

    #[test]
    fn what_is_stored_is_part_of_the_format() {
        let (mut replica, name) = (replica(), "r".parse().unwrap());
        let mut txn = replica.txn(1, Scope::Once);
        txn.resolver_set(&name, b"wasm", LIMITS);
        txn.commit().unwrap();
        let loaded = &replica.resolvers.loaded[&name];
        let expected = [1, 0xe8, 7, 0x80, 0x80, 4, 7, 4, b'w', b'a', b's', b'm'];
        assert_eq!(*loaded.stored, expected);
        assert_eq!(loaded.parts(), Some((LIMITS, &b"wasm"[..])));
        assert!(loaded.module().is_none(), "this is no module");
    }

    #[test]
    fn what_another_version_has_stored_is_unusable() {
        for stored in [&[2, 0, 0, 0, 0][..], b"", b"\xff"] {
            let mut resolvers = Resolvers::default();
            resolvers.note(b"\0isles:resolver:r", Some(stored));
            let loaded = &resolvers.loaded[&"r".parse().unwrap()];
            assert_eq!(loaded.parts(), None);
            let failure = loaded.resolve(&[]).failure();
            assert_eq!(failure, Some(Failure::Unusable));
        }
    }

    #[test]
    fn other_keys_are_no_resolvers() {
        let mut resolvers = Resolvers::default();
        for key in [
            &b"\0isles:resolver:"[..],
            b"\0isles:resolver:no name",
            b"\0isles:library:r",
            b"r",
        ] {
            resolvers.note(key, Some(b""));
        }
        assert!(resolvers.loaded.is_empty());
    }
}
