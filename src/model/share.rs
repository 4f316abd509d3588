//! Folders of the host in a VM: the words of the setting `shares`, and where each is in the guest.

use super::units::Invalid;
use serde::Deserialize;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// What the guest may do with a folder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ShareAccess {
    #[default]
    Write,
    Read,
    /// It works on a copy, and what it changes there is brought into the folder on request.
    Copy,
}

impl ShareAccess {
    /// What is typed behind a folder, without its colon.
    pub fn word(self) -> &'static str {
        match self {
            Self::Write => "rw",
            Self::Read => "ro",
            Self::Copy => "copy",
        }
    }
}

/// Where something is in the guest: an absolute path, without `.`, `..` and empty names. Its bytes need not be text.
#[derive(Clone, PartialEq, Eq)]
pub struct GuestPath(OsString);

/// The guest's own software and devices: nothing of the host is in these folders.
const SYSTEM: [&str; 12] =
    ["/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/proc", "/run", "/sbin", "/sys", "/usr"];
/// Folders of the guest that something of the host may be in, but not in their place.
const IN_USE: [&str; 7] = ["/home/ghost", "/root", "/tmp", "/var/cache", "/var/lib", "/var/log", "/var/tmp"];

impl GuestPath {
    /// # Errors
    /// It is not absolute, or has `.` or `..` in it.
    pub fn new(path: &OsStr) -> Result<Self, Invalid> {
        let bytes = path.as_encoded_bytes();
        let parts = || bytes.split(|&byte| byte == b'/').filter(|part| !part.is_empty());
        if bytes.first() != Some(&b'/') || parts().any(|part| part == b"." || part == b"..") {
            return Err(Invalid(format!(
                "a folder in the VM is an absolute path without . and .., not {:?}",
                path.display().to_string()
            )));
        }
        let mut normal = OsString::new();
        for part in parts() {
            normal.push("/");
            // SAFETY: the bytes of an OsStr, split at an ASCII character.
            normal.push(unsafe { OsStr::from_encoded_bytes_unchecked(part) });
        }
        Ok(Self(if normal.is_empty() { "/".into() } else { normal }))
    }

    pub fn as_os_str(&self) -> &OsStr {
        &self.0
    }

    /// Whether this is `other`, or a folder in it.
    pub fn is_in(&self, other: &Self) -> bool {
        let (own, other) = (self.0.as_encoded_bytes(), other.0.as_encoded_bytes());
        own.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest[0] == b'/' || other == b"/")
    }

    /// The folder of the guest's system for which nothing can be mounted here, if there is one.
    pub fn obstacle(&self) -> Option<&'static str> {
        let of = |text: &&'static str| Self(OsString::from(text));
        let inside = SYSTEM.iter().find(|system| self.is_in(&of(system)));
        inside.or_else(|| SYSTEM.iter().chain(&IN_USE).find(|used| of(used).is_in(self))).copied()
    }
}

impl fmt::Debug for GuestPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for GuestPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

/// A folder as it is written: `DIR[:ro|:rw|:copy][=PATH_IN_GUEST]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    pub folder: PathBuf,
    pub access: ShareAccess,
    /// The same path as on the host if there is none.
    pub place: Option<GuestPath>,
}

impl Share {
    /// The last `=` before a `/` separates the path in the guest, so that both paths may contain an `=`.
    ///
    /// # Errors
    /// There is no folder, or the path in the guest is none.
    pub fn parse(text: &OsStr) -> Result<Self, Invalid> {
        let bytes = text.as_encoded_bytes();
        // SAFETY: here and below, the bytes of an OsStr, split at ASCII characters.
        let part = |bytes: &[u8]| unsafe { OsStr::from_encoded_bytes_unchecked(bytes) }.to_owned();
        let (folder, place) = match bytes.windows(2).rposition(|pair| pair == b"=/") {
            Some(at) => (&bytes[..at], Some(GuestPath::new(&part(&bytes[at + 1..]))?)),
            None => (bytes, None),
        };
        let words = [ShareAccess::Read, ShareAccess::Write, ShareAccess::Copy];
        let ended = words.iter().find_map(|access| {
            let folder = folder.strip_suffix(access.word().as_bytes())?.strip_suffix(b":")?;
            Some((folder, *access))
        });
        let (folder, access) = ended.unwrap_or((folder, ShareAccess::Write));
        if folder.is_empty() {
            return Err(Invalid(format!(
                "a share is DIR, DIR:ro, DIR:copy or DIR=PATH_IN_VM, not {:?}",
                text.display().to_string()
            )));
        }
        Ok(Self { folder: part(folder).into(), access, place })
    }

