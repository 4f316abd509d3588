//! Folders of the host in a VM: what people do in them, and what a guest may not do with them.

use crate::run_in_terminal;
use crate::screen::Screen;
use crate::vm::{self, Vm, command};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getgid, getuid};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A change on the host is seen in the guest after a second; this is for a busy machine.
const SEEN: Duration = Duration::from_secs(30);

/// Two folders of the host, the second of which may only be read, beside a file that is in neither.
struct Scene {
    vm: Vm,
    name: &'static str,
    web: PathBuf,
    docs: PathBuf,
}

impl Scene {
    fn start(name: &'static str, screen: Option<&Screen>, args: &[&str]) -> Self {
        let home = vm::home(name);
        let [web, docs] = ["src/web", "docs"].map(|folder| home.join(folder));
        for folder in [&web, &docs] {
            fs::create_dir_all(folder).unwrap();
            fs::write(folder.join("from-host"), "host\n").unwrap();
        }
        fs::write(home.join("src/secret"), "secret\n").unwrap();
        // With fewer files than the test makes: the guest has to forget some.
        let mut command = Command::new("sh");
        vm::set_environment(&mut command, &home);
        command.args(["-c", "ulimit -n 4000; exec \"$@\"", "sh"]).arg(vm::executable()).stdin(Stdio::null());
        command.current_dir(&web).args(["--name", name, "--share"]);
        command.arg(format!("{}:ro=/mnt/docs", docs.display())).args(args).arg(".");
        if let Some(screen) = screen {
            command.env("DISPLAY", &screen.display);
        }
        let mut scene = Self { vm: Vm::spawn(command, home), name, web, docs };
        scene.vm.wait_until_ready();
        scene
    }

    /// What a script prints in the guest, in the folder `web`.
    fn guest(&self, flags: &[&str], script: &str) -> String {
        let mut exec = command(&self.vm.home);
        exec.args(["exec", self.name, "--workdir"]).arg(&self.web).args(flags);
        let output = exec.args(["--", "sh", "-c", &format!("exec 2>&1; {script}")]).output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned()
    }

    fn user(&self, script: &str) -> String {
        self.guest(&[], script)
    }

    fn root(&self, script: &str) -> String {
        self.guest(&["--root"], script)
    }

    /// The servers of the folders.
    fn servers(&self) -> Vec<u32> {
        let is_server = |pid: &u32| {
            let read = |name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
            let parent = format!("\nPPid:\t{}\n", self.vm.pid());
            let has = |text: &[u8], part: &[u8]| text.windows(part.len()).any(|window| window == part);
            has(&read("cmdline"), b"\0share-server\0") && has(&read("status"), parent.as_bytes())
        };
        let pids = fs::read_dir("/proc").unwrap().flatten();
        pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(is_server).collect()
    }
}

#[test]
fn a_shared_folder_is_used_as_any_other() {
    let scene = Scene::start("share", None, &["--display", "none", "--start", "boot"]);
    let path = |name: &str| scene.web.join(name);
    // Whoever writes in the guest writes as the host's user, whose files are the terminal's user's there.
    assert_eq!(scene.user("stat -c '%U %G' from-host; echo mine >mine; cat from-host"), "ghost ghost\nhost");
    assert_eq!(scene.root("echo roots >roots; chown 33:33 roots; stat -c %U roots"), "ghost");
    for file in ["mine", "roots"] {
        let meta = fs::metadata(path(file)).unwrap();
        assert_eq!((meta.uid(), meta.gid()), (getuid().as_raw(), getgid().as_raw()), "{file}");
    }
    // Files of every kind.
    fs::write(path("case"), "small").unwrap();
    fs::write(path("CASE"), "large").unwrap();
    let odd = OsStr::from_bytes(b"odd-\xff\n-name");
    fs::write(path("x").with_file_name(odd), "odd").unwrap();
    symlink("from-host", path("link")).unwrap();
    assert_eq!(scene.user("cat case CASE; cat odd-*; cat link"), "smalllargeoddhost");
    assert_eq!(scene.user("printf longer >t; printf x >t; stat -c %s t"), "1");
    assert_eq!(scene.user("truncate -s 1G sparse; du -k sparse | cut -f 1"), "0");
    assert_eq!(fs::metadata(path("sparse")).unwrap().len(), 1 << 30);
    // A program that is started is mapped into memory; a lock keeps others out.
    assert_eq!(scene.user("cp /bin/echo own-echo && ./own-echo it runs"), "it runs");
    assert_eq!(scene.user("flock lock sh -c 'flock -n lock true || echo locked'"), "locked");
    let xattrs = r#"($f, $n, $v, $r) = ("mine", "user.note", "kept", "    "); syscall(188, $f, $n, $v, 4, 0); syscall(191, $f, $n, $r, 4); print $r"#;
    if cfg!(target_arch = "x86_64") {
        assert_eq!(scene.user(&format!("perl -e '{xattrs}'")), "kept");
    }
    // Many files at once, and away with them.
    let many = "for d in 1 2 3 4 5 6; do \
        mkdir -p many/$d && (cd many/$d && seq 1000 | xargs touch) && sleep 2 || exit; done; \
        find many -type f | wc -l; rm -r many; ls -d many";
    let counted = scene.user(many);
    assert!(counted.starts_with("6000\n"), "{counted}");
    // Changes of the host's are seen.
    scene.user("cat from-host");
    fs::write(path("from-host"), "changed\n").unwrap();
    fs::write(path("new"), "").unwrap();
    let start = Instant::now();
    while scene.user("cat from-host; ls new") != "changed\nnew" {
        assert!(start.elapsed() < SEEN, "{}", scene.user("cat from-host; ls"));
    }
    // What is open is printed and listed.
    let stderr = scene.vm.stderr();
    let notice = format!("the VM can change {0} of this machine, there as {0}", scene.web.display());
    assert!(stderr.contains(&notice), "{stderr}");
    let ps = command(&scene.vm.home).args(["ps", "--json"]).output().unwrap();
    let shares = format!("\"{}:ro=/mnt/docs\"", scene.docs.display());
    assert!(String::from_utf8_lossy(&ps.stdout).contains(&shares), "{ps:?}");
}

