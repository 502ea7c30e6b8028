//! Commands that wait, over real sockets: until when, for whom, and what is left when their client goes.

mod support;

use std::net::Shutdown;
use std::time::Instant;

use isles_resp::ServeOptions;
use support::{Client, TestServer};

fn server() -> TestServer {
    TestServer::start(ServeOptions::default())
}

/// Spins until so many clients wait, as INFO counts them.
fn until_blocked(server: &TestServer, count: usize) {
    let mut client = server.connect();
    let wanted = format!("blocked_clients:{count}");
    loop {
        client.send("INFO clients\r\n");
        let header = client.line();
        let bytes: usize = header[1..].parse().expect("a length");
        let mut text = vec![0; bytes + 2];
        std::io::Read::read_exact(&mut client.0, &mut text).expect("the section");
        if String::from_utf8_lossy(&text).contains(&wanted) {
            return;
        }
        std::thread::yield_now();
    }
}

/// A client that waits for the list.
fn waiting(server: &TestServer) -> Client {
    let mut client = server.connect();
    client.send("BLPOP list 0\r\n");
    until_blocked(server, 1);
    client
}

#[test]
fn an_element_ends_the_wait_and_the_pipeline_goes_on() {
    let server = server();
    let mut client = waiting(&server);
    client.send("PING\r\nSET after 1\r\n");
    let mut other = server.connect();
    other.ask("GET after\r\nRPUSH list a\r\n", "$-1\r\n:1\r\n");
    client.expect("*2\r\n$4\r\nlist\r\n$1\r\na\r\n+PONG\r\n+OK\r\n");
    until_blocked(&server, 0);
}

#[test]
fn time_ends_the_wait() {
    let server = server();
    let mut client = server.connect();
    let started = Instant::now();
    client.ask("BLPOP list 0.05\r\nPING\r\n", "*-1\r\n+PONG\r\n");
    assert!(started.elapsed().as_millis() >= 50);
}

#[test]
fn a_client_that_goes_leaves_nothing_behind() {
    let server = server();
    drop(waiting(&server));
    until_blocked(&server, 0);
    let client = waiting(&server);
    client.0.shutdown(Shutdown::Write).expect("a socket option");
    until_blocked(&server, 0);
    let mut other = server.connect();
    other.ask("RPUSH list a\r\nLLEN list\r\n", ":1\r\n:1\r\n");
}

#[test]
fn an_answer_waits_until_its_pop_is_durable() {
    let server = server();
    let mut client = waiting(&server);
    server.engine.set_durable(0);
    let mut other = server.connect();
    other.send("RPUSH list a\r\n");
    server.engine.until_waiting(2);
    server.engine.set_durable(u64::MAX);
    other.expect(":1\r\n");
    client.expect("*2\r\n$4\r\nlist\r\n$1\r\na\r\n");
}

#[test]
fn a_kill_ends_the_wait() {
    let server = server();
    let mut client = server.connect();
    client.send("CLIENT ID\r\n");
    let id = client.line()[1..].to_owned();
    client.send("BLPOP list 0\r\n");
    until_blocked(&server, 1);
    let mut other = server.connect();
    other.ask(&format!("CLIENT KILL ID {id}\r\n"), ":1\r\n");
    client.expect_closed();
    until_blocked(&server, 0);
}

#[test]
fn a_server_that_stops_ends_the_wait() {
    let mut server = server();
    let mut client = waiting(&server);
    server.stop();
    server.join();
    client.expect_closed();
}
