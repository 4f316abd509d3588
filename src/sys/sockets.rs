//! Private sockets in a folder of the user's: Unix only, where a path is as long as it likes to be and a socket's is not.

use super::os::short;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

/// Makes a socket that only this user can connect to, in the place of one that an earlier process left behind. Its folder must
/// be private, too.
///
/// # Errors
/// The folder is not there, or the path is too long (macOS).
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let (short, _folder) = short(path)?;
    let listener = UnixListener::bind(short)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// # Errors
/// Nobody listens there.
pub fn connect(path: &Path) -> io::Result<UnixStream> {
    let (short, _folder) = short(path)?;
    UnixStream::connect(short)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn a_socket_is_private_and_takes_the_place_of_one_that_was_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        drop(listen(&path).unwrap());
        let listener = listen(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        connect(&path).unwrap().write_all(b"x").unwrap();
        let mut text = String::new();
        listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
        assert_eq!(text, "x");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn its_path_may_be_longer_than_a_sockets_address() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a".repeat(200));
        fs::create_dir(&deep).unwrap();
        let _listener = listen(&deep.join("socket")).unwrap();
        connect(&deep.join("socket")).unwrap();
    }
}
