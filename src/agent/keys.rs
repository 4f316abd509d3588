//! The keys of this start of the VM, handed over by the host as systemd credentials: who the server is, and
//! which public keys open sessions of whom.

use crate::protocol::{AUTHORIZED_ROOT, AUTHORIZED_USER, HOST_KEY};
use std::io;
use std::path::Path;

use russh::keys::{Algorithm, PrivateKey, PublicKey};

/// The server's identity, and for each of the two users the keys that may act for it.
#[derive(Debug)]
pub struct Keys {
    pub host: PrivateKey,
    allowed: [(String, Vec<PublicKey>); 2],
}

impl Keys {
    /// Reads the credentials in `folder`.
    pub fn load(folder: &Path, user: &str) -> io::Result<Self> {
        let read = |name: &str| {
            let path = folder.join(name);
            let text = std::fs::read_to_string(&path)
                .map_err(|e| refuse(format!("the credential {} can't be read: {e}", path.display())))?;
            Ok::<_, io::Error>((path, text))
        };
        let (path, text) = read(HOST_KEY)?;
        let host = PrivateKey::from_openssh(text.trim_end())
            .ok()
            .filter(|key| !key.is_encrypted() && key.algorithm() == Algorithm::Ed25519)
            .ok_or_else(|| refuse(format!("{} is no plain OpenSSH ed25519 private key", path.display())))?;
        let authorized = |name: &str| {
            let (path, text) = read(name)?;
            public_keys(&text).map_err(|line| {
                refuse(format!("{}: line {line} is no OpenSSH ed25519 public key", path.display()))
            })
        };
        let allowed = [
            (user.to_owned(), authorized(AUTHORIZED_USER)?),
            ("root".to_owned(), authorized(AUTHORIZED_ROOT)?),
        ];
        Ok(Self { host, allowed })
    }

    /// Whether the holder of `key` may act as `user`. The name and the key must fit each other.
    pub fn admit(&self, user: &str, key: &PublicKey) -> bool {
        self.allowed
            .iter()
            .any(|(name, keys)| name == user && keys.iter().any(|k| k.key_data() == key.key_data()))
    }
}

fn refuse(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// One key per line, at least one; blank lines and comments are allowed. The error is the number of the line that
/// is wrong. Options before a key are refused, not ignored: they would promise a restriction nobody enforces.
fn public_keys(text: &str) -> Result<Vec<PublicKey>, usize> {
    let mut keys = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let key = PublicKey::from_openssh(line).map_err(|_| number)?;
        if key.algorithm() != Algorithm::Ed25519 {
            return Err(number);
        }
        keys.push(key);
    }
    if keys.is_empty() { Err(1) } else { Ok(keys) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::public_keys;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIN76zuqnjypL54/w4763l7q1Sn3IBYHptJ5wcYfEWkzy a";

    #[test]
    fn comments_and_blank_lines_are_no_keys() {
        assert_eq!(public_keys(&format!("# who\n\n{KEY}\n  {KEY}\r\n")).unwrap().len(), 2);
        assert_eq!(public_keys("# nobody\n").unwrap_err(), 1);
    }

    #[test]
    fn a_key_with_options_or_of_another_kind_is_refused_by_its_line() {
        assert_eq!(public_keys(&format!("{KEY}\nrestrict {KEY}\n")).unwrap_err(), 2);
        assert_eq!(public_keys("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAQQ== b").unwrap_err(), 1);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "(ssh-ed25519 )?[A-Za-z0-9+/= \n#]{0,120}|\\PC{0,80}") {
            let _ = public_keys(&text);
        }
    }
}
