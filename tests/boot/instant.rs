//! VMs that start from a checkpoint: quick, each its own, and whole.

use crate::screen::Screen;
use crate::vm::{self, Vm};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::SystemTime;

/// A size of memory that no other test has, so that the checkpoint is this one's.
const VM: [&str; 6] = ["--accel", "tcg", "--gl", "off", "--memory", "700"];

fn warm(screen: &Screen, home: &Path) -> Output {
    vm::command(home).arg("warm").args(VM).env("DISPLAY", &screen.display).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The folder of the checkpoint that a start would begin with.
fn checkpoint(screen: &Screen, home: &Path) -> Option<PathBuf> {
    let plan = vm::command(home).args(VM).arg("--dry-run").env("DISPLAY", &screen.display).output().unwrap();
    let plan = said(&plan);
    let disk = plan
        .split("file=")
        .filter_map(|words| words.split('\'').next())
        .find(|path| path.contains("/checkpoints/"))?;
    Some(Path::new(disk).parent().unwrap().to_owned())
}

/// Started at the prompt: nothing booted.
fn resumed(name: &str, screen: &Screen, home: &Path) -> Vm {
    let mut command = vm::command(home);
    command.args(["--name", name]).args(VM).env("DISPLAY", &screen.display);
    let mut vm = Vm::spawn(command, home.to_owned());
    vm.wait_until_ready();
    assert!(!vm.said().contains("booting"), "{}", vm.said());
    vm
}

fn exec(vm: &Vm, name: &str, line: &str) -> String {
    let output = vm::command(&vm.home).args(["exec", name, "--", "sh", "-c", line]).output().unwrap();
    assert!(output.status.success(), "{line}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// What should be a machine's own.
fn own(vm: &Vm, name: &str) -> BTreeMap<&'static str, String> {
    [
        ("host name", "hostname"),
        ("machine id", "cat /etc/machine-id"),
        ("host key", "sudo sha256sum /run/credstore/ghostly.host-key"),
        ("key that opens it", "sudo sha256sum /run/credstore/ghostly.authorized-user"),
        ("random numbers", "head -c 16 /dev/urandom | od -An -tx1"),
        ("the terminal's random numbers", "cat ~/random"),
    ]
    .map(|(what, line)| (what, exec(vm, name, line)))
    .into()
}

#[test]
fn vms_from_one_checkpoint_share_no_secret_and_a_damaged_one_is_done_without() {
    let home = vm::home("instant");
    let screens = ["instant-a", "instant-b"].map(Screen::new);
    // What an earlier run of this test has left.
    checkpoint(&screens[0], &home).into_iter().for_each(|left| fs::remove_dir_all(left).unwrap());
    let made = warm(&screens[0], &home);
    assert!(made.status.success() && said(&made).contains("the next start is instant"), "{}", said(&made));
    let checkpoint = checkpoint(&screens[0], &home).unwrap();
    let again = warm(&screens[0], &home);
    assert!(again.status.success() && !said(&again).contains("QEMU"), "{}", said(&again));
    assert!(!home.join(".local/share/virtualghost/homes").exists(), "a home was made for nobody");

    let mut vms =
        [("a", &screens[0]), ("b", &screens[1])].map(|(name, screen)| (resumed(name, screen, &home), name));
    for ((vm, name), screen) in vms.iter().zip(&screens) {
        screen.type_line("echo virtual | tr a-z A-Z; echo $RANDOM $RANDOM >~/random");
        screen.wait_for("typed", "VIRTUAL");
        assert_eq!(exec(vm, name, "hostname"), *name);
        assert_eq!(exec(vm, name, "lsblk -no SIZE $(findmnt -no SOURCE /home)"), "32G");
    }
    screens[1].resize(900, 600);
    exec(
        &vms[1].0,
        "b",
        "until head -1 /sys/class/drm/card0-Virtual-1/modes | grep -x 900x600; do sleep 0.2; done",
    );
    let [a, b] = [&vms[0], &vms[1]].map(|(vm, name)| own(vm, name));
    for (what, of_a) in &a {
        assert_ne!(of_a, &b[what], "both have the same {what}");
    }
    // The terminal of the user's own making, from the home that came later.
    exec(
        &vms[0].0,
        "a",
        "mkdir -p ~/.config/foot; printf '[colors]\\nbackground=c00000\\n' >~/.config/foot/foot.ini; sync",
    );
    for (vm, _) in &mut vms {
        vm.signal(nix::sys::signal::Signal::SIGTERM);
        assert!(vm.wait().success(), "{}", vm.said());
    }
    let since = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let saved = fs::metadata(checkpoint.join("about.json")).unwrap().modified().unwrap();
    let age = since(SystemTime::now()) - since(saved);
    let mut third = resumed("a", &screens[0], &home);
    // Its clock is the host's. Without being set it would be behind by as much as the checkpoint was old.
    let clock: u64 = exec(&third, "a", "date +%s").parse().unwrap();
    let behind = since(SystemTime::now()).abs_diff(clock);
    assert!(behind < age / 2, "its clock is {behind} s behind, {age} s after the save");
    assert_eq!(exec(&third, "a", "cat ~/random"), a["the terminal's random numbers"]);
    let colour = Command::new("convert")
        .arg(screens[0].screenshot("own-colour"))
        .args(["-format", "%[pixel:p{600,400}]", "info:"])
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&colour.stdout).contains("(192,0,0"), "{}", said(&colour));
    screens[0].type_line("exit");
    assert_eq!(third.wait().code(), Some(0), "{}", third.said());

    let mut memory = File::options().write(true).open(checkpoint.join("memory")).unwrap();
    memory.write_all(&[0; 4096]).unwrap();
    let mut command = vm::command(&home);
    command.args(["--name", "a"]).args(VM).env("DISPLAY", &screens[0].display);
    let mut booted = Vm::spawn(command, home.clone());
    booted.wait_until_ready();
    let said = booted.said();
    assert!(
        said.contains("an instant start does not work here: ") && said.contains("the VM boots"),
        "{said}"
    );
    assert!(!checkpoint.exists(), "it would be tried again");
    booted.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(booted.wait().success(), "{said}");
}
