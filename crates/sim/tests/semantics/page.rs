//! Reads the tables of `docs/semantics.md` whose rows are tests.
//!
//! Such a table has exactly the columns of [`COLUMNS`]. A cell of commands holds each in backticks, separated by `; `; a
//! command may begin with `@5 `, milliseconds after the start. The cell of answers holds pairs of `` `command` → `answer` ``,
//! where several answers may be right: `` `x` or `y` ``. The cell of the journal holds the kinds of conflicts that every region
//! has recorded. A bar in a cell is written `\|`. A word `<name.wat` stands for that module
//! of `docs/examples/resolvers`, compiled, and `<token` for what `ISLES.SIBLINGS` of the command's key gave a reader before
//! the two regions parted.

use std::fmt;

/// The header of a table of tests.
const COLUMNS: [&str; 7] = [
    "name",
    "before",
    "A",
    "B",
    "both, afterwards",
    "journal",
    "why",
];
/// What marks a header that is meant to be one.
const MARK: &str = "both, afterwards";
/// Stands for a token in a command.
const TOKEN: &str = "<token";
/// What a conflict can be, as `ISLES.CONFLICTS` calls it.
const CONFLICTS: [&str; 4] = ["write-write", "write-delete", "type", "expiry"];

/// One pair of concurrent operations, and what both regions see afterwards.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// Its line in the page, from one.
    pub(crate) line: usize,
    pub(crate) before: Vec<Command>,
    pub(crate) a: Vec<Command>,
    pub(crate) b: Vec<Command>,
    pub(crate) after: Vec<Check>,
    /// The kinds of conflicts that every region has recorded by then, in order, once each.
    pub(crate) journal: Vec<String>,
}

/// A command line, and when it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command {
    /// Milliseconds after the start, where the row says so.
    pub(crate) at_ms: Option<u64>,
    pub(crate) line: String,
}

/// A command and the answers that are right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    pub(crate) command: Command,
    pub(crate) answers: Vec<String>,
}

impl Row {
    /// The row with tokens in the place of the word for them; `siblings` answers what `ISLES.SIBLINGS` says of a key.
    pub(crate) fn with_tokens(&self, mut siblings: impl FnMut(&str) -> String) -> Row {
        let mut row = self.clone();
        let checks = row.after.iter_mut().map(|check| &mut check.command);
        for command in row.a.iter_mut().chain(&mut row.b).chain(checks) {
            let mut words = command.line.split(' ');
            if !words.clone().any(|word| word == TOKEN) {
                continue;
            }
            let answer = siblings(words.nth(1).unwrap_or_default());
            let token = answer.split("context, ").nth(1).unwrap_or_default();
            let token = token.split(',').next().unwrap_or_default();
            command.line = command.line.replace(TOKEN, token);
        }
        row
    }
}

impl Check {
    /// Whether an answer is right; of an error only the beginning is compared.
    pub(crate) fn accepts(&self, answer: &str) -> bool {
        self.answers
            .iter()
            .any(|right| match right.starts_with('-') && !is_number(right) {
                true => answer.starts_with(right),
                false => answer == right,
            })
    }
}

fn is_number(text: &str) -> bool {
    text.parse::<f64>().is_ok()
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "row {} (docs/semantics.md:{})", self.name, self.line)
    }
}

/// All rows of a page.
///
/// # Errors
/// Names the first line that is not as it should be.
pub(crate) fn parse(page: &str) -> Result<Vec<Row>, String> {
    let mut rows: Vec<Row> = Vec::new();
    let mut in_table = false;
    for (index, line) in page.lines().enumerate() {
        let number = index + 1;
        if !line.starts_with('|') {
            in_table = false;
            continue;
        }
        let cells = cells(line);
        if cells.iter().any(|cell| cell == MARK) {
            if cells != COLUMNS {
                return Err(format!("line {number}: the columns are not {COLUMNS:?}"));
            }
            in_table = true;
        } else if in_table && !is_rule(&cells) {
            let row = row(number, &cells).map_err(|what| format!("line {number}: {what}"))?;
            if let Some(other) = rows.iter().find(|other| other.name == row.name) {
                return Err(format!("line {number}: {other} has this name already"));
            }
            rows.push(row);
        }
    }
    Ok(rows)
}

fn is_rule(cells: &[String]) -> bool {
    cells
        .iter()
        .all(|cell| !cell.is_empty() && cell.chars().all(|c| matches!(c, '-' | ':')))
}

/// The cells of a line between its bars, trimmed.
fn cells(line: &str) -> Vec<String> {
    const BAR: &str = "\u{0}";
    let hidden = line.trim().replace("\\|", BAR);
    let inner = hidden.strip_prefix('|').unwrap_or(&hidden);
    let inner = inner.strip_suffix('|').unwrap_or(inner);
    let cells = inner.split('|');
    cells.map(|cell| cell.trim().replace(BAR, "|")).collect()
}

