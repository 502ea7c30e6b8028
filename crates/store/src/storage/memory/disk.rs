//! The directory: which names there are, and which of them would survive a crash.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::content::Content;
use super::{Keep, Unsynced, lock};

pub(super) type SharedContent = Arc<Mutex<Content>>;
pub(super) type Names = BTreeMap<String, SharedContent>;

#[derive(Default)]
pub(super) struct Disk {
    pub(super) names: Names,
    pub(super) names_synced: Names,
    /// Directory changes since the last `sync_dir`, in order.
    pub(super) pending: Vec<Change>,
}

#[derive(Clone)]
pub(super) enum Change {
    Link(String, SharedContent),
    Unlink(String),
    Rename(String, String),
}

impl Change {
    pub(super) fn apply(self, names: &mut Names) {
        match self {
            Change::Link(name, content) => {
                names.insert(name, content);
            }
            Change::Unlink(name) => {
                names.remove(&name);
            }
            Change::Rename(from, to) => {
                if let Some(content) = names.remove(&from) {
                    names.insert(to, content);
                }
            }
        }
    }
}

impl Disk {
    pub(super) fn change(&mut self, change: Change) {
        change.clone().apply(&mut self.names);
        self.pending.push(change);
    }

    pub(super) fn plant(&mut self, name: &str, content: SharedContent) {
        self.names.insert(name.to_owned(), Arc::clone(&content));
        self.names_synced.insert(name.to_owned(), content);
    }

    pub(super) fn crash(&mut self, names_kept: usize, mut keep: impl FnMut(&Unsynced<'_>) -> Keep) {
        let mut survivors = std::mem::take(&mut self.names_synced);
        for change in std::mem::take(&mut self.pending)
            .into_iter()
            .take(names_kept)
        {
            change.apply(&mut survivors);
        }
        // Fresh contents, so that a handle from before the crash writes into nothing.
        let survivors: Names = survivors
            .into_iter()
            .map(|(name, content)| {
                let image = lock(&content).after_crash(&name, &mut keep);
                let content = Content {
                    now: image.clone(),
                    synced: image,
                    unsynced: Vec::new(),
                };
                (name, Arc::new(Mutex::new(content)))
            })
            .collect();
        *self = Disk {
            names: survivors.clone(),
            names_synced: survivors,
            pending: Vec::new(),
        };
    }

    /// Keeps the sharing between the three views of the directory: a file is copied once.
    pub(super) fn fork(&self) -> Disk {
        let mut copies: BTreeMap<*const Mutex<Content>, SharedContent> = BTreeMap::new();
        let mut copy = |content: &SharedContent| {
            let copied = copies.entry(Arc::as_ptr(content)).or_insert_with(|| {
                let copied: Content = lock(content).clone();
                Arc::new(Mutex::new(copied))
            });
            Arc::clone(copied)
        };
        Disk {
            names: self
                .names
                .iter()
                .map(|(name, content)| (name.clone(), copy(content)))
                .collect(),
            names_synced: self
                .names_synced
                .iter()
                .map(|(name, content)| (name.clone(), copy(content)))
                .collect(),
            pending: self
                .pending
                .iter()
                .map(|change| match change {
                    Change::Link(name, content) => Change::Link(name.clone(), copy(content)),
                    other => other.clone(),
                })
                .collect(),
        }
    }
}
