//! Raw values and where each came from: the file, the environment, or a flag. Later layers win.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::error::Problem;
use super::key::{KEYS, Key};

/// Where a value came from, for error messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A file as a whole.
    File(PathBuf),
    /// A line of a file.
    Line(PathBuf, usize),
    /// An environment variable.
    Variable(String),
    /// A flag, with its dashes.
    Flag(String),
    /// The program itself.
    Default,
}

impl Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Line(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "{name}"),
            Self::Default => write!(f, "default"),
        }
    }
}

/// A value before anybody looked at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Raw {
    pub(crate) text: String,
    /// Whether the file wrote it as the type that is wanted matters there only; elsewhere everything is text.
    pub(crate) form: Form,
    pub(crate) origin: Origin,
}

/// How a value was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A TOML string.
    Text,
    /// A TOML integer.
    Number,
    /// A flag or environment variable: no types there.
    Untyped,
}

/// A peer before anybody looked at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RawPeer {
    pub(crate) origin: Origin,
    pub(crate) fields: BTreeMap<String, Raw>,
}

/// All layers, merged.
#[derive(Debug, Default)]
pub(crate) struct Layers {
    pub(crate) values: BTreeMap<&'static str, Raw>,
    pub(crate) peers: Vec<RawPeer>,
    pub(crate) problems: Vec<Problem>,
    /// The file is no TOML: what it says, and what it lacks, is unknown.
    pub(crate) broken: bool,
}

/// What a peer's table may hold.
pub(crate) const PEER_FIELDS: &[&str] = &["node", "region", "address"];

impl Layers {
    /// Sets one value over whatever was there.
    pub(crate) fn set(&mut self, key: &'static Key, text: impl Into<String>, origin: Origin) {
        self.values.insert(
            key.name,
            Raw {
                text: text.into(),
                form: Form::Untyped,
                origin,
            },
        );
    }

    /// Replaces the peers by those of a flag or variable: `NODE@REGION=HOST:PORT` each.
    pub(crate) fn set_peers(&mut self, specs: &[String], origin: &Origin) {
        self.peers.clear();
        for spec in specs {
            let parts = spec
                .split_once('@')
                .and_then(|(node, rest)| Some((node, rest.split_once('=')?)));
            let Some((node, (region, address))) = parts else {
                let message =
                    format!("'{spec}' is not a peer; for example us-1@us=us-1.example.org:7400");
                self.problems.push(Problem::new(origin.clone(), message));
                continue;
            };
            let raw = |text: &str| Raw {
                text: text.to_owned(),
                form: Form::Untyped,
                origin: origin.clone(),
            };
            let fields = PEER_FIELDS.iter().map(|field| (*field).to_owned()).zip([
                raw(node),
                raw(region),
                raw(address),
            ]);
            self.peers.push(RawPeer {
                origin: origin.clone(),
                fields: fields.collect(),
            });
        }
    }

    /// Reads the file's text; every unknown key and every odd value becomes a problem.
    pub(crate) fn read(&mut self, path: &Path, text: &str) {
        let lines = Lines { path, text };
        let table = match DeTable::parse(text) {
            Ok(table) => table,
            Err(error) => {
                let at = error.span().map_or(0, |span| span.start);
                let message = error.message().trim_end().replace('\n', ", ");
                self.problems.push(Problem::new(lines.origin(at), message));
                self.broken = true;
                return;
            }
        };
        for (name, value) in table.get_ref() {
            let origin = lines.origin(name.span().start);
            match value.get_ref() {
                DeValue::Table(section) => {
                    for (inner, value) in section {
                        let origin = lines.origin(inner.span().start);
                        self.read_value(
                            &format!(
                                "{name}.{inner}",
                                name = name.get_ref(),
                                inner = inner.get_ref()
                            ),
                            value.get_ref(),
                            origin,
                        );
                    }
                }
                DeValue::Array(tables) if name.get_ref() == "peer" => {
                    for table in tables {
                        self.read_peer(table.get_ref(), lines.origin(table.span().start), &lines);
                    }
                }
                value => self.read_value(name.get_ref(), value, origin),
            }
        }
    }

    fn read_value(&mut self, name: &str, value: &DeValue<'_>, origin: Origin) {
        let Some(key) = Key::find(name) else {
            let known = KEYS.iter().map(|key| key.name);
            self.problems.push(Problem::unknown(origin, name, known));
            return;
        };
        match scalar(value) {
            Some((text, form)) => drop(self.values.insert(key.name, Raw { text, form, origin })),
            None => self.problems.push(Problem::new(
                origin,
                format!(
                    "{name} does not take {}; for example {name} = {}",
                    value.type_str(),
                    key.in_toml(key.example)
                ),
            )),
        }
    }

    fn read_peer(&mut self, value: &DeValue<'_>, origin: Origin, lines: &Lines<'_>) {
        let Some(table) = value.as_table() else {
            self.problems.push(Problem::new(
                origin,
                "peer is a table: [[peer]] with node, region and address",
            ));
            return;
        };
        let mut fields = BTreeMap::new();
        for (name, value) in table {
            let at = lines.origin(name.span().start);
            match scalar(value.get_ref()) {
                _ if !PEER_FIELDS.contains(&name.get_ref().as_ref()) => {
                    self.problems.push(Problem::unknown(
                        at,
                        name.get_ref(),
                        PEER_FIELDS.iter().copied(),
                    ));
                }
                Some((text, form)) => drop(fields.insert(
                    name.get_ref().clone().into_owned(),
                    Raw {
                        text,
                        form,
                        origin: at,
                    },
                )),
                None => self.problems.push(Problem::new(
                    at,
                    format!("{} of a peer is text in quotes", name.get_ref()),
                )),
            }
        }
        self.peers.push(RawPeer { origin, fields });
    }
}

fn scalar(value: &DeValue<'_>) -> Option<(String, Form)> {
    match value {
        DeValue::String(text) => Some((text.clone().into_owned(), Form::Text)),
        DeValue::Integer(number) => {
            let value = i64::from_str_radix(number.as_str(), number.radix()).ok()?;
            Some((value.to_string(), Form::Number))
        }
        _ => None,
    }
}

/// Turns offsets into lines.
struct Lines<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Lines<'_> {
    fn origin(&self, offset: usize) -> Origin {
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        Origin::Line(self.path.to_owned(), line)
    }
}
