//! Flags: on or off in every region, with a rule for what wins where both are asked for.

use isles_replica::FlagKind;

use crate::call::{Call, is};
use crate::error::{Failure, Outcome};
use crate::spec::{Family, Run, Spec};

pub(super) const COMMANDS: &[Spec] = &[
    flag("isles.flag.disable", -2, disable, "Switches a flag off.")
        .write()
        .fast()
        .key(),
    flag(
        "isles.flag.enable",
        -2,
        enable,
        "Switches a flag on. Creates the key if it doesn't exist.",
    )
    .write()
    .fast()
    .key(),
    flag("isles.flag.get", 2, get, "Returns whether a flag is on.")
        .read()
        .fast()
        .key(),
];

const fn flag(
    name: &'static str,
    arity: i32,
    run: fn(&mut Call<'_, '_>) -> Outcome,
    summary: &'static str,
) -> Spec {
    Spec::new(Family::Isles, name, arity, Run::Data(run), summary)
}

fn get(call: &mut Call<'_, '_>) -> Outcome {
    let on = call.txn.flag(call.args[1])?;
    call.reply.flag(on);
    Ok(())
}

fn enable(call: &mut Call<'_, '_>) -> Outcome {
    change(call, true)
}

fn disable(call: &mut Call<'_, '_>) -> Outcome {
    change(call, false)
}

/// Answers whether the flag was otherwise before.
fn change(call: &mut Call<'_, '_>, on: bool) -> Outcome {
    let key = call.args[1];
    let asked = match call.args[2..] {
        [] => None,
        [word] if is(word, "DISABLE-WINS") => Some(FlagKind::DisableWins),
        [word] if is(word, "ENABLE-WINS") => Some(FlagKind::EnableWins),
        _ => return Err(Failure::Syntax),
    };
    let known = call.txn.flag_kind(key)?;
    if let (Some(asked), Some(known)) = (asked, known)
        && asked != known
    {
        return Err(Failure::other(
            "ERR this flag has the other rule; delete the key before you choose anew",
        ));
    }
    let kind = known.or(asked).unwrap_or(FlagKind::EnableWins);
    let changed = call.txn.set_flag(key, kind, on)?;
    call.reply.flag(changed);
    Ok(())
}
