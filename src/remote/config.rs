//! OpenSSH's configuration for a VM, by ssh_config(5). Paths in, bytes out: a path need not be text.

use super::alias;
use crate::instance::{Files, HOST_ALIAS, KNOWN_HOSTS, ROOT_KEY, USER_KEY};
use crate::units::VmName;
use std::path::Path;

/// The blocks of one VM: `vg-NAME` for its user, `vg-NAME-root` for root. The same at every start; the keys that it
/// names are made anew each time.
pub fn of_vm(name: &VmName, files: &Files, executable: &Path) -> Vec<u8> {
    let keys = files.keys_path();
    let mut text = Vec::new();
    for (user, key, root) in [("ghost", USER_KEY, false), ("root", ROOT_KEY, true)] {
        text.extend(format!("Host {}\n  User {user}\n  IdentityFile ", alias(name, root)).bytes());
        text.extend(quoted(&keys.join(key)));
        text.push(b'\n');
    }
    let both = format!("{} {}", alias(name, false), alias(name, true));
    text.extend(format!("Host {both}\n  HostName {name}\n  ProxyCommand ").bytes());
    text.extend(shell_quoted(executable));
    let middle = format!(
        " proxy {name}\n  \
         IdentitiesOnly yes\n  \
         IdentityAgent none\n  \
         PreferredAuthentications publickey\n  \
         UserKnownHostsFile "
    );
    text.extend(middle.bytes());
    text.extend(quoted(&keys.join(KNOWN_HOSTS)));
    let rest = format!(
        "\n  \
         GlobalKnownHostsFile none\n  \
         HostKeyAlias {HOST_ALIAS}\n  \
         HostKeyAlgorithms ssh-ed25519\n  \
         StrictHostKeyChecking yes\n  \
         UpdateHostKeys no\n  \
         Ciphers aes256-gcm@openssh.com,chacha20-poly1305@openssh.com\n  \
         ForwardAgent no\n  \
         ServerAliveInterval 60\n"
    );
    text.extend(rest.bytes());
    text
}

/// All VMs that run, wherever their files are: one that is gone has none.
pub fn of_all(vms: &Path) -> Vec<u8> {
    [b"Include ", &quoted(&vms.join("*").join("ssh-config"))[..], b"\n"].concat()
}

/// Whether OpenSSH's configuration can name this path: a value ends with its line.
pub fn can_name(path: &Path) -> bool {
    !path.as_os_str().as_encoded_bytes().contains(&b'\n')
}

/// A path as a value: in double quotes, with `%` doubled, as ssh_config(5) reads tokens in it.
fn quoted(path: &Path) -> Vec<u8> {
    let text = escaped(path, &[(b'%', b"%%"), (b'\\', b"\\\\"), (b'"', b"\\\"")]);
    [b"\"", &text[..], b"\""].concat()
}

/// A program's path for ProxyCommand, which a shell reads.
fn shell_quoted(path: &Path) -> Vec<u8> {
    if cfg!(windows) {
        return [b"\"", &escaped(path, &[(b'%', b"%%")])[..], b"\""].concat();
    }
    [b"'", &escaped(path, &[(b'%', b"%%"), (b'\'', b"'\\''")])[..], b"'"].concat()
}

fn escaped(path: &Path, escapes: &[(u8, &[u8])]) -> Vec<u8> {
    let escape = |byte: &u8| match escapes.iter().find(|(special, _)| special == byte) {
        Some((_, instead)) => instead.to_vec(),
        None => vec![*byte],
    };
    path.as_os_str().as_encoded_bytes().iter().flat_map(escape).collect()
}

// Its paths are Unix's.
#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_vm_has_an_alias_for_its_user_and_one_for_root_and_a_pinned_key() {
        let name = "web".parse().unwrap();
        let text = of_vm(&name, &Files::new(Path::new("/s t/100%"), &name), Path::new("/opt/it's/vg"));
        insta::assert_snapshot!(String::from_utf8(text).unwrap());
    }
}
