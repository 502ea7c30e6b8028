//! Clients that wait for the replica, over real sockets: who asked first is served first.

mod support;

use isles_resp::ServeOptions;
use support::{Client, TestServer};

const CLIENTS: usize = 16;
const ROUNDS: usize = 10;
/// The first one asks so often before it can have the replica; by then most of the others wait too.
const REFUSED: u64 = 3;

/// A server with one thread, between whose connections order holds, and its clients.
fn served() -> (TestServer, Vec<Client>) {
    let server = TestServer::start_on(1, ServeOptions::default());
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| server.connect()).collect();
    // Who is still being let in may be overtaken.
    for client in &mut clients {
        client.ask("PING\r\n", "+PONG\r\n");
    }
    (server, clients)
}

#[test]
fn who_waits_for_the_replica_gets_it_in_the_order_of_asking() {
    let (server, mut clients) = served();
    for round in 0..ROUNDS {
        let request = format!("INCR order:{round}\r\n");
        server.engine.hold_until_refused(REFUSED, || {
            clients.iter_mut().for_each(|client| client.send(&request));
        });
        for (client, place) in clients.iter_mut().zip(1..) {
            client.expect(&format!(":{place}\r\n"));
        }
    }
}
