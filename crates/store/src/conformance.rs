//! What every implementation of the ports must pass; call it from a test. A failure panics and says what broke.

mod storage;
mod table;

pub use storage::check_storage;
pub use table::{check, check_reopen};
