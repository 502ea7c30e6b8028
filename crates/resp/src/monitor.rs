//! MONITOR: every command, as it was executed, to those who ask for all of them.

use std::fmt::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use isles_replica::Position;

use crate::call::is;
use crate::clients::Client;
use crate::hub::Hub;
use crate::outbox::Letter;

/// The clients that watch.
#[derive(Debug, Default)]
pub(crate) struct Monitors {
    count: AtomicUsize,
    clients: Mutex<Vec<Arc<Client>>>,
}

impl Monitors {
    pub(crate) fn are_on(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }

    fn add(&self, client: &Arc<Client>) {
        self.lock().push(Arc::clone(client));
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    fn remove(&self, client: &Client) {
        self.lock().retain(|known| known.id != client.id);
        self.count.fetch_sub(1, Ordering::Relaxed);
    }

    /// Shows a command; `origin` is where it came from, such as an address or `lua`.
    pub(crate) fn show(&self, hub: &Hub, wall_us: u128, origin: &str, args: &[&[u8]]) {
        let rest = Bytes::from(line(wall_us, origin, args));
        for client in self.lock().iter() {
            let letter = Letter {
                first: b'+',
                rest: rest.clone(),
            };
            hub.post_letter(client, letter, Position::ZERO);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Client>>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client that watches, as long as it does.
#[derive(Debug)]
pub(crate) struct Monitoring {
    hub: Arc<Hub>,
    client: Arc<Client>,
}

impl Monitoring {
    pub(crate) fn begin(hub: &Arc<Hub>, client: &Arc<Client>) -> Monitoring {
        hub.monitors.add(client);
        client.note_monitoring(true);
        Monitoring {
            hub: Arc::clone(hub),
            client: Arc::clone(client),
        }
    }
}

impl Drop for Monitoring {
    fn drop(&mut self) {
        self.hub.monitors.remove(&self.client);
        self.client.note_monitoring(false);
    }
}

fn line(wall_us: u128, origin: &str, args: &[&[u8]]) -> String {
    let mut line = String::with_capacity(64);
    write!(
        line,
        "{}.{:06} [0 {origin}]",
        wall_us / 1_000_000,
        wall_us % 1_000_000
    )
    .expect("writing to a string cannot fail");
    let secret = secret_from(args);
    for (index, argument) in args.iter().enumerate() {
        line.push(' ');
        match index >= secret {
            true => line.push_str("\"(redacted)\""),
            false => quote(&mut line, argument),
        }
    }
    line.push_str("\r\n");
    line
}

/// The first argument that nobody else may see.
pub(crate) fn secret_from(args: &[&[u8]]) -> usize {
    let name = args.first().copied().unwrap_or_default();
    if is(name, "auth") {
        return 1;
    }
    let password = |word: &&[u8]| is(word, "auth");
    match is(name, "hello") {
        true => args
            .iter()
            .position(password)
            .map_or(usize::MAX, |at| at + 1),
        false => usize::MAX,
    }
}

/// As Redis quotes what is not printable.
fn quote(line: &mut String, text: &[u8]) {
    line.push('"');
    for byte in text {
        match byte {
            b'"' => line.push_str("\\\""),
            b'\\' => line.push_str("\\\\"),
            b'\n' => line.push_str("\\n"),
            b'\r' => line.push_str("\\r"),
            b'\t' => line.push_str("\\t"),
            0x07 => line.push_str("\\a"),
            0x08 => line.push_str("\\b"),
            b' '..=b'~' => line.push(char::from(*byte)),
            other => write!(line, "\\x{other:02x}").expect("writing to a string cannot fail"),
        }
    }
    line.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_quoted_and_without_secrets() {
        let check = |args: &[&[u8]], expected: &str| {
            assert_eq!(
                line(1_000_007, "lua", args),
                format!("1.000007 [0 lua] {expected}\r\n")
            );
        };
        check(
            &[b"set", b"a\"b", b"\x00\r\n\xff"],
            r#""set" "a\"b" "\x00\r\n\xff""#,
        );
        check(&[b"AUTH", b"secret"], r#""AUTH" "(redacted)""#);
        check(
            &[b"hello", b"3", b"auth", b"user", b"secret"],
            r#""hello" "3" "auth" "(redacted)" "(redacted)""#,
        );
    }
}
