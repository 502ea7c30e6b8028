//! What will become of a key when regions write it at the same time, and why.

use isles_replica::op::Kind;
use isles_resolve::{Class, Strategy};

use super::isles::data;
use crate::call::Call;
use crate::error::{Outcome, preview};
use crate::spec::Spec;

pub(super) const COMMANDS: &[Spec] = &[data(
    "isles.policy",
    2,
    policy,
    "Returns what will become of concurrent writes of a key, and why.",
)
.read()
.key()];

fn policy(call: &mut Call<'_, '_>) -> Outcome {
    let key = call.args[1];
    let (prefix, strategy) = call.txn.keyspace_of(key);
    let kinds = call.txn.kinds(key);
    let siblings = call.txn.siblings(key).map_or(0, |it| it.versions.len());
    // A key that does not exist yet would be a string to its keyspace.
    let kind = kinds.first().copied().unwrap_or(register_of(strategy));
    call.reply.map(7);
    call.reply.text("keyspace");
    call.reply.bulk(&prefix);
    call.reply.text("strategy");
    call.reply.text(strategy.name());
    call.reply.text("kinds");
    call.reply.array(kinds.len());
    kinds.iter().for_each(|kind| call.reply.text(kind.name()));
    call.reply.text("siblings");
    call.reply.count(siblings);
    call.reply.text("rule");
    call.reply.text(rule(kind, strategy));
    call.reply.text("deadline");
    call.reply.text("of concurrent EXPIRE and PERSIST the one with the greater stamp counts, also if its time is earlier");
    call.reply.text("because");
    call.reply.text(because(&prefix, strategy, &kinds));
    Ok(())
}

fn register_of(strategy: Strategy) -> Kind {
    match strategy.class() {
        Class::Lww => Kind::RegisterLww,
        Class::MultiValue => Kind::RegisterMv,
    }
}

fn rule(kind: Kind, strategy: Strategy) -> String {
    match kind {
        Kind::RegisterMv => format!("{}; readers are told {}", kind.rule(), strategy.answers()),
        _ => kind.rule().to_owned(),
    }
}

fn because(prefix: &[u8], strategy: Strategy, kinds: &[Kind]) -> String {
    let keyspace = match prefix {
        [] => "no keyspace is defined for this key, and lww is the default".to_owned(),
        _ => format!("the keyspace '{}' says {strategy}", preview(prefix)),
    };
    let wanted = register_of(strategy);
    match kinds {
        [] => format!("the key does not exist; {keyspace}"),
        [found @ (Kind::RegisterLww | Kind::RegisterMv), ..] if *found != wanted => format!(
            "the key has been a {} since it was created; {keyspace}, which holds for keys created from then on, and ISLES.KEYSPACE \
             MIGRATE rewrites the others",
            found.name()
        ),
        [Kind::RegisterLww | Kind::RegisterMv, ..] => keyspace,
        [found, ..] => format!(
            "the type decides: {}; keyspaces speak of strings",
            found.name()
        ),
    }
}
