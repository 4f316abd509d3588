//! Launches with a fake QEMU, and the commands for running VMs.

use crate::example::example;
use crate::os;
use crate::util::{Home, stderr, stdout};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// A user with a kernel, a root filesystem and a fake QEMU.
pub struct Lab {
    pub home: Home,
    guest: [String; 2],
}

impl Lab {
    pub fn new(home: Home) -> Self {
        let guest = home.write_guest("guest");
        Self { home, guest }
    }

    /// Sets the steps of every later QEMU (tests/supervise/fake_qemu.rs), instead of a boot.
    #[cfg(target_os = "linux")]
    pub fn plays(&self, steps: &[&str]) {
        fs::write(self.home.path().join("steps"), steps.join("\n")).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.home.command(args);
        let [kernel, rootfs] = &self.guest;
        command.env("VIRTUALGHOST_QEMU", example("fake-qemu"));
        // It reads its steps from the home.
        command.env("VIRTUALGHOST_JAIL", "off");
        command.env("VIRTUALGHOST_KERNEL", kernel).env("VIRTUALGHOST_ROOTFS", rootfs);
        command
    }

    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    pub fn succeed(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
        stdout(&output)
    }

    pub fn detach(&self, name: &str) -> String {
        self.succeed(&["--accel", "tcg", "--display", "none", "--name", name, "--detach"])
    }
}

/// No test leaves a running VM, not even one that fails.
impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.home.command(&["stop", "--all", "--force"]).output();
    }
}

/// The output of `--detach` ends when the session is ready, while the VM runs.
#[test]
fn a_vm_is_started_listed_and_stopped() {
    let lab = Lab::new(Home::new());
    assert_eq!(lab.detach("web"), "web\n");
    let listed: serde_json::Value = serde_json::from_str(&lab.succeed(&["ps", "--json"])).unwrap();
    assert_eq!(listed[0]["name"], "web", "{listed}");
    assert_eq!(listed[0]["state"], "ready", "{listed}");
    assert!(lab.succeed(&["logs", "web"]).contains("Linux version"));
    let again = lab.run(&["--accel", "tcg", "--display", "none", "--name", "web"]);
    assert_eq!(again.status.code(), Some(2), "{}", stderr(&again));
    assert!(stderr(&again).contains("web"), "{}", stderr(&again));
    lab.succeed(&["stop", "web"]);
    let listed: serde_json::Value = serde_json::from_str(&lab.succeed(&["ps", "--json"])).unwrap();
    assert_eq!(listed, serde_json::json!([]));
    let all: serde_json::Value = serde_json::from_str(&lab.succeed(&["ls", "--json"])).unwrap();
    assert_eq!((&all[0]["name"], &all[0]["state"]), (&"web".into(), &"off".into()), "{all}");
    lab.succeed(&["rm", "--yes", "web"]);
    assert_eq!(lab.succeed(&["ls", "--json"]).trim(), "[]");
}

#[test]
fn a_renamed_vm_keeps_its_home_and_no_other_is_overwritten() {
    let lab = Lab::new(Home::new());
    for name in ["web", "db"] {
        lab.detach(name);
        lab.succeed(&["stop", name]);
    }
    let listed = || -> serde_json::Value { serde_json::from_str(&lab.succeed(&["ls", "--json"])).unwrap() };
    let path =
        |listed: &serde_json::Value, place: usize| listed[place]["home"]["path"].as_str().map(PathBuf::from);
    let web = path(&listed(), 1).unwrap();
    fs::write(&web, "what the user made").unwrap();
    assert_eq!(lab.run(&["rename", "web", "db"]).status.code(), Some(2));
    assert_eq!(fs::read(&web).unwrap(), b"what the user made");
    lab.detach("db");
    assert_eq!(lab.run(&["rename", "web", "db"]).status.code(), Some(2));
    lab.succeed(&["stop", "db"]);
    lab.succeed(&["rename", "web", "old"]);
    let after = listed();
    assert_eq!((&after[0]["name"], &after[1]["name"]), (&"db".into(), &"old".into()), "{after}");
    assert_eq!(fs::read(path(&after, 1).unwrap()).unwrap(), b"what the user made");
    assert!(!web.exists());
    assert!(lab.succeed(&["logs", "old"]).contains("Linux version"));
}

