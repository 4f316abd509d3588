//! A QEMU that a guest has taken over, in the strict jail: the fake QEMU attacks its host. Each attack is made without the
//! jail too, where it succeeds, so that a refusal is the jail's.

use crate::example::example;
use crate::scene::{Scene, pid_in};
use crate::skipped::skipped;
use nix::libc;
use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;
use std::process::Command;
use virtualghost::config::{Config, Layer};
use virtualghost::host::{self, Availability};
use virtualghost::jail::{self, JailPolicy, Network};
use virtualghost::model::{Arch, Enforcement, Session};
use virtualghost::plan::{WantedVm, plan};
use virtualghost::qemu::{Bundle, Paths, Program, RootDisk};
use virtualghost::supervise::Vm;
use virtualghost::sys::landlock;

/// The files of two VMs and of their user.
struct Lab(Scene);

impl Lab {
    fn new<'a>(attacks: impl IntoIterator<Item = &'a str>) -> Self {
        let mut scene = Scene::new([]);
        let folder = scene.folder.path().to_owned();
        for file in [
            "home/.ssh/id",
            "kernel",
            "image",
            "homes/own",
            "homes/other",
            "vms/own/keys/a",
            "vms/other/keys/a",
        ] {
            let path = folder.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "old").unwrap();
        }
        for empty in ["overlay", "vms/own/cache", "qemu/bin"] {
            fs::create_dir_all(folder.join(empty)).unwrap();
        }
        scene.launch.program = folder.join("qemu/bin/qemu");
        // Not fs::copy: a process that another test forks meanwhile would have the file open for writing, and then it can't
        // be executed (ETXTBSY, execve(2)).
        let copied = Command::new("cp").arg(example("fake-qemu")).arg(&scene.launch.program).status();
        assert!(copied.unwrap().success());
        let attacks = attacks.into_iter().map(|attack| {
            let attack = attack.replace("LAB", folder.to_str().expect("it is text"));
            format!("attack={attack}").into()
        });
        scene.launch.args.extend(attacks);
        scene.launch.args.push("exit=0".into());
        Self(scene)
    }

    fn jailed(mut self, enforcement: Enforcement, network: Network) -> Self {
        let policy = strict(self.0.folder.path());
        self.0.launch.jail = Some(JailPolicy { enforcement, network, ..policy });
        self
    }

    /// How each attack ended.
    fn results(&self) -> Vec<String> {
        self.0.end();
        let log = fs::read_to_string(self.0.folder.path().join("qemu.log")).unwrap();
        log.lines().map(str::to_owned).collect()
    }
}

/// The jail of a VM without a window.
fn strict(folder: &Path) -> JailPolicy {
    let facts = host::HostFacts {
        session: Session::None { because: "under test".to_owned() },
        vsock: Availability::unavailable("under test"),
        ..host::probe()
    };
    let vm = WantedVm {
        name: "own".parse().unwrap(),
        is_ephemeral: false,
        system: None,
        shares: Vec::new(),
        workdir: None,
        git: None,
    };
    let layer = Layer::file("jail = \"strict\"", Path::new("/config.toml"), &vm.name).unwrap();
    let config = Config::merge([layer]);
    let spec = plan(&facts, &config, facts.arch.unwrap_or(Arch::X86_64), &vm).unwrap();
    let bundle = Bundle { modules: folder.join("qemu/lib"), data: folder.join("qemu/share"), major: None };
    let paths = Paths {
        kernel: folder.join("kernel"),
        rootfs: folder.join("image"),
        qemu: Program { path: folder.join("qemu/bin/qemu"), bundle: Some(bundle) },
        overlay_folder: folder.join("overlay"),
        home: Some(folder.join("homes/own")),
        gpu_pack: None,
        root: RootDisk::Enlarged(folder.join("overlay/root")),
        initrd: None,
        cache: folder.join("vms/own/cache"),
        keys: folder.join("vms/own/keys"),
    };
    jail::policy(&spec, &paths, &[("HOME".into(), folder.join("home").into())]).expect("it has a jail")
}

