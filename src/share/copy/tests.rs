use super::*;
use std::os::unix::fs::{PermissionsExt, symlink};

/// A folder, and a VM's copy of it.
struct Scene {
    machine: tempfile::TempDir,
    name: VmName,
    copy: WorkingCopy,
}

impl Scene {
    fn new() -> Self {
        let machine = tempfile::tempdir().unwrap();
        let origin = machine.path().join("project");
        for (name, text) in [("a", "one\n"), ("b", "two\n"), ("src/deep/c", "three\n"), ("gone/d", "four\n")]
        {
            write(&origin.join(name), text);
        }
        symlink("a", origin.join("link")).unwrap();
        fs::set_permissions(origin.join("b"), fs::Permissions::from_mode(0o755)).unwrap();
        let name: VmName = "web".parse().unwrap();
        let copy = WorkingCopy::of(&Dirs::below(machine.path()), &name, &origin);
        assert_eq!(copy.prepare(&origin).unwrap(), 0);
        Self { machine, name, copy }
    }

    fn dirs(&self) -> Dirs {
        Dirs::below(self.machine.path())
    }

    fn host(&self, name: &str) -> PathBuf {
        self.machine.path().join("project").join(name)
    }

    fn vm(&self, name: &str) -> PathBuf {
        self.copy.tree_path().join(name)
    }

    /// The changes, as `diff --name-status` has them.
    fn changes(&self) -> Vec<String> {
        let shown = |change: &Change| {
            let letter = if change.is_conflict { "!" } else { "" };
            format!("{:?}{letter} {}", change.what, change.path.display())
        };
        changes(&self.copy).unwrap().iter().map(shown).collect()
    }

