//! What a program in a VM prints, on its way to the terminal of the host: text, colours and movements pass; what would change
//! more than the screen does not. That is the clipboard (OSC 52), the title, notifications, and questions that the terminal
//! answers as if somebody had typed (ECMA-48; xterm's ctlseqs).
//!
//! A sequence is kept until it is complete, and no longer than it may be.

/// A longer control sequence, or a longer string, is dropped.
const CONTROL: usize = 64;
const STRING: usize = 4096;

const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;
/// A terminal answers it by itself.
const ENQ: u8 = 0x05;
/// They end a sequence that is not complete.
const CAN: u8 = 0x18;
const SUB: u8 = 0x1a;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// So many more bytes of a character are to come (UTF-8).
    Text(u8),
    /// After the byte C2: a control character of one byte each, such as 9B for ESC [, or a letter.
    C2,
    Escape,
    /// A control sequence (CSI) up to its last byte.
    Control,
    /// A string (OSC, DCS, APC, …) up to BEL or ESC \; its first letter.
    String(u8),
    StringEscape(u8),
    /// An image (sixel), which passes as it comes.
    Image,
    ImageEscape,
}

/// Removes such sequences from a stream that comes in pieces.
#[derive(Debug)]
pub struct Filter {
    state: State,
    /// The sequence so far.
    kept: Vec<u8>,
    is_too_long: bool,
}

impl Default for Filter {
    fn default() -> Self {
        Self { state: State::Text(0), kept: Vec::new(), is_too_long: false }
    }
}

impl Filter {
    /// What of the next piece passes, with what was kept of those before.
    pub fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut passed = Vec::with_capacity(piece.len());
        piece.iter().for_each(|&byte| self.on(byte, &mut passed));
        passed
    }

    fn on(&mut self, byte: u8, passed: &mut Vec<u8>) {
        match (self.state, byte) {
            (State::Image, ESC) => self.state = State::ImageEscape,
            (State::Image, CAN | SUB) => {
                self.state = State::Text(0);
                passed.push(byte);
            }
            (State::Image, b' '..=b'~' | b'\r' | b'\n') => passed.push(byte),
            (State::Image, _) => {}
            // Whatever comes, the image ends here.
            (State::ImageEscape, _) => {
                passed.extend(b"\x1b\\");
                self.begin(State::Escape, &[ESC]);
                if byte == b'\\' {
                    self.state = State::Text(0);
                } else {
                    self.on(byte, passed);
                }
            }
            (State::Text(_) | State::C2, _) => self.on_text(byte, passed),
            (State::String(_) | State::StringEscape(_), _) => self.on_string(byte, passed),
            (State::Escape | State::Control, CAN | SUB) => self.state = State::Text(0),
            (State::Escape | State::Control, ESC) => self.begin(State::Escape, &[ESC]),
            (State::Escape, b'[') => self.begin(State::Control, b"\x1b["),
            (State::Escape, b']' | b'P' | b'_' | b'^' | b'X') => {
                self.begin(State::String(byte), &[ESC, byte]);
            }
            // An intermediate byte, such as ( of ESC ( B.
            (State::Escape, b' '..=b'/') => self.keep(byte, CONTROL),
            // DECID, a question.
            (State::Escape, b'Z') => self.state = State::Text(0),
            // With another character set (ESC % @) the bytes of letters would be control characters.
            (State::Escape, 0x30..=0x7e) => self.end(byte, passed, |sequence| sequence[1] != b'%'),
            (State::Control, b'@'..=b'~') => self.end(byte, passed, is_quiet),
            (State::Control, b' '..=b'?') => self.keep(byte, CONTROL),
            // A control character inside, which a terminal obeys at once; or none that belongs there.
            (State::Escape | State::Control, _) => self.on_control(byte, passed),
        }
    }

    fn on_text(&mut self, byte: u8, passed: &mut Vec<u8>) {
        let left = match (self.state, byte) {
            (State::C2, 0xa0..=0xbf) => {
                passed.extend([0xc2, byte]);
                0
            }
            // One of C1, as two bytes or as one: the text after it is text.
            (State::C2, 0x80..=0x9f) | (State::Text(0), 0x80..=0xbf) => 0,
            (State::Text(left @ 1..), 0x80..=0xbf) => {
                passed.push(byte);
                left - 1
            }
            (_, ESC) => return self.begin(State::Escape, &[ESC]),
            (_, 0xc2) => return self.state = State::C2,
            (_, ENQ) => 0,
            (_, byte) => {
                passed.push(byte);
                match byte {
                    0xc3..=0xdf => 1,
                    0xe0..=0xef => 2,
                    0xf0..=0xf4 => 3,
                    _ => 0,
                }
            }
        };
        self.state = State::Text(left);
    }

    fn on_string(&mut self, byte: u8, passed: &mut Vec<u8>) {
        match (self.state, byte) {
            (State::String(kind), BEL) => self.end(byte, passed, |text| is_quiet_string(kind, text)),
            (State::StringEscape(kind), b'\\') => {
                self.keep(ESC, STRING);
                self.end(byte, passed, |text| is_quiet_string(kind, text));
            }
            (State::StringEscape(_), _) => {
                self.begin(State::Escape, &[ESC]);
                self.on(byte, passed);
            }
            (State::String(kind), ESC) => self.state = State::StringEscape(kind),
            (State::String(_), CAN | SUB) => self.state = State::Text(0),
            (State::String(b'P'), b'q') if is_sixel(&self.kept) => {
                self.keep(byte, STRING);
                passed.append(&mut self.kept);
                self.state = State::Image;
            }
            _ => self.keep(byte, STRING),
        }
    }

    /// Those of C0 without ENQ and ESC.
    fn on_control(&mut self, byte: u8, passed: &mut Vec<u8>) {
        if byte < b' ' && byte != ENQ {
            passed.push(byte);
        } else {
            self.state = State::Text(0);
        }
    }

    fn begin(&mut self, state: State, start: &[u8]) {
        self.state = state;
        self.is_too_long = false;
        self.kept.clear();
        self.kept.extend(start);
    }

    fn keep(&mut self, byte: u8, most: usize) {
        if self.kept.len() < most {
            self.kept.push(byte);
        } else {
            self.is_too_long = true;
        }
    }

    /// Passes the complete sequence if it is one that may.
    fn end(&mut self, byte: u8, passed: &mut Vec<u8>, may: impl FnOnce(&[u8]) -> bool) {
        self.kept.push(byte);
        if !self.is_too_long && may(&self.kept) {
            passed.append(&mut self.kept);
        }
        self.kept.clear();
        self.state = State::Text(0);
    }
}

