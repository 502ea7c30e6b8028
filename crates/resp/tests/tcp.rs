//! Connections over real sockets: pieces, pipelines, nonsense, and clients that do not listen.

mod support;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use isles_resp::ServeOptions;
use support::TestServer;

fn server() -> TestServer {
    TestServer::start(ServeOptions::default())
}

/// However a connection ended, the server must still serve another one.
fn check_alive(server: &TestServer) {
    server.connect().ask("PING\r\n", "+PONG\r\n");
}

#[test]
fn a_pipeline_is_answered_in_order() {
    let server = server();
    let mut client = server.connect();
    let (mut requests, mut answers) = (String::new(), String::new());
    for number in 0..5_000 {
        requests += &format!(
            "*3\r\n$3\r\nSET\r\n$1\r\na\r\n${}\r\n{number}\r\n",
            number.to_string().len()
        );
        requests += "*2\r\n$3\r\nGET\r\n$1\r\na\r\n";
        answers += &format!("+OK\r\n${}\r\n{number}\r\n", number.to_string().len());
    }
    let mut writer = client.0.try_clone().expect("a second handle");
    let writing = std::thread::spawn(move || writer.write_all(requests.as_bytes()));
    client.expect(&answers);
    writing.join().expect("no panic").expect("all was sent");
}

#[test]
fn requests_arrive_in_pieces() {
    let server = server();
    let mut client = server.connect();
    for byte in b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$5\r\nhello\r\nGET a\r\n" {
        client.send([*byte]);
    }
    client.expect("+OK\r\n$5\r\nhello\r\n");
}

#[test]
fn a_large_value_goes_in_and_out() {
    let server = server();
    let mut client = server.connect();
    let value = "v".repeat(20 << 20);
    let mut writer = client.0.try_clone().expect("a second handle");
    let request = format!(
        "*3\r\n$3\r\nSET\r\n$1\r\na\r\n${}\r\n{value}\r\nGET a\r\nPING\r\n",
        value.len()
    );
    let writing = std::thread::spawn(move || writer.write_all(request.as_bytes()));
    client.expect("+OK\r\n");
    client.expect(&format!("${}\r\n{value}\r\n+PONG\r\n", value.len()));
    writing.join().expect("no panic").expect("all was sent");
}

#[test]
fn nonsense_gets_an_error_and_a_close() {
    let server = server();
    let nested = "*1\r\n".repeat(100_000);
    let long = "x".repeat(70_000);
    for (input, error) in [
        (
            "*x\r\n",
            "-ERR Protocol error: invalid multibulk length\r\n",
        ),
        (
            "*1\r\n$x\r\n",
            "-ERR Protocol error: invalid bulk length\r\n",
        ),
        (
            "*1\r\n$99999999999\r\n",
            "-ERR Protocol error: invalid bulk length\r\n",
        ),
        (
            "*1\r\nPING\r\n",
            "-ERR Protocol error: expected '$', got 'P'\r\n",
        ),
        (
            "SET a \"b\r\n",
            "-ERR Protocol error: unbalanced quotes in request\r\n",
        ),
        (&nested, "-ERR Protocol error: expected '$', got '*'\r\n"),
        (&long, "-ERR Protocol error: too big inline request\r\n"),
    ] {
        let mut client = server.connect();
        // The server may close before it has read all of it.
        let _ = client.0.write_all(input.as_bytes());
        assert_eq!(client.line() + "\r\n", error);
        client.expect_closed();
        check_alive(&server);
    }
}

#[test]
fn commands_before_nonsense_are_answered() {
    let server = server();
    let mut client = server.connect();
    client.ask(
        "SET a 1\r\nGET a\r\n*x\r\n",
        "+OK\r\n$1\r\n1\r\n-ERR Protocol error: invalid multibulk length\r\n",
    );
    client.expect_closed();
}

#[test]
fn random_bytes_do_no_harm() {
    let server = server();
    let mut state = 1u64;
    for _ in 0..200 {
        let mut client = server.connect();
        let bytes: Vec<u8> = (0..300)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (state >> 56) as u8
            })
            .collect();
        let _ = client.0.write_all(&bytes);
        let _ = client.0.shutdown(Shutdown::Write);
        let _ = client.0.read_to_end(&mut Vec::new());
    }
    check_alive(&server);
}

#[test]
fn half_a_command_changes_nothing() {
    let server = server();
    let mut client = server.connect();
    client.send("SET a 1\r\n*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$10\r\nhal");
    client.expect("+OK\r\n");
    client.0.shutdown(Shutdown::Write).expect("a shutdown");
    client.expect_closed();
    check_alive(&server);
    assert_eq!(server.engine.keys(), 1);
}

#[test]
fn an_announced_size_takes_no_memory() {
    let server = TestServer::start(ServeOptions {
        max_request_bytes: 1 << 20,
        ..ServeOptions::default()
    });
    let mut client = server.connect();
    client.ask(
        "*2\r\n$4\r\nECHO\r\n$1048577\r\n",
        "-ERR Protocol error: invalid bulk length\r\n",
    );
    client.expect_closed();
    let mut client = server.connect();
    client.send("*2\r\n$4\r\nECHO\r\n$1048576\r\n");
    check_alive(&server);
}

