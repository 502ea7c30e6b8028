//! Connections between nodes: each lane stays in order, nothing else does.

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;

use crate::step::LANES;

/// One connection. End 0 has dialled.
#[derive(Debug)]
pub struct Connection {
    /// A number that no other connection of the run has.
    pub id: u64,
    /// The nodes at its two ends.
    pub nodes: [usize; 2],
    /// Which ends still hold it open.
    pub open: [bool; 2],
    /// What travels towards each end, by lane.
    pub queues: [[VecDeque<Bytes>; LANES.len()]; 2],
}

/// All connections, and which directions are cut.
#[derive(Debug, Default)]
pub struct Network {
    connections: Vec<Connection>,
    cuts: BTreeSet<(usize, usize)>,
    next: u64,
}

impl Network {
    /// A new connection between two nodes.
    pub fn connect(&mut self, from: usize, to: usize) -> u64 {
        self.next += 1;
        self.connections.push(Connection {
            id: self.next,
            nodes: [from, to],
            open: [true; 2],
            queues: Default::default(),
        });
        self.next
    }

    /// Cuts a direction.
    pub fn cut(&mut self, from: usize, to: usize) {
        self.cuts.insert((from, to));
    }

    /// Heals a direction.
    pub fn heal(&mut self, from: usize, to: usize) {
        self.cuts.remove(&(from, to));
    }

    /// Heals everything.
    pub fn heal_all(&mut self) {
        self.cuts.clear();
    }

    /// Whether anything arrives in this direction.
    pub fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cuts.contains(&(from, to))
    }

    /// The connections of two nodes, oldest first, each with the end at the second one.
    pub fn between(&self, from: usize, to: usize) -> Vec<(u64, usize)> {
        let end = |connection: &Connection| match connection.nodes {
            [dialler, other] if (dialler, other) == (from, to) => Some((connection.id, 1)),
            [dialler, other] if (dialler, other) == (to, from) => Some((connection.id, 0)),
            _ => None,
        };
        self.connections.iter().filter_map(end).collect()
    }

    /// One connection.
    pub fn get(&self, id: u64) -> Option<&Connection> {
        self.connections
            .iter()
            .find(|connection| connection.id == id)
    }

    /// One connection.
    pub fn get_mut(&mut self, id: u64) -> Option<&mut Connection> {
        self.connections
            .iter_mut()
            .find(|connection| connection.id == id)
    }

    /// One end lets go; what it has sent may still arrive.
    pub fn close(&mut self, id: u64, end: usize) {
        if let Some(connection) = self.get_mut(id) {
            connection.open[end] = false;
            connection.queues[end].iter_mut().for_each(VecDeque::clear);
        }
        self.connections
            .retain(|connection| connection.open != [false; 2]);
    }

    /// Whether both ends of some connection of two nodes are open.
    pub fn are_connected(&self, one: usize, other: usize) -> bool {
        self.connections.iter().any(|connection| {
            connection.open == [true; 2]
                && connection.nodes.contains(&one)
                && connection.nodes.contains(&other)
        })
    }

    /// Loses everything that travels to or from a node.
    pub fn lose_messages_of(&mut self, node: usize) {
        for connection in self
            .connections
            .iter_mut()
            .filter(|each| each.nodes.contains(&node))
        {
            connection
                .queues
                .iter_mut()
                .flatten()
                .for_each(VecDeque::clear);
        }
    }

    /// Whether something travels anywhere.
    pub fn is_quiet(&self) -> bool {
        self.connections
            .iter()
            .all(|connection| connection.queues.iter().flatten().all(VecDeque::is_empty))
    }
}
