//! Just enough of a Redis client for the story: one command at a time, in RESP3.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// A node on the same machine answers in milliseconds, unless its disk is very slow.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// An answer longer than this is not one of the story's.
const BULK_BYTES_MAX: usize = 1 << 20;
/// Nor is one with more parts or with deeper ones.
const PARTS_MAX: usize = 10_000;
const DEPTH_MAX: usize = 8;

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Text(String),
    Integer(i64),
    Boolean(bool),
    List(Vec<Value>),
    Map(Vec<(Value, Value)>),
    Error(String),
}

impl Value {
    /// The entry of a map.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Map(entries) => entries
                .iter()
                .find(|(key, _)| key.text() == name)
                .map(|(_, value)| value),
            _ => None,
        }
    }

    /// The parts of a list; none of anything else.
    pub(super) fn items(&self) -> &[Self] {
        match self {
            Self::List(items) => items,
            _ => &[],
        }
    }

    /// As people read it: members of lists sorted, entries of maps as `name=value`.
    pub(super) fn text(&self) -> String {
        let joined = |mut parts: Vec<String>| {
            parts.sort();
            if parts.is_empty() {
                "-".to_owned()
            } else {
                parts.join(" ")
            }
        };
        match self {
            Self::Null => "-".to_owned(),
            Self::Text(text) => text.clone(),
            Self::Integer(number) => number.to_string(),
            Self::Boolean(value) => value.to_string(),
            Self::List(items) => joined(items.iter().map(Self::text).collect()),
            Self::Map(entries) => joined(
                entries
                    .iter()
                    .map(|(key, value)| format!("{}={}", key.text(), value.text()))
                    .collect(),
            ),
            Self::Error(message) => format!("error: {message}"),
        }
    }
}

/// A connection to one region's node.
#[derive(Debug)]
pub(super) struct Client {
    region: &'static str,
    stream: BufReader<TcpStream>,
}

impl Client {
    /// # Errors
    /// If nobody answers there, or not as a Redis server of this century.
    pub(super) async fn connect(region: &'static str, address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await;
        let stream = stream.with_context(|| format!("cannot connect to {region} at {address}"))?;
        stream.set_nodelay(true)?;
        let mut client = Self {
            region,
            stream: BufReader::new(stream),
        };
        client.run("HELLO 3").await?;
        Ok(client)
    }

    pub(super) fn region(&self) -> &'static str {
        self.region
    }

    /// Runs a command as one would type it: words with spaces stand in double quotes.
    ///
    /// # Errors
    /// If the node refuses it or does not answer.
    pub(super) async fn run(&mut self, command: &str) -> anyhow::Result<Value> {
        let failed = || format!("{} cannot answer {command}", self.region);
        let words = words(command);
        let exchange = exchange(&mut self.stream, &words);
        let answer = tokio::time::timeout(ANSWER_LIMIT, exchange).await;
        let answer =
            answer.with_context(|| format!("no answer within {} s", ANSWER_LIMIT.as_secs()));
        match answer.and_then(|answer| answer).with_context(failed)? {
            Value::Error(message) => bail!("{}: {message}", failed()),
            value => Ok(value),
        }
    }
}

/// Every second part between double quotes is one word, the others are words with spaces between.
fn words(command: &str) -> Vec<&str> {
    let parts = command.split('"').enumerate();
    parts
        .flat_map(|(index, part)| match index % 2 {
            0 => part.split_whitespace().collect(),
            _ => vec![part],
        })
        .collect()
}

async fn exchange(stream: &mut BufReader<TcpStream>, words: &[&str]) -> anyhow::Result<Value> {
    stream.write_all(&request(words)).await?;
    read(stream, 0).await
}