#[test]
fn a_guest_gets_no_further_than_its_folders() {
    let mut scene = Scene::start("share-attack", None, &["--display", "none", "--start", "boot"]);
    // A link leads where it leads in the guest.
    let secret = scene.web.join("../secret").canonicalize().unwrap();
    symlink("../secret", scene.web.join("up")).unwrap();
    symlink(&secret, scene.web.join("absolute")).unwrap();
    symlink("/etc/hostname", scene.web.join("system")).unwrap();
    for link in ["up", "absolute"] {
        let seen = scene.root(&format!("cat {link}"));
        assert!(seen.contains("No such file"), "{link}: {seen}");
    }
    // A file of the guest's own.
    scene.root("echo x >up; echo x >absolute");
    assert_eq!(scene.root("cat system"), scene.root("cat /etc/hostname"));
    assert_eq!(fs::read(&secret).unwrap(), b"secret\n");
    scene.root(&format!(
        "ln -s {} made && cat made; ln made hard; mkdir -p d && cd d && ls ../../..",
        secret.display()
    ));
    assert_eq!(fs::read(&secret).unwrap(), b"secret\n");
    // A folder that may only be read stays as it is, whatever root does in the guest.
    let attacks = "mount -o remount,rw /mnt/docs; echo x >/mnt/docs/from-host; mkdir /tmp/again; \
        mount -t virtiofs share0 /tmp/again; echo x >/tmp/again/from-host; touch /tmp/again/new; rm /tmp/again/from-host; \
        mv /tmp/again/from-host /tmp/again/moved; chmod 777 /tmp/again/from-host; truncate -s 0 /tmp/again/from-host; \
        mkdir /tmp/again/folder; ln -s x /tmp/again/link; cat /tmp/again/from-host";
    assert!(scene.root(attacks).ends_with("host"), "{}", scene.root(attacks));
    let names: Vec<_> = fs::read_dir(&scene.docs).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(names, ["from-host"]);
    assert_eq!(fs::read(scene.docs.join("from-host")).unwrap(), b"host\n");
    // What would make another of the host's users act as this one, and devices.
    scene.root("cp /bin/sh suid; chmod 4755 suid; (umask 0; mkdir -m 4777 dir); mknod device b 8 0; mknod character c 1 1");
    scene.root("perl -e 'sysopen(F, \"opened\", 0101, 04777)'");
    for entry in fs::read_dir(&scene.web).unwrap().flatten() {
        let meta = fs::symlink_metadata(entry.path()).unwrap();
        assert_eq!(meta.permissions().mode() & 0o4000, 0, "{:?}", entry.path());
        assert!(meta.is_file() || meta.is_dir() || meta.is_symlink(), "{:?}", entry.path());
    }
    // The servers have no privilege, and no file of others open.
    let servers = scene.servers();
    assert_eq!(servers.len(), 2);
    for server in &servers {
        let status = fs::read_to_string(format!("/proc/{server}/status")).unwrap();
        for line in
            ["CapEff:\t0000000000000000", "CapPrm:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"]
        {
            assert!(status.contains(&format!("\n{line}\n")), "{line}:\n{status}");
        }
        for entry in fs::read_dir(format!("/proc/{server}/fd")).unwrap().flatten() {
            let Ok(file) = fs::read_link(entry.path()) else { continue };
            let known =
                ["/dev/null", "/memfd:", "anon_inode:", "socket:", "pipe:", &format!("/proc/{server}/fd")];
            let is_known = known
                .iter()
                .any(|known| file.starts_with(known) || file.to_str().unwrap().starts_with(known));
            let is_in = |folder: &Path| file.starts_with(folder);
            assert!(is_known || is_in(&scene.web) || is_in(&scene.docs), "{}", file.display());
        }
    }
    scene.user("mkdir -p .git/hooks; echo 'rm -rf ~' >.git/hooks/pre-commit");
    // The VM goes on without a server, and ends well.
    servers.iter().for_each(|server| kill(Pid::from_raw(*server as i32), Signal::SIGKILL).unwrap());
    scene.vm.wait_until_printed("the VM can't reach /mnt/docs any more: its server ended");
    scene.vm.signal(Signal::SIGTERM);
    assert!(scene.vm.wait().success(), "{}", scene.vm.stderr());
    let stderr = scene.vm.stderr();
    assert!(
        stderr.contains(
            "these files changed, which programs on this machine run or obey: .git/hooks/pre-commit;"
        ),
        "{stderr}"
    );
}

