//! An offline-first todo list: every process edits its own copy, and tells its peers what changed when it can.

mod link;
mod node;

use std::error::Error;
use std::net::TcpListener;
use std::sync::Mutex;
use std::{io, thread};

use crate::node::Node;

const USAGE: &str = "usage: todo --listen ADDRESS [--peer ADDRESS]… [--file PATH]";

fn main() -> Result<(), Box<dyn Error>> {
    let (mut listen, mut peers, mut file) = (None, Vec::new(), "todo.state".to_owned());
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().ok_or(USAGE)?;
        match word.as_str() {
            "--listen" => listen = Some(value),
            "--peer" => peers.push(value),
            "--file" => file = value,
            _ => return Err(USAGE.into()),
        }
    }
    let listener = TcpListener::bind(listen.ok_or(USAGE)?)?;
    println!("listening on {}", listener.local_addr()?);
    let node = Node::open(file.into())?;
    println!("{node}");

    let node: &Mutex<Node> = Box::leak(Box::new(Mutex::new(node)));
    for peer in peers {
        thread::spawn(move || link::dial(&peer, node));
    }
    thread::spawn(move || link::accept(&listener, node));
    for line in io::stdin().lines() {
        link::lock(node).command(&line?);
    }
    Ok(())
}