#[test]
fn a_vm_keeps_its_system_through_clean_until_it_is_removed() {
    let lab = Lab::new(Home::new());
    let system = |listed: &serde_json::Value| listed["system"]["path"].as_str().map(PathBuf::from);
    let listed = || -> serde_json::Value {
        let all: serde_json::Value = serde_json::from_str(&lab.succeed(&["ls", "--json"])).unwrap();
        all[0].clone()
    };
    let start = |args: &[&str]| {
        lab.succeed(&[&["--accel", "tcg", "--display", "none", "--name", "web", "--detach"], args].concat());
        lab.succeed(&["stop", "web"]);
    };
    start(&[]);
    assert_eq!(system(&listed()), None);
    start(&["--keep", "system"]);
    let disk = system(&listed()).unwrap();
    fs::write(&disk, "what was installed").unwrap();
    lab.succeed(&["clean"]);
    // It needs no flag again.
    let plan = lab.succeed(&["--accel", "tcg", "--display", "none", "--name", "web", "--dry-run"]);
    assert!(plan.contains(&disk.display().to_string()), "{plan}");
    assert!(fs::metadata(disk.with_file_name("image")).unwrap().len() > 0);
    lab.succeed(&["rename", "web", "api"]);
    assert_eq!(fs::read(system(&listed()).unwrap()).unwrap(), b"what was installed");
    lab.succeed(&["rm", "--yes", "api"]);
    assert!(!disk.with_file_name("image").exists());
    assert_eq!(lab.succeed(&["ls", "--json"]).trim(), "[]");
}

#[test]
fn a_clone_has_all_that_the_vm_keeps_and_changes_nothing_of_it() {
    let lab = Lab::new(Home::new());
    lab.succeed(&["--accel", "tcg", "--display", "none", "--name", "web", "--detach", "--keep", "system"]);
    assert_eq!(lab.run(&["clone", "web", "trial"]).status.code(), Some(2), "it runs");
    lab.succeed(&["stop", "web"]);
    let listed =
        || -> Vec<serde_json::Value> { serde_json::from_str(&lab.succeed(&["ls", "--json"])).unwrap() };
    let paths = |vm: &serde_json::Value| {
        ["home", "system"].map(|disk| PathBuf::from(vm[disk]["path"].as_str().expect("it is kept")))
    };
    let original = paths(&listed()[0]);
    fs::write(&original[0], "files").unwrap();
    fs::write(&original[1], "programs").unwrap();
    lab.succeed(&["clone", "web", "trial"]);
    let all = listed();
    assert_eq!((&all[0]["name"], &all[1]["name"]), (&"trial".into(), &"web".into()));
    let copy = paths(&all[0]);
    assert_eq!(copy.clone().map(|disk| fs::read(disk).unwrap()), [b"files".to_vec(), b"programs".to_vec()]);
    fs::write(&copy[0], "other files").unwrap();
    assert_eq!(fs::read(&original[0]).unwrap(), b"files", "the copy is the original");
    // Neither VM is overwritten.
    assert_eq!(lab.run(&["clone", "web", "trial"]).status.code(), Some(2));
    assert_eq!(fs::read(&copy[0]).unwrap(), b"other files");
}

