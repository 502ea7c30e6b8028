//! Flags: on or off, and what wins where both are asked for.

use isles_crdt::update::FlagUpdate;

use super::{Expiry, Txn, ValueType, WrongType, set_part};
use crate::op::{KeyOp, Kind, Part};
use crate::row::{Component, Row};

/// What wins of a concurrent enabling and disabling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FlagKind {
    /// Enabling.
    EnableWins,
    /// Disabling.
    DisableWins,
}

impl FlagKind {
    fn part<'k>(self, update: FlagUpdate) -> Part<'k> {
        match self {
            FlagKind::EnableWins => Part::FlagEw(update),
            FlagKind::DisableWins => Part::FlagDw(update),
        }
    }
}

impl Txn<'_> {
    /// Whether a flag is on; an absent key is off.
    ///
    /// # Errors
    /// The key holds another type; so for all reads and writes of flags.
    pub fn flag(&mut self, key: &[u8]) -> Result<bool, WrongType> {
        let spot = self.spot(key);
        Ok(self.typed(&spot, ValueType::Flag)?.is_some())
    }

    /// What wins on this flag; none if nothing is known of it here.
    ///
    /// # Errors
    /// As [`flag`](Self::flag).
    pub fn flag_kind(&mut self, key: &[u8]) -> Result<Option<FlagKind>, WrongType> {
        let spot = self.spot(key);
        let visible = self.typed(&spot, ValueType::Flag)?;
        Ok(match visible.and_then(Row::visible).map(Component::kind) {
            Some(Kind::FlagDw) => Some(FlagKind::DisableWins),
            Some(_) => Some(FlagKind::EnableWins),
            // One that is off has left its removal behind.
            None => {
                let row = self.row_at(&spot).and_then(Row::flag_dw);
                row.map(|_| FlagKind::DisableWins)
            }
        })
    }

    /// Switches a flag on or off; whether that changed what readers see.
    ///
    /// Switching on what is on is logged, since it protects against a concurrent disabling, and so is switching a
    /// disable-wins flag off that is off. Switching off another one that is off is not.
    ///
    /// # Errors
    /// As [`flag`](Self::flag).
    pub fn set_flag(&mut self, key: &[u8], kind: FlagKind, on: bool) -> Result<bool, WrongType> {
        let spot = self.spot(key);
        let was_on = self.typed(&spot, ValueType::Flag)?.is_some();
        if !on && !was_on && kind == FlagKind::EnableWins {
            return Ok(false);
        }
        let update = match on {
            true => FlagUpdate::Enable,
            false => FlagUpdate::Disable,
        };
        let counters = self.counters_if_hidden(&spot);
        let mut op = match on {
            true => self.op(&spot, &counters),
            // It creates nothing, so what has expired stays so.
            false => KeyOp::new(spot.key),
        };
        set_part(&mut op, kind.part(update));
        self.write(&spot, &op);
        Ok(was_on != on)
    }

    pub(super) fn copy_flag(&mut self, from: &[u8], to: &[u8], expiry: Expiry) {
        let kind = self.flag_kind(from).ok().flatten();
        let spot = self.spot(to);
        let counters = self.counters(&spot);
        let part = kind
            .unwrap_or(FlagKind::EnableWins)
            .part(FlagUpdate::Enable);
        self.replace_with(&spot, &counters, part, expiry);
    }
}
