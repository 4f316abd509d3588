//! `ssh-config`, as plain ssh reads it.

use crate::support::{Vm, executable};
use std::fs;
use std::process::{Command, Stdio};

/// `ssh` with a configuration and no environment but PATH, as cron has it.
fn ssh(vm: &Vm, config: &str, line: &str) -> String {
    let path = vm.path("config");
    fs::write(&path, config).unwrap();
    let mut ssh = Command::new("ssh");
    ssh.arg("-F").arg(&path).args(["vg-web", line]).stdin(Stdio::null());
    ssh.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    let output = ssh.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn it_works_appended_anywhere_and_from_any_environment() {
    let vm = Vm::start();
    let printed = String::from_utf8(vm.run(&["ssh-config"]).stdout).unwrap();
    for before in ["", "Host other\n  User x\n", "Match host y\n  User z"] {
        assert_eq!(ssh(&vm, &format!("{before}\n{printed}"), "echo here"), "here\n", "{before:?}");
    }
}

#[test]
fn a_shared_connection_is_the_vms_own() {
    let vm = Vm::start();
    let printed = String::from_utf8(vm.run(&["ssh-config"]).stdout).unwrap();
    let shared = vm.path("shared");
    let config = format!(
        "{printed}\nHost *\n  ControlMaster auto\n  ControlPersist 5\n  ControlPath {}/%h\n",
        shared.display()
    );
    fs::create_dir(&shared).unwrap();
    assert_eq!(ssh(&vm, &config, "echo one"), "one\n");
    assert_eq!(fs::read_dir(&shared).unwrap().count(), 0, "it is where other hosts' connections are");
}

#[test]
fn it_installs_itself_once() {
    let vm = Vm::start();
    let config = vm.path("own");
    fs::write(&config, "Host mine\n  User me\n").unwrap();
    let install = || vm.run(&["ssh-config", &format!("--install={}", config.display())]);
    let (first, second) = (install(), install());
    assert!(first.status.success() && second.status.success(), "{first:?} {second:?}");
    assert_ne!(first.stdout, second.stdout);
    let text = fs::read_to_string(&config).unwrap();
    assert!(text.matches("Include").count() == 1 && text.ends_with("Host mine\n  User me\n"), "{text}");
    assert_eq!(ssh(&vm, &text, "echo here"), "here\n");
    assert!(text.lines().any(|line| line.contains("/vms/*/ssh-config")), "{text} by {}", executable());
}
