//! Messages over real sockets: to who is idle, to who does not read, and never before what they tell of is durable.

mod support;

use isles_resp::ServeOptions;
use support::{Client, TestServer};

/// Nothing here needs more tries than this.
const TRIES_MAX: usize = 1_000_000;

fn listener(server: &TestServer) -> Client {
    let mut client = server.connect();
    client.ask(
        "SUBSCRIBE news\r\n",
        "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n",
    );
    client
}

fn message(text: &str) -> String {
    format!(
        "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n${}\r\n{text}\r\n",
        text.len()
    )
}

#[test]
fn an_idle_client_hears_everything_in_order() {
    let server = TestServer::start(ServeOptions::default());
    let mut listeners = [listener(&server), listener(&server)];
    let mut publisher = server.connect();
    let (mut requests, mut answers, mut messages) = (String::new(), String::new(), String::new());
    for number in 0..2_000 {
        requests += &format!("PUBLISH news {number}\r\n");
        answers += ":2\r\n";
        messages += &message(&number.to_string());
    }
    publisher.ask(&requests, &answers);
    listeners.iter_mut().for_each(|each| each.expect(&messages));
}

#[test]
fn a_client_that_gets_messages_without_end_is_heard() {
    let server = TestServer::start(ServeOptions::default());
    let mut client = listener(&server);
    let mut publisher = server.connect();
    let publishing = std::thread::spawn(move || {
        for _ in 0..TRIES_MAX {
            publisher.send("PUBLISH news x\r\n");
            if publisher.line() == ":0" {
                return;
            }
        }
        panic!("the client was never heard");
    });
    client.expect(&message("x"));
    client.send("UNSUBSCRIBE\r\n");
    publishing.join().expect("the client was heard");
}

#[test]
fn a_message_waits_for_the_write_before_it() {
    let server = TestServer::start(ServeOptions::default());
    let mut client = listener(&server);
    let mut publisher = server.connect();
    server.engine.set_durable(0);
    publisher.send("SET a 1\r\nPUBLISH news written\r\n");
    server.engine.until_waiting(2);
    server.engine.set_durable(u64::MAX);
    client.expect(&message("written"));
    publisher.expect("+OK\r\n:1\r\n");
    // And if it never becomes durable nobody hears of it.
    server.engine.set_durable(0);
    publisher.send("SET a 2\r\nPUBLISH news lost\r\n");
    server.engine.until_waiting(2);
    server.engine.stop_log();
    client.expect_closed();
}

#[test]
fn a_client_that_does_not_read_its_messages_is_disconnected() {
    let server = TestServer::start(ServeOptions {
        max_outbox_bytes: 1 << 20,
        ..ServeOptions::default()
    });
    let _deaf = listener(&server);
    let mut publisher = server.connect();
    let request = format!("PUBLISH news {}\r\n", "x".repeat(60_000));
    let gone = (0..TRIES_MAX).any(|_| {
        publisher.send(&request);
        publisher.line() == ":0"
    });
    assert!(gone, "it still listens");
    let told = (0..TRIES_MAX).any(|_| {
        publisher.send("CLIENT LIST TYPE pubsub\r\n");
        publisher.line() == "$0" && publisher.line().is_empty()
    });
    assert!(told, "it is still connected");
}

#[test]
fn messages_stay_outside_of_answers() {
    let server = TestServer::start(ServeOptions::default());
    let mut client = server.connect();
    client.send("HELLO 3\r\n");
    while client.line() != "*0" {}
    client.ask(
        "SUBSCRIBE news\r\nCLIENT TRACKING ON\r\nGET a\r\n",
        ">3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n+OK\r\n_\r\n",
    );
    client.send("MULTI\r\nSET a 1\r\nPUBLISH news x\r\nGET a\r\nEXEC\r\n");
    client.expect("+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n+OK\r\n:1\r\n$1\r\n1\r\n");
    client.expect(">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$1\r\nx\r\n>2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n");
}

/// Asks until so many clients wait for the end of a pause.
fn until_blocked(client: &mut Client, count: usize) {
    let expected = format!("blocked_clients:{count}");
    for _ in 0..TRIES_MAX {
        client.send("INFO clients\r\nECHO end\r\n");
        let mut blocked = false;
        loop {
            let line = client.line();
            blocked |= line == expected;
            if line == "end" {
                break;
            }
        }
        if blocked {
            return;
        }
    }
    panic!("nobody waits");
}

#[test]
fn writes_wait_for_the_end_of_a_pause() {
    let server = TestServer::start(ServeOptions::default());
    let (mut admin, mut writer) = (server.connect(), server.connect());
    admin.ask("CLIENT PAUSE 100000 WRITE\r\n", "+OK\r\n");
    writer.send("GET a\r\nSET a 1\r\nGET a\r\n");
    writer.expect("$-1\r\n");
    until_blocked(&mut admin, 1);
    assert_eq!(server.engine.keys(), 0);
    admin.ask("CLIENT UNPAUSE\r\n", "+OK\r\n");
    writer.expect("+OK\r\n$1\r\n1\r\n");
    until_blocked(&mut admin, 0);
}

#[test]
fn a_client_that_waits_can_be_killed() {
    let server = TestServer::start(ServeOptions::default());
    let (mut admin, mut writer) = (server.connect(), server.connect());
    writer.send("CLIENT ID\r\n");
    let id = writer.line().replace(':', "");
    admin.ask("CLIENT PAUSE 100000 WRITE\r\n", "+OK\r\n");
    writer.send("SET a 1\r\n");
    until_blocked(&mut admin, 1);
    admin.ask(&format!("CLIENT KILL ID {id}\r\n"), ":1\r\n");
    writer.expect_closed();
    until_blocked(&mut admin, 0);
    assert_eq!(server.engine.keys(), 0);
}

#[test]
fn listeners_do_not_hold_up_the_end() {
    let mut server = TestServer::start(ServeOptions {
        drain: std::time::Duration::from_secs(3600),
        ..ServeOptions::default()
    });
    let mut client = listener(&server);
    server.stop();
    client.expect_closed();
    server.join();
}
