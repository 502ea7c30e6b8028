//! What the table knows of a command: its name, its shape and the function that runs it.

use crate::call::{Call, Inspection, is};
use crate::error::{Failure, Outcome};

/// The families that commands are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Strings,
    Keys,
    Sets,
    Hashes,
    Transactions,
    Connection,
    Server,
    Isles,
    SortedSets,
    Geo,
    Lists,
    HyperLogLog,
    Bitmaps,
    PubSub,
    Scripting,
    Streams,
    /// What no command is.
    Unknown,
}

impl Family {
    pub(crate) const COUNT: usize = Family::Unknown as usize + 1;

    pub(crate) const ALL: [Family; Family::COUNT] = [
        Family::Strings,
        Family::Keys,
        Family::Sets,
        Family::Hashes,
        Family::Transactions,
        Family::Connection,
        Family::Server,
        Family::Isles,
        Family::SortedSets,
        Family::Geo,
        Family::Lists,
        Family::HyperLogLog,
        Family::Bitmaps,
        Family::PubSub,
        Family::Scripting,
        Family::Streams,
        Family::Unknown,
    ];

    /// The label in metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Family::Strings => "strings",
            Family::Keys => "keys",
            Family::Sets => "sets",
            Family::Hashes => "hashes",
            Family::Transactions => "transactions",
            Family::Connection => "connection",
            Family::Server => "server",
            Family::Isles => "isles",
            Family::SortedSets => "sorted_sets",
            Family::Geo => "geo",
            Family::Lists => "lists",
            Family::HyperLogLog => "hyperloglog",
            Family::Bitmaps => "bitmaps",
            Family::PubSub => "pubsub",
            Family::Scripting => "scripting",
            Family::Streams => "streams",
            Family::Unknown => "unknown",
        }
    }

    /// The group in COMMAND DOCS.
    pub(crate) fn group(self) -> &'static str {
        match self {
            Family::Strings => "string",
            Family::Keys => "generic",
            Family::Sets => "set",
            Family::Hashes => "hash",
            Family::SortedSets => "sorted-set",
            Family::Lists => "list",
            Family::Bitmaps => "bitmap",
            Family::Streams => "stream",
            other => other.name(),
        }
    }
}

/// Properties of a command; all but the last are Redis's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flags(u16);

impl Flags {
    pub(crate) const NONE: Flags = Flags(0);
    pub(crate) const WRITE: Flags = Flags(1);
    pub(crate) const READ: Flags = Flags(1 << 1);
    pub(crate) const FAST: Flags = Flags(1 << 2);
    pub(crate) const ADMIN: Flags = Flags(1 << 3);
    /// Runs while data is being loaded.
    pub(crate) const LOADING: Flags = Flags(1 << 4);
    pub(crate) const NO_MULTI: Flags = Flags(1 << 5);
    /// Its keys are not at fixed places.
    pub(crate) const MOVABLE_KEYS: Flags = Flags(1 << 6);
    /// May take long, so the clock is read around it.
    pub(crate) const LONG: Flags = Flags(1 << 7);
    /// Refused inside scripts.
    pub(crate) const NO_SCRIPT: Flags = Flags(1 << 15);
    /// With more than one argument it writes several keys, or one of them twice, which must be one entry.
    pub(crate) const MANY: Flags = Flags(1 << 8);
    /// Alone, it may wait until a key is written.
    pub(crate) const BLOCKING: Flags = Flags(1 << 9);

    /// Runs beside a script that keeps the replica for long, of which it needs nothing.
    pub(crate) const ALLOW_BUSY: Flags = Flags(1 << 10);
    /// About channels.
    pub(crate) const PUBSUB: Flags = Flags(1 << 13);
    /// Reaches other nodes without being a write, or keeps what it answers beside a value, as Redis has it: CLIENT PAUSE
    /// WRITE holds it back.
    pub(crate) const MAY_REPLICATE: Flags = Flags(1 << 14);
    /// MONITOR does not show it, or it shows itself.
    pub(crate) const SKIP_MONITOR: Flags = Flags(1 << 12);

    const NAMES: [(Flags, &'static str); 13] = [
        (Flags::NO_SCRIPT, "noscript"),
        (Flags::WRITE, "write"),
        (Flags::READ, "readonly"),
        (Flags::FAST, "fast"),
        (Flags::ADMIN, "admin"),
        (Flags::LOADING, "loading"),
        (Flags::NO_MULTI, "no_multi"),
        (Flags::MOVABLE_KEYS, "movablekeys"),
        (Flags::BLOCKING, "blocking"),
        (Flags::PUBSUB, "pubsub"),
        (Flags::MAY_REPLICATE, "may_replicate"),
        (Flags::SKIP_MONITOR, "skip_monitor"),
        (Flags::ALLOW_BUSY, "allow_busy"),
    ];

    pub(crate) fn has(self, flag: Flags) -> bool {
        self.0 & flag.0 != 0
    }

    /// Redis's names of the properties that Redis knows.
    pub(crate) fn names(self) -> impl Iterator<Item = &'static str> {
        Flags::NAMES
            .into_iter()
            .filter(move |(flag, _)| self.has(*flag))
            .map(|(_, name)| name)
    }
}

