//! Whatever bytes a client sends: a clear error or a close, and the node lives.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use redis::Commands;
use support::{Node, Ports, Raw, Spec, eventually};

struct Victim {
    node: Node,
    _folder: tempfile::TempDir,
    _ports: Ports,
}

impl Victim {
    fn start() -> Victim {
        let (folder, mut ports) = (tempfile::tempdir().unwrap(), Ports::take());
        let node = Node::alone(folder.path(), Spec::alone("eu-1", "eu", &mut ports));
        Victim {
            node,
            _folder: folder,
            _ports: ports,
        }
    }

    fn raw(&self) -> Raw {
        Raw::connect(self.node.spec.redis)
    }

    /// Another client is served as if nothing had happened.
    fn check_alive(&mut self) {
        let pong: String = redis::cmd("PING").query(&mut self.node.connect()).unwrap();
        assert_eq!(pong, "PONG");
        assert!(self.node.is_running());
        assert!(!self.node.log().contains("panicked"), "{}", self.node.log());
    }

    /// These bytes are answered by an error that says this, and a close.
    fn check_closed(&mut self, bytes: &[u8], says: &str) {
        let mut raw = self.raw();
        raw.send(bytes);
        let answer = raw.read_to_close();
        assert!(
            answer.contains("-ERR") && answer.contains(says),
            "{says}: {answer}"
        );
        self.check_alive();
    }
}

#[test]
fn broken_requests_get_an_error_and_a_close() {
    let mut victim = Victim::start();
    let cases: [(&[u8], &str); 10] = [
        (
            b"*2\r\n$3\r\nGET\r\n$999999999999\r\n",
            "invalid bulk length",
        ),
        (
            b"*2\r\n$3\r\nGET\r\n$99999999999999999999999999\r\n",
            "invalid bulk length",
        ),
        (b"*2\r\n$3\r\nGET\r\n$-1\r\n", "invalid bulk length"),
        (b"*2\r\n$3\r\nGET\r\n$x\r\n", "invalid bulk length"),
        (b"*2147483648\r\n", "invalid multibulk length"),
        (b"*1048577\r\n", "invalid multibulk length"),
        (b"*1\r\n:1\r\n", "expected '$', got ':'"),
        (b"*1\r\n$4\r\nPINGxx", "expected CRLF"),
        (b"SET key \"unbalanced\r\n", "unbalanced quotes"),
        (b"*\xff\xfe\r\n", "invalid multibulk length"),
    ];
    for (bytes, says) in cases {
        victim.check_closed(bytes, says);
    }
}

#[test]
fn endless_lines_and_nesting_get_an_error_and_a_close() {
    let mut victim = Victim::start();
    victim.check_closed(&b"*1\r\n".repeat(100_000), "expected '$', got '*'");
    victim.check_closed(&vec![b'x'; 1 << 20], "too big inline request");
    let mut endless = b"*".to_vec();
    endless.resize(1 << 20, b'1');
    victim.check_closed(&endless, "too big mbulk count string");
}

// Negative and empty arrays are no requests at all, as in Redis.
#[test]
fn empty_requests_are_passed_over() {
    let mut victim = Victim::start();
    let mut raw = victim.raw();
    raw.send(b"*0\r\n*-1\r\n\r\n\r\nPING\r\n");
    assert_eq!(raw.read(7), b"+PONG\r\n");
    victim.check_alive();
}

#[test]
fn other_protocols_get_errors() {
    let mut victim = Victim::start();
    let hello_of_tls = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\r\n";
    let hello_of_http = b"GET / HTTP/1.1\r\nHost: isles\r\n\r\n";
    for bytes in [&hello_of_tls[..], &hello_of_http[..]] {
        let mut raw = victim.raw();
        raw.send(bytes);
        raw.end();
        assert!(raw.read_to_close().starts_with("-ERR"));
    }
    victim.check_alive();
}

/// A browser would send whatever a web page puts into the body.
#[test]
fn a_web_page_cannot_write() {
    let victim = Victim::start();
    for request in [
        "POST / HTTP/1.1\r\nContent-Length: 20\r\n\r\nSET pwned 1\r\n",
        "GET / HTTP/1.1\r\nHost: isles\r\n\r\nSET pwned 1\r\n",
    ] {
        let mut raw = victim.raw();
        raw.send(request.as_bytes());
        // It is the node that closes.
        assert!(raw.read_to_close().contains("not HTTP"));
    }
    let pwned: Option<String> = redis::cmd("GET")
        .arg("pwned")
        .query(&mut victim.node.connect())
        .unwrap();
    assert_eq!(pwned, None);
}

