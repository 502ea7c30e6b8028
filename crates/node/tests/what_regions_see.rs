//! What `docs/semantics.md` says of concurrent operations holds on real nodes too: every row of it, across a cut.
//!
//! The rows are run in many orders, with crashes and relays, in `crates/sim/tests/semantics`; here once, as they stand, with
//! two processes and a link. When both have heard of everything the link is cut again, so that each answers
//! from a copy of its own, as in the simulator: then a question may write. To run some rows alone set `ISLES_ROWS` to a part of
//! their names.

#[path = "../../sim/tests/semantics/page.rs"]
mod page;
mod support;

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use isles_clock::ReplicaId;
use isles_replica::{Replica, ReplicaConfig};
use isles_resp::parser::{Batch, Parser, ParserLimits};
use isles_resp::{Answer, Console};
use page::{Command, Row};
use redis::{Connection, Value};
use support::{Cluster, Options, eventually};

/// No row takes longer: its commands run within so many milliseconds, and its deadlines pass.
const WAIT_MS_MAX: u64 = 100;
/// B's commands without a time run so long after the start, and A's at the start.
const B_AHEAD_MS: u64 = 1;

#[test]
fn every_row_holds_across_a_cut() {
    let text = include_str!("../../../docs/semantics.md");
    let mut rows = page::parse(text).expect("the page is tested beside the commands");
    let wanted = std::env::var("ISLES_ROWS").unwrap_or_default();
    rows.retain(|row| row.name.contains(&wanted));
    let slow = rows.iter().find(|row| !is_quick(row));
    assert!(
        slow.is_none(),
        "{slow:?} takes longer than {WAIT_MS_MAX} ms"
    );
    let count = rows.len();
    let cluster = Cluster::start(&Options {
        nodes: 2,
        relayed: true,
        ..Options::default()
    });
    let mut keys = Keys::new();
    let (together, alone): (Vec<Row>, Vec<Row>) = rows
        .into_iter()
        .partition(|row| keys.are_known(row) && !looks_at_all_keys(row));
    let mut found = Found::default();
    run(&cluster, &mut keys, &together, &mut found);
    for row in &alone {
        // What it does is not confined to its own keys.
        for clear in ["FLUSHALL", "FUNCTION FLUSH"] {
            ask(&mut cluster.nodes[0].connect(), &words(clear));
        }
        run(&cluster, &mut keys, std::slice::from_ref(row), &mut found);
        // FLUSHALL leaves them as they are.
        for keyspace in keyspaces(row) {
            let delete = format!("ISLES.KEYSPACE DEL {keyspace}");
            ask(&mut cluster.nodes[0].connect(), &words(&delete));
        }
    }
    let complaints = &found.complaints;
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
    assert_eq!(found.rows_checked, count, "a row was not asked for");
}

/// One call of a migration looks at some keys only, and those of all rows together are more.
fn looks_at_all_keys(row: &Row) -> bool {
    let mut commands = row.a.iter().chain(&row.b);
    commands.any(|command| command.line.contains(" MIGRATE "))
}

/// The prefixes that a row says something of.
fn keyspaces(row: &Row) -> impl Iterator<Item = &str> {
    let commands = row.before.iter().chain(&row.a).chain(&row.b);
    let definitions =
        commands.filter_map(|command| command.line.strip_prefix("ISLES.KEYSPACE SET "));
    definitions.filter_map(|rest| rest.split(' ').next())
}

fn is_quick(row: &Row) -> bool {
    let mut commands = row.before.iter().chain(&row.a).chain(&row.b);
    commands.all(|command| command.at_ms.is_none_or(|at_ms| at_ms <= WAIT_MS_MAX))
}

/// What the rows came to.
#[derive(Default)]
struct Found {
    /// Of so many rows everything was asked.
    rows_checked: usize,
    complaints: Vec<String>,
}

