//! A launch with a fake QEMU, as other commands see it.

use crate::example::example;
use crate::util::{Home, stderr, stdout};
use std::process::{Command, Output};

/// A guest of the user's own, and a QEMU that opens what it is told to.
struct Lab {
    home: Home,
    guest: [String; 2],
}

impl Lab {
    fn new(home: Home) -> Self {
        let guest = home.write_guest("guest");
        Self { home, guest }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.home.command(args);
        let [kernel, rootfs] = &self.guest;
        command.env("VIRTUALGHOST_QEMU", example("fake-qemu"));
        command.env("VIRTUALGHOST_KERNEL", kernel).env("VIRTUALGHOST_ROOTFS", rootfs);
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    fn succeed(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
        stdout(&output)
    }

    fn detach(&self, name: &str) -> String {
        self.succeed(&["--accel", "tcg", "--display", "none", "--name", name, "--detach"])
    }
}

/// No test leaves a VM, not even one that fails.
impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.home.command(&["stop", "--all", "--force"]).output();
    }
}

/// The output of `--detach` ends when the session is ready, though the VM runs on.
#[test]
fn a_vm_is_launched_listed_read_and_stopped() {
    let lab = Lab::new(Home::new());
    assert_eq!(lab.detach("web"), "web\n");
    let listed: serde_json::Value = serde_json::from_str(&lab.succeed(&["ps", "--json"])).unwrap();
    assert_eq!(listed[0]["name"], "web", "{listed}");
    assert_eq!(listed[0]["state"], "ready", "{listed}");
    assert!(lab.succeed(&["logs", "web"]).contains("Linux version"));
    let again = lab.run(&["--accel", "tcg", "--display", "none", "--name", "web"]);
    assert!(stderr(&again).contains("a VM named web is running already"), "{}", stderr(&again));
    lab.succeed(&["stop", "web"]);
    let listed: serde_json::Value = serde_json::from_str(&lab.succeed(&["ps", "--json"])).unwrap();
    assert_eq!(listed, serde_json::json!([]));
    lab.succeed(&["rm", "--yes", "web"]);
}

#[test]
fn a_users_name_need_not_be_ascii_nor_short() {
    let lab = Lab::new(Home::below(&["Jürgen 日本", &"x".repeat(120), &"y".repeat(120)].join("/")));
    lab.detach("web");
    lab.succeed(&["stop", "web"]);
}