/// Where the keys are among the arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    None,
    /// From `first` to `last` (counted from the end if negative), every `step`-th.
    Range {
        first: usize,
        last: isize,
        step: usize,
    },
    /// As many as the argument at this place says, after it.
    Counted {
        at: usize,
    },
    /// The first argument, which is written, and as many as the argument at this place says, after it.
    StoredCounted {
        at: usize,
    },
    /// The first argument, which is read, and those after the words STORE and STOREDIST, which are written.
    AfterStore,
    /// One at this place, and one after a word that may stand anywhere after it.
    And {
        first: usize,
        word: &'static str,
    },
    /// The first half of those after the word STREAMS.
    AfterStreams,
    /// None; but clients that look for the slot of a command find channels from the first argument to `last`.
    Channels {
        last: isize,
    },
}

/// The function behind a command.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Run {
    /// Runs on a transaction, its own or that of MULTI.
    Data(fn(&mut Call<'_, '_>) -> Outcome),
    /// Looks at the replica as a whole, never inside MULTI.
    Inspect(fn(&mut Inspection<'_>) -> Outcome),
    /// Changes how the connection goes on.
    Flow(Flow),
}

/// Commands that are never queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    Multi,
    Exec,
    Discard,
    Watch,
    Reset,
    Quit,
}

/// A command.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spec {
    /// In lower case.
    pub(crate) name: &'static str,
    /// The number of arguments with the name; if negative, at least so many.
    pub(crate) arity: i32,
    pub(crate) flags: Flags,
    pub(crate) keys: Keys,
    pub(crate) family: Family,
    pub(crate) summary: &'static str,
    /// The subcommands that its first argument can name; empty if it names none.
    pub(crate) subcommands: &'static [Subcommand],
    /// Of a command that writes, the subcommands that do; empty if it always does.
    pub(crate) writing: &'static [&'static str],
    pub(crate) run: Run,
}