fn row(line: usize, cells: &[String]) -> Result<Row, String> {
    let [name, before, a, b, after, journal, _why] = cells else {
        return Err(format!(
            "it has {} cells, not {}",
            cells.len(),
            COLUMNS.len()
        ));
    };
    let slug = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let name = name.trim_matches('`').to_owned();
    if name.is_empty() || !name.chars().all(slug) {
        return Err(format!("{name:?} is not a name like set-add-remove"));
    }
    let after = checks(after)?;
    if after.is_empty() {
        return Err("it says nothing of what is seen afterwards".to_owned());
    }
    Ok(Row {
        name,
        line,
        before: commands(before)?
            .into_iter()
            .map(without_time)
            .collect::<Result<_, _>>()?,
        a: commands(a)?,
        b: commands(b)?,
        after,
        journal: conflicts(journal)?,
    })
}

fn conflicts(cell: &str) -> Result<Vec<String>, String> {
    let mut kinds = Vec::new();
    for (_, kind) in quoted(cell)? {
        if !CONFLICTS.contains(&kind) {
            return Err(format!("{kind:?} is no kind of conflict"));
        }
        kinds.push(kind.to_owned());
    }
    kinds.sort_unstable();
    Ok(kinds)
}

/// A cell as alternating texts outside and inside of backticks.
fn quoted(cell: &str) -> Result<Vec<(&str, &str)>, String> {
    let parts: Vec<&str> = cell.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return Err(format!("a backtick does not end in {cell:?}"));
    }
    if !parts[parts.len() - 1].trim().is_empty() {
        return Err(format!("text after the last backtick in {cell:?}"));
    }
    Ok(parts
        .chunks_exact(2)
        .map(|pair| (pair[0], pair[1]))
        .collect())
}

fn commands(cell: &str) -> Result<Vec<Command>, String> {
    let mut commands = Vec::new();
    for (between, text) in quoted(cell)? {
        let time = match commands.is_empty() {
            true => between,
            false => between
                .strip_prefix(';')
                .ok_or_else(|| format!("{between:?} stands between two commands, not \"; \""))?,
        };
        commands.push(command(time, text)?);
    }
    Ok(commands)
}

fn command(time: &str, text: &str) -> Result<Command, String> {
    let (time, line) = match text.strip_prefix('@') {
        Some(rest) => rest.split_once(' ').unwrap_or((rest, "")),
        None => (time.trim().trim_start_matches('@'), text),
    };
    let at_ms = match time {
        "" => None,
        time => Some(
            time.parse()
                .map_err(|_| format!("{time:?} is not a time"))?,
        ),
    };
    match line.trim() {
        "" => Err("a command is empty".to_owned()),
        line => Ok(Command {
            at_ms,
            line: with_modules(line)?,
        }),
    }
}

/// Before the start and at the end there is no time to speak of.
fn without_time(command: Command) -> Result<Command, String> {
    match command.at_ms {
        Some(_) => Err(format!(
            "{:?} has a time, and is neither A's nor B's",
            command.line
        )),
        None => Ok(command),
    }
}

/// The line with modules in the place of their names, quoted as redis-cli quotes bytes.
fn with_modules(line: &str) -> Result<String, String> {
    let words = line.split(' ').map(|word| match word.strip_prefix('<') {
        Some(file) if file.ends_with(".wat") => module(file),
        _ => Ok(word.to_owned()),
    });
    Ok(words.collect::<Result<Vec<String>, String>>()?.join(" "))
}

fn module(file: &str) -> Result<String, String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/examples/resolvers");
    let path = format!("{folder}/{file}");
    let module = wat::parse_file(path).map_err(|error| error.to_string())?;
    let bytes = module.iter().map(|byte| format!("\\x{byte:02x}"));
    Ok(format!("\"{}\"", bytes.collect::<String>()))
}

fn checks(cell: &str) -> Result<Vec<Check>, String> {
    let mut checks: Vec<Check> = Vec::new();
    for (between, text) in quoted(cell)? {
        match (between.trim(), checks.last_mut()) {
            ("→", Some(check)) if check.answers.is_empty() => check.answers.push(text.to_owned()),
            ("or", Some(check)) if !check.answers.is_empty() => check.answers.push(text.to_owned()),
            (between, _) => {
                let time = between.strip_prefix(';').unwrap_or(between);
                checks.push(Check {
                    command: without_time(command(time, text)?)?,
                    answers: Vec::new(),
                });
            }
        }
    }
    match checks.iter().find(|check| check.answers.is_empty()) {
        Some(check) => Err(format!("{:?} has no answer", check.command.line)),
        None => Ok(checks),
    }
}
