//! Clients that write to every node and remember what was acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use redis::{Cmd, Connection, RedisResult, Value, cmd};

use super::node::connect;
use super::{Cluster, Node, eventually};

const MEMBERS: &str = "load:members";
const FIELDS: &str = "load:fields";
const COUNTERS: u64 = 4;
/// Keys that everybody changes in every way, so that much of it is concurrent.
const CHURNED: u64 = 12;
/// A set that lies in many rows of the table.
const LARGE: &str = "load:large";
const LARGE_MEMBERS: u64 = 5_000;
/// A node that is down is tried again so much later.
const RETRY: Duration = Duration::from_millis(20);
/// How many keys one check reads at once.
const CHUNK: usize = 500;

/// Writers on all nodes, until they are told to finish.
pub(crate) struct Load {
    finish: Arc<AtomicBool>,
    acknowledged: Vec<Arc<AtomicU64>>,
    writers: Vec<JoinHandle<Ledger>>,
}

/// What writers were told.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    strings: BTreeMap<String, String>,
    members: BTreeSet<String>,
    fields: BTreeMap<String, String>,
    counters: BTreeMap<String, Counter>,
    /// Answers that say that nothing was done, other than those that a writer must expect.
    refusals: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counter {
    acknowledged: i64,
    /// The connection broke before the answer.
    in_doubt: i64,
}

/// What became of a command.
enum Fate {
    Acknowledged,
    InDoubt,
    Refused,
}

impl Load {
    /// Starts so many writers per node.
    pub(crate) fn start(cluster: &Cluster, writers_per_node: usize) -> Load {
        let finish = Arc::new(AtomicBool::new(false));
        let acknowledged: Vec<Arc<AtomicU64>> =
            cluster.nodes.iter().map(|_| Arc::default()).collect();
        let writers = cluster
            .nodes
            .iter()
            .zip(&acknowledged)
            .flat_map(|(node, acknowledged)| {
                (0..writers_per_node).map(|index| Writer {
                    name: format!("{}-{index}", node.spec.node),
                    address: node.spec.redis,
                    connection: None,
                    random: 1 + index as u64 + u64::from(node.spec.redis.port()),
                    finish: Arc::clone(&finish),
                    acknowledged: Arc::clone(acknowledged),
                    ledger: Ledger::default(),
                })
            });
        let writers = writers
            .map(|writer| std::thread::spawn(move || writer.run()))
            .collect();
        Load {
            finish,
            acknowledged,
            writers,
        }
    }

    /// Waits until a node has acknowledged so many more writes.
    pub(crate) fn await_more(&self, node: usize, writes: u64) {
        let acknowledged = &self.acknowledged[node];
        let goal = acknowledged.load(Ordering::Relaxed) + writes;
        eventually(&format!("node {node} acknowledges {writes} writes"), || {
            acknowledged.load(Ordering::Relaxed) >= goal
        });
    }

    /// Waits until every node has acknowledged so many more writes.
    pub(crate) fn await_more_everywhere(&self, writes: u64) {
        let goals: Vec<u64> = self
            .acknowledged
            .iter()
            .map(|count| count.load(Ordering::Relaxed) + writes)
            .collect();
        eventually(&format!("every node acknowledges {writes} writes"), || {
            self.acknowledged
                .iter()
                .zip(&goals)
                .all(|(count, goal)| count.load(Ordering::Relaxed) >= *goal)
        });
    }

    /// Ends the writers and gathers what they were told.
    pub(crate) fn finish(self) -> Ledger {
        self.finish.store(true, Ordering::Relaxed);
        let mut all = Ledger::default();
        for writer in self.writers {
            all.merge(writer.join().expect("a writer does not fail"));
        }
        assert!(
            all.refusals.is_empty(),
            "writes were refused: {:?}",
            &all.refusals[..all.refusals.len().min(5)]
        );
        all
    }
}

struct Writer {
    name: String,
    address: SocketAddr,
    connection: Option<Connection>,
    random: u64,
    finish: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    ledger: Ledger,
}

impl Writer {
    fn run(mut self) -> Ledger {
        let mut number = 0;
        while !self.finish.load(Ordering::Relaxed) {
            number += 1;
            self.write(number);
        }
        self.ledger
    }

    fn write(&mut self, number: u64) {
        let unique = format!("{}-{number}", self.name);
        match number % 6 {
            0 => {
                let (key, value) = (
                    format!("load:string:{unique}"),
                    format!("value of {unique}"),
                );
                if let Fate::Acknowledged = self.send(cmd("SET").arg(&key).arg(&value)) {
                    self.ledger.strings.insert(key, value);
                }
            }
            1 => {
                if let Fate::Acknowledged = self.send(cmd("SADD").arg(MEMBERS).arg(&unique)) {
                    self.ledger.members.insert(unique);
                }
            }
            2 => {
                let value = format!("value of {unique}");
                if let Fate::Acknowledged =
                    self.send(cmd("HSET").arg(FIELDS).arg(&unique).arg(&value))
                {
                    self.ledger.fields.insert(unique, value);
                }
            }
            3 => self.count(number),
            _ => self.churn(&unique),
        }
    }

    fn count(&mut self, number: u64) {
        let (key, by) = (
            format!("load:counter:{}", self.next(COUNTERS)),
            (number % 3) as i64 + 1,
        );
        let fate = self.send(cmd("INCRBY").arg(&key).arg(by));
        let counter = self.ledger.counters.entry(key).or_default();
        match fate {
            Fate::Acknowledged => counter.acknowledged += by,
            Fate::InDoubt => counter.in_doubt += by,
            Fate::Refused => {}
        }
    }