#[test]
fn a_vm_goes_back_to_its_snapshot_and_keeps_it() {
    let lab = Lab::new(Home::new());
    let start = ["--accel", "tcg", "--display", "none", "--name", "web", "--detach"];
    lab.succeed(&[&start[..], &["--keep", "system"]].concat());
    assert_eq!(lab.run(&["snapshot", "web", "before"]).status.code(), Some(2), "it runs");
    lab.succeed(&["stop", "web"]);
    let listed = || -> serde_json::Value { serde_json::from_str(&lab.succeed(&["ls", "--json"])).unwrap() };
    let all = listed();
    let disks = ["home", "system"].map(|disk| PathBuf::from(all[0][disk]["path"].as_str().unwrap()));
    let write = |text: &str| disks.iter().for_each(|disk| fs::write(disk, text).unwrap());
    let read = || disks.clone().map(|disk| fs::read_to_string(disk).unwrap());
    write("before");
    lab.succeed(&["snapshot", "web", "before"]);
    assert_eq!(lab.run(&["snapshot", "web", "before"]).status.code(), Some(2), "there is one");
    assert_eq!(listed()[0]["snapshots"], serde_json::json!(["before"]));
    write("after");
    // It asks before something is lost.
    assert_eq!(lab.run(&["restore", "web", "before"]).status.code(), Some(2));
    assert_eq!(lab.run(&["restore", "web", "--yes", "never"]).status.code(), Some(2));
    assert_eq!(read(), ["after", "after"]);
    for _ in 0..2 {
        lab.succeed(&["restore", "web", "--yes", "before"]);
        assert_eq!(read(), ["before", "before"]);
        write("after");
    }
    lab.succeed(&["rename", "web", "api"]);
    assert_eq!(listed()[0]["snapshots"], serde_json::json!(["before"]));
    lab.succeed(&["rm", "--yes", "api", "--snapshot", "before"]);
    assert_eq!(listed()[0]["snapshots"], serde_json::json!([]));
    lab.succeed(&["snapshot", "api"]);
    lab.succeed(&["rm", "--yes", "api"]);
    assert_eq!(lab.succeed(&["ls", "--json"]).trim(), "[]");
}

#[test]
fn the_path_of_a_home_may_be_long_and_not_ascii() {
    let lab = Lab::new(Home::below(&["Jürgen 日本", &"x".repeat(120), &"y".repeat(120)].join("/")));
    lab.detach("web");
    lab.succeed(&["stop", "web"]);
}

/// As Ctrl-C in the terminal of whoever waits, and `| head -1` on what is written meanwhile.
#[cfg(target_os = "linux")]
#[test]
fn a_detached_launch_that_is_cancelled_while_it_waits_leaves_no_vm() {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    let lab = Lab::new(Home::new());
    let closed = lab.home.path().join("closed");
    let notice = "control={\"event\":\"notice\",\"message\":\"x\"}\\n";
    lab.plays(&["greet", "console=x", &format!("await={}", closed.display()), notice]);
    let args = ["--accel", "tcg", "--display", "none", "--name", "web", "--detach"];
    for signal in [Some(Signal::SIGINT), Some(Signal::SIGTERM), None] {
        let mut waiting = lab.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let first = BufReader::new(waiting.stderr.take().unwrap()).lines().next();
        assert!(first.is_some_and(|line| line.is_ok()));
        match signal {
            Some(signal) => kill(Pid::from_raw(waiting.id() as i32), signal).unwrap(),
            // The next line finds no reader.
            None => fs::write(&closed, "").unwrap(),
        }
        assert_eq!(waiting.wait().unwrap().code(), Some(130), "{signal:?}");
        assert_eq!(lab.succeed(&["ps", "--json"]).trim(), "[]");
    }
}

/// A start of a VM empties its logs.
#[test]
fn logs_that_are_followed_start_over_when_the_log_was_emptied() {
    let lab = Lab::new(Home::new());
    lab.detach("web");
    let mut follower = lab.command(&["logs", "-f", "web"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(follower.stdout.take().unwrap());
    // The last line of the fake guest.
    let mut line = String::new();
    while !line.contains("Welcome") {
        line.clear();
        assert_ne!(output.read_line(&mut line).unwrap(), 0, "the output ended");
    }
    fs::write(lab.home.path().join(os::VMS).join("web/console.log"), "again\n").unwrap();
    lab.succeed(&["stop", "web"]);
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "again\n");
    assert!(follower.wait().unwrap().success());
}

#[test]
fn vms_can_be_listed_stopped_and_removed_with_a_bad_configuration() {
    let lab = Lab::new(Home::new());
    lab.detach("web");
    lab.detach("db");
    lab.home.write_config("vcpus = 0\n");
    assert_eq!(lab.run(&["--name", "other"]).status.code(), Some(2));
    let listed: serde_json::Value = serde_json::from_str(&lab.succeed(&["ps", "--json"])).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 2, "{listed}");
    assert!(lab.succeed(&["logs", "web"]).contains("Linux version"));
    lab.succeed(&["stop", "web"]);
    lab.succeed(&["stop", "--force", "db"]);
    lab.succeed(&["rm", "--yes", "web"]);
    assert_eq!(lab.run(&["logs", "web"]).status.code(), Some(2));
}
