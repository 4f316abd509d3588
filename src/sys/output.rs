//! Lines on standard output and standard error. `println!` and `eprintln!` panic if the stream is closed; these don't.

use super::printable::clean_lines;
use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};

/// Prints a line on standard output, clean if that is a terminal. A closed pipe (`| head -1`) is no error.
///
/// # Errors
/// It can't be written.
pub fn line(text: impl Display) -> io::Result<()> {
    bytes(format!("{}\n", shown(&io::stdout(), &text)).as_bytes())
}

/// A text may quote a guest, QEMU, or a file with an odd name.
fn shown(stream: &impl IsTerminal, text: &impl Display) -> String {
    let text = text.to_string();
    if stream.is_terminal() { clean_lines(&text) } else { text }
}

/// Prints bytes unchanged.
///
/// # Errors
/// They can't be written.
pub fn bytes(bytes: &[u8]) -> io::Result<()> {
    let mut output = io::stdout().lock();
    match output.write_all(bytes).and_then(|()| output.flush()) {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Prints a question on standard error, without a line break. Errors are ignored.
pub fn question(text: impl Display) {
    // A blank at its end stays.
    let text = text.to_string();
    let _ = write!(io::stderr(), "{} ", shown(&io::stderr(), &text.trim_end()));
}

/// Prints a line on standard error. Errors are ignored.
pub fn error_line(text: impl Display) {
    let _ = writeln!(io::stderr(), "{}", shown(&io::stderr(), &text));
}
