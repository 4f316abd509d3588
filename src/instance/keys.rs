//! The keys of one start of a VM: who the guest is, and who may come in. Made anew each time, so that a key that
//! leaked from one run opens no other. Files of the user's alone, in a folder of the user's alone.

use crate::error::Result;
use crate::folders::{self, os};
use crate::qemu::CREDENTIALS;
use anyhow::{Context, anyhow};
use ssh_key::rand_core::{OsRng, RngCore};
use ssh_key::{Algorithm, LineEnding, PrivateKey};
use std::fs;
use std::io::Write;
use std::path::Path;

/// The file of the key that opens sessions of the terminal's user, and of the one that opens root's.
pub const USER_KEY: &str = "user-key";
pub const ROOT_KEY: &str = "root-key";
/// The guest's public key, in the format of sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT".
pub const KNOWN_HOSTS: &str = "known_hosts";
/// By this name the guest's key is known.
pub const HOST_ALIAS: &str = "virtualghost";

/// Makes the three key pairs in `folder`: private ones for the host's side of a connection, and for the guest its own
/// private key and the two public ones.
pub fn make(folder: &Path) -> Result<()> {
    folders::create_private(folder)?;
    let pair =
        || PrivateKey::random(&mut OsRng, Algorithm::Ed25519).map_err(|e| anyhow!("can't make a key: {e}"));
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
        (host_key, secret(&guest)?),
        (authorized_user, public(&user)?),
        (authorized_root, public(&root)?),
    ] {
        let path = folder.join(name);
        os::create_new_private(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| format!("can't write {}", path.display()))?;
    }
    Ok(())
}

/// 256 bits of chance, as hexadecimal digits.
pub fn entropy() -> String {
    let mut bytes = [0; 32];
    OsRng.fill_bytes(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Removes what only the guest needs.
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
            make(&folder.path().join(start)).unwrap();
            for (private, public) in
                [(USER_KEY, CREDENTIALS[1]), (ROOT_KEY, CREDENTIALS[2]), (CREDENTIALS[0], KNOWN_HOSTS)]
            {
                let private = PrivateKey::from_openssh(read(start, private)).unwrap();
                let public = read(start, public);
                let public = public.trim().strip_prefix("virtualghost ").unwrap_or(public.trim());
                assert_eq!(private.public_key().to_openssh().unwrap(), public);
            }
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
        drop_guests(&folder.path().join("one"));
        assert!(!folder.path().join("one").join(CREDENTIALS[0]).exists());
        assert!(folder.path().join("one").join(USER_KEY).exists());
    }
}
