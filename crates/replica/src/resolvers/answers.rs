//! What resolvers have answered, and where they could not.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use isles_clock::Dot;
use isles_resolve::{Failure, Resolution, Sibling};
use smallvec::SmallVec;

use super::FailedKey;
use crate::lens::ResolverName;

/// Bytes of answers that are remembered, with what each costs.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// What an answer costs besides its key and value.
const ANSWER_OVERHEAD: usize = 192;
/// Keys that are known to have failed; those of further ones are not listed.
const FAILED_KEYS_MAX: usize = 10_000;
/// Pairs of resolver and failure that are counted; names can come and go.
const COUNTS_MAX: usize = 4_096;

/// What a module makes of siblings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Value(Arc<[u8]>),
    /// The reader gets them all.
    Many,
    /// The same, because it failed.
    Failed(Failure),
}

impl From<Resolution<'_>> for Answer {
    fn from(resolution: Resolution<'_>) -> Self {
        match resolution {
            Resolution::One { value, .. } => Answer::Value((&*value).into()),
            Resolution::Failed(failure) => Answer::Failed(failure),
            _ => Answer::Many,
        }
    }
}

/// An answer, and what it is the answer to.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// Of the resolver.
    pub(crate) number: u64,
    pub(crate) dots: SmallVec<[Dot; 2]>,
    pub(crate) answer: Answer,
}

