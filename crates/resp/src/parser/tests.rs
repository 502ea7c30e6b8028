use std::time::Instant;

use proptest::prelude::*;

use super::*;

type Parsed = (Vec<Vec<Vec<u8>>>, Option<ProtocolError>);

/// Feeds the input in pieces and collects the commands, as a connection does.
fn feed<'p>(limits: ParserLimits, pieces: impl IntoIterator<Item = &'p [u8]>) -> Parsed {
    let (mut parser, mut batch, mut buffer) = (Parser::new(limits), Batch::new(), Vec::new());
    let mut commands = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let outcome = parser.parse(&mut buffer, &mut batch);
            for index in 0..batch.len() {
                commands.push(
                    batch
                        .arguments(index, &buffer)
                        .map(<[u8]>::to_vec)
                        .collect(),
                );
            }
            if let Err(error) = outcome {
                return (commands, Some(error));
            }
            let cut = parser.advance(&mut batch);
            buffer.drain(..cut);
            if cut == 0 {
                break;
            }
        }
    }
    (commands, None)
}

fn parse(input: &[u8]) -> Parsed {
    feed(ParserLimits::default(), [input])
}

fn check(input: &str, expected: &[&[&str]]) {
    let (commands, error) = parse(input.as_bytes());
    assert_eq!(error, None, "{input:?}");
    let expected: Vec<Vec<Vec<u8>>> = expected
        .iter()
        .map(|words| words.iter().map(|word| word.as_bytes().to_vec()).collect())
        .collect();
    assert_eq!(commands, expected, "{input:?}");
}

fn check_error(input: &[u8], expected: &str) {
    let message = parse(input).1.map(|error| error.to_string());
    assert_eq!(
        message.as_deref(),
        Some(expected),
        "{:?}",
        String::from_utf8_lossy(&input[..input.len().min(60)])
    );
}

#[test]
fn arrays_of_bulk_strings() {
    check("*1\r\n$4\r\nPING\r\n", &[&["PING"]]);
    check("*2\r\n$3\r\nGET\r\n$0\r\n\r\n", &[&["GET", ""]]);
    check(
        "*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n",
        &[&["PING"], &["PING"]],
    );
    check("*0\r\n*-1\r\n*-10\r\n*1\r\n$4\r\nPING\r\n", &[&["PING"]]);
    check("*1\r\n$11\r\nhello\r\nyou!\r\n", &[&["hello\r\nyou!"]]);
    check("*2\r\n$3\r\nGET\r\n$1\r\n", &[]);
}

#[test]
fn inline_requests() {
    check("PING\r\n", &[&["PING"]]);
    check("PING\n", &[&["PING"]]);
    check("\r\n\n  \r\nPING\r\n", &[&["PING"]]);
    check("  SET  a\tb  \r\n", &[&["SET", "a", "b"]]);
    check("SET a \"b c\"\r\n", &[&["SET", "a", "b c"]]);
    check("SET a 'b\"c'\r\n", &[&["SET", "a", "b\"c"]]);
    check("SET a 'it\\'s \\n'\r\n", &[&["SET", "a", "it's \\n"]]);
    check(
        "SET a \"\\x41\\n\\\\\\\"\\q\"\r\n",
        &[&["SET", "a", "A\n\\\"q"]],
    );
    check("SET a \"\"\r\nPING\r\n", &[&["SET", "a", ""], &["PING"]]);
    check("SET a b\"c\"\r\n", &[&["SET", "a", "bc"]]);
}

#[test]
fn inline_between_arrays() {
    check(
        "PING\r\n*1\r\n$4\r\nECHO\r\nPING\r\n",
        &[&["PING"], &["ECHO"], &["PING"]],
    );
}

#[test]
fn errors_are_those_of_redis() {
    check_error(
        b"*3000000000\r\n",
        "Protocol error: invalid multibulk length",
    );
    check_error(b"*1048577\r\n", "Protocol error: invalid multibulk length");
    check_error(b"*blub\r\n", "Protocol error: invalid multibulk length");
    check_error(
        b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$-10\r\n",
        "Protocol error: invalid bulk length",
    );
    check_error(
        b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$2000000000\r\n",
        "Protocol error: invalid bulk length",
    );
    check_error(
        b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$blabla\r\n",
        "Protocol error: invalid bulk length",
    );
    check_error(
        b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\nfooz\r\n",
        "Protocol error: expected '$', got 'f'",
    );
    check_error(b"*1\r\n*1\r\n", "Protocol error: expected '$', got '*'");
    check_error(
        b"*1\r\n$1\r\nxyz",
        "Protocol error: expected CRLF after bulk",
    );
    check_error(
        b"SET a \"b\r\n",
        "Protocol error: unbalanced quotes in request",
    );
    check_error(
        b"SET a 'b\r\n",
        "Protocol error: unbalanced quotes in request",
    );
    check_error(
        b"SET a 'b'c\r\n",
        "Protocol error: unbalanced quotes in request",
    );
    check_error(
        &vec![b'a'; INLINE_BYTES_MAX + 1],
        "Protocol error: too big inline request",
    );
    check_error(
        &[b"*".as_slice(), &vec![b'1'; INLINE_BYTES_MAX]].concat(),
        "Protocol error: too big mbulk count string",
    );
    check_error(
        &[b"*1\r\n$".as_slice(), &vec![b'1'; INLINE_BYTES_MAX]].concat(),
        "Protocol error: too big bulk count string",
    );
}

