//! Handing out all data, piece by piece, as it was at one moment.

use super::isles::data;
use crate::call::{Call, is};
use crate::engine::{BackupPiece, BackupStep};
use crate::error::{Failure, Outcome};
use crate::spec::Spec;

/// As it is registered.
pub(crate) const NAME: &str = "isles.backup";

pub(super) const COMMANDS: &[Spec] = &[data(
    NAME,
    -2,
    backup,
    "Hands out all data as it was at one moment, for isles backup: BEGIN, then NEXT with the number that it has answered until there is nothing left.",
)
.admin()
.long()
.no_script()
.no_multi()];

/// What the arguments ask for.
pub(crate) fn step_of(args: &[&[u8]]) -> Result<BackupStep, Failure> {
    let number = |id: &[u8]| {
        let number = std::str::from_utf8(id).ok().and_then(|id| id.parse().ok());
        number.ok_or(Failure::NotAnInteger)
    };
    match *args {
        [_, word] if is(word, "BEGIN") => Ok(BackupStep::Begin),
        [_, word, id] if is(word, "NEXT") => Ok(BackupStep::Next(number(id)?)),
        [_, word, id] if is(word, "END") => Ok(BackupStep::End(number(id)?)),
        _ => Err(Failure::Syntax),
    }
}

/// The work was done before, without the replica.
fn backup(call: &mut Call<'_, '_>) -> Outcome {
    step_of(call.args)?;
    let piece = call.session.errands.take_copied();
    let none = || Failure::other("ERR this node makes no backups");
    let piece = piece.ok_or_else(none)?;
    match piece.map_err(|why| Failure::other(format!("ERR {why}")))? {
        BackupPiece::Begun { id, about } => {
            call.reply.map(2);
            call.reply.text("id");
            call.reply.integer(i64::try_from(id).unwrap_or(i64::MAX));
            call.reply.text("about");
            call.reply.text(&about);
        }
        BackupPiece::Items(Some(items)) => call.reply.bulk(&items),
        BackupPiece::Items(None) => call.reply.null(),
        BackupPiece::Ended(was_there) => call.reply.integer(i64::from(was_there)),
    }
    Ok(())
}
