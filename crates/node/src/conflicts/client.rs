//! Questions to a node, one at a time.

use std::io::{BufReader, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, bail};
use isles_resp::resp3::{self, Value};

use super::options::ConflictsOptions;

/// A connection to the Redis port of a node.
pub(super) struct Client {
    address: String,
    stream: BufReader<TcpStream>,
}

impl Client {
    /// # Errors
    /// If nobody answers there, or not as an Isles node; the error says what to look at.
    pub(super) fn connect(options: &ConflictsOptions) -> anyhow::Result<Client> {
        let address = options.redis.clone();
        let timeout = Duration::from_millis(options.timeout_ms);
        let failed = || {
            format!(
                "no answer from {address}; is the node running, and is this its redis.listen? (--redis HOST:PORT)"
            )
        };
        let mut last = None;
        for resolved in address.to_socket_addrs().with_context(failed)? {
            match TcpStream::connect_timeout(&resolved, timeout) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_read_timeout(Some(timeout))?;
                    stream.set_write_timeout(Some(timeout))?;
                    let mut client = Client {
                        address: address.clone(),
                        stream: BufReader::new(stream),
                    };
                    client.ask(&[b"HELLO", b"3"]).with_context(failed)?;
                    return Ok(client);
                }
                Err(error) => last = Some(error),
            }
        }
        match last {
            Some(error) => Err(error).with_context(failed),
            None => bail!(failed()),
        }
    }

    /// Asks about conflicts.
    ///
    /// # Errors
    /// The node refuses, in its words, or does not answer.
    pub(super) fn conflicts<S: AsRef<[u8]>>(&mut self, words: &[S]) -> anyhow::Result<Value> {
        match self.refusable(words)? {
            Value::Error(message) => bail!("{message}"),
            value => Ok(value),
        }
    }

    /// The same, where a refusal is an answer.
    ///
    /// # Errors
    /// The node does not answer.
    pub(super) fn refusable<S: AsRef<[u8]>>(&mut self, words: &[S]) -> anyhow::Result<Value> {
        let mut all: Vec<&[u8]> = vec![b"ISLES.CONFLICTS"];
        all.extend(words.iter().map(AsRef::as_ref));
        self.ask(&all)
    }

    fn ask(&mut self, words: &[&[u8]]) -> anyhow::Result<Value> {
        let mut request = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            request.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            request.extend_from_slice(word);
            request.extend_from_slice(b"\r\n");
        }
        let failed = || format!("{} does not answer", self.address);
        self.stream
            .get_mut()
            .write_all(&request)
            .with_context(failed)?;
        resp3::read(&mut self.stream).with_context(failed)
    }
}
