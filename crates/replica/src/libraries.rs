//! Libraries of functions: code that clients call by name.
//!
//! A library is an ordinary `lww` register under a reserved key, as a keyspace's definition is: it replicates, survives a
//! restart, and two concurrent loads of one name are a conflict whose loser is in the journal. What the code means is
//! not known here.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::replica::Replica;
use crate::rows::RESERVED_PREFIX;
use crate::txn::{Expiry, Txn};

const LIBRARY: &[u8] = b"\0isles:library:";

const _: () = assert!(RESERVED_PREFIX.len() < LIBRARY.len());

/// The libraries in force, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Libraries {
    code: BTreeMap<Box<[u8]>, Arc<[u8]>>,
    /// Grows with every change.
    version: u64,
}

impl Libraries {
    fn key(name: &[u8]) -> Vec<u8> {
        [LIBRARY, name].concat()
    }

    /// Takes note of a reserved key's value; other reserved keys are no libraries.
    pub(crate) fn note(&mut self, key: &[u8], value: Option<&[u8]>) {
        let Some(name) = key.strip_prefix(LIBRARY) else {
            return;
        };
        self.version += 1;
        match value {
            Some(code) => self.code.insert(name.into(), code.into()),
            None => self.code.remove(name),
        };
    }
}

impl Replica {
    /// A number that changes whenever a library does.
    pub fn libraries_version(&self) -> u64 {
        self.libraries.version
    }
}

impl Txn<'_> {
    /// A number that changes whenever a library does. Notes that the answer depends on all of them.
    pub fn libraries_version(&mut self) -> u64 {
        let names: Vec<Box<[u8]>> = self.replica.libraries.code.keys().cloned().collect();
        names.iter().for_each(|name| {
            self.spot(&Libraries::key(name));
        });
        self.replica.libraries.version
    }

    /// Every library's name and code, by name.
    pub fn libraries(&self) -> impl Iterator<Item = (&[u8], &Arc<[u8]>)> {
        self.replica
            .libraries
            .code
            .iter()
            .map(|(name, code)| (&**name, code))
    }

    /// Puts a library in the place of one of its name.
    pub fn library_set(&mut self, name: &[u8], code: &[u8]) {
        self.set_string(&Libraries::key(name), code, Expiry::Keep);
    }

    /// Takes a library away; whether it was there.
    pub fn library_delete(&mut self, name: &[u8]) -> bool {
        self.delete(&Libraries::key(name))
    }
}