    /// Changes that nobody keeps account of: what matters is that all nodes make the same of them.
    fn churn(&mut self, unique: &str) {
        let (one, step) = (self.next(CHURNED), 1 + self.next(CHURNED - 1));
        let (key, other) = (
            format!("load:churn:{one}"),
            format!("load:churn:{}", (one + step) % CHURNED),
        );
        let element = self.next(8);
        match self.next(20) {
            0 => self.send(cmd("DEL").arg(&key)),
            1 => self.send(cmd("SET").arg(&key).arg(unique)),
            2 => self.send(cmd("SET").arg(&key).arg(element)),
            3 => self.send(cmd("INCR").arg(&key)),
            4 => self.send(cmd("SADD").arg(&key).arg(element)),
            5 => self.send(cmd("SREM").arg(&key).arg(element)),
            6 => self.send(cmd("HSET").arg(&key).arg(element).arg(unique)),
            7 => self.send(cmd("HDEL").arg(&key).arg(element)),
            8 => self.send(cmd("HINCRBY").arg(&key).arg(element).arg(3)),
            9 => self.send(cmd("EXPIRE").arg(&key).arg(1000)),
            10 => self.send(cmd("PEXPIRE").arg(&key).arg(1 + element)),
            11 => self.send(cmd("PERSIST").arg(&key)),
            12 => self.send(cmd("RENAME").arg(&key).arg(&other)),
            13 => self.send(cmd("COPY").arg(&key).arg(&other).arg("REPLACE")),
            14 => self.send(cmd("SUNIONSTORE").arg(&key).arg(&key).arg(&other)),
            15 => self.send(cmd("MSET").arg(&key).arg(unique).arg(&other).arg(element)),
            16 => self.send(cmd("APPEND").arg(&key).arg(element)),
            17 => self.send(cmd("SPOP").arg(LARGE)),
            18 => {
                let member = self.next(LARGE_MEMBERS);
                self.send(cmd("SREM").arg(LARGE).arg(member))
            }
            _ => {
                let mut add = cmd("SADD");
                add.arg(LARGE);
                for _ in 0..50 {
                    add.arg(self.next(LARGE_MEMBERS));
                }
                self.send(&add)
            }
        };
    }

    fn send(&mut self, command: &Cmd) -> Fate {
        let Some(connection) = self.connection() else {
            std::thread::park_timeout(RETRY);
            return Fate::Refused;
        };
        let answer: RedisResult<Value> = command.query(connection);
        let error = match answer {
            Ok(_) => {
                self.acknowledged.fetch_add(1, Ordering::Relaxed);
                return Fate::Acknowledged;
            }
            Err(error) => error,
        };
        if error.is_io_error() || error.is_connection_dropped() {
            self.connection = None;
            return Fate::InDoubt;
        }
        let text = error.to_string();
        // The keys of the churn hold now this, now that; a node that starts says so.
        let expected = [
            "WRONGTYPE",
            "not an integer",
            "no such key",
            "LOADING",
            "loading",
        ];
        if !expected.iter().any(|word| text.contains(word)) {
            self.ledger.refusals.push(text);
        }
        Fate::Refused
    }

    fn connection(&mut self) -> Option<&mut Connection> {
        if self.connection.is_none() {
            self.connection = connect(self.address).ok();
        }
        self.connection.as_mut()
    }

    fn next(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }
}

impl Ledger {
    fn merge(&mut self, other: Ledger) {
        self.strings.extend(other.strings);
        self.members.extend(other.members);
        self.fields.extend(other.fields);
        for (key, counter) in other.counters {
            let sum = self.counters.entry(key).or_default();
            sum.acknowledged += counter.acknowledged;
            sum.in_doubt += counter.in_doubt;
        }
        self.refusals.extend(other.refusals);
    }

    /// Everything that was acknowledged is here, and counters are exact.
    pub(crate) fn check(&self, node: &Node) {
        let (mut connection, name) = (node.connect(), &node.spec.node);
        let strings: Vec<(&String, &String)> = self.strings.iter().collect();
        for chunk in strings.chunks(CHUNK) {
            let keys: Vec<&String> = chunk.iter().map(|(key, _)| *key).collect();
            let values: Vec<Option<String>> = cmd("MGET").arg(keys).query(&mut connection).unwrap();
            for ((key, expected), found) in chunk.iter().zip(values) {
                assert_eq!(found.as_ref(), Some(*expected), "{name} has lost SET {key}");
            }
        }
        let members: BTreeSet<String> =
            cmd("SMEMBERS").arg(MEMBERS).query(&mut connection).unwrap();
        let lost: Vec<_> = self.members.difference(&members).collect();
        assert!(lost.is_empty(), "{name} has lost members: {lost:?}");
        let fields: BTreeMap<String, String> =
            cmd("HGETALL").arg(FIELDS).query(&mut connection).unwrap();
        let lost: Vec<_> = self
            .fields
            .iter()
            .filter(|(field, value)| fields.get(*field) != Some(value))
            .collect();
        assert!(lost.is_empty(), "{name} has lost fields: {lost:?}");
        for (key, counter) in &self.counters {
            let value: i64 = cmd("GET").arg(key).query(&mut connection).unwrap();
            let possible = counter.acknowledged..=counter.acknowledged + counter.in_doubt;
            assert!(
                possible.contains(&value),
                "{name} says {key} = {value}, but {possible:?} was acknowledged"
            );
        }
    }

    pub(crate) fn check_everywhere(&self, cluster: &Cluster) {
        cluster.nodes.iter().for_each(|node| self.check(node));
    }
}
