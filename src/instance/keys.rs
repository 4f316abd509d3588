//! The SSH keys of one start of a VM: the guest's host key, and the keys for logging in. New at each start, so that a leaked
//! key opens no later run. Private files in a private folder.

use crate::error::Result;
use crate::protocol::CREDENTIALS;
use crate::sys::files;
use anyhow::{Context, anyhow};
use ssh_key::rand_core::{OsRng, RngCore};
use ssh_key::{Algorithm, LineEnding, PrivateKey};
use std::fs;
use std::io::Write;
use std::path::Path;

/// The key files for sessions of the terminal's user and of root.
pub const USER_KEY: &str = "user-key";
pub const ROOT_KEY: &str = "root-key";
/// The guest's public key, in the format of sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT".
pub const KNOWN_HOSTS: &str = "known_hosts";
/// The guest's name in the known hosts.
pub const HOST_ALIAS: &str = "virtualghost";

/// What the guest gets: a name of [`CREDENTIALS`] and its content each.
pub type Credentials = Vec<(String, String)>;

/// Makes three key pairs. In `folder` are the two private keys to log in with; the guest's private key and the two public
/// keys are returned.
pub fn make(folder: &Path) -> Result<Credentials> {
    files::create_private(folder)?;
    let pair =
        || PrivateKey::random(&mut OsRng, Algorithm::Ed25519).map_err(|e| anyhow!("can't create a key: {e}"));
    let (guest, user, root) = (pair()?, pair()?, pair()?);
    let secret = |key: &PrivateKey| {
        key.to_openssh(LineEnding::LF)
            .map(|text| text.to_string())
            .map_err(|e| anyhow!("can't write a key: {e}"))
    };
    let public = |key: &PrivateKey| {
        key.public_key()
            .to_openssh()
            .map(|text| format!("{text}\n"))
            .map_err(|e| anyhow!("can't write a key: {e}"))
    };
    let [host_key, authorized_user, authorized_root] = CREDENTIALS;
    for (name, text) in [
        (USER_KEY, secret(&user)?),
        (ROOT_KEY, secret(&root)?),
        (KNOWN_HOSTS, format!("{HOST_ALIAS} {}", public(&guest)?)),
    ] {
        write(folder, name, &text)?;
    }
    let guests =
        [(host_key, secret(&guest)?), (authorized_user, public(&user)?), (authorized_root, public(&root)?)];
    Ok(guests.map(|(name, text)| (name.to_owned(), text)).into())
}

/// For a system where a new process inherits no descriptors.
pub fn write_guests(folder: &Path, guests: &Credentials) -> Result<()> {
    guests.iter().try_for_each(|(name, text)| write(folder, name, text))
}

fn write(folder: &Path, name: &str, text: &str) -> Result<()> {
    let path = folder.join(name);
    Ok(files::create_new_private(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("can't write {}", path.display()))?)
}

/// 256 random bits as hexadecimal digits.
pub fn entropy() -> String {
    let mut bytes = [0; 32];
    OsRng.fill_bytes(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// 64 random bits.
pub fn random() -> u64 {
    OsRng.next_u64()
}

/// Removes the files that only the guest needs.
pub fn drop_guests(folder: &Path) {
    for name in CREDENTIALS {
        let _ = fs::remove_file(folder.join(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_start_has_keys_of_its_own_that_fit_each_other_and_are_the_users_alone() {
        let folder = tempfile::tempdir().unwrap();
        let read =
            |start: &str, name: &str| fs::read_to_string(folder.path().join(start).join(name)).unwrap();
        for start in ["one", "two"] {
            let guests = make(&folder.path().join(start)).unwrap();
            let guests: Vec<_> = guests.iter().map(|(_, text)| text.clone()).collect();
            let [guest, authorized_user, authorized_root] = &guests[..] else { panic!("{}", guests.len()) };
            for (private, public) in [
                (&read(start, USER_KEY), authorized_user),
                (&read(start, ROOT_KEY), authorized_root),
                (guest, &read(start, KNOWN_HOSTS)),
            ] {
                let private = PrivateKey::from_openssh(private).unwrap();
                let public = public.trim().strip_prefix("virtualghost ").unwrap_or(public.trim());
                assert_eq!(private.public_key().to_openssh().unwrap(), public);
            }
            let files = fs::read_dir(folder.path().join(start)).unwrap().count();
            assert_eq!(files, 3, "the guest's keys are in no file");
        }
        for name in [USER_KEY, ROOT_KEY, KNOWN_HOSTS] {
            assert_ne!(read("one", name), read("two", name));
        }
        assert_ne!(read("one", USER_KEY), read("one", ROOT_KEY));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(&folder.path().join("one")), 0o700);
            assert_eq!(mode(&folder.path().join("one").join(USER_KEY)), 0o600);
        }
        let one = folder.path().join("one");
        write_guests(&one, &vec![(CREDENTIALS[0].to_owned(), "x".to_owned())]).unwrap();
        drop_guests(&one);
        assert!(!one.join(CREDENTIALS[0]).exists() && one.join(USER_KEY).exists());
    }
}
