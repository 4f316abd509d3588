//! The line that `ls -l` of an SFTP client shows: version 3 has the server write it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::libc;
use nix::unistd::{Gid, Group, Uid, User};

/// A file older than this shows its year instead of the hour, as with ls(1).
const RECENT: Duration = Duration::from_secs(182 * 24 * 3600);

/// The names of users and groups, each looked up once.
#[derive(Default)]
pub struct Names {
    users: HashMap<u32, String>,
    groups: HashMap<u32, String>,
}

impl Names {
    pub fn long_line(&mut self, name: &OsStr, found: &Metadata) -> Vec<u8> {
        let user = self.users.entry(found.uid()).or_insert_with_key(|&uid| {
            let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
            user.map_or_else(|| uid.to_string(), |user| user.name)
        });
        let group = self.groups.entry(found.gid()).or_insert_with_key(|&gid| {
            let group = Group::from_gid(Gid::from_raw(gid)).ok().flatten();
            group.map_or_else(|| gid.to_string(), |group| group.name)
        });
        let mode = mode_text(found.mode());
        let (links, size, date) = (found.nlink(), found.size(), date(found.mtime()));
        let mut line = format!("{mode} {links:>4} {user:<8} {group:<8} {size:>8} {date} ").into_bytes();
        line.extend(name.as_bytes());
        line
    }
}

/// `drwxr-xr-x`
fn mode_text(mode: u32) -> String {
    let kind = match mode & libc::S_IFMT {
        libc::S_IFDIR => 'd',
        libc::S_IFLNK => 'l',
        libc::S_IFBLK => 'b',
        libc::S_IFCHR => 'c',
        libc::S_IFIFO => 'p',
        libc::S_IFSOCK => 's',
        _ => '-',
    };
    let mut text = String::from(kind);
    for (shift, special, letter) in
        [(6, libc::S_ISUID, 's'), (3, libc::S_ISGID, 's'), (0, libc::S_ISVTX, 't')]
    {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (mode & special != 0, bits & 1 != 0) {
            (false, false) => '-',
            (false, true) => 'x',
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
        });
    }
    text
}

/// The local date in twelve columns.
fn date(seconds: i64) -> String {
    let age = SystemTime::now().duration_since(UNIX_EPOCH + Duration::from_secs(seconds.max(0) as u64));
    let format = if age.is_ok_and(|age| age < RECENT) { c"%b %e %H:%M" } else { c"%b %e  %Y" };
    let mut text = [0u8; 32];
    // SAFETY: localtime_r fills `time`, and strftime writes at most the length it is given.
    let length = unsafe {
        let mut time: libc::tm = std::mem::zeroed();
        if libc::localtime_r(&seconds, &mut time).is_null() {
            return seconds.to_string();
        }
        libc::strftime(text.as_mut_ptr().cast(), text.len(), format.as_ptr(), &time)
    };
    String::from_utf8_lossy(&text[..length]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::mode_text;

    #[test]
    fn modes_read_as_ls_writes_them() {
        assert_eq!(mode_text(0o040755), "drwxr-xr-x");
        assert_eq!(mode_text(0o104755), "-rwsr-xr-x");
        assert_eq!(mode_text(0o041776), "drwxrwxrwT");
        assert_eq!(mode_text(0o120777), "lrwxrwxrwx");
    }
}
