//! OpenSSH's configuration for a VM, by ssh_config(5). Text in, text out.

use super::alias;
use crate::instance::{Files, HOST_ALIAS, KNOWN_HOSTS, ROOT_KEY, USER_KEY};
use crate::units::VmName;
use std::path::Path;

/// The blocks of one VM: `vg-NAME` for its user, `vg-NAME-root` for root. The same at every start; the keys that it
/// names are made anew each time.
pub fn of_vm(name: &VmName, files: &Files, executable: &Path) -> String {
    let keys = files.keys_path();
    let known_hosts = quoted(&keys.join(KNOWN_HOSTS));
    let hosts = [("ghost", USER_KEY, false), ("root", ROOT_KEY, true)].map(|(user, key, root)| {
        let (alias, key) = (alias(name, root), quoted(&keys.join(key)));
        format!("Host {alias}\n  User {user}\n  IdentityFile {key}\n")
    });
    let [user, root] = hosts;
    let both = format!("{} {}", alias(name, false), alias(name, true));
    let proxy = shell_quoted(executable);
    format!(
        "{user}{root}Host {both}\n  \
         HostName {name}\n  \
         ProxyCommand {proxy} proxy {name}\n  \
         IdentitiesOnly yes\n  \
         IdentityAgent none\n  \
         PreferredAuthentications publickey\n  \
         UserKnownHostsFile {known_hosts}\n  \
         GlobalKnownHostsFile none\n  \
         HostKeyAlias {HOST_ALIAS}\n  \
         HostKeyAlgorithms ssh-ed25519\n  \
         StrictHostKeyChecking yes\n  \
         UpdateHostKeys no\n  \
         Ciphers aes256-gcm@openssh.com,chacha20-poly1305@openssh.com\n  \
         ForwardAgent no\n  \
         ServerAliveInterval 60\n"
    )
}

/// All VMs that run, wherever their files are: one that is gone has none.
pub fn of_all(vms: &Path) -> String {
    format!("Include {}\n", quoted(&vms.join("*").join("ssh-config")))
}

/// A path as a value: in double quotes, with `%` doubled, as ssh_config(5) reads tokens in it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string().replace('%', "%%").replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{text}\"")
}

/// A program's path for ProxyCommand, which a shell reads.
fn shell_quoted(path: &Path) -> String {
    let text = path.display().to_string().replace('%', "%%");
    if cfg!(windows) { format!("\"{text}\"") } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vm_has_an_alias_for_its_user_and_one_for_root_and_a_pinned_key() {
        let name = "web".parse().unwrap();
        let text = of_vm(&name, &Files::new(Path::new("/s t/100%"), &name), Path::new("/opt/it's/vg"));
        insta::assert_snapshot!(text);
    }
}
