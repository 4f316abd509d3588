//! Installs the configuration for all VMs in the user's own configuration of OpenSSH: one line at its top, where it counts
//! for every host. Nothing else in that file changes.

use crate::error::{Error, Result};
use crate::sys::files;
use anyhow::Context;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

const COMMENT: &[u8] = b"# The VMs of VirtualGhost: ssh vg-NAME\n";
/// More than any file that a person has written.
const MAX_LINKS: usize = 40;

/// Adds `line` to the top of the file at `path`, unless it counts there already, and creates the file if needed. Returns
/// whether it was written. A link stays a link.
///
/// # Errors
/// The file can't be read or written.
pub fn install(path: &Path, line: &[u8]) -> Result<bool> {
    let cannot = |what| format!("can't {what} {}", path.display());
    let target = followed(path).with_context(|| cannot("read"))?;
    let (old, permissions) = match fs::read(&target) {
        Ok(old) => {
            let found = fs::metadata(&target).with_context(|| cannot("read"))?;
            (old, Some(found.permissions()))
        }
        Err(e) if e.kind() == ErrorKind::NotFound => (Vec::new(), None),
        Err(e) => return Err(anyhow::Error::new(e).context(cannot("read")).into()),
    };
    if counts(&old, line) {
        return Ok(false);
    }
    let folder = target.parent().ok_or_else(|| Error::bad_input(cannot("write")))?;
    files::make_folder(folder).with_context(|| format!("can't create the folder {}", folder.display()))?;
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let new = folder.join(format!(".{name}.virtualghost-{}", std::process::id()));
    let write = || {
        let mut file = files::create_new_private(&new)?;
        file.write_all(COMMENT)?;
        file.write_all(line)?;
        file.write_all(if old.is_empty() { b"\n" } else { b"\n\n" })?;
        file.write_all(&old)?;
        if let Some(permissions) = permissions {
            file.set_permissions(permissions)?;
        }
        file.sync_all()?;
        // Another program's change in between must not be lost.
        if fs::read(&target).unwrap_or_default() != old {
            return Err(io::Error::other("another program has changed it meanwhile"));
        }
        files::rename(&new, &target)
    };
    let written = write().with_context(|| cannot("write"));
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written?;
    Ok(true)
}

/// Where the links end that begin at `path`; the last may point to nothing.
fn followed(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_symlink() => {
                let target = fs::read_link(&path)?;
                path = path.parent().map_or(target.clone(), |folder| folder.join(&target));
            }
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
            _ => return Ok(path),
        }
    }
    Err(io::Error::other("too many links"))
}

/// Whether `line` is in a part of the configuration that counts for every host: before its first block, or in one for all.
fn counts(text: &[u8], line: &[u8]) -> bool {
    let mut is_for_all = true;
    for found in text.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii) {
        let is_separator = |byte: &u8| byte.is_ascii_whitespace() || *byte == b'=';
        let mut words = found.split(is_separator).filter(|word| !word.is_empty());
        let (keyword, first, more) = (words.next().unwrap_or_default(), words.next(), words.next());
        if keyword.eq_ignore_ascii_case(b"host") {
            is_for_all = first == Some(b"*") && more.is_none();
        } else if keyword.eq_ignore_ascii_case(b"match") {
            is_for_all = first.is_some_and(|word| word.eq_ignore_ascii_case(b"all")) && more.is_none();
        } else if is_for_all && found == line {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &[u8] = b"Include \"/state/vms/*/ssh-config\"";

    #[test]
    fn the_line_is_written_once_before_everything_of_the_users() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/config");
        assert!(install(&path, LINE).unwrap());
        assert!(!install(&path, LINE).unwrap(), "twice");
        let own = b"\xff no text\r\nHost a\n  User b";
        fs::write(&path, own).unwrap();
        assert!(install(&path, LINE).unwrap());
        let text = fs::read(&path).unwrap();
        assert_eq!(text, [COMMENT, LINE, b"\n\n", own].concat());
        assert!(!install(&path, LINE).unwrap(), "twice");
        assert_eq!(fs::read_dir(folder.path().join("new")).unwrap().count(), 1);
    }

    #[test]
    fn a_line_counts_only_outside_of_blocks_for_some_hosts() {
        let is_there = |before: &str| counts(&[before.as_bytes(), LINE, b"\n"].concat(), LINE);
        assert!(
            is_there("")
                && is_there("User x\n  ")
                && is_there("Host a\nHost *\n\t")
                && is_there("match ALL\n")
        );
        assert!(
            !is_there("Host a\n") && !is_there("host=a\n") && !is_there("Host * !b\n") && !is_there("# ")
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link_and_a_mode_stays_a_mode() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let (link, target) = (folder.path().join("config"), folder.path().join("dotfiles/ssh"));
        fs::create_dir(folder.path().join("dotfiles")).unwrap();
        symlink("dotfiles/ssh", &link).unwrap();
        let mode = || fs::metadata(&target).unwrap().permissions().mode() & 0o777;
        assert!(install(&link, LINE).unwrap());
        assert_eq!(mode(), 0o600, "a new file");
        fs::write(&target, "Host a\n").unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(install(&link, LINE).unwrap());
        assert_eq!(mode(), 0o644);
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("dotfiles/ssh"));
    }
}