#[test]
fn commands_before_an_error_survive_it() {
    let (commands, error) = parse(b"PING\r\n*1\r\n$4\r\nECHO\r\n*x\r\n");
    assert_eq!(commands, [vec![b"PING".to_vec()], vec![b"ECHO".to_vec()]]);
    assert_eq!(error, Some(ProtocolError::ArrayLength));
}

#[test]
fn a_request_has_a_total_size() {
    let limits = ParserLimits {
        request_bytes_max: 100_000,
    };
    let argument = [b"$90000\r\n".as_slice(), &vec![b'x'; 90_000], b"\r\n"].concat();
    let request = [b"*3\r\n".as_slice(), &argument, &argument].concat();
    assert_eq!(
        feed(limits, [request.as_slice()]).1,
        Some(ProtocolError::RequestTooBig)
    );
}

#[test]
fn nested_arrays_are_refused_at_once() {
    assert_eq!(
        parse(&b"*1\r\n".repeat(100_000)).1,
        Some(ProtocolError::NotBulk(b'*'))
    );
}

/// A parser that starts over with each piece would look at 100 MB about six thousand times.
#[test]
fn a_large_request_in_pieces_is_read_once() {
    let started = Instant::now();
    let value = vec![b'v'; 100 << 20];
    let request = [
        format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n", value.len()).as_bytes(),
        &value,
        b"\r\n",
    ]
    .concat();
    let (commands, error) = feed(ParserLimits::default(), request.chunks(16 << 10));
    assert_eq!((commands.len(), error), (1, None));
    let arguments = 200_000;
    let request = [
        format!("*{arguments}\r\n").into_bytes(),
        b"$1\r\nx\r\n".repeat(arguments),
    ]
    .concat();
    let (commands, error) = feed(ParserLimits::default(), request.chunks(100));
    assert_eq!((commands[0].len(), error), (arguments, None));
    assert!(
        started.elapsed().as_secs() < 20,
        "parsing took {:?}",
        started.elapsed()
    );
}

fn argument() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..20),
        prop::collection::vec(Just(b'\r'), 0..4),
        "[a-z]{1,12}".prop_map(String::into_bytes)
    ]
}

fn encode(command: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", command.len()).into_bytes();
    for argument in command {
        bytes.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        bytes.extend_from_slice(argument);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// Bytes that look like the protocol more often than chance would have it.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        Just(b"*".to_vec()),
        Just(b"$".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"\"".to_vec()),
        Just(b"\\x".to_vec()),
        Just(b"'".to_vec()),
        "[0-9]{1,3}".prop_map(String::into_bytes),
        Just(b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n".to_vec()),
        prop::collection::vec(any::<u8>(), 0..8),
    ];
    prop::collection::vec(token, 0..24).prop_map(|tokens| tokens.concat())
}

proptest! {
    #[test]
    fn a_split_at_any_byte_changes_nothing(
        commands in prop::collection::vec(prop::collection::vec(argument(), 1..5), 1..4),
        inline in any::<bool>(),
    ) {
        let mut bytes: Vec<u8> = commands.iter().flat_map(|command| encode(command)).collect();
        if inline {
            bytes.extend_from_slice(b"set \"a\\x41b\" 'c d'\r\n");
        }
        let whole = parse(&bytes);
        prop_assert_eq!(whole.0.len(), commands.len() + usize::from(inline));
        for at in 0..bytes.len() {
            prop_assert_eq!(&feed(ParserLimits::default(), [&bytes[..at], &bytes[at..]]), &whole, "split at {}", at);
        }
        prop_assert_eq!(&feed(ParserLimits::default(), bytes.chunks(1)), &whole);
    }

    #[test]
    fn noise_never_panics_and_splits_agree(bytes in noise(), piece in 1usize..9) {
        let whole = parse(&bytes);
        prop_assert_eq!(feed(ParserLimits::default(), bytes.chunks(piece)), whole);
    }
}

/// What a fuzzer does, for a fixed number of rounds: mutate valid requests and look for panics and disagreement.
#[test]
fn mutated_requests_never_panic() {
    let seed = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$12\r\nhello, world\r\nset \"a\\x00\" 'b'\r\n*1\r\n$4\r\nPING\r\n".to_vec();
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    for _ in 0..50_000 {
        let mut bytes = seed.clone();
        for _ in 0..=random(4) {
            if bytes.is_empty() {
                break;
            }
            let at = random(bytes.len());
            match random(4) {
                0 => bytes[at] = random(256) as u8,
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, b"*$\r\n0123456789\"'\\"[random(17)]),
                _ => bytes.truncate(at + 1),
            }
        }
        let cut = random(bytes.len() + 1);
        assert_eq!(
            feed(ParserLimits::default(), [&bytes[..cut], &bytes[cut..]]),
            parse(&bytes)
        );
    }
}
