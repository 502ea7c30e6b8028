//! What a run of one file printed, as numbers.

/// Counts and names from the suite's output.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Results {
    pub(super) passed: usize,
    /// Left out by the skipfile.
    pub(super) skipped: usize,
    /// Name and, if it says one, reason of each failure; an exception or time-out ends the file and counts as one.
    pub(super) failures: Vec<String>,
}

impl Results {
    /// Reads the output, colours removed.
    pub(super) fn parse(output: &str) -> Self {
        let mut results = Self::default();
        let mut lines = output.lines().peekable();
        while let Some(line) = lines.next() {
            match line.split_once("]: ") {
                Some(("[ok", _)) => results.passed += 1,
                Some(("[skip", _)) => results.skipped += 1,
                Some(("[err" | "[exception", name)) => {
                    let reason = lines
                        .peek()
                        .filter(|next| !next.starts_with('['))
                        .map(|next| format!(": {next}"));
                    results
                        .failures
                        .push(format!("{name}{}", reason.unwrap_or_default()));
                }
                Some(("[TIMEOUT", _)) => {
                    let stuck = lines
                        .peek()
                        .and_then(|next| next.split_once("=> "))
                        .map_or("?", |(_, state)| state);
                    results.failures.push(format!("stuck: {stuck}"));
                }
                _ => {}
            }
            if line.contains("The End") {
                break;
            }
        }
        results
    }
}

/// The text without terminal colours.
pub(super) fn without_colours(text: &str) -> String {
    let mut pieces = text.split('\x1b');
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        plain.push_str(piece.split_once('m').map_or(piece, |(_, rest)| rest));
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_line_counts() {
        let output = "Testing unit/x\n[ok]: A (0 ms)\n[ok]: B (1 ms)\n[skip]: C\n[ignore]: D: Tag denied\n\
                      [err]: E in tests/unit/x.tcl\nExpected '1' to be equal to '2'\n[ok]: F (0 ms)\n\
                      [exception]: Executing test client: ERR unknown command.\nERR unknown command\n\
                      [TIMEOUT]: clients state report follows.\nsock1 => (IN PROGRESS) G\n\
                      The End\n*** [err]: E in tests/unit/x.tcl\n";
        let results = Results::parse(output);
        assert_eq!((results.passed, results.skipped), (3, 1));
        assert_eq!(
            results.failures,
            [
                "E in tests/unit/x.tcl: Expected '1' to be equal to '2'",
                "Executing test client: ERR unknown command.: ERR unknown command",
                "stuck: (IN PROGRESS) G",
            ]
        );
    }

    #[test]
    fn colours_go() {
        assert_eq!(without_colours("[\x1b[0;32;49mok\x1b[0m]: A"), "[ok]: A");
        assert_eq!(without_colours("plain"), "plain");
    }
}
