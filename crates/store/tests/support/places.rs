//! What outlives a table that has no files, by the folder that names it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// One of a kind for each place, shared by all who ask for it.
#[derive(Default)]
pub struct Places<T>(Mutex<HashMap<PathBuf, T>>);

impl<T: Clone + Default> Places<T> {
    pub fn at(&self, place: &Path) -> T {
        let mut places = self.0.lock().unwrap();
        places.entry(place.to_owned()).or_default().clone()
    }
}