#[test]
fn noise_is_survived() {
    let mut victim = Victim::start();
    let mut random = 88_172_645_463_325_252_u64;
    for _ in 0..50 {
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            // Often enough a byte that means something.
            match random % 4 {
                0 => b"*$\r\n-1"[(random >> 8) as usize % 6],
                _ => (random >> 16) as u8,
            }
        })
        .take(4096)
        .collect();
        let mut raw = victim.raw();
        raw.send(&noise);
        raw.end();
        raw.read_to_close();
    }
    victim.check_alive();
}

#[test]
fn half_a_command_does_nothing() {
    let mut victim = Victim::start();
    let whole = b"*3\r\n$3\r\nSET\r\n$4\r\nhalf\r\n$5\r\nvalue\r\n";
    for end in 1..whole.len() {
        let mut raw = victim.raw();
        raw.send(&whole[..end]);
        raw.end();
        assert_eq!(raw.read_to_close(), "", "after {end} bytes");
    }
    let exists: bool = victim.node.connect().exists("half").unwrap();
    assert!(!exists);
    victim.check_alive();
}

#[test]
fn a_client_that_does_not_read_gets_all_its_answers_later() {
    let mut victim = Victim::start();
    let mut raw = victim.raw();
    raw.send(&b"PING\r\n".repeat(10_000));
    victim.check_alive();
    assert_eq!(raw.read(7 * 10_000), b"+PONG\r\n".repeat(10_000));
}

#[test]
fn a_client_that_never_reads_harms_nobody() {
    let mut victim = Victim::start();
    let value = "x".repeat(1 << 20);
    let _: () = victim.node.connect().set("large", &value).unwrap();
    let silent: Vec<Raw> = std::iter::repeat_with(|| {
        let mut raw = victim.raw();
        raw.send(&b"GET large\r\n".repeat(16));
        raw
    })
    .take(4)
    .collect();
    victim.check_alive();
    drop(silent);
    let mut client = victim.node.connect();
    eventually("the node forgets the clients that left", || {
        let info: String = redis::cmd("INFO")
            .arg("clients")
            .query(&mut client)
            .unwrap();
        info.contains("connected_clients:1\r\n")
    });
}

#[test]
fn what_is_too_large_is_refused_and_changes_nothing() {
    let mut victim = Victim::start();
    victim.check_closed(
        b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$67108865\r\n",
        "invalid bulk length",
    );
    // Exactly the limit of one argument, and with its key just above that of one entry.
    let mut raw = victim.raw();
    raw.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$67108864\r\n");
    let megabyte = vec![b'x'; 1 << 20];
    (0..64).for_each(|_| raw.send(&megabyte));
    raw.send(b"\r\n");
    assert_eq!(raw.read(4), b"-ERR");
    let exists: bool = victim.node.connect().exists("k").unwrap();
    assert!(!exists);
    victim.check_alive();
}

#[test]
fn long_keys_are_refused_and_checkpoints_go_on() {
    let mut victim = Victim::start();
    let mut client = victim.node.connect();
    // Redis takes it; no table of this node could hold it.
    let too_long = "k".repeat(65_001);
    let refused = |result: redis::RedisResult<redis::Value>| {
        let error = result.unwrap_err().to_string();
        assert!(error.contains("the limit of 65000 bytes"), "{error}");
    };
    refused(redis::cmd("SET").arg(&too_long).arg("v").query(&mut client));
    let script = "return redis.call('SADD', KEYS[1], 'm')";
    refused(
        redis::cmd("EVAL")
            .arg(script)
            .arg(1)
            .arg(&too_long)
            .query(&mut client),
    );
    let define = ["SET", &too_long[..64_990], "max"];
    refused(redis::cmd("ISLES.KEYSPACE").arg(&define).query(&mut client));
    let _: () = client.set("source", "v").unwrap();
    refused(
        redis::cmd("RENAME")
            .arg("source")
            .arg(&too_long)
            .query(&mut client),
    );
    let longest = &too_long[1..];
    for member in 0..600 {
        let _: () = client.sadd(longest, member).unwrap();
    }
    let _: () = redis::cmd("SAVE").query(&mut client).unwrap();
    victim.check_alive();
    let members: usize = client.scard(longest).unwrap();
    assert_eq!(members, 600);
}
