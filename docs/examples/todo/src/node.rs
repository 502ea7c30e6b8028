//! The list, its file, and whoever is told when it changes.

use std::collections::HashMap;
use std::fmt::{self, Display};
use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::PathBuf;

use isles_clock::ReplicaId;
use isles_crdt::update::RegisterUpdate::Write;
use isles_crdt::{AwMap, DeltaState, op};

use crate::link;

/// Under the text of a task: whether it is done. Where two say so at once, both answers stay until the next edit.
type List = AwMap<String, op::MvRegister<bool>>;
pub type Change = <List as DeltaState>::Delta;

pub struct Node {
    replica: ReplicaId,
    pub list: List,
    file: PathBuf,
    pub links: HashMap<SocketAddr, TcpStream>,
}

impl Node {
    /// Reads the file; without one, this is a new replica.
    pub fn open(file: PathBuf) -> io::Result<Self> {
        // The standard library seeds its hash maps at random.
        let half = || u128::from(RandomState::new().hash_one("replica"));
        let (mut replica, mut list) = (ReplicaId::from_u128(half() << 64 | half()), List::new());
        if file.try_exists()? {
            (replica, list) = postcard::from_bytes(&fs::read(&file)?).map_err(io::Error::other)?;
        }
        let links = HashMap::new();
        Ok(Self {
            replica,
            list,
            file,
            links,
        })
    }

    pub fn command(&mut self, line: &str) {
        let (verb, text) = line.split_once(' ').unwrap_or((line, ""));
        let (replica, exists) = (self.replica, self.list.get(text).is_some());
        let change = match verb {
            "add" if !text.is_empty() => self.list.update(replica, text.into(), Write(false)),
            "done" if exists => self.list.update(replica, text.into(), Write(true)),
            "remove" if exists => self.list.remove(replica, text),
            "done" | "remove" => return println!("there is no task '{text}'"),
            "list" => return println!("{self}"),
            _ => return println!("add TASK, done TASK, remove TASK or list"),
        };
        self.publish(&change, None);
    }

    /// Takes in a change, in any order; one that brings nothing new goes no further.
    pub fn receive(&mut self, change: &Change, from: SocketAddr) {
        let before = self.list.clone();
        self.list.apply(change);
        if self.list != before {
            self.publish(change, Some(from));
        }
    }

    /// Stores first and sends then: no peer may know of edits that their own replica forgets in a crash.
    fn publish(&mut self, change: &Change, from: Option<SocketAddr>) {
        self.store().expect("the file can be written");
        println!("{self}");
        for (peer, stream) in &self.links {
            if Some(*peer) != from && link::send(stream, change).is_err() {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }

    fn store(&self) -> io::Result<()> {
        let state = postcard::to_allocvec(&(self.replica, &self.list)).map_err(io::Error::other)?;
        let unfinished = self.file.with_extension("new");
        let mut file = File::create(&unfinished)?;
        file.write_all(&state)?;
        file.sync_all()?;
        fs::rename(&unfinished, &self.file)
    }
}

impl Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.list.iter().try_for_each(|(text, done)| {
            let done = done.versions().iter().any(|version| version.value);
            writeln!(f, "[{}] {text}", if done { 'x' } else { ' ' })
        })
    }
}
