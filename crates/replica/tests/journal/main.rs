//! The journal of conflicts as two and three regions keep it.

mod durable;
mod island;
mod losses;
mod named;
mod reinstated;
mod repair;
mod settled;
mod told;
