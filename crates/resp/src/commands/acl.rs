//! ACL: the one user there is, as tools ask for it. There are no passwords and no rights to give or to take.

use super::config::help;
use crate::call::{Call, is};
use crate::error::{Failure, Outcome};
use crate::spec::{Family, Run, Spec, Subcommand};

pub(super) const COMMANDS: &[Spec] = &[Spec::new(
    Family::Connection,
    "acl",
    -2,
    Run::Data(acl),
    "Shows the one user, who may do everything.",
)
.subcommands(SUBCOMMANDS)
.loading()
.no_script()];

const SUBCOMMANDS: &[Subcommand] = &[
    ("deluser", -3),
    ("getuser", 3),
    ("help", 2),
    ("list", 2),
    ("setuser", -3),
    ("users", 2),
    ("whoami", 2),
];

/// Everybody who connects.
const USER: &str = "default";

fn acl(call: &mut Call<'_, '_>) -> Outcome {
    let (subcommand, rest) = (call.args[1], &call.args[2..]);
    let reply = &mut *call.reply;
    match *rest {
        [] if is(subcommand, "WHOAMI") => reply.text(USER),
        [] if is(subcommand, "USERS") => {
            reply.array(1);
            reply.text(USER);
        }
        [] if is(subcommand, "LIST") => {
            reply.array(1);
            reply.text(format!(
                "user {USER} on nopass sanitize-payload ~* &* +@all"
            ));
        }
        [name] if is(subcommand, "GETUSER") => match name == USER.as_bytes() {
            true => show(call),
            false => reply.null(),
        },
        [] if is(subcommand, "HELP") => {
            help(
                call,
                "ACL",
                &["GETUSER <username>", "LIST", "USERS", "WHOAMI"],
            );
        }
        // A user that was remembered and never asked for a password would look like protection.
        _ => {
            return Err(Failure::other(
                "ERR there are no users besides default, who may do everything; listen on a private address only",
            ));
        }
    }
    Ok(())
}

fn show(call: &mut Call<'_, '_>) {
    let reply = &mut *call.reply;
    reply.map(6);
    reply.text("flags");
    let flags = ["on", "nopass", "sanitize-payload"];
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.text(flag));
    reply.text("passwords");
    reply.array(0);
    for (name, value) in [("commands", "+@all"), ("keys", "~*"), ("channels", "&*")] {
        reply.text(name);
        reply.text(value);
    }
    reply.text("selectors");
    reply.array(0);
}
