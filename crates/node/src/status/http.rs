//! The smallest HTTP client that can ask one question: no TLS, no redirects, one deadline.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// An answer longer than this is not a status.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// `http://HOST:PORT`, the scheme optional.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Url {
    host_and_port: String,
}

impl Url {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("http://").unwrap_or(text);
        let host_and_port = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = host_and_port.rsplit_once(':')?;
        let plain = !host.is_empty()
            && !host.contains(|character: char| character == '/' || character.is_whitespace());
        (plain && port.parse::<u16>().is_ok_and(|port| port > 0)).then(|| Self {
            host_and_port: host_and_port.to_owned(),
        })
    }
}

/// The body of a successful answer.
pub(crate) fn get(url: &Url, path: &str, timeout: Duration) -> anyhow::Result<String> {
    let deadline = Instant::now() + timeout;
    let mut stream = connect(url, deadline)?;
    stream.set_write_timeout(Some(remaining(deadline)?))?;
    // HTTP/1.0: the answer is not chunked and ends with the connection.
    write!(
        stream,
        "GET {path} HTTP/1.0\r\nhost: {}\r\n\r\n",
        url.host_and_port
    )?;
    body(&read(&mut stream, deadline)?)
}

fn connect(url: &Url, deadline: Instant) -> anyhow::Result<TcpStream> {
    let mut last = io::Error::other("the name has no address");
    for address in url
        .host_and_port
        .to_socket_addrs()
        .context("cannot look the name up")?
    {
        match TcpStream::connect_timeout(&address, remaining(deadline)?) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last.into())
}

fn read(stream: &mut TcpStream, deadline: Instant) -> anyhow::Result<Vec<u8>> {
    let mut answer = Vec::new();
    let mut piece = [0; 16 * 1024];
    loop {
        stream.set_read_timeout(Some(remaining(deadline)?))?;
        match stream.read(&mut piece) {
            Ok(0) => return Ok(answer),
            Ok(count) => answer.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) =>
            {
                bail!("timed out")
            }
            Err(error) => return Err(error.into()),
        }
        if answer.len() > ANSWER_BYTES_MAX {
            bail!("the answer is longer than {ANSWER_BYTES_MAX} bytes");
        }
    }
}

fn body(answer: &[u8]) -> anyhow::Result<String> {
    let text = std::str::from_utf8(answer).context("the answer is not text")?;
    let (head, body) = text
        .split_once("\r\n\r\n")
        .context("the answer is not HTTP")?;
    let line = head.lines().next().unwrap_or_default();
    let code = line
        .split_whitespace()
        .nth(1)
        .filter(|_| line.starts_with("HTTP/1."));
    match code {
        Some("200") => Ok(body.to_owned()),
        Some(_) => bail!("it says: {line}"),
        None => bail!("the answer is not HTTP"),
    }
}

fn remaining(deadline: Instant) -> anyhow::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        bail!("timed out")
    } else {
        Ok(left)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Answers one request with `answer` and closes.
    fn ask(answer: &'static str) -> anyhow::Result<String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = Url::parse(&listener.local_addr().unwrap().to_string()).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.push(byte[0]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let result = get(&url, "/status", Duration::from_secs(10));
        server.join().unwrap();
        result
    }

    #[test]
    fn addresses() {
        for good in [
            "http://127.0.0.1:9180",
            "127.0.0.1:9180",
            "http://node.example.org:80/",
            "[::1]:9180",
        ] {
            assert!(Url::parse(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "node",
            "https://node:443",
            "http://node:0",
            "http://node:70000",
            "http://:80",
            "node:80/status",
        ] {
            assert!(Url::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn answers() {
        assert_eq!(ask("HTTP/1.1 200 OK\r\na: b\r\n\r\n{}").unwrap(), "{}");
        assert_eq!(
            ask("HTTP/1.1 404 Not Found\r\n\r\n")
                .unwrap_err()
                .to_string(),
            "it says: HTTP/1.1 404 Not Found"
        );
        assert_eq!(
            ask("+PONG\r\n\r\n").unwrap_err().to_string(),
            "the answer is not HTTP"
        );
        assert_eq!(ask("").unwrap_err().to_string(), "the answer is not HTTP");
    }

    #[test]
    fn silence_ends_at_the_deadline() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = Url::parse(&listener.local_addr().unwrap().to_string()).unwrap();
        let error = get(&url, "/status", Duration::from_millis(20)).unwrap_err();
        assert_eq!(error.to_string(), "timed out");
    }
}
