//! Tests with a part that runs in a process of its own: to be killed, or with a file system of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Runs the ignored test `part` of this test program, with [`lab`] as its folder. `wrapper` is a command that runs the
/// command which follows it.
pub fn in_process(wrapper: &[&str], part: &str, lab: &Path) -> Child {
    let mut command = Command::new("env");
    command.args(wrapper).arg(std::env::current_exe().unwrap());
    command.args(["--exact", part, "--ignored", "--test-threads=1"]).env("LAB", lab);
    // Its output would stand between our own lines.
    command.stdout(Stdio::null()).spawn().unwrap()
}

/// The folder of a part, in its own process.
pub fn lab() -> PathBuf {
    std::env::var_os("LAB").expect("this test is a part of another one, which runs it").into()
}

/// Runs `part` with a disk of `size` (of tmpfs(5), such as 40m) at `folder` in `lab`: a mount of a user namespace, so no
/// root is needed.
pub fn on_small_disk(size: &str, lab: &Path, folder: &str, part: &str) {
    let folder = lab.join(folder);
    fs::create_dir(&folder).unwrap();
    let mount = format!("mount -t tmpfs -o mode=700,size={size} none '{}'", folder.display());
    let unshare = ["unshare", "--map-root-user", "--mount", "sh", "-c"];
    let can = Command::new(unshare[0]).args(&unshare[1..]).arg(&mount).stderr(Stdio::null()).status();
    if !can.is_ok_and(|status| status.success()) {
        return super::skipped(
            &format!("full disk: {part}"),
            "mounting in a user namespace is not permitted",
        );
    }
    let script = format!("{mount} && exec \"$@\"");
    let wrapper = [&unshare[..], &[&script, "sh"]].concat();
    assert!(in_process(&wrapper, part, lab).wait().unwrap().success());
}