#[test]
fn a_reply_waits_until_it_is_durable() {
    let server = server();
    server.engine.set_durable(0);
    let mut client = server.connect();
    client.ask("PING\r\n", "+PONG\r\n");
    client.send("SET a 1\r\nPING\r\n");
    server.engine.until_waiting(1);
    // A reader of what is not durable waits as well; others do not.
    let mut reader = server.connect();
    reader.send("GET a\r\n");
    server.engine.until_waiting(2);
    server.connect().ask("GET b\r\n", "$-1\r\n");
    server.engine.set_durable(u64::MAX);
    client.expect("+OK\r\n+PONG\r\n");
    reader.expect("$1\r\n1\r\n");
}

#[test]
fn nothing_is_answered_that_cannot_become_durable() {
    let server = server();
    server.engine.set_durable(0);
    let mut client = server.connect();
    client.send("SET a 1\r\n");
    server.engine.until_waiting(1);
    server.engine.stop_log();
    client.expect_closed();
}

#[test]
fn writers_wait_for_the_log_and_readers_do_not() {
    let server = server();
    server.engine.set_full(true);
    let mut writer = server.connect();
    writer.send("SET a 1\r\n");
    server.engine.until_waiting(1);
    server.connect().ask("GET a\r\n", "$-1\r\n");
    server.engine.set_full(false);
    writer.expect("+OK\r\n");
}

#[test]
fn a_client_that_does_not_listen_is_closed() {
    let server = TestServer::start(ServeOptions {
        write_stall: Duration::from_millis(100),
        ..ServeOptions::default()
    });
    let mut client = server.connect();
    let value = "v".repeat(1 << 20);
    client.ask(
        &format!(
            "*3\r\n$3\r\nSET\r\n$1\r\na\r\n${}\r\n{value}\r\n",
            value.len()
        ),
        "+OK\r\n",
    );
    // A thousand times a megabyte is more than any socket buffer; the answers must not pile up in memory either.
    client.send("*2\r\n$3\r\nGET\r\n$1\r\na\r\n".repeat(1_000));
    let listed = |server: &TestServer| {
        let mut other = server.connect();
        other.send("CLIENT LIST\r\n");
        let length: usize = other.line()[1..].parse().expect("a length");
        let mut text = vec![0; length];
        other.0.read_exact(&mut text).expect("the list");
        String::from_utf8_lossy(&text).lines().count()
    };
    let started = std::time::Instant::now();
    while listed(&server) > 1 {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "the client is still connected"
        );
        std::thread::yield_now();
    }
}

#[test]
fn a_silent_client_is_closed_if_so_configured() {
    let server = TestServer::start(ServeOptions {
        idle: Some(Duration::from_millis(50)),
        ..ServeOptions::default()
    });
    let mut client = server.connect();
    client.ask("PING\r\n", "+PONG\r\n");
    client.expect_closed();
}

#[test]
fn there_is_a_limit_of_clients() {
    let server = TestServer::start(ServeOptions {
        max_clients: 2,
        ..ServeOptions::default()
    });
    let mut first = server.connect();
    first.ask("PING\r\n", "+PONG\r\n");
    let mut second = server.connect();
    second.ask("PING\r\n", "+PONG\r\n");
    let mut third = server.connect();
    third.expect("-ERR max number of clients reached\r\n");
    third.expect_closed();
    second.ask("QUIT\r\n", "+OK\r\n");
    second.expect_closed();
    first.ask("PING\r\n", "+PONG\r\n");
}

#[test]
fn a_killed_client_is_closed() {
    let server = server();
    let mut victim = server.connect();
    victim.send("CLIENT ID\r\n");
    let id = victim.line()[1..].to_owned();
    let mut killer = server.connect();
    killer.ask(&format!("CLIENT KILL ID {id}\r\n"), ":1\r\n");
    victim.expect_closed();
    killer.ask("PING\r\n", "+PONG\r\n");
}

#[test]
fn sleeping_blocks_nobody_else() {
    let server = server();
    let mut sleeper = server.connect();
    sleeper.ask("DEBUG SLEEP 3600\r\nPING\r\n", "+OK\r\n");
    check_alive(&server);
}

#[test]
fn stopping_finishes_what_was_asked() {
    let mut server = server();
    server.engine.set_durable(0);
    let mut idle = server.connect();
    idle.ask("PING\r\n", "+PONG\r\n");
    let mut busy = server.connect();
    busy.send("SET a 1\r\n");
    server.engine.until_waiting(1);
    server.stop();
    idle.expect_closed();
    server.engine.set_durable(u64::MAX);
    busy.expect("+OK\r\n");
    busy.expect_closed();
    server.join();
}

#[test]
fn resp3_over_the_wire() {
    let server = server();
    let mut client = server.connect();
    client.send("*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n");
    assert_eq!(client.line(), "%7");
    // The last entry of the greeting is an empty list of modules.
    while client.line() != "*0" {}
    client.ask("HGETALL none\r\n", "%0\r\n");
}
