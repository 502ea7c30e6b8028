//! What a client publishes reaches the listeners of every region once, also by way of a third; and what a peer writes is
//! told to those who want to know of changes.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;

use redis::Commands;
use support::{Cluster, DEADLINE, Node, Options, eventually, metric};

/// A client that reads whatever comes.
struct Listener {
    stream: TcpStream,
    heard: String,
}

impl Listener {
    /// Connects, and asks things whose answers are of no interest but for their end.
    fn start(node: &Node, requests: &str, last_answer: &str) -> Listener {
        let stream = TcpStream::connect(node.spec.redis).expect("the node serves");
        stream
            .set_read_timeout(Some(DEADLINE))
            .expect("a socket option");
        let mut listener = Listener {
            stream,
            heard: String::new(),
        };
        listener.ask(requests, last_answer);
        listener
    }

    fn ask(&mut self, requests: &str, last_answer: &str) {
        self.stream
            .write_all(requests.as_bytes())
            .expect("the node reads");
        self.hear(last_answer);
    }

    /// Waits until something comes; returns what came before it.
    fn hear(&mut self, expected: &str) -> String {
        loop {
            if let Some((before, after)) = self.heard.split_once(expected) {
                let (before, after) = (before.to_owned(), after.to_owned());
                self.heard = after;
                return before;
            }
            let mut chunk = [0; 4096];
            let count = self.stream.read(&mut chunk).unwrap_or_else(|error| {
                panic!(
                    "{expected:?} does not come ({error}) after {:?}",
                    self.heard
                )
            });
            assert!(count > 0, "the node closed the connection");
            self.heard
                .push_str(&String::from_utf8_lossy(&chunk[..count]));
        }
    }
}

fn message(text: &str) -> String {
    format!(
        "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n${}\r\n{text}\r\n",
        text.len()
    )
}

/// Publishes until the way is open: delivery is best effort, and a session has only just begun.
fn open_the_way(cluster: &Cluster, from: usize, listeners: &mut [Listener]) {
    let mut publisher = cluster.nodes[from].connect();
    eventually("every node hears the first message", || {
        let _: i64 = publisher.publish("first", "x").expect("PUBLISH answers");
        cluster.nodes.iter().enumerate().all(|(index, node)| {
            index == from || metric(node, "isles_publications_received_total") > 0.0
        })
    });
    let _: i64 = publisher.publish("news", "open").expect("PUBLISH answers");
    for listener in listeners {
        listener.hear(&message("open"));
    }
}

#[test]
fn a_message_is_heard_once_in_every_region() {
    let cluster = Cluster::start(&Options {
        relayed: true,
        ..Options::default()
    });
    let listen = |node| Listener::start(node, "SUBSCRIBE news\r\n", ":1\r\n");
    let mut listeners: Vec<Listener> = cluster.nodes.iter().map(listen).collect();
    open_the_way(&cluster, 0, &mut listeners);
    let mut publisher = cluster.nodes[0].connect();
    for text in ["one", "two", "three"] {
        let receivers: i64 = publisher.publish("news", text).expect("PUBLISH answers");
        assert_eq!(receivers, 1, "listeners of this node are counted");
    }
    for listener in &mut listeners {
        for text in ["one", "two", "three"] {
            assert_eq!(listener.hear(&message(text)), "", "nothing comes twice");
        }
    }
    // Without a link between them, by way of the third.
    cluster.link(0, 2).cut();
    // Each by itself: what the one that does not know yet sends to the other is lost.
    for (end, other) in [(0, 2), (2, 0)] {
        let other = &cluster.nodes[other].spec.node;
        eventually("both ends know of the cut", || {
            !cluster.nodes[end].is_connected_to(other)
        });
    }
    for text in ["four", "five"] {
        let _: i64 = publisher.publish("news", text).expect("PUBLISH answers");
    }
    for listener in &mut listeners {
        for text in ["four", "five"] {
            assert_eq!(listener.hear(&message(text)), "");
        }
    }
    // Shard channels are a namespace of their own.
    let mut shards = Listener::start(&cluster.nodes[1], "SSUBSCRIBE news\r\n", ":1\r\n");
    let mut client = Listener::start(&cluster.nodes[0], "SPUBLISH news six\r\n", ":0\r\n");
    shards.hear("*3\r\n$8\r\nsmessage\r\n$4\r\nnews\r\n$3\r\nsix\r\n");
    client.ask("PUBLISH news seven\r\n", ":1\r\n");
    for listener in &mut listeners {
        assert_eq!(listener.hear(&message("seven")), "");
    }
}

#[test]
fn what_a_peer_writes_is_told_here() {
    let cluster = Cluster::start(&Options {
        nodes: 2,
        ..Options::default()
    });
    let [eu, us] = &cluster.nodes[..] else {
        panic!("two nodes were asked for")
    };
    let mut events = Listener::start(
        us,
        "CONFIG SET notify-keyspace-events KEA\r\nPSUBSCRIBE __key*\r\n",
        "$6\r\n__key*\r\n:1\r\n",
    );
    let mut writer = eu.connect();
    let _: () = writer.set("k", "1").expect("SET answers");
    let mut reader = us.connect();
    eventually("the value is there", || {
        reader
            .get::<_, Option<String>>("k")
            .expect("GET answers")
            .is_some()
    });
    let mut cache = Listener::start(
        us,
        "HELLO 3\r\nCLIENT TRACKING ON\r\nGET k\r\n",
        "$1\r\n1\r\n",
    );
    let _: () = writer.set("k", "2").expect("SET answers");
    let _: i64 = writer.sadd("s", "a").expect("SADD answers");
    let _: i64 = writer.srem("s", "a").expect("SREM answers");
    cache.hear(">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n");
    cache.ask("GET k\r\n", "$1\r\n2\r\n");
    for (key, event) in [("k", "set"), ("k", "set"), ("s", "sadd"), ("s", "del")] {
        events.hear(&format!(
            "$16\r\n__keyspace@0__:{key}\r\n${}\r\n{event}\r\n",
            event.len()
        ));
        events.hear(&format!("@0__:{event}\r\n$1\r\n{key}\r\n"));
    }
    // Removed by the other region: everything that is in the cache is gone, key by key.
    let _: () = redis::cmd("FLUSHALL")
        .query(&mut writer)
        .expect("FLUSHALL answers");
    cache.hear(">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n");
}
