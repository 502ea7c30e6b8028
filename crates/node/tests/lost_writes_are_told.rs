//! A write that loses to another region's is told: in every region to those who listen to conflicts, and to the connection
//! that wrote it.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use std::io::{BufReader, Write};
use std::net::TcpStream;

use isles_resp::resp3::{self, Value};
use support::{Cluster, DEADLINE, Node, Options};

/// A connection that speaks RESP3 and reads what comes, asked for or not.
struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(node: &Node) -> Client {
        let stream = TcpStream::connect(node.spec.redis).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut client = Client(BufReader::new(stream));
        client.ask("HELLO 3");
        client
    }

    fn ask(&mut self, line: &str) -> String {
        let request = format!("{line}\r\n");
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
        self.hear().text()
    }

    fn hear(&mut self) -> Value {
        resp3::read(&mut self.0).unwrap()
    }

    /// The record in the next message of the channel.
    fn hear_record(&mut self) -> serde_json::Value {
        let message = self.hear();
        let [word, channel, line] = message.items() else {
            panic!("no message: {message:?}");
        };
        assert_eq!(
            (&*word.text(), &*channel.text()),
            ("message", "isles:conflicts")
        );
        serde_json::from_slice(line.bytes().unwrap()).unwrap()
    }
}

#[test]
fn listeners_and_the_loser_are_told_when_the_regions_meet() {
    let cluster = Cluster::start(&Options {
        nodes: 2,
        relayed: true,
        ..Options::default()
    });
    cluster.await_convergence();
    let mut listeners = [0, 1].map(|node| Client::connect(&cluster.nodes[node]));
    let mut writers = [0, 1].map(|node| Client::connect(&cluster.nodes[node]));
    for listener in &mut listeners {
        let answer = listener.ask("SUBSCRIBE isles:conflicts");
        assert_eq!(answer, "subscribe isles:conflicts 1");
    }
    cluster.isolate(0);
    for (region, writer) in writers.iter_mut().enumerate() {
        assert_eq!(writer.ask("ISLES.NOTIFY ON"), "OK");
        assert_eq!(writer.ask(&format!("SET cart:1 {region}")), "OK");
    }
    cluster.rejoin(0);
    let [here, there] = listeners.each_mut().map(Client::hear_record);
    assert_eq!(here["key"], "cart:1");
    for name in ["/id", "/loser/dot", "/loser/value", "/winner/region"] {
        assert_eq!(here.pointer(name), there.pointer(name), "{name}");
    }
    let loser: usize = here["loser"]["value"].as_str().unwrap().parse().unwrap();
    let push = writers[loser].hear();
    let [word, record] = push.items() else {
        panic!("no push: {push:?}");
    };
    assert_eq!(word.text(), "isles-conflict");
    assert_eq!(record.get("id").text(), here["id"].as_str().unwrap());
    let winner = record.get("winner");
    let region = cluster.nodes[1 - loser].spec.region.clone();
    assert_eq!(winner.get("value").text(), (1 - loser).to_string());
    assert_eq!(winner.get("region").text(), region);
    // Nothing else comes, and the winner hears nothing: a letter would come with one of two answers.
    for client in &mut writers {
        assert_eq!([client.ask("PING"), client.ask("PING")], ["PONG", "PONG"]);
    }
}
