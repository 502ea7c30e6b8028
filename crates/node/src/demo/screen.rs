//! Standard output and standard input, a terminal or not.

use std::io::{self, IsTerminal, Read, Write};

use anyhow::Context;
use rustix::process::getpgrp;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};
use tokio::sync::mpsc;

/// What is kept of keys that nobody has taken yet.
const KEYS_MAX: usize = 64;

/// Where the demo writes.
pub(super) struct Screen {
    terminal: bool,
    colours: bool,
    /// Lines of the block that is redrawn in place.
    block_lines: usize,
}

impl Screen {
    pub(super) fn new() -> Self {
        let terminal = io::stdout().is_terminal();
        let colours = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            terminal,
            colours,
            block_lines: 0,
        }
    }

    pub(super) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Writes a line at once.
    ///
    /// # Errors
    /// If nobody reads any more.
    pub(super) fn line(&mut self, text: &str) -> anyhow::Result<()> {
        self.block_lines = 0;
        write(&format!("{text}\n"))
    }

    /// Writes a line that stands out where colours are possible.
    ///
    /// # Errors
    /// If nobody reads any more.
    pub(super) fn heading(&mut self, text: &str) -> anyhow::Result<()> {
        self.line(&self.paint(text, "1"))
    }

    /// `text` in a style of ECMA-48, such as `1` for bold, where colours are possible.
    pub(super) fn paint(&self, text: &str, style: &str) -> String {
        match self.colours {
            true => format!("\x1b[{style}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }

    /// Writes a block of lines over the block before it. Only on a terminal.
    ///
    /// # Errors
    /// If nobody reads any more.
    pub(super) fn redraw(&mut self, block: &str) -> anyhow::Result<()> {
        let text = redrawn(self.block_lines, block);
        self.block_lines = block.lines().count();
        write(&text)
    }
}

/// Up to where the last block began, away with it, and the new one without wrapping, which would add lines.
fn redrawn(lines_before: usize, block: &str) -> String {
    let up = match lines_before {
        0 => String::new(),
        lines => format!("\x1b[{lines}F"),
    };
    format!("{up}\x1b[J\x1b[?7l{block}\x1b[?7h")
}

fn write(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.context("nobody reads the demo's output any more")
}

/// Single keys from standard input: from a terminal as they are pressed, else byte by byte. Puts the terminal back when
/// it is dropped. In the background of a terminal there are none: asking for them would stop the process.
pub(super) struct Keys {
    pressed: mpsc::Receiver<u8>,
    before: Option<Termios>,
}

impl Keys {
    /// Begins to listen.
    ///
    /// # Errors
    /// If there can be no thread for it.
    pub(super) fn listen() -> anyhow::Result<Self> {
        let (press, pressed) = mpsc::channel(KEYS_MAX);
        if io::stdin().is_terminal() && tcgetpgrp(io::stdin()).ok() != Some(getpgrp()) {
            return Ok(Self {
                pressed,
                before: None,
            });
        }
        let before = unbuffer();
        // A thread that dies with the process: nothing can end a read of a terminal.
        std::thread::Builder::new()
            .name("isles-keys".to_owned())
            .spawn(move || {
                for byte in io::stdin().lock().bytes() {
                    if !byte.is_ok_and(|byte| press.blocking_send(byte).is_ok()) {
                        return;
                    }
                }
            })
            .context("cannot start the thread that reads keys")?;
        Ok(Self { pressed, before })
    }

    /// Whether somebody presses them, rather than a file or a pipe that holds them.
    pub(super) fn are_of_a_keyboard(&self) -> bool {
        self.before.is_some()
    }

    /// The next key; never, once input has ended.
    pub(super) async fn next(&mut self) -> char {
        match self.pressed.recv().await {
            Some(byte) => char::from(byte),
            None => std::future::pending().await,
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // A terminal that has gone needs no repair.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}

/// Makes a terminal hand over each key as it is pressed and not show it; Ctrl-C stays a signal. `None`: no terminal.
fn unbuffer() -> Option<Termios> {
    let before = tcgetattr(io::stdin()).ok()?;
    let mut keys = before.clone();
    keys.local_modes
        .remove(LocalModes::ICANON | LocalModes::ECHO);
    tcsetattr(io::stdin(), OptionalActions::Now, &keys).ok()?;
    Some(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_replaces_the_one_before() {
        assert_eq!(redrawn(0, "a\nb\n"), "\x1b[J\x1b[?7la\nb\n\x1b[?7h");
        assert_eq!(redrawn(2, "c\n"), "\x1b[2F\x1b[J\x1b[?7lc\n\x1b[?7h");
    }
}