/// Cuts the link, runs the rows on both sides, heals, cuts again, and asks what both sides see.
fn run(cluster: &Cluster, keys: &mut Keys, rows: &[Row], found: &mut Found) {
    let (mut a, mut b) = (cluster.nodes[0].connect(), cluster.nodes[1].connect());
    for row in rows {
        run_all(&mut a, keys, row, &row.before);
    }
    cluster.await_convergence();
    let rows = rows.iter().map(|row| {
        row.with_tokens(|key| {
            let question = keys.prefixed(row, &format!("ISLES.SIBLINGS {key}"));
            ask(&mut a, &question)
        })
    });
    let rows = &rows.collect::<Vec<Row>>();
    let since_ms = wall_ms();
    cluster.isolate(0);
    for at_ms in 0..=WAIT_MS_MAX {
        let mut any = false;
        for row in rows {
            for (connection, commands, default_ms) in
                [(&mut a, &row.a, 0), (&mut b, &row.b, B_AHEAD_MS)]
            {
                let due = runs_of(commands, default_ms).filter(|(due_ms, _)| *due_ms == at_ms);
                let due: Vec<Command> = due.map(|(_, command)| command.clone()).collect();
                any |= !due.is_empty();
                run_all(connection, keys, row, &due);
            }
        }
        // What is meant to be later gets a later stamp.
        if any {
            let now_ms = wall_ms();
            eventually("the clock goes on", || wall_ms() > now_ms + 1);
        }
    }
    let last_ms = wall_ms();
    eventually("deadlines pass", || wall_ms() > last_ms + WAIT_MS_MAX);
    cluster.rejoin(0);
    cluster.await_convergence();
    cluster.isolate(0);
    for row in rows {
        check(&mut a, &mut b, keys, row, since_ms, found);
    }
    cluster.rejoin(0);
}

/// Commands with the time at which each runs: never before the one that precedes it.
fn runs_of(commands: &[Command], default_ms: u64) -> impl Iterator<Item = (u64, &Command)> {
    let mut now_ms = default_ms;
    commands.iter().map(move |command| {
        now_ms = command.at_ms.unwrap_or(now_ms);
        (now_ms, command)
    })
}

fn check(
    a: &mut Connection,
    b: &mut Connection,
    keys: &mut Keys,
    row: &Row,
    since_ms: u64,
    found: &mut Found,
) {
    let mut complain = |what: String| found.complaints.push(format!("{row}: {what}"));
    // Its own keys, and what is kept of them under reserved ones.
    let patterns = match keys.are_known(row) {
        true => vec![
            format!("{}*", prefix(row)),
            format!("*[^a-z-]{}*", prefix(row)),
        ],
        false => vec!["*".to_owned()],
    };
    let [one, other] = [&mut *a, &mut *b].map(|side| {
        let each = patterns
            .iter()
            .flat_map(|pattern| kinds(side, pattern, since_ms));
        each.collect::<BTreeSet<String>>()
    });
    let everywhere: Vec<&String> = one.intersection(&other).collect();
    let expected: Vec<&String> = row.journal.iter().collect();
    if everywhere != expected {
        complain(format!(
            "both have recorded {everywhere:?}, not {expected:?}"
        ));
    }
    for check in &row.after {
        let line = &check.command.line;
        let arguments = keys.prefixed(row, line);
        let [one, other] = [&mut *a, &mut *b].map(|side| {
            let answer = ask(side, &arguments);
            answer.replace(&prefix(row), "")
        });
        if one != other {
            complain(format!("{line:?} answers {one:?} and {other:?}"));
        } else if !check.accepts(&one) {
            let right = &check.answers;
            complain(format!("{line:?} answers {one:?}, not {right:?}"));
        }
    }
    found.rows_checked += usize::from(!row.after.is_empty());
}

/// The kinds of the conflicts about keys like these.
fn kinds(side: &mut Connection, pattern: &str, since_ms: u64) -> Vec<String> {
    let list = format!("ISLES.CONFLICTS LIST KEY {pattern} STATE all SINCE {since_ms} COUNT 1000");
    let answer = ask(side, &words(&list));
    assert!(!answer.starts_with('-'), "{answer}");
    let named = answer.split("kind, ").skip(1);
    let kinds = named.filter_map(|rest| rest.split_once(','));
    kinds.map(|(kind, _)| kind.to_owned()).collect()
}

