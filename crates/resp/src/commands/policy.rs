//! What will become of a key when regions write it at the same time, and why.

use isles_replica::op::Kind;
use isles_replica::{Lens, SetRule};
use isles_resolve::Class;

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
    let (prefix, lens) = call.txn.keyspace_of(key);
    let kinds = call.txn.kinds(key);
    let siblings = call.txn.siblings(key).map_or(0, |it| it.versions.len());
    // A key that does not exist yet would be a string to its keyspace.
    let kind = kinds.first().copied().unwrap_or(register_of(&lens));
    let sets = call.txn.set_rule_of(key);
    call.reply.map(8);
    call.reply.text("keyspace");
    call.reply.bulk(&prefix);
    call.reply.text("strategy");
    call.reply.text(lens.name());
    call.reply.text("sets");
    call.reply.text(sets.name());
    call.reply.text("kinds");
    call.reply.array(kinds.len());
    kinds.iter().for_each(|kind| call.reply.text(kind.name()));
    call.reply.text("siblings");
    call.reply.count(siblings);
    call.reply.text("rule");
    call.reply.text(rule(kind, &lens));
    call.reply.text("deadline");
    call.reply.text("of concurrent EXPIRE and PERSIST the one with the greater stamp counts, also if its time is earlier");
    call.reply.text("because");
    call.reply.text(because(&prefix, &lens, sets, &kinds));
    Ok(())
}

fn register_of(lens: &Lens) -> Kind {
    match lens.class() {
        Class::Lww => Kind::RegisterLww,
        Class::MultiValue => Kind::RegisterMv,
    }
}

fn rule(kind: Kind, lens: &Lens) -> String {
    match kind {
        Kind::RegisterMv => format!("{}; readers are told {}", kind.rule(), answers(lens)),
        _ => kind.rule().to_owned(),
    }
}

fn answers(lens: &Lens) -> String {
    match lens {
        Lens::BuiltIn(strategy) => strategy.answers().to_owned(),
        Lens::Module(name) => format!(
            "what the module '{name}' makes of them, or, where it fails, the value with the greatest stamp"
        ),
    }
}

fn because(prefix: &[u8], lens: &Lens, sets: SetRule, kinds: &[Kind]) -> String {
    let keyspace = match prefix {
        [] => "no keyspace is defined for this key, and lww is the default".to_owned(),
        _ => format!("the keyspace '{}' says {lens}", preview(prefix)),
    };
    let wanted = register_of(lens);
    match kinds {
        [] => format!("the key does not exist; {keyspace}"),
        [found @ (Kind::RegisterLww | Kind::RegisterMv), ..] if *found != wanted => format!(
            "the key has been a {} since it was created; {keyspace}, which holds for keys created from then on, and ISLES.KEYSPACE \
             MIGRATE rewrites the others",
            found.name()
        ),
        [Kind::RegisterLww | Kind::RegisterMv, ..] => keyspace,
        [found @ (Kind::SetAw | Kind::SetRw), ..] => {
            let wanted = match sets {
                SetRule::AddWins => Kind::SetAw,
                SetRule::RemoveWins => Kind::SetRw,
            };
            let (found, rule) = (found.name(), sets.name());
            let keyspace = match prefix {
                [] => format!("no keyspace is defined for this key, and sets are {rule}"),
                _ => format!("the keyspace '{}' says {rule} of sets", preview(prefix)),
            };
            match kinds {
                [Kind::SetAw, Kind::SetRw, ..] => format!(
                    "members of the set were added under both rules, and each keeps its own; {keyspace}, which is what those get \
                     that are added from now on, and ISLES.KEYSPACE MIGRATE rewrites the others"
                ),
                _ if found == wanted.name() => format!("the type decides: {found}; {keyspace}"),
                _ => format!(
                    "the key has been a {found} since it was created; {keyspace}, which holds for those created from then on, and \
                     ISLES.KEYSPACE MIGRATE rewrites the others"
                ),
            }
        }
        [found, ..] => format!(
            "the type decides: {}; keyspaces speak of strings and sets",
            found.name()
        ),
    }
}
