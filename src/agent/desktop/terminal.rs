//! Which terminal runs: the one that the kernel's command line names, else the image's own.

use super::home::is_program;
use crate::protocol::TERMINAL;
use std::ffi::OsStr;
use std::path::Path;

#[derive(Debug, PartialEq, Eq)]
pub enum Terminal {
    /// The image's own.
    Own,
    /// A program and its arguments.
    Words(Vec<String>),
    /// The command whose program is not in this machine.
    Missing(String),
}

/// `scripts`: the folder of the image's start scripts, by the name of the terminal. `path`: as of the variable PATH.
pub fn terminal(cmdline: &str, scripts: &Path, home: &Path, path: &OsStr) -> Terminal {
    let Some(wanted) = parameter(cmdline) else { return Terminal::Own };
    let script = scripts.join(wanted);
    if script.is_file() {
        return Terminal::Words(vec![text(&script)]);
    }
    let mut words: Vec<String> = wanted.split_whitespace().map(str::to_owned).collect();
    match words.first_mut() {
        Some(program) if is_program(program, home, path) => {
            if let Some(in_home) = program.strip_prefix("~/") {
                *program = text(&home.join(in_home));
            }
            Terminal::Words(words)
        }
        _ => Terminal::Missing(wanted.to_owned()),
    }
}

/// The value of the kernel parameter, which is in double quotes.
fn parameter(cmdline: &str) -> Option<&str> {
    let (_, after) = cmdline.split_once(&format!(" {TERMINAL}=\""))?;
    Some(after.split_once('"')?.0)
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_kernels_command_line_names_a_script_a_program_or_nothing() {
        let machine = tempfile::tempdir().unwrap();
        let [scripts, home, bin] = ["terminals", "home", "bin"].map(|name| machine.path().join(name));
        for program in [scripts.join("foot"), home.join("own/term"), bin.join("kitty")] {
            fs::create_dir_all(program.parent().unwrap()).unwrap();
            fs::write(&program, "#!/bin/sh\n").unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let words = |words: &[&str]| Terminal::Words(words.iter().map(|word| (*word).to_owned()).collect());
        let (script, own) = (text(&scripts.join("foot")), text(&home.join("own/term")));
        for (parameter, found) in [
            ("rw", Terminal::Own),
            ("virtualghost.terminal=foot", Terminal::Own),
            ("virtualghost.terminal=\"foot\" quiet\n", words(&[&script])),
            ("virtualghost.terminal=\"kitty -o a=b\"\n", words(&["kitty", "-o", "a=b"])),
            ("virtualghost.terminal=\"~/own/term -x\"", words(&[&own, "-x"])),
            ("virtualghost.terminal=\"ghostty\"", Terminal::Missing("ghostty".to_owned())),
            ("virtualghost.terminal=\"~/none -x\"", Terminal::Missing("~/none -x".to_owned())),
        ] {
            let cmdline = format!("root=/dev/vda {parameter}");
            assert_eq!(terminal(&cmdline, &scripts, &home, bin.as_os_str()), found, "{cmdline}");
        }
    }
}
