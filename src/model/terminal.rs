//! The terminal that a VM opens.

use super::units::Invalid;
use std::fmt;
use std::str::FromStr;

#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub enum Terminal {
    /// The image's own.
    Auto,
    Ghostty,
    Foot,
    Command(TerminalCommand),
}

/// A program of the image and its arguments, separated by spaces. It is a part of the kernel's command line, in double quotes,
/// so it has no character that means something there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TerminalCommand(String);

impl FromStr for Terminal {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "auto" => Ok(Self::Auto),
            "ghostty" => Ok(Self::Ghostty),
            "foot" => Ok(Self::Foot),
            command => command.parse().map(Self::Command),
        }
    }
}

impl FromStr for TerminalCommand {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        const LONGEST: usize = 200;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || " -_./=:+@%,~".contains(c);
        let starts_well = text.starts_with(|c: char| c.is_ascii_alphanumeric() || "./~".contains(c));
        if starts_well && text.len() <= LONGEST && text.chars().all(is_plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Invalid(format!(
                "terminal must be auto, ghostty, foot, or a command of at most {LONGEST} letters, digits, spaces and -_./=:+@%,~ \
                 (for other characters, use a script in the VM), not {text:?}"
            )))
        }
    }
}

impl TryFrom<String> for Terminal {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl fmt::Display for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Ghostty => "ghostty",
            Self::Foot => "foot",
            Self::Command(TerminalCommand(command)) => command,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_a_word_or_a_command_that_ends_no_kernel_parameter() {
        for good in ["auto", "ghostty", "foot", "kitty --single-instance", "~/bin/term -o a=b,c", "/opt/t/t"]
        {
            assert_eq!(good.parse::<Terminal>().unwrap().to_string(), good);
        }
        for bad in ["", " ", "-e", "a\"b", "a\nb", "a;b", "a$b", "tërm", &"x".repeat(201)] {
            assert!(bad.parse::<Terminal>().is_err(), "{bad:?}");
        }
    }
}