/// A subcommand's name, in lower case, and its arity, with the command's name.
pub(crate) type Subcommand = (&'static str, i32);

impl Spec {
    pub(crate) const fn new(
        family: Family,
        name: &'static str,
        arity: i32,
        run: Run,
        summary: &'static str,
    ) -> Spec {
        Spec {
            name,
            arity,
            flags: Flags::NONE,
            keys: Keys::None,
            family,
            summary,
            subcommands: &[],
            writing: &[],
            run,
        }
    }

    const fn with(self, flag: Flags) -> Spec {
        Spec {
            flags: Flags(self.flags.0 | flag.0),
            ..self
        }
    }

    pub(crate) const fn write(self) -> Spec {
        self.with(Flags::WRITE)
    }

    pub(crate) const fn read(self) -> Spec {
        self.with(Flags::READ)
    }

    pub(crate) const fn fast(self) -> Spec {
        self.with(Flags::FAST)
    }

    pub(crate) const fn admin(self) -> Spec {
        self.with(Flags::ADMIN)
    }

    pub(crate) const fn loading(self) -> Spec {
        self.with(Flags::LOADING)
    }

    pub(crate) const fn no_multi(self) -> Spec {
        self.with(Flags::NO_MULTI)
    }

    pub(crate) const fn no_script(self) -> Spec {
        self.with(Flags::NO_SCRIPT)
    }

    pub(crate) const fn long(self) -> Spec {
        self.with(Flags::LONG)
    }

    pub(crate) const fn many(self) -> Spec {
        self.with(Flags::MANY)
    }

    pub(crate) const fn blocking(self) -> Spec {
        self.with(Flags::BLOCKING)
    }

    pub(crate) const fn pubsub(self) -> Spec {
        self.with(Flags::PUBSUB)
    }

    pub(crate) const fn may_replicate(self) -> Spec {
        self.with(Flags::MAY_REPLICATE)
    }

    pub(crate) const fn allow_busy(self) -> Spec {
        self.with(Flags::ALLOW_BUSY)
    }

    pub(crate) const fn skip_monitor(self) -> Spec {
        self.with(Flags::SKIP_MONITOR)
    }

    /// What it reads depends on more than the keys that it names first.
    pub(crate) const fn movable(self) -> Spec {
        self.with(Flags::MOVABLE_KEYS)
    }

    pub(crate) const fn subcommands(self, subcommands: &'static [Subcommand]) -> Spec {
        Spec {
            subcommands,
            ..self
        }
    }

    /// Only these of its subcommands write.
    pub(crate) const fn writing(self, writing: &'static [&'static str]) -> Spec {
        Spec { writing, ..self }
    }

    /// Whether a command that writes does so with these arguments.
    pub(crate) fn writes(&self, args: &[&[u8]]) -> bool {
        let given = args.get(1).copied().unwrap_or_default();
        self.writing.is_empty() || self.writing.iter().any(|name| is(given, name))
    }

    /// The first argument is the key.
    pub(crate) const fn key(self) -> Spec {
        self.keys(1, 1, 1)
    }

    pub(crate) const fn keys(self, first: usize, last: isize, step: usize) -> Spec {
        Spec {
            keys: Keys::Range { first, last, step },
            ..self
        }
    }

    pub(crate) const fn channels(self, last: isize) -> Spec {
        Spec {
            keys: Keys::Channels { last },
            ..self
        }
    }

    /// A key at this place, and one after a word.
    pub(crate) const fn keys_and(self, first: usize, word: &'static str) -> Spec {
        Spec {
            keys: Keys::And { first, word },
            ..self.with(Flags::MOVABLE_KEYS)
        }
    }

    pub(crate) const fn counted_keys(self, at: usize) -> Spec {
        Spec {
            keys: Keys::Counted { at },
            ..self.with(Flags::MOVABLE_KEYS)
        }
    }

    pub(crate) const fn stored_counted_keys(self, at: usize) -> Spec {
        Spec {
            keys: Keys::StoredCounted { at },
            ..self.with(Flags::MOVABLE_KEYS)
        }
    }

    pub(crate) const fn keys_after_store(self) -> Spec {
        Spec {
            keys: Keys::AfterStore,
            ..self.with(Flags::MOVABLE_KEYS)
        }
    }

    pub(crate) const fn keys_after_streams(self) -> Spec {
        Spec {
            keys: Keys::AfterStreams,
            ..self.with(Flags::MOVABLE_KEYS)
        }
    }

    /// Whether there is such a subcommand, and whether there are as many arguments as it takes.
    pub(crate) fn check(&self, args: &[&[u8]]) -> Outcome {
        if !accepts(self.arity, args.len()) {
            return Err(Failure::arity(self.name));
        }
        if self.subcommands.is_empty() || args.len() == 1 {
            return Ok(());
        }
        let known = self.subcommands.iter().find(|(name, _)| is(args[1], name));
        let (name, arity) = known.ok_or_else(|| Failure::subcommand(args[1], self.name))?;
        if accepts(*arity, args.len()) {
            Ok(())
        } else {
            Err(Failure::arity(&format!("{}|{name}", self.name)))
        }
    }

    /// Its name, with that of the subcommand if it has any.
    pub(crate) fn full_name(&self, args: &[&[u8]]) -> String {
        let given = args.get(1).copied().unwrap_or_default();
        match self.subcommands.iter().find(|(name, _)| is(given, name)) {
            Some((name, _)) => format!("{}|{name}", self.name),
            None => self.name.to_owned(),
        }
    }

    /// The keys among the arguments.
    pub(crate) fn keys_of<'a>(&self, args: &[&'a [u8]]) -> Vec<&'a [u8]> {
        match self.keys {
            Keys::None | Keys::Channels { .. } => Vec::new(),
            Keys::Range { first, last, step } => {
                let end = if last < 0 {
                    args.len().saturating_add_signed(last + 1)
                } else {
                    last as usize + 1
                };
                args[..end.min(args.len())]
                    .iter()
                    .skip(first)
                    .step_by(step)
                    .copied()
                    .collect()
            }
            Keys::Counted { at } => counted(args, at).collect(),
            Keys::StoredCounted { at } => {
                let first = args.get(1).copied();
                first.into_iter().chain(counted(args, at)).collect()
            }
            Keys::AfterStore => {
                let first = args.get(1).copied();
                let words = args.windows(2).skip(1);
                let stored = words
                    .filter(|pair| is(pair[0], "STORE") || is(pair[0], "STOREDIST"))
                    .map(|pair| pair[1]);
                first.into_iter().chain(stored).collect()
            }
            Keys::And { first, word } => {
                let after = args.iter().skip(first + 1);
                let mut pairs = after.clone().zip(after.skip(1));
                let named = pairs.rfind(|(each, _)| is(each, word));
                let only = args.get(first).copied();
                only.into_iter().chain(named.map(|(_, key)| *key)).collect()
            }
            Keys::AfterStreams => {
                let word = args.iter().position(|word| is(word, "STREAMS"));
                let rest = word.map_or(&[][..], |word| &args[word + 1..]);
                rest[..rest.len() / 2].to_vec()
            }
        }
    }
}

/// As many arguments as the one at this place says.
fn counted<'s, 'a>(
    args: &'s [&'a [u8]],
    at: usize,
) -> impl Iterator<Item = &'a [u8]> + use<'s, 'a> {
    let count = args
        .get(at)
        .and_then(|text| crate::number::parse_u64(text))
        .unwrap_or(0);
    args.iter()
        .skip(at + 1)
        .take(usize::try_from(count).unwrap_or(0))
        .copied()
}

fn accepts(arity: i32, arguments: usize) -> bool {
    let least = arity.unsigned_abs() as usize;
    if arity >= 0 {
        arguments == least
    } else {
        arguments >= least
    }
}
