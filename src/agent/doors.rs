//! What the user has opened of the host to this machine: folders, and the name for git's commits.

use super::shares;
use crate::protocol::{DOORS, Doors, GitIdentity};
use std::fs;
use std::io;
use std::path::Path;

/// The argument that makes this program open what the credential lists.
pub const COMMAND: &str = "doors";

/// Where systemd puts the credentials of the machine (systemd.exec(5)).
const CREDENTIALS: &str = "/run/credentials/@system";
const RUNTIME: &str = "/run/virtualghost";
/// The image's /etc/gitconfig includes it.
const GIT: &str = "/run/virtualghost/gitconfig";

/// # Errors
/// The credential is no list, or the host can't be reached.
pub fn of_credential() -> io::Result<()> {
    let text = fs::read_to_string(Path::new(CREDENTIALS).join(DOORS))?;
    open(&serde_json::from_str(&text)?)
}

/// # Errors
/// The host can't be reached.
pub fn open(doors: &Doors) -> io::Result<()> {
    fs::create_dir_all(RUNTIME)?;
    if let Some(identity) = &doors.git {
        fs::write(GIT, git_config(identity))?;
    }
    shares::mount_all(doors)
}

/// As git reads it (git-config(1), "Syntax").
fn git_config(GitIdentity { name, email }: &GitIdentity) -> String {
    let quoted = |text: &str| {
        let text = text.replace('\\', "\\\\").replace('"', "\\\"");
        format!("\"{}\"", text.replace(char::is_control, " "))
    };
    format!("[user]\n\tname = {}\n\temail = {}\n", quoted(name), quoted(email))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn git_reads_any_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        for name in ["Ann Example", "O\"Neil \\ # ; [x]", "  Zo\u{eb} "] {
            let identity = GitIdentity { name: name.to_owned(), email: "a@example.com".to_owned() };
            fs::write(&file, git_config(&identity)).unwrap();
            let git = |key: &str| {
                let output =
                    Command::new("git").args(["config", "-f"]).arg(&file).args(["--get", key]).output();
                String::from_utf8(output.unwrap().stdout).unwrap()
            };
            assert_eq!(
                (git("user.name"), git("user.email")),
                (format!("{name}\n"), "a@example.com\n".into())
            );
        }
        let broken = GitIdentity { name: "a\n[core]\nx=y".to_owned(), email: String::new() };
        assert!(git_config(&broken).starts_with("[user]\n\tname = \"a [core] x=y\"\n"));
    }
}
