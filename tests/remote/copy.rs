//! `cp`, both ways and between two paths of VMs. What src/tree promises of each stream is tested there.

use crate::support::Vm;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

fn cp(vm: &Vm, paths: &[&OsStr]) -> Output {
    vm.command(&["cp"]).args(paths).output().unwrap()
}

/// The name of a path in the VM, which is this machine.
fn there(path: &Path) -> std::ffi::OsString {
    let mut text = std::ffi::OsString::from("web:");
    text.push(path);
    text
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Contents, links, modes and times.
fn listing(folder: &Path) -> Vec<u8> {
    let list = "find . -printf '%P %y %m %T@ %l\\0' | sort -z; find . -type f -print0 | sort -z | xargs -0 sha256sum";
    let output = Command::new("sh").arg("-c").arg(list).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

fn tree(path: &Path) {
    fs::create_dir_all(path.join("folder")).unwrap();
    for name in [&b"plain"[..], b"-n", b"new\nline", b"*", b"no text \xff", b"web:file"] {
        fs::write(path.join("folder").join(OsStr::from_bytes(name)), name.repeat(50_000)).unwrap();
    }
    for (target, name) in [("folder", "to-folder"), ("nowhere", "dangling"), ("/etc/passwd", "absolute")] {
        symlink(target, path.join(name)).unwrap();
    }
}

#[test]
fn a_tree_travels_both_ways_and_links_stay_links() {
    let vm = Vm::start();
    let (from, guest, back, between) =
        (vm.path("tree"), vm.path("guest"), vm.path("back"), vm.path("between"));
    tree(&from);
    for (source, target) in [
        (from.as_os_str(), &there(&guest)[..]),
        (&there(&guest), back.as_os_str()),
        (&there(&guest), &there(&between)),
    ] {
        let output = cp(&vm, &[source, target]);
        assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output));
    }
    for copy in [&guest, &back, &between] {
        assert!(listing(copy) == listing(&from), "{}", copy.display());
    }
}

#[test]
fn several_sources_go_into_a_folder_and_only_there() {
    let vm = Vm::start();
    for name in ["a", "b", "c"] {
        fs::write(vm.path(name), name).unwrap();
    }
    let (a, b, c) = (vm.path("a"), vm.path("b"), vm.path("c"));
    let absent = vm.path("absent");
    let refused = cp(&vm, &[a.as_os_str(), b.as_os_str(), &there(&absent)]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused).contains("absent"), "{}", text(&refused));
    assert!(!absent.exists());
    let target = vm.path("target");
    fs::create_dir(&target).unwrap();
    // Of the host, of the VM, and of the host again.
    let output = cp(&vm, &[a.as_os_str(), &there(&b), c.as_os_str(), &there(&target)]);
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(["a", "b", "c"].map(|name| fs::read_to_string(target.join(name)).unwrap()), ["a", "b", "c"]);
}

#[test]
fn what_is_not_there_is_named_and_the_rest_is_copied() {
    let vm = Vm::start();
    fs::write(vm.path("file"), "x").unwrap();
    fs::create_dir(vm.path("target")).unwrap();
    let (file, absent, target) = (vm.path("file"), vm.path("absent\x1b]0;title\x07"), vm.path("target"));
    for sources in [[there(&absent), there(&file)], [absent.clone().into(), file.clone().into()]] {
        let to = if sources[1] == file.as_os_str() { there(&target) } else { target.clone().into() };
        let output = cp(&vm, &[&sources[0], &sources[1], &to]);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        assert!(text(&output).contains("absent") && !text(&output).contains('\x1b'), "{}", text(&output));
        fs::remove_file(target.join("file")).unwrap();
    }
}

#[test]
fn a_link_of_the_hosts_is_replaced_and_not_written_through() {
    let vm = Vm::start();
    let (source, outside, target) = (vm.path("source"), vm.path("outside"), vm.path("target"));
    fs::write(&source, "new").unwrap();
    fs::write(&outside, "untouched").unwrap();
    fs::create_dir(&target).unwrap();
    symlink(&outside, target.join("source")).unwrap();
    let output = cp(&vm, &[&there(&source), target.as_os_str()]);
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(fs::read_to_string(&outside).unwrap(), "untouched");
    assert_eq!(fs::read_to_string(target.join("source")).unwrap(), "new");
    // The same where the link is the target itself.
    symlink(&outside, vm.path("link")).unwrap();
    let output = cp(&vm, &[&there(&source), vm.path("link").as_os_str()]);
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(fs::read_to_string(&outside).unwrap(), "untouched");
}

#[test]
fn a_path_in_the_vm_begins_at_the_users_home() {
    let vm = Vm::start();
    let home = vm.exec(&["sh", "-c", "printf %s \"$HOME\""]);
    let name = format!(".virtualghost-test-{}", std::process::id());
    fs::write(vm.path("file"), "x").unwrap();
    for target in [format!("web:{name}"), format!("web:~/{name}")] {
        let output = cp(&vm, &[vm.path("file").as_os_str(), OsStr::new(&target)]);
        let path = Path::new(&home).join(&name);
        let there = path.exists();
        let _ = fs::remove_file(path);
        assert!(output.status.success() && there, "{target}: {}", text(&output));
    }
}