/// The first start saves the checkpoint, the second resumes it: the folders are plugged in after that, and the terminal is in
/// the one that was named.
#[test]
fn an_instant_start_has_the_folders_too() {
    let screen = Screen::new("share-instant");
    for start in ["first", "second"] {
        let mut scene = Scene::start("share-instant", Some(&screen), &["--gl", "off", "--start", "instant"]);
        let shown =
            run_in_terminal(&screen, &scene.vm, "share-instant", "pwd; cat from-host /mnt/docs/from-host");
        assert_eq!(shown, format!("{}\nhost\nhost\n", scene.web.display()), "{start}");
        assert_eq!(scene.user("echo written >written; cat written"), "written", "{start}");
        assert_eq!(fs::read(scene.web.join("written")).unwrap(), b"written\n", "{start}");
        scene.vm.signal(Signal::SIGTERM);
        assert!(scene.vm.wait().success(), "{}", scene.vm.stderr());
        assert!(scene.servers().is_empty());
    }
}

/// What the VM changes in its copy reaches the folder when it is applied, and not before.
#[test]
fn a_vm_works_on_a_copy_whose_changes_are_applied_on_request() {
    let home = vm::home("share-copy");
    let project = home.join("project");
    fs::create_dir_all(project.join("src")).unwrap();
    fs::write(project.join("src/main"), "one\n").unwrap();
    fs::write(project.join("notes"), "mine\n").unwrap();
    fs::write(home.join(".gitconfig"), "[user]\nname = Ann \\\"A\\\" Example\nemail = ann@example.com\n")
        .unwrap();
    let run = |args: &[&str], script: &str| {
        let mut run = command(&home);
        run.args(args).arg("--share").arg(format!("{}:copy", project.display())).arg(&project);
        run.args(["--", "sh", "-c", script]).output().unwrap()
    };
    let args = ["run", "--name", "agent", "--start", "boot"];
    let first = run(&args, "pwd; echo two >>src/main; echo new >new; echo theirs >notes");
    assert_eq!(String::from_utf8_lossy(&first.stdout), format!("{}\n", project.display()), "{first:?}");
    assert_eq!(fs::read(project.join("src/main")).unwrap(), b"one\n");
    fs::write(project.join("notes"), "mine, later\n").unwrap();

    let output = |args: &[&str]| {
        let output = command(&home).args(args).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(output(&["diff", "--name-status"]), "A\tnew\nC\tnotes\nM\tsrc/main\n");
    let diff = output(&["diff"]);
    assert!(diff.contains("--- a/src/main\n+++ b/src/main\n@@ -1 +1,2 @@\n one\n+two\n"), "{diff}");
    // The next start goes on with them.
    let second = run(
        &["run", "--name", "agent", "--start", "boot", "--git-identity"],
        "cat new; rm new; cat /etc/gitconfig /run/virtualghost/gitconfig",
    );
    let stdout = String::from_utf8_lossy(&second.stdout);
    let git = "\tname = \"Ann \\\"A\\\" Example\"\n\temail = \"ann@example.com\"\n";
    assert!(
        stdout.starts_with("new\n") && stdout.contains("path = /run/virtualghost/gitconfig"),
        "{second:?}"
    );
    assert!(stdout.ends_with(git), "{second:?}");
    output(&["apply", "--yes"]);
    assert_eq!(fs::read(project.join("src/main")).unwrap(), b"one\ntwo\n");
    assert_eq!(fs::read(project.join("notes")).unwrap(), b"mine, later\n");
    assert_eq!(fs::read(project.join("notes.from-agent")).unwrap(), b"theirs\n");
    assert!(!project.join("new").exists());
    assert_eq!(output(&["diff"]), "");
    output(&["apply", "--discard"]);
    assert!(!home.join(".local/share/virtualghost/working-copies").join("agent").exists());
}
