mod environment;
mod hostile;
mod libraries;

use std::sync::Arc;
use std::time::Duration;

use crate::{Answer, Host, Interpreter, Overseer, ScriptError, Version};

/// How long a script may run.
fn limit() -> Arc<dyn Overseer> {
    Arc::new(Duration::from_millis(300))
}

/// Answers `echo` with its argument, `resp` with the bytes in it, and knows nothing else.
#[derive(Default)]
struct Echo {
    calls: Vec<Vec<Vec<u8>>>,
    lines: Vec<(u8, String)>,
    answer: Vec<u8>,
}

impl Host for Echo {
    fn call(&mut self, args: &[&[u8]], _: Version) -> &[u8] {
        self.calls
            .push(args.iter().map(|arg| arg.to_vec()).collect());
        self.answer.clear();
        let out = &mut self.answer;
        match args {
            [b"echo", text] => {
                out.extend_from_slice(format!("${}\r\n", text.len()).as_bytes());
                out.extend_from_slice(text);
                out.extend_from_slice(b"\r\n");
            }
            [b"resp", bytes] => out.extend_from_slice(bytes),
            _ => out.extend_from_slice(b"-ERR Unknown Redis command called from script\r\n"),
        }
        &self.answer
    }

    fn is_command(&self, name: &[u8]) -> bool {
        matches!(name, b"echo" | b"resp")
    }

    fn log(&mut self, severity: u8, text: &str) {
        self.lines.push((severity, text.to_owned()));
    }
}

fn run_on(lua: &mut Interpreter, text: &str, argv: &[&str]) -> Result<Answer, ScriptError> {
    let argv: Vec<&[u8]> = argv.iter().map(|arg| arg.as_bytes()).collect();
    let script = lua.compile(text.as_bytes())?;
    lua.run(&script, &[b"key"], &argv, &mut Echo::default(), &limit())
}

fn run(text: &str) -> Result<Answer, ScriptError> {
    run_on(&mut Interpreter::new("7.0.15"), text, &[])
}

/// A script's answer as a text, or its error.
fn shown(text: &str) -> String {
    match run(text) {
        Ok(answer) => show(&answer),
        Err(ScriptError::Raised { text, .. }) => text,
        Err(other) => other.to_string(),
    }
}

fn show(answer: &Answer) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let all = |answers: &[Answer]| answers.iter().map(show).collect::<Vec<_>>().join(" ");
    match answer {
        Answer::Null => "nil".to_owned(),
        Answer::Boolean(value) => value.to_string(),
        Answer::Integer(value) => value.to_string(),
        Answer::Double(value) => format!("{value:?}"),
        Answer::Bulk(bytes) => text(bytes),
        Answer::Status(bytes) => format!("+{}", text(bytes)),
        Answer::Error(bytes) => format!("-{}", text(bytes)),
        Answer::BigNumber(bytes) => format!("({}", text(bytes)),
        Answer::Verbatim(format, bytes) => format!("={}:{}", text(format), text(bytes)),
        Answer::Array(answers) => format!("[{}]", all(answers)),
        Answer::Set(answers) => format!("~[{}]", all(answers)),
        Answer::Map(pairs) => {
            let pairs = pairs
                .iter()
                .map(|(key, value)| format!("{}:{}", show(key), show(value)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(" "))
        }
    }
}

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(shown(text), expected, "{text}");
}

#[track_caller]
fn check_contains(text: &str, expected: &str) {
    let shown = shown(text);
    assert!(
        shown.contains(expected),
        "{text}\ngave {shown}\nwithout {expected}"
    );
}
