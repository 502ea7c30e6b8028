//! Connections. Both ends say what they have seen, then send what the other lacks, then every change as it comes.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Mutex, MutexGuard};
use std::{thread, time::Duration};

use isles_crdt::DeltaState;
use serde::{Serialize, de::DeserializeOwned};

use crate::node::{Change, Node};

const MESSAGE_BYTES_MAX: u64 = 1 << 24;
const SEND_TIMEOUT: Duration = Duration::from_secs(2);
const REDIAL_AFTER: Duration = Duration::from_millis(200);

/// Connects to a peer, again and again, for it may be away.
pub fn dial(peer: &str, node: &Mutex<Node>) {
    loop {
        let _ = TcpStream::connect(peer).and_then(|stream| serve(&stream, node));
        thread::sleep(REDIAL_AFTER);
    }
}

pub fn accept(listener: &TcpListener, node: &'static Mutex<Node>) {
    for stream in listener.incoming().flatten() {
        thread::spawn(move || serve(&stream, node));
    }
}

fn serve(stream: &TcpStream, node: &Mutex<Node>) -> io::Result<()> {
    let peer = stream.peer_addr()?;
    stream.set_write_timeout(Some(SEND_TIMEOUT))?;
    let mut incoming = BufReader::new(stream);
    send(stream, &lock(node).list.context())?;
    let theirs = receive(&mut incoming)?;
    let mut held = lock(node); // So that no change falls between the two.
    send(stream, &held.list.delta_since(&theirs))?;
    held.links.insert(peer, stream.try_clone()?);
    drop(held);
    while let Ok(change) = receive::<Change>(&mut incoming) {
        lock(node).receive(&change, peer);
    }
    lock(node).links.remove(&peer);
    Ok(())
}

/// Ends messages with a zero byte, and keeps zeros out of them (COBS).
pub fn send(mut stream: &TcpStream, message: &impl Serialize) -> io::Result<()> {
    stream.write_all(&postcard::to_allocvec_cobs(message).map_err(io::Error::other)?)
}

fn receive<M: DeserializeOwned>(stream: &mut impl BufRead) -> io::Result<M> {
    let mut message = Vec::new();
    stream.take(MESSAGE_BYTES_MAX).read_until(0, &mut message)?;
    postcard::from_bytes_cobs(&mut message).map_err(io::Error::other)
}

pub fn lock(node: &Mutex<Node>) -> MutexGuard<'_, Node> {
    node.lock().expect("a panic ends the process")
}
