//! The words after a task's name, taken one option at a time; what is left over at the end is an error.

use std::collections::VecDeque;
use std::str::FromStr;

use anyhow::{Context, Result, bail};

/// Words not yet taken by the task.
pub(crate) struct Arguments(VecDeque<String>);

impl Arguments {
    pub(crate) fn new(words: impl IntoIterator<Item = String>) -> Self {
        Self(words.into_iter().collect())
    }

    pub(crate) fn asks_for_help(&self) -> bool {
        self.0
            .iter()
            .take_while(|word| *word != "--")
            .any(|word| word == "--help" || word == "-h")
    }

    /// Takes `name`, and says whether it was there.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        match self.0.iter().position(|word| word == name) {
            Some(at) => self.0.remove(at).is_some(),
            None => false,
        }
    }

    /// Takes the first `name VALUE` or `name=VALUE`.
    pub(crate) fn option<T: FromStr>(&mut self, name: &str) -> Result<Option<T>>
    where
        T::Err: std::error::Error + Send + Sync + 'static,
    {
        let Some(value) = self.take_value(name)? else {
            return Ok(None);
        };
        let parsed = value
            .parse()
            .with_context(|| format!("{name} does not take '{value}'"))?;
        Ok(Some(parsed))
    }

    /// Takes every `name VALUE`.
    pub(crate) fn options(&mut self, name: &str) -> Result<Vec<String>> {
        let mut values = Vec::new();
        while let Some(value) = self.take_value(name)? {
            values.push(value);
        }
        Ok(values)
    }

    /// Everything not taken so far, options and plain words alike.
    pub(crate) fn rest(self) -> Vec<String> {
        self.0.into()
    }

    /// The plain words; an option that nobody took is an error.
    pub(crate) fn words(self) -> Result<Vec<String>> {
        if let Some(unknown) = self.0.iter().find(|word| word.starts_with('-')) {
            bail!("unknown option '{unknown}'; `cargo xtask help` lists them");
        }
        Ok(self.rest())
    }

    /// Nothing may be left.
    pub(crate) fn end(self) -> Result<()> {
        match self.words()?.first() {
            Some(word) => bail!("unexpected argument '{word}'; `cargo xtask help` lists them"),
            None => Ok(()),
        }
    }

    fn take_value(&mut self, name: &str) -> Result<Option<String>> {
        let joined = format!("{name}=");
        let Some(at) = self
            .0
            .iter()
            .position(|word| word == name || word.starts_with(&joined))
        else {
            return Ok(None);
        };
        let word = self.0.remove(at).unwrap_or_default();
        if let Some(value) = word.strip_prefix(&joined) {
            return Ok(Some(value.to_owned()));
        }
        match self.0.remove(at) {
            Some(value) => Ok(Some(value)),
            None => bail!("{name} needs a value"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(line: &str) -> Arguments {
        Arguments::new(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_are_taken_in_both_spellings() {
        let mut given = arguments("--port 7001 --rounds=5 redis");
        assert_eq!(given.option::<u16>("--port").unwrap(), Some(7001));
        assert_eq!(given.option::<u32>("--rounds").unwrap(), Some(5));
        assert_eq!(given.words().unwrap(), ["redis"]);
    }

    #[test]
    fn what_nobody_takes_is_an_error() {
        assert!(arguments("--prot 7001").end().is_err());
        assert!(arguments("extra").end().is_err());
        assert!(arguments("--port").option::<u16>("--port").is_err());
        assert!(arguments("--port many").option::<u16>("--port").is_err());
    }

    #[test]
    fn help_after_a_double_dash_belongs_to_the_program_behind_it() {
        assert!(arguments("--help").asks_for_help());
        assert!(!arguments("-- --help").asks_for_help());
    }
}