    fn apply(&self) -> Applied {
        apply(&self.copy, &self.name, &changes(&self.copy).unwrap()).unwrap()
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn a_copy_is_as_the_folder_and_has_no_changes() {
    let scene = Scene::new();
    assert_eq!(scene.changes(), Vec::<String>::new());
    assert_eq!(read(&scene.vm("src/deep/c")), "three\n");
    assert_eq!(fs::read_link(scene.vm("link")).unwrap(), Path::new("a"));
    assert_eq!(fs::metadata(scene.vm("b")).unwrap().permissions().mode() & 0o777, 0o755);
    // What is read, or written as it was, is no change.
    write(&scene.vm("a"), "one\n");
    assert_eq!(scene.changes(), Vec::<String>::new());
    assert!(leave(&scene.dirs(), &scene.name).is_empty() && !scene.copy.0.exists());
}

#[test]
fn what_the_vm_has_changed_is_applied_and_nothing_else_changes() {
    let scene = Scene::new();
    write(&scene.vm("a"), "one\nmore\n");
    write(&scene.vm("new/e"), "five\n");
    fs::remove_dir_all(scene.vm("gone")).unwrap();
    fs::set_permissions(scene.vm("b"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::remove_file(scene.vm("link")).unwrap();
    symlink("b", scene.vm("link")).unwrap();
    let all = [
        "Changed a",
        "Changed b",
        "Removed gone",
        "Removed gone/d",
        "Changed link",
        "Added new",
        "Added new/e",
    ];
    assert_eq!(scene.changes(), all);
    assert_eq!(read(&scene.host("a")), "one\n", "nothing is changed before");
    // A process that was killed has left half a file; no process has the highest number.
    write(&scene.host(".virtualghost-4194305-7"), "half\n");
    write(&scene.host(".virtualghost-settings"), "mine\n");
    // Meanwhile another file is changed on the host.
    write(&scene.host("src/deep/c"), "mine\n");
    assert_eq!(scene.changes(), all);

    let applied = scene.apply();
    assert_eq!((applied.count, applied.beside.len(), applied.failed.len()), (all.len(), 0, 0));
    assert_eq!(read(&scene.host("a")), "one\nmore\n");
    assert_eq!(read(&scene.host("new/e")), "five\n");
    assert_eq!(fs::read_link(scene.host("link")).unwrap(), Path::new("b"));
    assert_eq!(fs::metadata(scene.host("b")).unwrap().permissions().mode() & 0o777, 0o644);
    assert!(!scene.host("gone").exists());
    assert_eq!(read(&scene.host("src/deep/c")), "mine\n");
    assert_eq!(scene.changes(), Vec::<String>::new());
    assert_eq!(fs::read_dir(scene.host("")).unwrap().count(), 6, "nothing unfinished is left");
}

#[test]
fn what_was_changed_on_both_sides_is_kept_on_both() {
    let scene = Scene::new();
    for name in ["a", "b", "gone/d", "same"] {
        write(&scene.vm(name), "the VM's\n");
    }
    fs::remove_file(scene.vm("src/deep/c")).unwrap();
    write(&scene.host("a"), "mine\n");
    write(&scene.host("a.from-web"), "another\n");
    fs::remove_dir_all(scene.host("gone")).unwrap();
    write(&scene.host("src/deep/c"), "mine\n");
    write(&scene.host("same"), "the VM's\n");
    assert_eq!(scene.changes(), ["Changed! a", "Changed b", "Changed! gone/d", "Removed! src/deep/c"]);
    let applied = scene.apply();
    assert_eq!(applied.beside, [Path::new("a.from-web-2")]);
    assert_eq!(
        read(&scene.host("gone/d")),
        "the VM's\n",
        "what was removed here and changed there is there again"
    );
    assert_eq!(
        (read(&scene.host("a")), read(&scene.host("a.from-web-2"))),
        ("mine\n".into(), "the VM's\n".into())
    );
    assert_eq!(read(&scene.host("a.from-web")), "another\n");
    assert_eq!(read(&scene.host("b")), "the VM's\n");
    assert_eq!(read(&scene.host("src/deep/c")), "mine\n");
    assert_eq!(scene.changes(), Vec::<String>::new(), "it is settled");
}

#[test]
fn a_hostile_copy_leads_nowhere() {
    let scene = Scene::new();
    let secret = scene.machine.path().join("secret");
    write(&secret, "secret\n");
    // A link in the place of a folder or a file is a link, on either side.
    fs::remove_dir_all(scene.vm("src")).unwrap();
    symlink(scene.machine.path(), scene.vm("src")).unwrap();
    symlink(&secret, scene.vm("leak")).unwrap();
    nix::unistd::mkfifo(&scene.vm("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    write(&scene.vm("suid"), "#!/bin/sh\n");
    fs::set_permissions(scene.vm("suid"), fs::Permissions::from_mode(0o4755)).unwrap();
    fs::remove_dir_all(scene.host("gone")).unwrap();
    symlink(scene.machine.path(), scene.host("gone")).unwrap();
    write(&scene.vm("gone/secret"), "overwritten\n");
    write(&scene.vm("x\nM\tb\u{1b}[2J"), "");
    let names: Vec<_> = changes(&scene.copy).unwrap().iter().map(Change::shown).collect();
    assert!(names.contains(&"x\u{fffd}M\u{fffd}b\u{fffd}[2J".to_owned()), "{names:?}");
    let [_, shown] = contents(&scene.copy, Path::new("leak"), 100).unwrap();
    assert_eq!(shown.unwrap(), secret.as_os_str().as_encoded_bytes());
    let applied = scene.apply();
    assert_eq!(read(&secret), "secret\n", "{applied:?}");
    assert_eq!(fs::read_link(scene.host("leak")).unwrap(), secret);
    assert!(!scene.host("pipe").exists());
    assert_eq!(fs::metadata(scene.host("suid")).unwrap().permissions().mode() & 0o7777, 0o755);
}

#[test]
fn changes_stay_until_they_are_applied_or_discarded() {
    let scene = Scene::new();
    write(&scene.vm("a"), "the VM's\n");
    let sentences = leave(&scene.dirs(), &scene.name);
    assert!(sentences[0].starts_with("1 change in the copy of "), "{sentences:?}");
    let origin = scene.host("");
    assert_eq!(scene.copy.prepare(origin.parent().unwrap()).unwrap_or(0), 1, "it goes on with them");
    assert_eq!(read(&scene.vm("a")), "the VM's\n");
    scene.apply();
    write(&scene.host("b"), "new on the host\n");
    assert_eq!(scene.copy.prepare(&scene.copy.origin().unwrap()).unwrap(), 0);
    assert_eq!(read(&scene.vm("b")), "new on the host\n", "a copy without changes is made anew");
    // A copy that was not completed is none.
    fs::remove_file(scene.copy.0.join("base.json")).unwrap();
    assert!(WorkingCopy::all(&scene.dirs(), &scene.name).is_empty());
    write(&scene.vm("left"), "half\n");
    scene.copy.prepare(&scene.machine.path().join("project")).unwrap();
    assert!(!scene.vm("left").exists());
    scene.copy.remove().unwrap();
    assert!(!scene.copy.0.parent().unwrap().exists());
}
