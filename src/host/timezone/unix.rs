//! Unix: the link /etc/localtime, by which all systems have named the zone for years (localtime(5)); /etc/timezone where that
//! is a file.

use super::{HostTimezone, name_in_path};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The tz database of Linux; macOS has a link to its own here.
const ZONEINFO: &str = "/usr/share/zoneinfo";

/// Whether the system has this zone. One without a database may.
pub fn is_zone(name: &str) -> bool {
    let zoneinfo = Path::new(ZONEINFO);
    !zoneinfo.is_dir() || zoneinfo.join(name).is_file()
}

pub fn system() -> Result<HostTimezone, String> {
    in_root(Path::new("/"))
}

fn in_root(root: &Path) -> Result<HostTimezone, String> {
    const LOCALTIME: &str = "/etc/localtime";
    const NAME: &str = "/etc/timezone";
    let localtime = root.join(&LOCALTIME[1..]);
    if let Some(name) = linked_zone(localtime.clone()) {
        return HostTimezone::new(&name, LOCALTIME);
    }
    match fs::metadata(&localtime) {
        Err(e) if e.kind() == ErrorKind::NotFound => {
            return Err(format!("there is no {LOCALTIME}, so this machine is in UTC"));
        }
        Err(e) => return Err(format!("can't read {LOCALTIME}: {e}")),
        Ok(_) => (),
    }
    match fs::read_to_string(root.join(&NAME[1..])) {
        Ok(text) => HostTimezone::new(text.trim(), NAME),
        Err(_) => Err(format!("{LOCALTIME} is no link to a time zone, and there is no {NAME}")),
    }
}

/// Follows the links one by one: the first one into a tz database has the name that was chosen, and what that links to may
/// have another.
fn linked_zone(mut path: PathBuf) -> Option<String> {
    const LINKS: usize = 8;
    for _ in 0..LINKS {
        let target = fs::read_link(&path).ok()?;
        if let Some(name) = target.to_str().and_then(name_in_path) {
            return Some(name.to_owned());
        }
        path = path.parent()?.join(target);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A root whose /etc has these links (a pair with a target) and files.
    fn root(links: &[(&str, &str)], files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let etc = root.path().join("etc");
        fs::create_dir(&etc).unwrap();
        links.iter().for_each(|(name, target)| symlink(target, etc.join(name)).unwrap());
        files.iter().for_each(|(name, text)| fs::write(etc.join(name), text).unwrap());
        root
    }

    fn found(root: &tempfile::TempDir) -> Result<(String, String), String> {
        in_root(root.path()).map(|found| (found.zone.to_string(), found.found_in))
    }

    #[test]
    fn the_link_names_the_zone_before_the_file_does() {
        let old = [("timezone", "Asia/Tokyo\n")];
        for target in [
            "/usr/share/zoneinfo/Europe/Berlin",
            "../usr/share/zoneinfo/Europe/Berlin",
            "/var/db/timezone/zoneinfo/Europe/Berlin",
            "/usr/share/zoneinfo/posix/Europe/Berlin",
        ] {
            let is = found(&root(&[("localtime", target)], &old)).unwrap();
            assert_eq!(is, ("Europe/Berlin".to_owned(), "/etc/localtime".to_owned()), "{target}");
        }
        let chain = root(&[("localtime", "static"), ("static", "/etc/zoneinfo/Asia/Kolkata")], &[]);
        assert_eq!(found(&chain).unwrap().0, "Asia/Kolkata");
    }

    #[test]
    fn a_zone_without_a_link_is_named_by_etc_timezone() {
        let copied = root(&[], &[("localtime", "TZif"), ("timezone", "Asia/Tokyo\n")]);
        assert_eq!(found(&copied).unwrap(), ("Asia/Tokyo".to_owned(), "/etc/timezone".to_owned()));
    }

    #[test]
    fn a_zone_without_a_name_is_an_error_with_its_reason() {
        for (root, because) in [
            (root(&[], &[]), "UTC"),
            (root(&[], &[("timezone", "Asia/Tokyo")]), "UTC"),
            (root(&[], &[("localtime", "TZif")]), "/etc/timezone"),
            (root(&[], &[("localtime", "TZif"), ("timezone", "../../etc/passwd\n")]), "/etc/timezone"),
            (root(&[("localtime", "localtime")], &[]), "/etc/localtime"),
            (root(&[("localtime", "/usr/share/zoneinfo/a b")], &[]), "/etc/localtime"),
        ] {
            let error = found(&root).unwrap_err();
            assert!(error.contains(because), "{error}");
        }
    }
}