/// Whether a control sequence has no answer: not what the terminal is (DA), where the cursor is (DSR), the state of a mode
/// (DECRQM), window and title (XTWINOPS), its version and its keyboard, or sums of what is on the screen.
fn is_quiet(sequence: &[u8]) -> bool {
    let (last, rest) = sequence.split_last().expect("it has its last byte");
    let middle = &rest[2..];
    let has = |byte: u8| middle.contains(&byte);
    match last {
        // The last of these prints on a printer.
        b'c' | b'n' | b't' | b'x' | b'i' => false,
        b'p' | b'w' | b'y' => !has(b'$') && !has(b'*'),
        b'u' => !has(b'?') && !has(b'&') && !has(b'$'),
        b'v' => !has(b'"'),
        b'q' => !has(b'>'),
        b'|' => !has(b'\'') && !has(b'#'),
        b'S' | b'm' => !has(b'?'),
        _ => true,
    }
}

/// Of the strings, colours that are set, links and marks of the shell pass.
fn is_quiet_string(kind: u8, sequence: &[u8]) -> bool {
    const PASSING: [&[u8]; 16] = [
        b"4", b"7", b"8", b"10", b"11", b"12", b"13", b"14", b"17", b"19", b"104", b"110", b"111", b"112",
        b"117", b"133",
    ];
    let text = sequence[2..].strip_suffix(&[BEL]).or_else(|| sequence[2..].strip_suffix(b"\x1b\\"));
    let text = text.unwrap_or_default();
    let number = text.split(|&byte| byte == b';').next().unwrap_or_default();
    // A link may hold a question mark; a colour that is one is a question.
    let asks = number != b"8" && number != b"7" && text.contains(&b'?');
    kind == b']' && PASSING.contains(&number) && !asks
}