/// Whether this kernel has that version of Landlock.
fn has(test: &str, version: u32) -> bool {
    let found = landlock::abi().unwrap_or_default();
    if found < version {
        skipped(test, &format!("this kernel has Landlock {found}, it needs {version}"));
    }
    found >= version
}

/// The attacks succeed without the jail, and are refused in it.
#[track_caller]
fn assert_refused(attacks: &[&str]) {
    for result in Lab::new(attacks.iter().copied()).results() {
        assert!(result.ends_with(": done"), "without the jail: {result}");
    }
    assert_refused_in_jail(attacks);
}

/// With Landlock, and with what takes its place.
#[track_caller]
fn assert_refused_in_jail(attacks: &[&str]) {
    assert_refused_by(Enforcement::Landlock, attacks);
    // In a root of its own these folders have what the policy lists, and nothing else.
    let attacks: Vec<_> =
        attacks.iter().copied().filter(|attack| !["list:LAB", "list:/etc"].contains(attack)).collect();
    if namespaces("jail: by namespaces") {
        assert_refused_by(Enforcement::Namespaces, &attacks);
    }
}

#[track_caller]
fn assert_refused_by(enforcement: Enforcement, attacks: &[&str]) {
    let results = Lab::new(attacks.iter().copied()).jailed(enforcement, Network::None).results();
    assert_eq!(results.len(), attacks.len(), "{results:?}");
    for result in results {
        let refused = match enforcement {
            Enforcement::Landlock => &["Permission denied", "Operation not permitted", "EPERM", "EACCES"][..],
            Enforcement::Namespaces => {
                &["No such file", "Read-only file system", "Operation not permitted", "EPERM"]
            }
        };
        assert!(refused.iter().any(|error| result.contains(error)), "in the jail by {enforcement}: {result}");
    }
}

/// Whether this user may make them.
fn namespaces(test: &str) -> bool {
    let allowed = virtualghost::sys::namespaces::are_allowed();
    if !allowed {
        skipped(test, "user namespaces are not allowed here");
    }
    allowed
}

#[test]
fn a_qemu_in_the_jail_has_the_files_of_its_vm() {
    if !has("jail: own files", 1) {
        return;
    }
    let own = [
        "read:LAB/kernel",
        "read:LAB/image",
        "write:LAB/homes/own",
        "create:LAB/overlay/new",
        "remove:LAB/overlay/new",
        "create:LAB/vms/own/cache/new",
        "read:/proc/self/status",
        "read:/proc/meminfo",
        "list:/usr/share",
        "list:/sys/devices/system/cpu",
        "read:/etc/passwd",
        "write:/dev/null",
    ];
    let by_namespaces = namespaces("jail by namespaces: own files").then_some(Enforcement::Namespaces);
    for enforcement in [Enforcement::Landlock].into_iter().chain(by_namespaces) {
        for result in Lab::new(own).jailed(enforcement, Network::None).results() {
            assert!(result.ends_with(": done"), "by {enforcement}: {result}");
        }
    }
}

#[test]
fn a_qemu_in_the_jail_cannot_read_the_users_home() {
    if has("jail: home", 1) {
        assert_refused(&["read:LAB/home/.ssh/id", "list:LAB/home", "list:LAB"]);
    }
}

#[test]
fn a_qemu_in_the_jail_cannot_open_another_vm() {
    if has("jail: other VMs", 1) {
        assert_refused(&["read:LAB/homes/other", "write:LAB/homes/other", "read:LAB/vms/other/keys/a"]);
    }
}

#[test]
fn a_qemu_in_the_jail_cannot_read_the_password_hashes() {
    if has("jail: password hashes", 1) {
        assert_refused_in_jail(&["read:/etc/shadow", "list:/etc"]);
    }
}

