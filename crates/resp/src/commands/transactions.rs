//! The table of MULTI and its kin; what they do is in [`crate::transaction`].

use crate::call::Call;
use crate::error::Outcome;
use crate::spec::{Family, Flow, Run, Spec};

pub(super) const COMMANDS: &[Spec] = &[
    flow("multi", 1, Flow::Multi, "Starts a transaction.").allow_busy(),
    // It is a write for the back-pressure of the log: what it runs may write.
    flow(
        "exec",
        1,
        Flow::Exec,
        "Executes all commands in a transaction.",
    )
    .write()
    .long(),
    flow("discard", 1, Flow::Discard, "Discards a transaction.").allow_busy(),
    flow(
        "watch",
        -2,
        Flow::Watch,
        "Monitors changes to keys to determine the execution of a transaction.",
    )
    .keys(1, -1, 1)
    .allow_busy(),
    Spec::new(
        Family::Transactions,
        "unwatch",
        1,
        Run::Data(unwatch),
        "Forgets about watched keys of a transaction.",
    )
    .loading()
    .fast()
    .no_script()
    .allow_busy(),
];

const fn flow(name: &'static str, arity: i32, flow: Flow, summary: &'static str) -> Spec {
    Spec::new(Family::Transactions, name, arity, Run::Flow(flow), summary)
        .loading()
        .fast()
        .no_script()
}

fn unwatch(call: &mut Call<'_, '_>) -> Outcome {
    call.session.watched.clear();
    call.reply.ok();
    Ok(())
}