fn is_sixel(so_far: &[u8]) -> bool {
    so_far[2..].iter().all(|byte| byte.is_ascii_digit() || *byte == b';')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// In one piece, and byte by byte.
    fn filtered(text: &[u8]) -> Vec<u8> {
        let whole = Filter::default().push(text);
        let mut filter = Filter::default();
        let pieces: Vec<u8> = text.iter().flat_map(|byte| filter.push(&[*byte])).collect();
        assert_eq!(whole, pieces);
        whole
    }

    #[test]
    fn text_colours_and_movements_pass() {
        for text in [
            "plain\r\n\ttext \x08\x07",
            "\x1b[1;31mred\x1b[0m\x1b[38;2;1;2;3m\x1b[4:3m",
            "\x1b[2J\x1b[10;5H\x1b[?1049h\x1b[?2004h\x1b[?25l\x1b[3S\x1b[5 q\x1b[!p\x1b[s\x1b[u\x1b[>1u",
            "\x1b(B\x1b7\x1b8\x1b=\x1bM",
            "\x1b]8;;https://example.com/?a=b\x1b\\link\x1b]8;;\x07",
            "\x1b]11;#000000\x07\x1b]104\x07\x1b]133;A\x07\x1b]7;file://h/d\x1b\\",
            "Zoë é — 漢字 🙂 \u{a0}",
            "\x1bP0;1;0q\"1;1;2;2#0~~\x1b\\after",
        ] {
            assert_eq!(String::from_utf8(filtered(text.as_bytes())).unwrap(), text, "{text:?}");
        }
        assert_eq!(filtered(b"latin-1 \xe4 \xff."), b"latin-1 \xe4 \xff.");
    }

    #[test]
    fn what_changes_more_than_the_screen_or_is_answered_does_not() {
        for sequence in [
            // Clipboard, title, notifications, others.
            "\x1b]52;c;aGk=\x07",
            "\x1b]52;c;?\x1b\\",
            "\x1b]0;title\x07",
            "\x1b]2;title\x1b\\",
            "\x1b]9;note\x07",
            "\x1b]777;notify;a;b\x07",
            "\x1b]1337;SetMark\x07",
            "\x1b]50;?\x07",
            // Questions.
            "\x1b]11;?\x07",
            "\x1b]4;1;?\x1b\\",
            "\x1b[c",
            "\x1b[>c",
            "\x1b[0c",
            "\x1b[=c",
            "\x1b[5n",
            "\x1b[6n",
            "\x1b[?6n",
            "\x1b[18t",
            "\x1b[21t",
            "\x1b[22;0t",
            "\x1b[?2026$p",
            "\x1b[>q",
            "\x1b[?u",
            "\x1b[x",
            "\x1b[1;1;1;1;1;1*y",
            "\x1b[1$w",
            "\x1b[?1;1;0S",
            "\x1b[?4m",
            "\x1b[5i",
            "\x1b%@",
            "\x1bZ",
            "\x05",
            "\x1bP$qm\x1b\\",
            "\x1bP+q544e\x1b\\",
            "\x1b_Gi=1,a=q,t=f;L2V0Yy9wYXNzd2Q=\x1b\\",
            "\x1b^message\x1b\\",
            "\x1bXstring\x1b\\",
            // The same with control characters of one byte.
            "\u{9d}52;c;aGk=",
            "\u{9b}",
        ] {
            let text = format!("a{sequence}b");
            let shown = String::from_utf8(filtered(text.as_bytes())).unwrap();
            let is_gone = !shown.contains(['\x1b', '\x05', '\x07', '\u{9b}', '\u{9d}']);
            assert!(is_gone && shown.starts_with('a') && shown.ends_with('b'), "{text:?}: {shown:?}");
        }
        assert_eq!(filtered(b"\x9b6n \x9d52;c;aGk="), b"6n 52;c;aGk=");
    }

    #[test]
    fn a_sequence_that_is_broken_or_too_long_lets_nothing_through() {
        // ESC begins a new one; CAN ends it.
        assert_eq!(filtered(b"\x1b[6\x1b[1mbold\x1b[0m"), b"\x1b[1mbold\x1b[0m");
        assert_eq!(filtered(b"\x1b]52;c;aGk\x1b[1mbold"), b"\x1b[1mbold");
        assert_eq!(filtered(b"\x1b]52;c;a\x18text"), b"text");
        assert_eq!(filtered(b"\x1b[6\nn"), b"\n", "a line break inside is obeyed");
        assert_eq!(filtered(&[b"\x1b[", &b"1;".repeat(100)[..], b"m."].concat()), b".");
        assert_eq!(filtered(&[b"\x1b]8;;", &b"x".repeat(5000)[..], b"\x07."].concat()), b".");
        assert_eq!(filtered(b"\x1bP0q~\x1b]52;c;a\x07."), b"\x1bP0q~\x1b\\.", "an image that does not end");
        // Some terminals end an image at one of these, too.
        assert_eq!(filtered(b"\x1bPq~\x9c\x07\x05\x9b6n\x1b\\"), b"\x1bPq~6n\x1b\\");
        assert_eq!(filtered(b"\x1bPq~\x18\x05\x9b6n"), b"\x1bPq~\x186n", "an image that is given up");
    }

    proptest! {
        /// Whatever comes, no question and no string but the known ones is in what passes.
        #[test]
        fn nothing_that_is_answered_gets_through(text in proptest::collection::vec(
            prop_oneof![Just(ESC), Just(b'['), Just(b']'), Just(b'6'), Just(b'n'), Just(b'c'), Just(b'P'), Just(b'5'),
                Just(b'2'), Just(b';'), Just(0x9b), Just(0xc2), Just(BEL), Just(CAN), Just(b'\\'), Just(b'q'), any::<u8>()], 0..60)) {
            let once = filtered(&text);
            for bad in [&b"\x1b[6n"[..], b"\x1b[c", b"\x1b[5n", b"\x1b]52;", b"\x1bP$", b"\x1b_", b"\x05"] {
                // An image's bytes are no text.
                if !once.windows(2).any(|two| two == b"\x1bP") {
                    prop_assert!(!once.windows(bad.len()).any(|window| window == bad), "{bad:?} in {once:?}");
                }
            }
        }
    }
}