#[test]
fn a_qemu_in_the_jail_cannot_write_the_image_or_itself() {
    if has("jail: image", 3) {
        assert_refused(&[
            "write:LAB/image",
            "write:LAB/kernel",
            "create:LAB/qemu/bin/new",
            "create:LAB/home/new",
        ]);
        assert_refused(&["remove:LAB/image"]);
        assert_refused_in_jail(&["remount:LAB/image", "remount:/"]);
    }
}

#[test]
fn a_qemu_in_the_jail_cannot_start_a_shell() {
    if has("jail: a shell", 1) {
        assert_refused(&["run:/bin/sh"]);
    }
}

#[test]
fn a_qemu_in_the_jail_without_a_network_of_its_own_cannot_connect_or_listen() {
    if has("jail: TCP", 4) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let connect = format!("connect:{}", listener.local_addr().unwrap());
        assert_refused(&[&connect, "listen"]);
        let results =
            Lab::new([connect.as_str(), "listen"]).jailed(Enforcement::Landlock, Network::All).results();
        assert!(results.iter().all(|result| result.ends_with(": done")), "{results:?}");
    }
}

#[test]
fn a_qemu_in_the_jail_cannot_connect_to_abstract_sockets() {
    if has("jail: abstract sockets", 6) {
        let name = format!("virtualghost-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let _listener = UnixListener::bind_addr(&address).unwrap();
        assert_refused(&[&format!("abstract:{name}")]);
    }
}

#[test]
fn a_qemu_in_the_jail_cannot_trace_its_launcher() {
    if has("jail: tracing", 1) {
        assert_refused_in_jail(&["trace", "memory"]);
    }
}

#[test]
fn a_qemu_in_the_jail_cannot_signal_others() {
    if has("jail: signals", 6) {
        let attack = format!("signal:{}", std::process::id());
        assert!(Lab::new([attack.as_str()]).results()[0].ends_with(": done"));
        assert_refused_by(Enforcement::Landlock, &[&attack]);
    }
}

/// The session's programs, such as its D-Bus, would run a program for it.
#[test]
fn a_qemu_in_the_jail_cannot_connect_to_programs_of_the_session() {
    if has("jail: sockets", 1) {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("bus");
        let _listener = UnixListener::bind(&socket).unwrap();
        assert_refused(&[&format!("socket:{}", socket.display())]);
    }
}

#[test]
fn a_qemu_in_the_jail_cannot_make_system_calls_that_a_vm_never_makes() {
    if !has("jail: system calls", 1) {
        return;
    }
    // io_uring_setup, keyctl, bpf, userfaultfd, process_vm_readv, perf_event_open: each fails without the jail too, in
    // another way.
    let calls =
        [libc::SYS_io_uring_setup, libc::SYS_process_vm_readv, libc::SYS_keyctl, libc::SYS_perf_event_open];
    let attacks: Vec<_> = calls.iter().map(|call| format!("system-call:{call}")).collect();
    let attacks: Vec<_> = attacks.iter().map(String::as_str).collect();
    for result in Lab::new(attacks.iter().copied()).results() {
        assert!(!result.contains("EPERM") && !result.contains("os error 1)"), "without the jail: {result}");
    }
    assert_refused_in_jail(&attacks);
}

#[test]
fn qemu_has_its_own_session_and_limits() {
    let mut scene = Scene::new(["greet"]);
    let path = scene.pid_path();
    let vm = Vm::start(&scene.launch, &scene.stop).unwrap();
    let pid = pid_in(&path);
    let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
    let limits = read("limits");
    let hard = |name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().rev().nth(1).unwrap().parse::<u64>().unwrap()
    };
    assert_eq!(hard("Max core file size"), 0, "{limits}");
    assert!(hard("Max open files") <= 4096, "{limits}");
    // proc_pid_stat(5): the session is the fourth field after the name.
    let stat = read("stat");
    let session = stat.rsplit_once(") ").unwrap().1.split(' ').nth(3).unwrap();
    assert_eq!(session, pid.to_string(), "{stat}");
    assert_eq!(read("oom_score_adj").trim(), "500");
    drop(vm);
}