    /// A relative path is in `base`. `~` stays.
    #[must_use]
    pub fn anchored(self, base: &Path) -> Self {
        let folder = if self.folder.starts_with("~") { self.folder } else { base.join(&self.folder) };
        Self { folder, ..self }
    }
}

impl FromStr for Share {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::parse(text.as_ref())
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.folder.display(), self.access.word())?;
        self.place.as_ref().map_or(Ok(()), |place| write!(f, "={place}"))
    }
}

/// The folders of the setting `shares`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct Shares(pub Vec<Share>);

impl TryFrom<Vec<String>> for Shares {
    type Error = Invalid;
    fn try_from(list: Vec<String>) -> Result<Self, Invalid> {
        list.iter().map(|text| text.parse()).collect::<Result<_, _>>().map(Self)
    }
}

/// Separated by commas.
impl FromStr for Shares {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        text.split(',').map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<_> = self.0.iter().map(Share::to_string).collect();
        f.write_str(if all.is_empty() { "none" } else { "" })?;
        f.write_str(&all.join(","))
    }
}

/// A folder of the host that was found, and where it is in the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedFolder {
    /// Without links.
    pub folder: PathBuf,
    pub access: ShareAccess,
    pub place: GuestPath,
}

impl fmt::Display for SharedFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.folder.display(), self.access.word())?;
        if self.folder.as_os_str() == self.place.as_os_str() { Ok(()) } else { write!(f, "={}", self.place) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> GuestPath {
        GuestPath::new(text.as_ref()).unwrap()
    }

    #[test]
    fn a_share_is_a_folder_its_access_and_its_place() {
        for (text, folder, access, place) in [
            ("/a", "/a", ShareAccess::Write, None),
            ("a:ro", "a", ShareAccess::Read, None),
            ("/a:rw", "/a", ShareAccess::Write, None),
            ("/a:ro:rw", "/a:ro", ShareAccess::Write, None),
            ("/a=b", "/a=b", ShareAccess::Write, None),
            ("/a=/b", "/a", ShareAccess::Write, Some("/b")),
            ("/a=/x:ro=/b//c/", "/a=/x", ShareAccess::Read, Some("/b/c")),
            ("/a:ro=/", "/a", ShareAccess::Read, Some("/")),
            ("/a:copy=/b", "/a", ShareAccess::Copy, Some("/b")),
        ] {
            let share: Share = text.parse().unwrap();
            assert_eq!((share.folder.to_str().unwrap(), share.access), (folder, access), "{text}");
            assert_eq!(share.place.map(|place| place.to_string()).as_deref(), place, "{text}");
        }
        for bad in ["", ":ro", "=/b", ":rw=/b", "/a=/b/../c", "/a=/./b"] {
            assert!(bad.parse::<Share>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_path_in_the_guest_leaves_its_system_alone() {
        for (path, obstacle) in [
            ("/", Some("/bin")),
            ("/home", Some("/home/ghost")),
            ("/home/ghost", Some("/home/ghost")),
            ("/var", Some("/var/cache")),
            ("/etc", Some("/etc")),
            ("/usr/src", Some("/usr")),
            ("/run/x", Some("/run")),
            ("/var/lib", Some("/var/lib")),
            ("/home/ghost/x", None),
            ("/srv/anna/src", None),
            ("/tmp/x", None),
            ("/etcetera", None),
            ("/mnt", None),
            ("/work/anna", None),
        ] {
            assert_eq!(place(path).obstacle(), obstacle, "{path}");
        }
    }

    #[test]
    fn a_path_is_in_another_by_its_names() {
        assert!(place("/a/b").is_in(&place("/a")) && place("/a").is_in(&place("/a")));
        assert!(place("/a").is_in(&place("/")));
        assert!(!place("/ab").is_in(&place("/a")) && !place("/a").is_in(&place("/a/b")));
    }

    #[test]
    fn a_relative_folder_is_in_that_of_the_configuration() {
        let of = |text: &str| text.parse::<Share>().unwrap().anchored("/etc".as_ref()).folder;
        assert_eq!(of("src"), Path::new("/etc/src"));
        assert_eq!(of("/src"), Path::new("/src"));
        assert_eq!(of("~a"), Path::new("/etc/~a"));
        assert_eq!(of("~/src"), Path::new("~/src"));
    }

    #[cfg(unix)]
    #[test]
    fn names_need_not_be_text() {
        use std::os::unix::ffi::OsStrExt;
        let share = Share::parse(OsStr::from_bytes(b"/\xff:ro=/\xfe")).unwrap();
        assert_eq!(share.folder.as_os_str().as_bytes(), b"/\xff");
        assert_eq!(share.place.unwrap().as_os_str().as_bytes(), b"/\xfe");
    }
}