impl Known {
    fn is_for(&self, number: u64, siblings: &[Sibling<'_>]) -> bool {
        let dots = siblings.iter().map(|sibling| &sibling.dot);
        self.number == number && self.dots.iter().eq(dots)
    }

    fn bytes(&self, key: &[u8]) -> usize {
        let value = match &self.answer {
            Answer::Value(value) => value.len(),
            _ => 0,
        };
        ANSWER_OVERHEAD + key.len() + value + size_of::<Dot>() * self.dots.len()
    }
}

/// The newest answer for each key. Those that nobody has asked for during half of what there is room for are forgotten.
#[derive(Debug, Default)]
pub(super) struct Answers {
    young: HashMap<Box<[u8]>, Known>,
    old: HashMap<Box<[u8]>, Known>,
    young_bytes: usize,
    /// With the number of the resolver that failed.
    failed: BTreeMap<Box<[u8]>, (u64, FailedKey)>,
    counts: BTreeMap<(ResolverName, Failure), u64>,
}

impl Answers {
    /// The answer to this question, if it is known.
    pub(super) fn get(
        &mut self,
        key: &[u8],
        number: u64,
        siblings: &[Sibling<'_>],
    ) -> Option<Answer> {
        if let Some(known) = self.young.get(key) {
            return known.is_for(number, siblings).then(|| known.answer.clone());
        }
        let (key, known) = self.old.remove_entry(key)?;
        let answer = known.is_for(number, siblings).then(|| known.answer.clone());
        if answer.is_some() {
            self.keep(key, known);
        }
        answer
    }

    pub(super) fn has(&self, key: &[u8], number: u64, siblings: &[Sibling<'_>]) -> bool {
        let known = self.young.get(key).or_else(|| self.old.get(key));
        known.is_some_and(|known| known.is_for(number, siblings))
    }

    /// Remembers an answer, and whether the key has failed.
    pub(super) fn insert(&mut self, key: &[u8], name: &ResolverName, known: Known) {
        match known.answer {
            Answer::Failed(failure) => self.note_failure(key, name, known.number, failure),
            _ => {
                self.failed.remove(key);
            }
        }
        self.old.remove(key);
        self.keep(key.into(), known);
    }

    fn keep(&mut self, key: Box<[u8]>, known: Known) {
        let bytes = known.bytes(&key);
        if let Some(before) = self.young.remove(&key) {
            self.young_bytes -= before.bytes(&key);
        }
        if self.young_bytes + bytes > ANSWER_BYTES_MAX / 2 {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += bytes;
        self.young.insert(key, known);
    }

    fn note_failure(&mut self, key: &[u8], name: &ResolverName, number: u64, failure: Failure) {
        if self.failed.len() < FAILED_KEYS_MAX || self.failed.contains_key(key) {
            let failed = FailedKey {
                key: key.to_vec(),
                name: name.clone(),
                failure,
            };
            self.failed.insert(key.into(), (number, failed));
        }
        let counted = (name.clone(), failure);
        if self.counts.len() < COUNTS_MAX || self.counts.contains_key(&counted) {
            *self.counts.entry(counted).or_insert(0) += 1;
        }
    }

    pub(super) fn forget(&mut self, key: &[u8]) {
        if self.young.is_empty() && self.old.is_empty() && self.failed.is_empty() {
            return;
        }
        if let Some(known) = self.young.remove(key) {
            self.young_bytes -= known.bytes(key);
        }
        self.old.remove(key);
        self.failed.remove(key);
    }

    /// The keys that have failed, with the number of the resolver that did.
    pub(super) fn failed(&self) -> impl Iterator<Item = (&[u8], &u64, &FailedKey)> {
        let failed = self.failed.iter();
        failed.map(|(key, (number, failed))| (&**key, number, failed))
    }

    pub(super) fn failed_key(&self, key: &[u8]) -> Option<(u64, &FailedKey)> {
        let (number, failed) = self.failed.get(key)?;
        Some((*number, failed))
    }

    pub(super) fn failures(&self) -> Vec<(ResolverName, Failure, u64)> {
        let counts = self.counts.iter();
        counts
            .map(|((name, failure), count)| (name.clone(), *failure, *count))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use isles_clock::{Hlc, ReplicaId};

    use super::*;

    fn dots(count: u128) -> Vec<Dot> {
        let replicas = (1..=count).map(ReplicaId::from_u128);
        replicas.map(|replica| Dot::new(replica, 1)).collect()
    }

    fn siblings(dots: &[Dot]) -> Vec<Sibling<'static>> {
        let dots = dots.iter();
        dots.map(|dot| Sibling::new(*dot, Hlc::ZERO, b"value"))
            .collect()
    }

    fn known(number: u64, dots: &[Dot], answer: Answer) -> Known {
        let dots = dots.into();
        Known {
            number,
            dots,
            answer,
        }
    }

    #[test]
    fn an_answer_is_to_one_version_and_one_set_of_siblings() {
        let (mut answers, name) = (Answers::default(), "cart".parse().unwrap());
        let (two, three) = (dots(2), dots(3));
        let answer = Answer::Value(b"red"[..].into());
        answers.insert(b"k", &name, known(1, &two, answer.clone()));
        assert_eq!(answers.get(b"k", 1, &siblings(&two)), Some(answer));
        assert_eq!(answers.get(b"k", 2, &siblings(&two)), None);
        assert_eq!(answers.get(b"k", 1, &siblings(&three)), None);
        assert_eq!(answers.get(b"l", 1, &siblings(&two)), None);
    }

    #[test]
    fn what_is_asked_for_outlives_what_is_not() {
        let (mut answers, name) = (Answers::default(), "cart".parse().unwrap());
        let (two, large) = (dots(2), Answer::Value(vec![0; 1 << 20].into()));
        answers.insert(b"wanted", &name, known(1, &two, Answer::Many));
        answers.insert(b"unwanted", &name, known(1, &two, Answer::Many));
        for index in 0..100u32 {
            answers.insert(&index.to_le_bytes(), &name, known(1, &two, large.clone()));
            assert!(answers.get(b"wanted", 1, &siblings(&two)).is_some());
        }
        assert_eq!(answers.get(b"unwanted", 1, &siblings(&two)), None);
        let bytes = |generation: &HashMap<Box<[u8]>, Known>| {
            let each = generation.iter();
            each.map(|(key, known)| known.bytes(key)).sum::<usize>()
        };
        assert_eq!(bytes(&answers.young), answers.young_bytes);
        assert!(bytes(&answers.young) + bytes(&answers.old) <= ANSWER_BYTES_MAX);
    }

    #[test]
    fn a_key_has_failed_until_it_is_answered() {
        let (mut answers, name) = (Answers::default(), "cart".parse().unwrap());
        let two = dots(2);
        let failed = known(1, &two, Answer::Failed(Failure::Fuel));
        for key in [b"k", b"l"] {
            answers.insert(key, &name, failed.clone());
        }
        answers.insert(b"k", &name, known(2, &two, Answer::Many));
        let keys: Vec<&[u8]> = answers.failed().map(|(key, ..)| key).collect();
        assert_eq!(keys, [b"l"]);
        answers.forget(b"l");
        assert_eq!(answers.failed().count(), 0);
        assert_eq!(answers.failures(), [(name, Failure::Fuel, 2)]);
    }
}
