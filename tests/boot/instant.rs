//! VMs that start from a checkpoint: each has an identity of its own, and works like a VM that booted.

use crate::screen::Screen;
use crate::stage::{Stage, words};
use crate::vm::{self, Vm};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::SystemTime;

/// The memory size is this test's only, so that its checkpoint is too.
const VM: [&str; 6] = ["--accel", "tcg", "--gl", "off", "--memory", "700"];

fn make_checkpoint(screen: &Screen, home: &Path) -> Output {
    vm::command(home).arg("checkpoint").args(VM).env("DISPLAY", &screen.display).output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The folder of the checkpoint that a start would resume.
fn checkpoint(screen: &Screen, home: &Path) -> Option<PathBuf> {
    let plan = vm::command(home).args(VM).arg("--dry-run").env("DISPLAY", &screen.display).output().unwrap();
    let plan = text(&plan);
    let disk = plan
        .split("file=")
        .filter_map(|words| words.split('\'').next())
        .find(|path| path.contains("/checkpoints/"))?;
    Some(Path::new(disk).parent().unwrap().to_owned())
}

/// A VM that resumed a checkpoint: no kernel booted.
fn resumed(name: &str, screen: &Screen, home: &Path) -> Vm {
    let mut command = vm::command(home);
    command.args(["--name", name]).args(VM).env("DISPLAY", &screen.display);
    let mut vm = Vm::spawn(command, home.to_owned());
    vm.wait_until_ready();
    assert!(!vm.stderr().contains(words(Stage::Kernel)), "{}", vm.stderr());
    vm
}

fn exec(vm: &Vm, name: &str, line: &str) -> String {
    let output = vm::command(&vm.home).args(["exec", name, "--", "sh", "-c", line]).output().unwrap();
    assert!(output.status.success(), "{line}: {}", text(&output));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Values that must differ between two VMs.
fn identity(vm: &Vm, name: &str) -> BTreeMap<&'static str, String> {
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
fn vms_from_one_checkpoint_share_no_secret_and_a_damaged_checkpoint_is_removed() {
    let home = vm::home("instant");
    let screens = ["instant-a", "instant-b"].map(Screen::new);
    // An earlier run of this test may have left one.
    checkpoint(&screens[0], &home).into_iter().for_each(|left| fs::remove_dir_all(left).unwrap());
    let made = make_checkpoint(&screens[0], &home);
    assert!(made.status.success(), "{}", text(&made));
    let checkpoint = checkpoint(&screens[0], &home).unwrap();
    let again = make_checkpoint(&screens[0], &home);
    assert!(again.status.success() && !text(&again).contains(words(Stage::Qemu)), "{}", text(&again));
    assert!(!home.join(".local/share/virtualghost/homes").exists(), "a checkpoint needs no home disk");

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
    let [a, b] = [&vms[0], &vms[1]].map(|(vm, name)| identity(vm, name));
    for (what, of_a) in &a {
        assert_ne!(of_a, &b[what], "both have the same {what}");
    }
    // The user's settings of the terminal are in /home, which is attached after the checkpoint was resumed. Newer versions
    // of foot have another name for the section.
    exec(
        &vms[0].0,
        "a",
        "mkdir -p ~/.config/foot; for section in colors colors-dark; do \
            printf '[%s]\\nbackground=c00000\\n' $section >~/.config/foot/foot.ini; foot --check-config && break; \
            done; sync",
    );
    for (vm, _) in &mut vms {
        vm.signal(nix::sys::signal::Signal::SIGTERM);
        assert!(vm.wait().success(), "{}", vm.stderr());
    }
    let since = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let saved = fs::metadata(checkpoint.join("about.json")).unwrap().modified().unwrap();
    let age = since(SystemTime::now()) - since(saved);
    let mut third = resumed("a", &screens[0], &home);
    // The guest's clock is set to the host's; otherwise it would be behind by the age of the checkpoint.
    let clock: u64 = exec(&third, "a", "date +%s").parse().unwrap();
    let behind = since(SystemTime::now()).abs_diff(clock);
    assert!(behind < age / 2, "the guest's clock is {behind} s off, {age} s after the save");
    assert_eq!(exec(&third, "a", "cat ~/random"), a["the terminal's random numbers"]);
    let colour = Command::new("convert")
        .arg(screens[0].screenshot("own-colour"))
        .args(["-format", "%[pixel:p{600,400}]", "info:"])
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&colour.stdout).contains("(192,0,0"), "{}", text(&colour));
    screens[0].type_line("exit");
    assert_eq!(third.wait().code(), Some(0), "{}", third.stderr());

    // Damage that only QEMU finds: the file's length and time are those that were written down.
    let mut memory = File::options().write(true).open(checkpoint.join("memory")).unwrap();
    let written = memory.metadata().unwrap().modified().unwrap();
    memory.write_all(&[0; 4096]).unwrap();
    memory.set_modified(written).unwrap();
    let mut command = vm::command(&home);
    command.args(["--name", "a"]).args(VM).env("DISPLAY", &screens[0].display);
    let mut booted = Vm::spawn(command, home.clone());
    booted.wait_until_ready();
    let text = booted.stderr();
    assert_eq!(text.matches(words(Stage::Qemu)).count(), 2, "{text}");
    assert!(text.contains(words(Stage::Kernel)), "{text}");
    assert!(!checkpoint.exists(), "the damaged checkpoint was not removed");
    booted.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(booted.wait().success(), "{text}");
}
