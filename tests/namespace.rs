//! Mounts that only one command sees, in a user namespace of its own. It needs no root.

use std::path::Path;
use std::process::{Command, Stdio};

/// A /dev with the three nodes that a launch opens. /dev/kvm is an empty file: it opens, and runs no guest.
const KVM_RUNS_NOTHING: &str = r#"
    mkdir "$0" && touch "$0/kvm" &&
    for node in null urandom; do touch "$0/$node" && mount --bind "/dev/$node" "$0/$node" || exit; done &&
    ln -s /proc/self/fd "$0/fd" && mkdir "$0/shm" && mount --rbind "$0" /dev && exec "$@"
"#;

/// `program` where /dev/kvm opens but runs no guest, whatever this machine has. `folder` must not exist; it becomes the
/// command's /dev. None if mounting in a user namespace is not permitted.
pub fn with_broken_kvm(program: &Path, folder: &Path) -> Option<Command> {
    let command = |arguments: &[&Path], folder: &Path| {
        let mut command = Command::new("unshare");
        command
            .args(["--map-root-user", "--mount", "sh", "-c", KVM_RUNS_NOTHING])
            .arg(folder)
            .args(arguments);
        command
    };
    let trial = folder.with_extension("trial");
    let status = command(&[Path::new("true")], &trial).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success()).then(|| command(&[program], folder))
}
