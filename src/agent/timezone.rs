//! The time zone: a link into the tz database, as localtime(5) describes it.

use super::status;
use crate::protocol::TIMEZONE;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

/// The argument that makes this program set the time zone of the kernel's command line.
pub const COMMAND: &str = "timezone";

pub fn from_kernel_cmdline() -> io::Result<()> {
    let cmdline = fs::read_to_string("/proc/cmdline")?;
    let zone = cmdline.split_whitespace().find_map(|word| word.strip_prefix(TIMEZONE)?.strip_prefix('='));
    zone.map_or(Ok(()), set)
}

/// A zone that this image does not have is reported to the host, and the guest stays in UTC.
pub fn set(zone: &str) -> io::Result<()> {
    if set_in(Path::new("/"), zone)? {
        return Ok(());
    }
    let message = format!("this image does not have the time zone {zone}, so the guest is in UTC");
    status::report(["notice".to_owned(), message].into_iter())
}

/// Whether the zone exists in the system at `root` and is set.
fn set_in(root: &Path, zone: &str) -> io::Result<bool> {
    let is_name = zone.split('/').all(|part| !part.is_empty() && !part.starts_with('.'));
    if !is_name || !root.join("usr/share/zoneinfo").join(zone).is_file() {
        return Ok(false);
    }
    let (localtime, new) = (root.join("etc/localtime"), root.join("etc/.localtime.new"));
    let _ = fs::remove_file(&new);
    symlink(Path::new("../usr/share/zoneinfo").join(zone), &new)?;
    fs::rename(&new, &localtime)?;
    // For programs that read Debian's file.
    let name = root.join("etc/timezone");
    if name.exists() {
        fs::write(name, format!("{zone}\n"))?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_that_the_image_has_is_linked_and_another_changes_nothing() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        fs::create_dir_all(root.join("usr/share/zoneinfo/Europe")).unwrap();
        fs::create_dir(root.join("etc")).unwrap();
        fs::write(root.join("usr/share/zoneinfo/Europe/Berlin"), "TZif").unwrap();
        fs::write(root.join("etc/timezone"), "Etc/UTC\n").unwrap();
        symlink("/usr/share/zoneinfo/Etc/UTC", root.join("etc/localtime")).unwrap();
        for unknown in ["", "Europe", "Mars/Olympus", "../../../etc/timezone", "/etc/timezone"] {
            assert!(!set_in(root, unknown).unwrap(), "{unknown}");
            assert_eq!(
                fs::read_link(root.join("etc/localtime")).unwrap(),
                Path::new("/usr/share/zoneinfo/Etc/UTC")
            );
        }
        assert!(set_in(root, "Europe/Berlin").unwrap());
        assert_eq!(fs::read_to_string(root.join("etc/localtime")).unwrap(), "TZif");
        assert_eq!(fs::read_to_string(root.join("etc/timezone")).unwrap(), "Europe/Berlin\n");
    }
}
