//! Text of a guest or of QEMU, made safe to print on a terminal: without escape sequences (ECMA-48), which could set its
//! title, its clipboard or its keys, and without other control characters.

/// What a character is for a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Show(char),
    Newline,
    Return,
    Nothing,
}

/// Where in an escape sequence a text is. The end of the line ends it, so that none hides the lines after it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// After ESC.
    Escape,
    /// After ESC and an intermediate byte, such as ( of ESC ( B.
    Intermediate,
    /// A control sequence up to its final byte.
    Control,
    /// A string (OSC, DCS, …) up to BEL, ST or ESC \.
    String,
    StringEscape,
}

impl State {
    fn next(&mut self, c: char) -> Step {
        if c == '\n' {
            *self = Self::Text;
            return Step::Newline;
        }
        let (next, step) = match (*self, c) {
            (_, '\x1b') if *self == Self::String => (Self::StringEscape, Step::Nothing),
            (_, '\x1b') => (Self::Escape, Step::Nothing),
            // The same as ESC [ and ESC ], as one character each, and its relatives.
            (Self::Text, '\u{9b}') | (Self::Escape, '[') => (Self::Control, Step::Nothing),
            (Self::Text, '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}')
            | (Self::Escape, ']' | 'P' | 'X' | '^' | '_') => (Self::String, Step::Nothing),
            (Self::Text, '\r') => (Self::Text, Step::Return),
            (Self::Text, '\t') => (Self::Text, Step::Show('\t')),
            (Self::Text, c) if c.is_control() => (Self::Text, Step::Nothing),
            (Self::Text, c) => (Self::Text, Step::Show(c)),
            (Self::Escape | Self::Intermediate, ' '..='/') => (Self::Intermediate, Step::Nothing),
            (Self::Control, '@'..='~') | (Self::String, '\x07' | '\u{9c}') => (Self::Text, Step::Nothing),
            (Self::Control | Self::String, _) => (*self, Step::Nothing),
            (Self::Escape | Self::Intermediate | Self::StringEscape, _) => (Self::Text, Step::Nothing),
        };
        *self = next;
        step
    }
}

/// The text that a terminal would show for a line, without colours: only the last of the texts that carriage returns
/// separate.
pub fn clean(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let (mut state, mut shown, mut returned) = (State::default(), String::new(), false);
    for c in text.chars() {
        match state.next(c) {
            Step::Show(c) => {
                if std::mem::take(&mut returned) {
                    shown.clear();
                }
                shown.push(if c == '\t' { ' ' } else { c });
            }
            Step::Return => returned = true,
            Step::Newline | Step::Nothing => (),
        }
    }
    shown.truncate(shown.trim_end().len());
    shown
}

/// Cleans each line of a text of several.
pub fn clean_lines(text: &str) -> String {
    text.split('\n').map(|line| clean(line.as_bytes())).collect::<Vec<_>>().join("\n")
}

/// Cleans a stream, piece by piece. What a carriage return would overwrite is on a line of its own.
#[derive(Debug, Default)]
pub struct Cleaner {
    state: State,
    /// The beginning of a character.
    partial: Vec<u8>,
    returned: bool,
    line_has_text: bool,
}

impl Cleaner {
    pub fn push(&mut self, bytes: &[u8]) -> String {
        let mut all = std::mem::take(&mut self.partial);
        all.extend_from_slice(bytes);
        let mut shown = String::new();
        let mut chunks = all.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            chunk.valid().chars().for_each(|c| self.next(c, &mut shown));
            let invalid = chunk.invalid();
            if chunks.peek().is_none() && is_partial(invalid) {
                self.partial = invalid.to_vec();
            } else if !invalid.is_empty() {
                self.next(char::REPLACEMENT_CHARACTER, &mut shown);
            }
        }
        shown
    }

    fn next(&mut self, c: char, shown: &mut String) {
        match self.state.next(c) {
            Step::Show(c) => {
                if std::mem::take(&mut self.returned) && self.line_has_text {
                    shown.push('\n');
                }
                shown.push(c);
                self.line_has_text = true;
            }
            Step::Newline => {
                shown.push('\n');
                (self.returned, self.line_has_text) = (false, false);
            }
            Step::Return => self.returned = true,
            Step::Nothing => (),
        }
    }
}

/// Whether more bytes may make a character of these.
fn is_partial(bytes: &[u8]) -> bool {
    !bytes.is_empty() && std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn colours_titles_and_overwritten_text_are_removed() {
        assert_eq!(
            clean(b"[\x1b[0;32m  OK  \x1b[0m] Started \x1b[1mseatd\x1b[0m.\r"),
            "[  OK  ] Started seatd."
        );
        assert_eq!(clean(b"\x1b]0;title\x07a\x1b]0;title\x1b\\b\x1b(Bc\x1bMd"), "abcd");
        assert_eq!(clean("\u{9d}52;c;AAAA\u{9c}a\u{9b}2Jb".as_bytes()), "ab");
        assert_eq!(clean(b"10 %\r20 %\r30 %\r"), "30 %");
        assert_eq!(clean(b"\xff\x00\x07x\ty"), "\u{fffd}x y");
    }

    #[test]
    fn a_sequence_that_does_not_end_hides_no_other_line() {
        assert_eq!(Cleaner::default().push(b"\x1b]0;title\nnext\x1b[1\nlast"), "\nnext\nlast");
    }

    #[test]
    fn lines_of_a_stream_stay_lines_and_overwritten_ones_are_kept() {
        assert_eq!(Cleaner::default().push(b"a\tb\r\n\r\n10 %\r20 %\r\n"), "a\tb\n\n10 %\n20 %\n");
    }

    proptest! {
        #[test]
        fn a_stream_is_the_same_however_the_bytes_arrive(bytes: Vec<u8>, cut in 1usize..5) {
            let whole = Cleaner::default().push(&bytes);
            let mut cleaner = Cleaner::default();
            let pieces: String = bytes.chunks(cut).map(|piece| cleaner.push(piece)).collect();
            prop_assert_eq!(whole, pieces);
        }

        #[test]
        fn nothing_that_moves_the_cursor_remains(bytes: Vec<u8>) {
            prop_assert!(!clean(&bytes).contains(char::is_control));
            let shown = Cleaner::default().push(&bytes);
            prop_assert!(!shown.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\t')));
        }
    }
}
