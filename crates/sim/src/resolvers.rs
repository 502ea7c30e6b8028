//! A resolver that clients load, replace and delete, and what its keyspace answers by definition.

use std::sync::OnceLock;

use isles_replica::{Lens, RESERVED_PREFIX, Replica, ResolverName};
use isles_resolve::Strategy;
use isles_resolve_wasm::Limits;

use crate::command::{Bytes, Command, Script};

/// What the one resolver does that clients know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The longest value wins, of equally long ones the greatest.
    Longest,
    /// It crashes, so readers get what they would under `multi-value`.
    Crash,
}

const NAME: &str = "simulated";

const LIMITS: Limits = Limits {
    fuel: 100_000,
    memory_bytes: 1 << 20,
    answer_bytes: 1 << 16,
};

const CRASH: &str = r#"(module (memory (export "memory") 1)
    (func (export "isles_alloc_v1") (param i32) (result i32) (i32.const 0))
    (func (export "isles_resolve_v1") (param i32 i32) (result i64) unreachable))"#;

impl Rule {
    /// The module.
    pub fn module(self) -> &'static [u8] {
        static LONGEST: OnceLock<Vec<u8>> = OnceLock::new();
        static CRASHING: OnceLock<Vec<u8>> = OnceLock::new();
        let compile = |text| wat::parse_str(text).expect("these modules are well-formed");
        match self {
            Rule::Longest => LONGEST.get_or_init(|| {
                compile(include_str!("../../../docs/examples/resolvers/longest.wat"))
            }),
            Rule::Crash => CRASHING.get_or_init(|| compile(CRASH)),
        }
    }

    /// What is stored of it, by definition.
    pub fn stored(self) -> Bytes {
        postcard::to_allocvec(&(1u8, LIMITS, self.module()))
            .expect("a resolver holds nothing that cannot be encoded")
    }

    /// The limits that it is loaded with.
    pub fn limits(self) -> Limits {
        LIMITS
    }
}

/// Its name.
pub fn name() -> ResolverName {
    NAME.parse().expect("the name is a good one")
}

/// How a keyspace is read by it.
pub fn lens() -> Lens {
    Lens::Module(name())
}

/// The key of the register that it is in.
pub fn register() -> Bytes {
    [RESERVED_PREFIX, b"resolver:", NAME.as_bytes()].concat()
}

/// The strategy that a keyspace's readers see: of one that is read by the resolver what the resolver does.
pub fn reads_as(definition: &[u8], resolver: Option<&[u8]>) -> Option<Strategy> {
    if definition == lens().name().as_bytes() {
        let longest = resolver.is_some_and(|stored| stored == Rule::Longest.stored());
        return Some(match longest {
            true => Strategy::Longest,
            false => Strategy::MultiValue,
        });
    }
    Strategy::ALL
        .into_iter()
        .find(|strategy| strategy.name().as_bytes() == definition)
}

/// Answers beforehand what some commands of a script would have to ask the resolver, as a node does.
pub fn answer_beforehand(replica: &mut Replica, script: &Script) {
    for command in &script.commands {
        if let Command::Append(key, _) | Command::Siblings(key, _) = command
            && let Some(question) = replica.question(key)
        {
            replica.note_answer(question.answer(), 0);
        }
    }
}
