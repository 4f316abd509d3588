//! Bytes of somebody else's process, made into lines: bounded, whatever it sends, and fit to be shown.

use std::collections::VecDeque;

/// Cuts a stream into lines of at most `limit` bytes; what a longer line has beyond that is dropped.
pub struct Lines {
    limit: usize,
    line: Vec<u8>,
}

impl Lines {
    pub fn new(limit: usize) -> Self {
        Self { limit, line: Vec::new() }
    }

    pub fn push(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8])) {
        for part in bytes.split_inclusive(|&b| b == b'\n') {
            let text = part.strip_suffix(b"\n").unwrap_or(part);
            let room = self.limit - self.line.len();
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            if text.len() < part.len() {
                each(&self.line);
                self.line.clear();
            }
        }
    }

    /// The line that has not ended yet.
    pub fn rest(&self) -> &[u8] {
        &self.line
    }
}

/// The last lines of a stream.
pub struct Tail {
    lines: Lines,
    kept: VecDeque<Vec<u8>>,
}

impl Tail {
    const KEPT: usize = 40;
    const LINE_BYTES: usize = 1000;

    /// `each` sees every line that ended, as it came.
    pub fn push(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8])) {
        let kept = &mut self.kept;
        self.lines.push(bytes, |line| {
            each(line);
            if !line.trim_ascii().is_empty() {
                if kept.len() == Self::KEPT {
                    kept.pop_front();
                }
                kept.push_back(line.to_vec());
            }
        });
    }

    /// Clean.
    pub fn lines(&self) -> Vec<String> {
        let all = self.kept.iter().map(Vec::as_slice).chain([self.lines.rest()]);
        all.map(clean).filter(|line| !line.is_empty()).collect()
    }
}

impl Default for Tail {
    fn default() -> Self {
        Self { lines: Lines::new(Self::LINE_BYTES), kept: VecDeque::new() }
    }
}

/// What a terminal would show of a line, without colours: no escape sequences (ECMA-48), no control
/// characters, and of text that a carriage return wrote over itself, the last.
pub fn clean(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let mut shown = String::new();
    let mut chars = text.chars().peekable();
    let mut returned = false;
    while let Some(c) = chars.next() {
        match c {
            '\r' => returned = true,
            '\x1b' => match chars.next() {
                Some('[') => {
                    chars.find(|c| ('@'..='~').contains(c));
                }
                // A string (OSC, DCS, …) up to BEL or ESC \.
                Some(']' | 'P' | '^' | '_' | 'X') => {
                    let end = chars.find(|&c| c == '\x07' || c == '\x1b');
                    if end == Some('\x1b') {
                        chars.next_if_eq(&'\\');
                    }
                }
                // An intermediate, such as ( of ESC ( B, has one more to come.
                Some(' '..='/') => {
                    chars.next();
                }
                _ => (),
            },
            '\t' => shown.push(' '),
            c if c.is_control() => (),
            c => {
                if std::mem::take(&mut returned) {
                    shown.clear();
                }
                shown.push(c);
            }
        }
    }
    shown.truncate(shown.trim_end().len());
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn colours_titles_and_overwritten_text_are_not_shown() {
        assert_eq!(
            clean(b"[\x1b[0;32m  OK  \x1b[0m] Started \x1b[1mseatd\x1b[0m.\r"),
            "[  OK  ] Started seatd."
        );
        assert_eq!(clean(b"\x1b]0;title\x07a\x1b]0;title\x1b\\b\x1b(Bc\x1bMd"), "abcd");
        assert_eq!(clean(b"10 %\r20 %\r30 %\r"), "30 %");
        assert_eq!(clean(b"\xff\x00\x07x\ty"), "\u{fffd}x y");
    }

    #[test]
    fn the_tail_keeps_the_last_lines_and_the_one_not_ended() {
        let mut tail = Tail::default();
        for n in 0..100 {
            tail.push(format!("line {n}\r\n\r\n").as_bytes(), |_| ());
        }
        tail.push(b"login: ", |_| ());
        let lines = tail.lines();
        assert_eq!(lines.len(), Tail::KEPT + 1);
        assert_eq!((lines[0].as_str(), lines[Tail::KEPT].as_str()), ("line 60", "login:"));
    }

    proptest! {
        #[test]
        fn lines_are_the_same_however_the_bytes_arrive(bytes: Vec<u8>, cut in 1usize..9) {
            let mut whole = Vec::new();
            Lines::new(20).push(&bytes, |line| whole.push(line.to_vec()));
            let (mut pieces, mut lines) = (Vec::new(), Lines::new(20));
            for chunk in bytes.chunks(cut) {
                lines.push(chunk, |line| pieces.push(line.to_vec()));
            }
            prop_assert_eq!(&whole, &pieces);
            prop_assert!(whole.iter().all(|line| line.len() <= 20 && !line.contains(&b'\n')));
        }

        #[test]
        fn nothing_that_moves_the_cursor_survives(bytes: Vec<u8>) {
            prop_assert!(!clean(&bytes).contains(char::is_control));
        }
    }
}
