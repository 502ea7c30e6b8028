//! How the values of a keyspace's registers are read: by a strategy that is built in, or by a module.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use isles_resolve::{Class, Strategy};

/// What stands before the name of a module.
const MODULE: &str = "wasm:";
/// Bytes of a resolver's name.
pub const RESOLVER_NAME_BYTES_MAX: usize = 64;

/// How siblings are read. Its name is what definitions, records of conflicts and metrics say: `lww`, or `wasm:cart`.
///
/// ```
/// use isles_replica::Lens;
/// use isles_resolve::Strategy;
///
/// assert_eq!("max".parse(), Ok(Lens::BuiltIn(Strategy::Max)));
/// assert_eq!("wasm:cart".parse::<Lens>().map(|lens| lens.to_string()), Ok("wasm:cart".to_owned()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Lens {
    /// One that every version knows.
    BuiltIn(Strategy),
    /// The resolver that is loaded under this name, if one is.
    Module(ResolverName),
}

impl Lens {
    /// What a register must keep to be read so.
    pub fn class(&self) -> Class {
        match self {
            Lens::BuiltIn(strategy) => strategy.class(),
            Lens::Module(_) => Class::MultiValue,
        }
    }

    /// The name that people write.
    pub fn name(&self) -> &str {
        match self {
            Lens::BuiltIn(strategy) => strategy.name(),
            Lens::Module(name) => &name.0,
        }
    }

    /// The resolver that it needs.
    pub fn module(&self) -> Option<&ResolverName> {
        match self {
            Lens::BuiltIn(_) => None,
            Lens::Module(name) => Some(name),
        }
    }
}

impl From<Strategy> for Lens {
    fn from(strategy: Strategy) -> Self {
        Lens::BuiltIn(strategy)
    }
}

impl PartialEq<Strategy> for Lens {
    fn eq(&self, strategy: &Strategy) -> bool {
        *self == Lens::BuiltIn(*strategy)
    }
}

impl fmt::Display for Lens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Lens {
    type Err = ParseLensError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_at_checked(MODULE.len()) {
            Some((kind, name)) if kind.eq_ignore_ascii_case(MODULE) => {
                Ok(Lens::Module(name.parse()?))
            }
            _ => text
                .parse()
                .map(Lens::BuiltIn)
                .map_err(|_| ParseLensError::Unknown),
        }
    }
}

/// The name of a resolver: letters, digits, `_`, `-` and `.`, at most [`RESOLVER_NAME_BYTES_MAX`] of them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResolverName(
    /// With what stands before it, as lenses are named.
    Arc<str>,
);

impl ResolverName {
    /// The name alone.
    pub fn as_str(&self) -> &str {
        &self.0[MODULE.len()..]
    }
}

impl FromStr for ResolverName {
    type Err = ParseLensError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        let fits = !name.is_empty() && name.len() <= RESOLVER_NAME_BYTES_MAX;
        match fits && name.bytes().all(good) {
            true => Ok(ResolverName(format!("{MODULE}{name}").into())),
            false => Err(ParseLensError::Name),
        }
    }
}

impl fmt::Display for ResolverName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for ResolverName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// The text is no lens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseLensError {
    /// It names no strategy.
    #[error("unknown strategy")]
    Unknown,
    /// No resolver can be called so.
    #[error(
        "a resolver's name has 1 to {RESOLVER_NAME_BYTES_MAX} letters, digits, underscores, hyphens and dots"
    )]
    Name,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        let built_in = Strategy::ALL.map(|strategy| strategy.name().to_owned());
        let modules = ["wasm:cart", "wasm:Cart_2.0-beta"].map(str::to_owned);
        for name in built_in.into_iter().chain(modules) {
            let lens: Lens = name.parse().unwrap();
            assert_eq!((lens.name(), lens.to_string()), (&*name, name.clone()));
        }
    }

    #[test]
    fn bad_names_are_refused() {
        for (text, error) in [
            ("newest", ParseLensError::Unknown),
            ("", ParseLensError::Unknown),
            ("wasm", ParseLensError::Unknown),
            ("wasm:", ParseLensError::Name),
            ("wasm:a b", ParseLensError::Name),
            ("wasm:é", ParseLensError::Name),
        ] {
            assert_eq!(text.parse::<Lens>(), Err(error), "{text}");
        }
        let long = format!("wasm:{}", "a".repeat(RESOLVER_NAME_BYTES_MAX + 1));
        assert_eq!(long.parse::<Lens>(), Err(ParseLensError::Name));
    }

    #[test]
    fn a_module_reads_siblings() {
        let lens: Lens = "WASM:cart".parse().unwrap();
        assert_eq!(lens.class(), Class::MultiValue);
        assert_eq!(lens.module().map(ResolverName::as_str), Some("cart"));
    }
}
