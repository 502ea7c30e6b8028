//! What can be answered without the replica, before somebody reads it.

use std::sync::Arc;

use isles_clock::{Dot, Stamp};
use isles_resolve::{Resolver, Sibling};
use isles_resolve_wasm::INPUT_BYTES_MAX;

use super::{Answer, Known, LoadedResolver};
use crate::lens::{Lens, ResolverName};
use crate::replica::Replica;
use crate::rows::hash_of;

/// Siblings that a resolver has yet to answer, on their own.
#[derive(Debug)]
pub struct Question {
    key: Box<[u8]>,
    name: ResolverName,
    resolver: Arc<LoadedResolver>,
    siblings: Vec<(Dot, Stamp, Box<[u8]>)>,
}

impl Question {
    /// Bytes of all its siblings.
    pub fn bytes(&self) -> usize {
        self.siblings.iter().map(|(_, _, value)| value.len()).sum()
    }

    /// Runs the resolver, and compiles it before if it is new. Takes at most what the resolver's fuel allows.
    pub fn answer(self) -> Answered {
        let siblings = self.siblings.iter();
        let siblings: Vec<Sibling<'_>> = siblings
            .map(|(dot, stamp, value)| Sibling {
                dot: *dot,
                stamp: *stamp,
                value,
                sums: None,
            })
            .collect();
        let known = Known {
            number: self.resolver.number,
            dots: siblings.iter().map(|sibling| sibling.dot).collect(),
            answer: Answer::from(self.resolver.resolve(&siblings)),
        };
        Answered {
            key: self.key,
            name: self.name,
            known,
        }
    }
}

/// What [`Question::answer`] makes of a question, to be handed back to the replica.
#[derive(Debug)]
pub struct Answered {
    key: Box<[u8]>,
    name: ResolverName,
    known: Known,
}

impl Replica {
    /// Whether any keyspace is read by a module; if none is, there are no questions.
    #[inline]
    pub fn has_modules(&self) -> bool {
        self.keyspaces.has_modules()
    }

    /// What a read of this key would have to ask a module, if it is not known.
    pub fn question(&self, key: &[u8]) -> Option<Question> {
        let name = self.keyspaces.of(key).1.module()?;
        let row = self.rows.look(key, hash_of(key))?;
        let versions = row.mv()?.versions();
        let bytes: usize = versions.iter().map(|version| version.value.len()).sum();
        if versions.len() < 2 || bytes > INPUT_BYTES_MAX {
            return None;
        }
        let resolver = Arc::clone(self.resolvers.loaded.get(name)?);
        let siblings: Vec<Sibling<'_>> = row.siblings().collect();
        let answers = self.resolvers.answers.borrow();
        if answers.has(key, resolver.number, &siblings) {
            return None;
        }
        Some(Question {
            key: key.into(),
            name: name.clone(),
            resolver,
            siblings: siblings
                .iter()
                .map(|sibling| (sibling.dot, sibling.stamp, sibling.value.into()))
                .collect(),
        })
    }

    /// Remembers an answer, which took so long to find, unless nobody would ask that any more.
    pub fn note_answer(&mut self, answered: Answered, ns: u64) {
        let Answered { key, name, known } = answered;
        if let Some(observer) = self.watch.observer() {
            observer.resolved(&Lens::Module(name.clone()), ns);
        }
        if self.has_siblings(&key, &known.dots) {
            self.resolvers.answers.get_mut().insert(&key, &name, known);
        }
    }

    fn has_siblings(&self, key: &[u8], dots: &[Dot]) -> bool {
        let row = self.rows.look(key, hash_of(key));
        let cell = row.as_deref().and_then(|row| row.mv());
        let versions = cell.map_or(&[][..], |cell| cell.versions());
        versions.iter().map(|version| &version.dot).eq(dots)
    }
}
