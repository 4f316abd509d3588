//! What compositor and terminal read from the user's home when they start. A guest from a checkpoint has started them before it
//! has its home, so they start again if there is any of it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Who reads files of the home at its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    Terminal,
    /// And with it the terminal.
    Compositor,
}

impl Reader {
    pub fn word(self) -> &'static str {
        match self {
            Self::Terminal => "terminal",
            Self::Compositor => "compositor",
        }
    }
}

/// libxkbcommon's keymaps and the theme of the pointer.
const OF_THE_COMPOSITOR: &[&str] = &[".config/xkb", ".xkb", ".icons/default", ".local/share/icons/default"];

const OF_THE_TERMINAL: &[&str] = &[
    ".config/foot",
    ".config/ghostty",
    // fontconfig
    ".config/fontconfig",
    ".local/share/fonts",
    ".fonts",
    ".fonts.conf",
    // libxkbcommon
    ".config/XCompose",
    ".XCompose",
    // GTK and its themes
    ".config/gtk-3.0",
    ".config/gtk-4.0",
    ".local/share/themes",
    ".themes",
    ".local/share/icons",
    ".icons",
    // Mesa
    ".drirc",
];

/// Who has to start again to read what is in this home.
pub fn reader(home: &Path) -> Option<Reader> {
    let any_of = |names: &[&str]| names.iter().any(|name| has_content(&home.join(name)));
    if any_of(OF_THE_COMPOSITOR) {
        Some(Reader::Compositor)
    } else {
        any_of(OF_THE_TERMINAL).then_some(Reader::Terminal)
    }
}

fn has_content(path: &Path) -> bool {
    match fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => fs::metadata(path).is_ok_and(|meta| meta.len() > 0),
    }
}

/// A shell that a configuration names and this machine does not have.
#[derive(Debug, PartialEq, Eq)]
pub struct MissingShell {
    pub shell: String,
    pub file: PathBuf,
}

impl MissingShell {
    pub fn text(&self) -> String {
        let Self { shell, file } = self;
        format!("the shell {shell} of {} is not in this VM", file.display())
    }
}

/// The shell of the terminal's configuration in this home, if it is set and missing. `path`: as of the variable PATH.
pub fn missing_shell(terminal: &str, home: &Path, path: &OsStr) -> Option<MissingShell> {
    let (files, keys): (&[&str], &[&str]) = match terminal {
        "foot" => (&[".config/foot/foot.ini"], &["shell", "main.shell"]),
        "ghostty" => {
            (&[".config/ghostty/config", ".config/ghostty/config.ghostty"], &["command", "initial-command"])
        }
        _ => return None,
    };
    files.iter().find_map(|file| {
        let file = home.join(file);
        let shell =
            shells(&fs::read_to_string(&file).ok()?, keys).find(|shell| !is_program(shell, home, path))?;
        Some(MissingShell { shell, file })
    })
}

/// The programs of the lines `key = command`, in a file of either terminal: an INI file whose first section is [main] even
/// without a name, or a list of lines.
fn shells(text: &str, keys: &[&str]) -> impl Iterator<Item = String> {
    let mut is_main = true;
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            is_main = section.trim_end_matches(']').trim() == "main";
        } else if let Some((key, value)) = line.split_once('=').filter(|_| is_main)
            && keys.contains(&key.trim())
        {
            found.extend(program(value));
        }
    }
    found.into_iter()
}

/// The first word of a command, which may be in quotes.
fn program(command: &str) -> Option<String> {
    let command = command.trim();
    let command = ["direct:", "shell:"].iter().find_map(|kind| command.strip_prefix(kind)).unwrap_or(command);
    let whole = command.trim().trim_matches(['"', '\'']);
    whole.split_whitespace().next().map(|word| word.trim_matches(['"', '\'']).to_owned())
}

/// Whether this program can be run. `path`: as of the variable PATH.
pub fn is_program(name: &str, home: &Path, path: &OsStr) -> bool {
    let runs = |path: PathBuf| {
        fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    match name.strip_prefix("~/") {
        Some(rest) => runs(home.join(rest)),
        // A variable, which only the terminal knows.
        None if name.contains('$') => true,
        None if name.contains('/') => runs(name.into()),
        None => std::env::split_paths(path).any(|folder| runs(folder.join(name))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(home: &Path, name: &str, text: &str) {
        fs::create_dir_all(home.join(name).parent().unwrap()).unwrap();
        fs::write(home.join(name), text).unwrap();
    }

    #[test]
    fn a_home_with_files_for_the_terminal_is_told_from_one_without() {
        let reader_of = |name: &str, text: &str| {
            let home = tempfile::tempdir().unwrap();
            write(home.path(), name, text);
            reader(home.path())
        };
        for name in
            [".config/foot/foot.ini", ".local/share/fonts/a/b.ttf", ".XCompose", ".config/gtk-4.0/gtk.css"]
        {
            assert_eq!(reader_of(name, "x"), Some(Reader::Terminal), "{name}");
        }
        assert_eq!(reader_of(".config/xkb/symbols/de", "x"), Some(Reader::Compositor));
        for (name, text) in
            [(".bashrc", "x"), (".XCompose", ""), (".config/htop/htoprc", "x"), (".cache/fontconfig/x", "x")]
        {
            assert_eq!(reader_of(name, text), None, "{name}");
        }
        let home = tempfile::tempdir().unwrap();
        fs::create_dir_all(home.path().join(".local/share/fonts")).unwrap();
        assert_eq!(reader(home.path()), None, "an empty folder");
    }

    #[test]
    fn a_shell_that_is_missing_is_found_in_either_terminals_configuration() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        write(home, "bin/own", "#!/bin/sh\n");
        fs::set_permissions(home.join("bin/own"), fs::Permissions::from_mode(0o755)).unwrap();
        let path = OsStr::new("/usr/bin:/bin");
        let missing = |terminal: &str, file: &str, text: &str| {
            write(home, file, text);
            missing_shell(terminal, home, path).map(|missing| missing.shell)
        };
        for (text, shell) in [
            ("shell=/usr/bin/no-such-shell\n", Some("/usr/bin/no-such-shell")),
            ("font=x\n[main]\nshell = no-such-shell --login\n", Some("no-such-shell")),
            ("shell=/bin/sh\n", None),
            ("shell=sh -l\n", None),
            ("shell=~/bin/own\n", None),
            ("shell=~/bin/other\n", Some("~/bin/other")),
            ("# shell=/x\n", None),
            ("[colors]\nshell=/x\n", None),
            ("shell=\n", None),
            ("", None),
        ] {
            assert_eq!(missing("foot", ".config/foot/foot.ini", text).as_deref(), shell, "{text:?}");
        }
        for (text, shell) in [
            ("font-size = 12\ncommand = /usr/bin/no-such-shell\n", Some("/usr/bin/no-such-shell")),
            ("command = \"direct:no-such-shell -l\"\n", Some("direct:no-such-shell")),
            ("command = shell:sh\n", None),
            ("initial-command = /x\n", Some("/x")),
        ] {
            let found = missing("ghostty", ".config/ghostty/config", text);
            assert_eq!(found.is_some(), shell.is_some(), "{text:?}: {found:?}");
        }
        assert_eq!(missing_shell("alacritty", home, path), None);
    }
}
