//! Questions to a node, one at a time.

use std::io::{BufReader, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, bail};
use isles_resp::resp3::{self, Value};

/// A connection to the Redis port of a node.
pub(crate) struct Client {
    address: String,
    stream: BufReader<TcpStream>,
}

impl Client {
    /// # Errors
    /// If nobody answers there, or not as an Isles node; the error says what to look at.
    pub(crate) fn connect(address: &str, timeout: Duration) -> anyhow::Result<Client> {
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
                        address: address.to_owned(),
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

    /// Asks, and takes no refusal.
    ///
    /// # Errors
    /// The node refuses, in its words, or does not answer.
    pub(crate) fn demand(&mut self, words: &[&[u8]]) -> anyhow::Result<Value> {
        match self.ask(words)? {
            Value::Error(message) => bail!("{message}"),
            value => Ok(value),
        }
    }

    /// Asks; a refusal is an answer.
    ///
    /// # Errors
    /// The node does not answer.
    pub(crate) fn ask(&mut self, words: &[&[u8]]) -> anyhow::Result<Value> {
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
