//! What a write adds to the numbers of a document.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::{DEPTH_MAX, Json, Kind, Numbers, Value, fields_of, last_of_each_name};
use crate::amount::Amount;
use crate::sums::{self, Joined, Sums, TooManyDifferences, Writing};
use crate::{Resolver, Sibling};

/// The numbers of a document by their paths, as they are written there.
type NumbersAt<'t> = BTreeMap<String, &'t str>;

impl Json {
    /// What a document has to remember that takes the place of `observed`: what they remember, and how it differs from
    /// what they are read as. None where nothing was ever added to a number that it has.
    ///
    /// A number that they do not have, or are not read as having, begins anew: its base is what is written.
    ///
    /// # Errors
    /// It would be too much. Nothing is lost if the document is not written.
    pub fn sums_after(
        &self,
        observed: &[Sibling<'_>],
        document: &[u8],
        writing: Writing,
    ) -> Result<Option<Sums>, TooManyDifferences> {
        self.write_sums(observed, document, Some(writing))
    }

    /// What an answer to siblings has to remember that takes their place, whoever writes it.
    pub(crate) fn joined_sums(&self, siblings: &[Sibling<'_>], answer: &[u8]) -> Option<Sums> {
        match sums::any(siblings) {
            true => self.write_sums(siblings, answer, None).ok().flatten(),
            false => None,
        }
    }

    fn write_sums(
        &self,
        observed: &[Sibling<'_>],
        document: &[u8],
        writing: Option<Writing>,
    ) -> Result<Option<Sums>, TooManyDifferences> {
        if self.numbers != Numbers::Summed || observed.is_empty() {
            return Ok(None);
        }
        let shown = self.resolve(observed);
        let Some(shown) = shown.value() else {
            return Ok(None);
        };
        if shown == document && !sums::any(observed) {
            return Ok(None);
        }
        let shown = self.numbers_of(shown);
        if shown.is_empty() {
            return Ok(None);
        }
        let siblings = observed.iter();
        let siblings: Vec<_> = siblings
            .map(|sibling| (sibling.sums, self.numbers_of(sibling.value)))
            .collect();
        let written = self.numbers_of(document).into_iter();
        let numbers = written.filter_map(|(path, text)| {
            let countable = Amount::parse(shown.get(&path)?);
            let (_, number) = countable.zip(Amount::parse(text))?;
            let known = siblings.iter();
            let known = known.filter_map(|(sums, numbers)| Some((*sums, *numbers.get(&path)?)));
            let mut joined = Joined::of(&path, known)?;
            if let Some(writing) = writing {
                joined.write(number, writing);
            }
            (!joined.is_plain()).then_some(joined)
        });
        let sums = Sums::of(numbers)?;
        Ok((!sums.is_empty()).then_some(sums))
    }

    /// The numbers that are added up; none of what is no JSON.
    fn numbers_of<'t>(&self, document: &'t [u8]) -> NumbersAt<'t> {
        let mut numbers = BTreeMap::new();
        if let Some(text) = Value::text_of(document) {
            self.collect(text, &mut Vec::new(), &mut numbers);
        }
        numbers
    }

    fn collect<'t>(
        &self,
        text: &'t str,
        path: &mut Vec<Cow<'t, str>>,
        numbers: &mut NumbersAt<'t>,
    ) {
        if self.rule_for(path).is_some() {
            return;
        }
        match Kind::of(text) {
            Kind::Number => {
                numbers.insert(pointer(path), text);
            }
            Kind::Object if path.len() < DEPTH_MAX => {
                for (name, text) in last_of_each_name(fields_of(text)) {
                    path.push(name);
                    self.collect(text, path, numbers);
                    path.pop();
                }
            }
            _ => {}
        }
    }
}

/// A path as a JSON pointer (RFC 6901).
pub(super) fn pointer(path: &[Cow<'_, str>]) -> String {
    let mut pointer = String::new();
    for name in path {
        pointer.push('/');
        match name.contains(['~', '/']) {
            true => pointer.push_str(&name.replace('~', "~0").replace('/', "~1")),
            false => pointer.push_str(name),
        }
    }
    pointer
}
