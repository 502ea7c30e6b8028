//! Runs the laws of [`Table`], each on a new table and a thread of its own, and says which do not hold.

mod folders;
mod laws;
mod model;
mod restarts;

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::table::{Table, TableError};
use folders::Folders;

/// How long a law may take before it is reported as one that does not end. Most take milliseconds.
pub const LAW_SECONDS_MAX: u64 = 120;

/// Opens the table of one law: each time the same one.
type Open = Arc<dyn Fn() -> Box<dyn Table> + Send + Sync>;

/// A law and the test of it, which panics when it does not hold.
#[derive(Clone, Copy)]
struct Law<F> {
    /// What must hold, as a sentence.
    says: &'static str,
    test: F,
}

/// Shown to a table that is new.
type OfTable = Law<fn(&dyn Table)>;
/// Given a table that it may open again; each time the previous one is dropped first.
type OfRestarts = Law<fn(&dyn Fn() -> Box<dyn Table>)>;

/// Checks all laws of a table that survives its process. `open` makes the table in a folder, or opens the one that is there;
/// it is given a folder of its own for each law, below the system's folder for temporary files, which is removed at the end.
/// A table that has no files may take the folder as its name.
///
/// Takes seconds. It cannot kill the process: whether a table keeps its promise when it is not dropped needs tests of its
/// own, for which `docs/tables.md` has a pattern.
///
/// # Panics
/// If the table breaks a law, with all laws that it breaks. A law that does not end within [`LAW_SECONDS_MAX`] counts as
/// broken, and its thread is left behind.
pub fn check_table<T: Table + 'static>(
    open: impl Fn(&Path) -> Result<T, TableError> + Send + Sync + 'static,
) {
    let (open, folders) = (Arc::new(open), Folders::new());
    let place = || -> Open {
        let (folder, open) = (folders.next(), Arc::clone(&open));
        Arc::new(move || match open(&folder) {
            Ok(table) => Box::new(table),
            Err(error) => panic!("the table in {} does not open: {error}", folder.display()),
        })
    };
    let mut broken = check_laws(place);
    for law in restarts::LAWS {
        let open = place();
        broken.extend(run(law.says, move || (law.test)(&*open)));
    }
    report(&broken, laws::LAWS.len() + restarts::LAWS.len());
}

/// Checks the laws of a table that ends with its process. `new` makes an empty one each time.
///
/// # Panics
/// As [`check_table`].
pub fn check_volatile_table<T: Table + 'static>(new: impl Fn() -> T + Send + Sync + 'static) {
    let new = Arc::new(new);
    let broken = check_laws(|| {
        let new = Arc::clone(&new);
        Arc::new(move || Box::new(new()))
    });
    report(&broken, laws::LAWS.len());
}

/// The laws that need no restart; says which are broken.
fn check_laws(place: impl Fn() -> Open) -> Vec<String> {
    let broken = laws::LAWS.iter().filter_map(|law| {
        let open = place();
        run(law.says, move || (law.test)(&*open()))
    });
    broken.collect()
}

/// Runs one test on a thread of its own: a table that deadlocks must not take the report with it.
fn run(says: &'static str, test: impl FnOnce() + Send + 'static) -> Option<String> {
    let (ended, end) = mpsc::channel::<()>();
    let thread = thread::Builder::new().name(format!("law: {says}"));
    let thread = thread
        .spawn(move || {
            // Dropped when the test ends, whichever way.
            let _ended = ended;
            test();
        })
        .expect("the machine has room for one more thread");
    let waited = end.recv_timeout(Duration::from_secs(LAW_SECONDS_MAX));
    if waited == Err(RecvTimeoutError::Timeout) {
        return Some(format!(
            "{says}: has not ended within {LAW_SECONDS_MAX} s, is there a deadlock?"
        ));
    }
    let panic = thread.join().err()?;
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
    let text = text.unwrap_or_else(|| "panicked without a message".to_owned());
    Some(format!("{says}: {text}"))
}

fn report(broken: &[String], laws: usize) {
    assert!(
        broken.is_empty(),
        "the table breaks {} of {laws} laws:\n- {}",
        broken.len(),
        broken.join("\n- ")
    );
}
