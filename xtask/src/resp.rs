//! As much of a Redis client as tasks need: one command at a time, simple answers.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// A connection to a server on this machine.
pub(crate) struct Client(BufReader<TcpStream>);

impl Client {
    pub(crate) fn connect(port: u16) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends one command; `None` is the null answer, errors of the server are errors.
    pub(crate) fn command(&mut self, words: &[&str]) -> Result<Option<String>> {
        let mut request = String::new();
        put(&mut request, words);
        self.0.get_mut().write_all(request.as_bytes())?;
        read_answer(&mut self.0)
    }

    /// Sends several commands in one write, and reads all answers.
    pub(crate) fn pipeline(&mut self, commands: &[Vec<String>]) -> Result<()> {
        let mut request = String::new();
        for words in commands {
            put(&mut request, words);
        }
        self.0.get_mut().write_all(request.as_bytes())?;
        commands
            .iter()
            .try_for_each(|_| read_answer(&mut self.0).map(drop))
    }
}

fn put(request: &mut String, words: &[impl AsRef<str>]) {
    request.push_str(&format!("*{}\r\n", words.len()));
    for word in words.iter().map(AsRef::as_ref) {
        request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
}

fn read_answer(reader: &mut impl BufRead) -> Result<Option<String>> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let line = line
        .strip_suffix("\r\n")
        .context("the server closed the connection")?;
    let (kind, rest) = line.split_at_checked(1).context("an empty answer")?;
    match (kind, rest) {
        ("+" | ":", text) => Ok(Some(text.to_owned())),
        ("-", text) => bail!("the server says {text}"),
        ("$", "-1") => Ok(None),
        // The last element stands for the array.
        ("*", count) => {
            let count: usize = count.parse()?;
            (0..count).try_fold(None, |_, _| read_answer(reader))
        }
        ("$", length) => {
            let mut bytes = vec![0; length.parse::<usize>()? + 2];
            reader.read_exact(&mut bytes)?;
            bytes.truncate(bytes.len() - 2);
            Ok(Some(String::from_utf8(bytes)?))
        }
        _ => bail!("an answer of an unexpected kind: {line}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let read = |mut bytes: &[u8]| read_answer(&mut bytes);
        assert_eq!(read(b"+OK\r\n").unwrap().as_deref(), Some("OK"));
        assert_eq!(read(b":12\r\n").unwrap().as_deref(), Some("12"));
        assert_eq!(read(b"$5\r\nhello\r\n").unwrap().as_deref(), Some("hello"));
        assert_eq!(read(b"$-1\r\n").unwrap(), None);
        let last = read(b"*2\r\n:1\r\n$1\r\na\r\n").unwrap();
        assert_eq!(last.as_deref(), Some("a"));
        assert_eq!(
            read(b"-ERR no\r\n").unwrap_err().to_string(),
            "the server says ERR no"
        );
        assert!(read(b"").is_err() && read(b"*1\r\n").is_err());
    }
}
