//! OpenSSH's configuration for a VM, by ssh_config(5). Paths in, bytes out: a path need not be text.

use super::alias;
use super::os;
use crate::instance::{HOST_ALIAS, KNOWN_HOSTS, ROOT_KEY, USER_KEY, VmFiles};
use crate::model::units::VmName;
use std::path::Path;

/// The blocks of one VM of the folder `vms`: `vg-NAME` for its user, `vg-NAME-root` for root. The same at every start; the
/// keys that it names are made anew each time. Every path is absolute: ssh may be started in another environment.
///
/// OpenSSH shares connections by their HostName. This one is nobody else's: no host has a name below `invalid` (RFC 2606),
/// and the digest is that of the folder.
pub fn of_vm(name: &VmName, vms: &Path, executable: &Path) -> Vec<u8> {
    let files = VmFiles::new(vms, name);
    let digest = &blake3::hash(vms.as_os_str().as_encoded_bytes()).to_hex()[..16];
    let keys = files.keys_path();
    let mut text = Vec::new();
    for (user, key, root) in [("ghost", USER_KEY, false), ("root", ROOT_KEY, true)] {
        text.extend(format!("Host {}\n  User {user}\n  IdentityFile ", alias(name, root)).bytes());
        text.extend(quoted(&keys.join(key)));
        text.push(b'\n');
    }
    let both = format!("{} {}", alias(name, false), alias(name, true));
    text.extend(
        format!("Host {both}\n  HostName {name}.{digest}.virtualghost.invalid\n  ProxyCommand ").bytes(),
    );
    text.extend(shell_quoted(executable));
    text.extend(format!(" proxy {name} --vms ").bytes());
    text.extend(shell_quoted(vms));
    text.extend(b"\n  ControlPath ");
    text.extend(
        files
            .control_path()
            .filter(|_| os::SHARES_CONNECTIONS)
            .map_or(b"none".to_vec(), |path| quoted_pattern(&path)),
    );
    text.extend(
        b"\n  \
          CanonicalizeHostname no\n  \
          IdentitiesOnly yes\n  \
          IdentityAgent none\n  \
          PreferredAuthentications publickey\n  \
          UserKnownHostsFile ",
    );
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
         SendEnv COLORTERM TERM_PROGRAM TERM_PROGRAM_VERSION\n  \
         ServerAliveInterval 60\n"
    );
    text.extend(rest.bytes());
    text
}

/// All VMs that run: one that is gone has no file. For every host, wherever in a configuration it is appended.
pub fn of_all(vms: &Path) -> Vec<u8> {
    [b"Host *\n  ", &include(vms)[..], b"\n"].concat()
}

/// The line of it that counts for every host at the beginning of a configuration.
pub fn include(vms: &Path) -> Vec<u8> {
    [b"Include ", &quoted(&vms.join("*").join("ssh-config"))[..]].concat()
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

/// The socket of a shared connection: one for each user of the VM, as ssh_config(5) has `%r`.
fn quoted_pattern(path: &Path) -> Vec<u8> {
    let mut text = quoted(path);
    text.pop();
    text.extend(b"-%r\"");
    text
}

/// A program's path for ProxyCommand, which a shell reads.
fn shell_quoted(path: &Path) -> Vec<u8> {
    [&[os::SHELL_QUOTE], &escaped(path, os::SHELL_ESCAPES)[..], &[os::SHELL_QUOTE]].concat()
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
    use std::process::Command;

    #[test]
    fn a_vm_has_an_alias_for_its_user_and_one_for_root_and_a_pinned_key() {
        let name = "web".parse().unwrap();
        let text = of_vm(&name, Path::new("/s t/100%"), Path::new("/opt/it's/vg"));
        insta::assert_snapshot!(String::from_utf8(text).unwrap());
    }

    /// What OpenSSH makes of a configuration: `ssh -G`.
    fn read(config: &Path, host: &str) -> String {
        let output =
            Command::new("ssh").arg("-G").arg("-F").arg(config).arg(host).env_clear().output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn it_counts_wherever_it_is_appended_and_nobody_shares_its_connections() {
        if super::super::check_client().is_err() {
            return crate::testing::skipped("ssh-config", "no OpenSSH client");
        }
        let folder = tempfile::tempdir().unwrap();
        let mut sockets = Vec::new();
        for state in ["one", "two"] {
            let vms = folder.path().join(state);
            std::fs::create_dir_all(vms.join("web")).unwrap();
            let name = "web".parse().unwrap();
            std::fs::write(vms.join("web/ssh-config"), of_vm(&name, &vms, Path::new("/opt/vg"))).unwrap();
            let config = folder.path().join("config");
            let own = b"Host other\n  User x\nMatch host y\n  User z\n";
            std::fs::write(&config, [own, &of_all(&vms)[..]].concat()).unwrap();
            let text = read(&config, "vg-web");
            let line = |keyword: &str| {
                text.lines().find(|line| line.starts_with(keyword)).unwrap_or(keyword).to_owned()
            };
            assert!(line("proxycommand ").contains(&vms.display().to_string()), "{text}");
            assert!(line("hostname ").ends_with(".invalid"), "{text}");
            sockets.push([line("hostname "), line("controlpath ")]);
            assert!(read(&config, "other").contains("user x"), "the user's own");
        }
        assert!(sockets[0].iter().zip(&sockets[1]).all(|(one, two)| one != two), "{sockets:?}");
    }
}
