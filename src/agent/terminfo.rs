//! Which terminals this guest knows: those with an entry in terminfo(5).

use std::path::Path;

/// What most programs can draw on, and most terminals understand.
const FALLBACK: &str = "xterm-256color";
/// Where ncurses looks (terminfo(5), "Fetching compiled descriptions"), below the user's own.
const FOLDERS: [&str; 3] = ["/etc/terminfo", "/lib/terminfo", "/usr/share/terminfo"];

/// The value of TERM for a client whose terminal is `wanted`, and a line for the user if that is another one. `home` may
/// have entries of the user's own.
pub fn term(wanted: &str, home: &Path) -> (String, Option<String>) {
    let own = home.join(".terminfo");
    let is_known = |name: &str| FOLDERS.iter().map(Path::new).chain([&*own]).any(|folder| has(folder, name));
    if wanted.is_empty() || is_known(wanted) || !is_known(FALLBACK) {
        return (wanted.to_owned(), None);
    }
    let notice = format!("virtualghost: the guest has no terminal {wanted:?}, so TERM is {FALLBACK}\n");
    (FALLBACK.to_owned(), Some(notice))
}

fn has(folder: &Path, name: &str) -> bool {
    let first = name.chars().next().filter(|_| !name.contains('/'));
    first.is_some_and(|first| folder.join(first.to_string()).join(name).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_terminal_without_an_entry_is_replaced_with_a_notice() {
        let home = tempfile::tempdir().unwrap();
        let entries = home.path().join(".terminfo/x");
        fs::create_dir_all(&entries).unwrap();
        fs::write(entries.join(FALLBACK), "").unwrap();
        let of = |wanted: &str| term(wanted, home.path());
        assert_eq!(of(""), (String::new(), None));
        for wanted in ["xterm-of-mine", "x/../x", "x\x1b[2J"] {
            let (term, notice) = of(wanted);
            assert_eq!(term, FALLBACK, "{wanted:?}");
            assert!(!notice.unwrap().trim_end().contains(char::is_control), "{wanted:?}");
        }
        fs::write(entries.join("xterm-of-mine"), "").unwrap();
        assert_eq!(of("xterm-of-mine"), ("xterm-of-mine".to_owned(), None));
    }
}
