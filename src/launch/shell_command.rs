//! QEMU's command line as a person would type it into a shell.

use crate::model::{Os, VmSpec};
use crate::qemu::{self, Paths};
use std::ffi::OsStr;

/// QEMU's command line, quoted for a shell.
pub fn command_line(spec: &VmSpec, paths: &Paths, unique: u64) -> String {
    let argv = qemu::argv(spec, paths, &qemu::channels(spec, unique));
    let words = std::iter::once(paths.qemu.path.as_os_str()).chain(argv.iter().map(|word| word.as_os_str()));
    match spec.os {
        Os::Linux | Os::MacOs => words.map(posix_quoted).collect::<Vec<_>>().join(" "),
        Os::Windows => format!("& {}", words.map(powershell_quoted).collect::<Vec<_>>().join(" ")),
    }
}

fn posix_quoted(word: &OsStr) -> String {
    let quoted = shlex::bytes::try_quote(word.as_encoded_bytes()).expect("no argument contains a NUL");
    String::from_utf8_lossy(&quoted).into_owned()
}

/// Between single quotes only the quote is special, and is written twice (about_Quoting_Rules).
fn powershell_quoted(word: &OsStr) -> String {
    let text = word.to_string_lossy();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/\\".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_for_powershell_is_quoted_if_needed() {
        let quoted = |text: &str| powershell_quoted(OsStr::new(text));
        assert_eq!(quoted(r"C:\a.b\c-d_1"), r"C:\a.b\c-d_1");
        assert_eq!(quoted(r"C:\it's, odd"), r"'C:\it''s, odd'");
        assert_eq!(quoted("a$b"), "'a$b'");
        assert_eq!(quoted(""), "''");
    }
}
