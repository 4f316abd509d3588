//! What the launcher asks of the agent over SSH: the subsystem [`REQUEST`], with the request as JSON in variables of the
//! session's environment, which no other user of the host can read (a command line can be read by everybody).

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// The subsystem's name.
pub const REQUEST: &str = "request";
/// The variables with the pieces of a request, in the order of their names: this, and a number.
pub const REQUEST_VARIABLE: &str = "VIRTUALGHOST_REQUEST_";
/// The longest request, in bytes: what Linux passes to a program by default (execve(2)).
pub const MAX_REQUEST: usize = 2 << 20;
/// The longest identifier of a program, in bytes.
pub const MAX_ID: usize = 64;
/// The longest piece, in bytes: less than Windows allows for a variable.
const PIECE: usize = 30_000;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum Request {
    Run(Run),
    /// Sends a signal, by its name without SIG, to the process group of a program that [`Run`] has started.
    Signal {
        id: String,
        signal: String,
    },
    /// Writes the files at these paths to standard output (src/tree). Relative ones are below the user's home, as `~` is.
    Pack {
        paths: Vec<Bytes>,
    },
    /// Makes files of standard input, in a folder or under the name for the only source.
    Unpack {
        target: Bytes,
        is_only_source: bool,
    },
}

/// A program to run, connected to the session's streams or terminal.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The launcher's name for it, which nobody can guess.
    pub id: String,
    /// The program and its arguments; the user's login shell if there are none.
    pub words: Vec<Bytes>,
    pub environment: Vec<(Bytes, Bytes)>,
    /// Relative to the user's home.
    pub folder: Option<Bytes>,
}

/// Without the environment, which may hold secrets, because it may be logged.
impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("words", &self.words).finish_non_exhaustive()
    }
}

impl Request {
    /// The variables that carry it.
    pub fn variables(&self) -> Vec<(String, String)> {
        let text = serde_json::to_string(self).expect("strings have a JSON form");
        let mut pieces = vec![String::new()];
        for c in text.chars() {
            if pieces[pieces.len() - 1].len() + c.len_utf8() > PIECE {
                pieces.push(String::new());
            }
            pieces.last_mut().expect("it begins with one").push(c);
        }
        let named = pieces.into_iter().enumerate();
        named.map(|(number, piece)| (format!("{REQUEST_VARIABLE}{number:04}"), piece)).collect()
    }

    /// The request in these pieces, in order.
    ///
    /// # Errors
    /// It is none.
    pub fn parse<'a>(pieces: impl Iterator<Item = &'a str>) -> serde_json::Result<Self> {
        serde_json::from_str(&pieces.collect::<String>())
    }
}

/// Bytes that need not be text. In JSON each is the character with its number, so that text stays readable.
#[derive(Clone, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.iter().map(|&byte| char::from(byte)).collect::<String>())
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes: Result<_, _> = text.chars().map(u8::try_from).collect();
        bytes.map(Self).map_err(|_| serde::de::Error::custom("a character is no byte"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(word: &[u8]) -> Request {
        Request::Run(Run {
            id: "1".to_owned(),
            words: vec![Bytes(word.to_vec())],
            environment: vec![(Bytes(b"TOKEN".to_vec()), Bytes(b"secret".to_vec()))],
            folder: None,
        })
    }

    fn sent(request: &Request) -> Request {
        let mut variables = request.variables();
        variables.sort();
        assert!(variables.iter().all(|(_, piece)| piece.len() <= PIECE));
        Request::parse(variables.iter().map(|(_, piece)| piece.as_str())).unwrap()
    }

    #[test]
    fn a_long_request_arrives_in_pieces() {
        let request = run(&(0..=255).cycle().take(500_000).collect::<Vec<_>>());
        assert!(request.variables().len() > 10);
        assert_eq!(sent(&request), request);
    }

    #[test]
    fn an_environment_reaches_no_log() {
        let shown = format!("{:?}", run(b"make"));
        assert!(shown.contains("make") && !shown.contains("secret"), "{shown}");
    }

    proptest! {
        #[test]
        fn words_need_not_be_text(word: Vec<u8>) {
            prop_assert_eq!(sent(&run(&word)), run(&word));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,80}|\\{\"request\":\"(run|signal)\",\\PC{0,80}\\}") {
            let _ = Request::parse([text.as_str()].into_iter());
        }
    }
}