fn run_all(connection: &mut Connection, keys: &mut Keys, row: &Row, commands: &[Command]) {
    for command in commands {
        let answer = ask(connection, &keys.prefixed(row, &command.line));
        let refused = answer.starts_with('-') && answer.parse::<f64>().is_err();
        assert!(!refused, "{row}: {:?} answers {answer}", command.line);
    }
}

fn prefix(row: &Row) -> String {
    format!("{}:", row.name)
}

/// Which arguments are keys, as COMMAND GETKEYS says.
struct Keys {
    replica: Replica,
    console: Console,
}

impl Keys {
    fn new() -> Keys {
        let replica = Replica::new(ReplicaId::from_u128(1), ReplicaConfig::default());
        Keys {
            replica,
            console: Console::new(),
        }
    }

    /// The keys of a command; none if what it touches cannot be told from its arguments.
    fn of(&mut self, arguments: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
        let name = arguments[0].to_ascii_uppercase();
        match &name[..] {
            b"MULTI" | b"EXEC" => return Some(Vec::new()),
            // A script names its keys where nobody can change them.
            b"EVAL" | b"FCALL" | b"FUNCTION" | b"ISLES.RESOLVER" => return None,
            // The prefix is the row's key or the beginning of it.
            b"ISLES.KEYSPACE" => return Some(vec![arguments[2].clone()]),
            _ => {}
        }
        let mut question: Vec<&[u8]> = vec![b"COMMAND", b"GETKEYS"];
        question.extend(arguments.iter().map(Vec::as_slice));
        let answer = self.console.command(&mut self.replica, 1, &question);
        let Ok(Answer::Array(keys)) = answer else {
            return None;
        };
        let text = |key| match key {
            Answer::Text(key) => Some(key),
            _ => None,
        };
        keys.into_iter().map(text).collect()
    }

    /// Whether all that a row does is done to keys that its commands name.
    fn are_known(&mut self, row: &Row) -> bool {
        let commands = row.before.iter().chain(&row.a).chain(&row.b);
        commands
            .chain(row.after.iter().map(|check| &check.command))
            .all(|command| self.of(&words(&command.line)).is_some())
    }

    /// A command on keys that no other row has, if the row is one of several.
    fn prefixed(&mut self, row: &Row, line: &str) -> Vec<Vec<u8>> {
        let mut arguments = words(line);
        if !self.are_known(row) {
            return arguments;
        }
        let keys = self.of(&arguments).unwrap_or_default();
        for argument in &mut arguments[1..] {
            if keys.contains(argument) {
                *argument = [prefix(row).as_bytes(), argument].concat();
            }
        }
        arguments
    }
}

fn words(line: &str) -> Vec<Vec<u8>> {
    let (mut buffer, mut batch) = (format!("{line}\r\n").into_bytes(), Batch::new());
    Parser::new(ParserLimits::default())
        .parse(&mut buffer, &mut batch)
        .expect("quotes are balanced");
    batch.arguments(0, &buffer).map(<[u8]>::to_vec).collect()
}

fn ask(connection: &mut Connection, arguments: &[Vec<u8>]) -> String {
    let mut command = redis::Cmd::new();
    arguments.iter().for_each(|argument| {
        command.arg(argument);
    });
    match command.query::<Value>(connection) {
        Ok(value) => shown(&value),
        Err(error) => {
            let (code, detail) = (error.code().unwrap_or("ERR"), error.detail());
            format!("-{code} {}", detail.unwrap_or_default())
        }
    }
}

/// As [`Answer`] shows itself.
fn shown(value: &Value) -> String {
    match value {
        Value::Nil => "(nil)".to_owned(),
        Value::Okay => "OK".to_owned(),
        Value::Int(number) => number.to_string(),
        Value::SimpleString(text) => text.clone(),
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(shown).collect();
            format!("[{}]", items.join(", "))
        }
        other => format!("{other:?}"),
    }
}

fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("it is after 1970").as_millis() as u64
}
