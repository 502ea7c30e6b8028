//! The round that puts rows to rest; what that means is said in `rest.rs` of the crate.

use super::{Rows, SLAB_ROWS};
use crate::rest::{Rested, Resting};
use crate::row::Tick;

impl Rows {
    /// Goes on with the round, and puts to rest what the table has and was not used after `latest`.
    pub(crate) fn rest(&mut self, latest: Tick, which: Resting) -> Rested {
        let mut done = Rested::default();
        while done.looked < which.looked && done.rested < which.rested {
            if self.hand >= self.allocated {
                self.hand = 0;
                done.is_round = true;
                break;
            }
            let number = self.hand as usize;
            self.hand += 1;
            done.looked += 1;
            let slot = self.slabs[number / SLAB_ROWS][number % SLAB_ROWS].as_mut();
            if let Some(slot) = slot.filter(|slot| slot.is_idle(latest))
                && slot.put_to_rest(&mut self.authors, &mut self.scratch)
            {
                done.rested += 1;
            }
        }
        done
    }
}
