//! Output of QEMU and the guest as lines of limited length; the last ones are safe to print on a terminal.

use crate::sys::printable::clean;
use std::collections::VecDeque;

/// Splits a stream into lines of at most `limit` bytes; the rest of a longer line is dropped.
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

    /// The line that is still incomplete.
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

    /// Calls `each` with every complete line, unchanged.
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_tail_keeps_the_last_lines_and_the_incomplete_one() {
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
    }
}