fn request(words: &[&str]) -> Vec<u8> {
    let mut request = format!("*{}\r\n", words.len());
    for word in words {
        request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    request.into_bytes()
}

async fn read(stream: &mut BufReader<TcpStream>, depth: usize) -> anyhow::Result<Value> {
    let mut line = String::new();
    stream
        .take(BULK_BYTES_MAX as u64)
        .read_line(&mut line)
        .await?;
    let line = line
        .strip_suffix("\r\n")
        .context("the connection has ended")?;
    let (kind, rest) = line.split_at_checked(1).context("an empty answer")?;
    Ok(match kind {
        "_" => Value::Null,
        "+" | "," | "(" => Value::Text(rest.to_owned()),
        "-" => Value::Error(rest.to_owned()),
        ":" => Value::Integer(rest.parse()?),
        "#" => Value::Boolean(rest == "t"),
        "$" | "=" if rest.starts_with('-') => Value::Null,
        "$" | "=" => Value::Text(read_bulk(stream, rest.parse()?).await?),
        "*" | "~" | ">" | "%" => {
            let parts = count(rest, kind)?;
            anyhow::ensure!(depth < DEPTH_MAX, "an answer with parts in parts in parts");
            let mut items = Vec::new();
            for _ in 0..parts {
                items.push(Box::pin(read(stream, depth + 1)).await?);
            }
            if kind == "%" {
                Value::Map(in_pairs(items))
            } else {
                Value::List(items)
            }
        }
        _ => bail!("an answer that is not RESP3: {line}"),
    })
}

fn count(text: &str, kind: &str) -> anyhow::Result<usize> {
    let count: usize = text.parse()?;
    anyhow::ensure!(count <= PARTS_MAX, "an answer with {count} parts");
    Ok(if kind == "%" { 2 * count } else { count })
}

async fn read_bulk(stream: &mut BufReader<TcpStream>, bytes: usize) -> anyhow::Result<String> {
    anyhow::ensure!(bytes <= BULK_BYTES_MAX, "an answer of {bytes} bytes");
    let mut bulk = vec![0; bytes + 2];
    stream.read_exact(&mut bulk).await?;
    bulk.truncate(bytes);
    Ok(String::from_utf8_lossy(&bulk).into_owned())
}

fn in_pairs(items: Vec<Value>) -> Vec<(Value, Value)> {
    let mut items = items.into_iter();
    std::iter::from_fn(|| Some((items.next()?, items.next()?))).collect()
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// What a client makes of an answer in bytes.
    async fn answer(bytes: &'static str) -> anyhow::Result<Value> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (hello, ping) = (request(&["HELLO", "3"]), request(&["PING"]));
            let mut buffer = vec![0; hello.len()];
            stream.read_exact(&mut buffer).await.unwrap();
            assert_eq!(buffer, hello);
            stream.write_all(b"%1\r\n+proto\r\n:3\r\n").await.unwrap();
            stream.read_exact(&mut buffer[..ping.len()]).await.unwrap();
            stream.write_all(bytes.as_bytes()).await.unwrap();
        });
        let answer = Client::connect("eu", address)
            .await
            .unwrap()
            .run("PING")
            .await;
        server.await.unwrap();
        answer
    }

    #[test]
    fn words_may_be_quoted() {
        assert_eq!(
            words("SET  a \"b c\" CONTEXT x"),
            ["SET", "a", "b c", "CONTEXT", "x"]
        );
    }

    #[tokio::test]
    async fn answers_of_every_kind() {
        for (bytes, text) in [
            ("+PONG\r\n", "PONG"),
            ("$5\r\nhello\r\n", "hello"),
            ("$-1\r\n", "-"),
            ("_\r\n", "-"),
            (":-7\r\n", "-7"),
            (",1.5\r\n", "1.5"),
            ("#t\r\n", "true"),
            ("~2\r\n$1\r\nb\r\n$1\r\na\r\n", "a b"),
            ("*0\r\n", "-"),
            ("%2\r\n+b\r\n:1\r\n+a\r\n*1\r\n_\r\n", "a=- b=1"),
        ] {
            assert_eq!(answer(bytes).await.unwrap().text(), text, "{bytes:?}");
        }
    }

    #[tokio::test]
    async fn failures_name_the_region_and_the_command() {
        for (bytes, words) in [
            ("-ERR no\r\n", "eu cannot answer PING: ERR no"),
            ("", "the connection has ended"),
            ("$9999999999\r\n", "9999999999 bytes"),
            ("*999999\r\n", "999999 parts"),
            ("hello\r\n", "not RESP3"),
        ] {
            let error = format!("{:#}", answer(bytes).await.unwrap_err());
            assert!(error.contains(words), "{bytes:?}: {error}");
        }
    }
}
