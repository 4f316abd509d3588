//! Real VMs, seen from outside: under Xvfb, by what can be read on the screen and on the guest's console.
//! Needs an executable with its assets inside, and a minute a test under TCG: `make test` and `make lab`.

mod screen;
mod vm;

use nix::sys::signal::Signal;
use screen::Screen;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use vm::Vm;

/// Types a command and waits for what it prints, by way of the serial console.
fn ask(screen: &Screen, vm: &Vm, name: &str, command: &str) -> String {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    let number = ASKED.fetch_add(1, Ordering::Relaxed);
    screen.type_line(&format!(
        "(echo; echo q{number}.; {command}; echo a{number}.) 2>&1 | sudo tee /dev/ttyS0 >/dev/null"
    ));
    let start = Instant::now();
    loop {
        let console = vm.console(name).replace('\r', "");
        let answer = console
            .split_once(&format!("\nq{number}.\n"))
            .and_then(|(_, said)| said.split_once(&format!("a{number}.\n")));
        if let Some((answer, _)) = answer {
            return answer.to_owned();
        }
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "no answer to {command:?} on the console:\n{console}"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn last_line(text: &str) -> &str {
    text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().trim()
}

fn image_digest() -> String {
    let images = Command::new("sh")
        .arg("-c")
        .arg("sha256sum */rootfs/rootfs.img")
        .current_dir(vm::shared_cache().join("virtualghost/assets"))
        .output()
        .unwrap();
    String::from_utf8(images.stdout).unwrap()
}

fn assert_gone(qemus: &[u32]) {
    assert!(!qemus.is_empty(), "there was a QEMU");
    let start = Instant::now();
    while let Some(pid) = qemus.iter().find(|pid| vm::is_alive(**pid)) {
        assert!(start.elapsed() < Duration::from_secs(10), "QEMU {pid} outlives its launcher");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_terminal_opens_takes_keys_follows_its_window_and_powers_off_at_exit() {
    let screen = Screen::new("virgl");
    let mut vm = Vm::start("virgl", Some(&screen), &[]);
    vm.wait_until_ready();
    let before = image_digest();
    let qemus = vm.qemus();
    assert_eq!(qemus.len(), 1, "one QEMU, whatever was tried: {}", vm.said());

    screen.type_line("echo virtual | tr a-z A-Z");
    screen.wait_for("typed", "VIRTUAL");

    let renderer = ask(&screen, &vm, "virgl", "eglinfo -B -p gbm | grep -i renderer");
    println!("what renders in the guest:\n{renderer}");
    assert!(renderer.contains("virgl"), "{renderer}");

    let size_at_first = last_line(&ask(&screen, &vm, "virgl", "stty size")).to_owned();
    screen.resize(900, 600);
    screen.wait_for("resized", "VIRTUAL");
    let modes = ask(&screen, &vm, "virgl", "head -1 /sys/class/drm/card0-Virtual-1/modes");
    assert_eq!(last_line(&modes), "900x600");
    let size = last_line(&ask(&screen, &vm, "virgl", "stty size")).to_owned();
    let cells = |size: &str| size.split(' ').map(|n| n.parse::<u32>().unwrap()).collect::<Vec<_>>();
    let (first, now) = (cells(&size_at_first), cells(&size));
    assert!(now[0] < first[0] && now[1] < first[1], "{first:?} rows and columns became {now:?}");

    screen.type_line("exit");
    assert_eq!(vm.wait().code(), Some(0), "{}", vm.said());
    assert_gone(&qemus);
    assert_eq!(image_digest(), before, "the image was written");
}

#[test]
fn without_opengl_the_guest_renders_in_software() {
    let screen = Screen::new("software");
    let mut vm = Vm::start("software", Some(&screen), &["--gl", "off", "--size", "1024x768"]);
    vm.wait_until_ready();
    screen.type_line("echo virtual | tr a-z A-Z");
    screen.wait_for("typed", "VIRTUAL");
    let renderer = ask(&screen, &vm, "software", "eglinfo -B -p gbm | grep -i renderer");
    assert!(renderer.contains("llvmpipe") && !renderer.contains("virgl"), "{renderer}");
    let mode = ask(&screen, &vm, "software", "head -1 /sys/class/drm/card0-Virtual-1/modes");
    assert_eq!(last_line(&mode), "1024x768");
    screen.type_line("exit 7");
    assert_eq!(vm.wait().code(), Some(0), "the terminal's status is the guest's business: {}", vm.said());
}

#[test]
fn without_a_display_the_vm_starts_without_a_window_and_says_so() {
    let mut vm = Vm::start("headless", None, &[]);
    vm.wait_until_ready();
    assert!(vm.said().contains("no window: neither WAYLAND_DISPLAY nor DISPLAY is set"), "{}", vm.said());
    let qemus = vm.qemus();
    vm.signal(Signal::SIGINT);
    assert!(vm.wait().success(), "a stop that was asked for is no failure: {}", vm.said());
    assert_gone(&qemus);
}

#[test]
fn two_vms_share_one_image_at_the_same_time() {
    let mut first = Vm::start("one", None, &[]);
    let mut second = Vm::start("two", None, &[]);
    first.wait_until_ready();
    second.wait_until_ready();
    first.signal(Signal::SIGTERM);
    second.signal(Signal::SIGTERM);
    assert!(first.wait().success() && second.wait().success(), "{}\n{}", first.said(), second.said());
}

#[test]
fn a_name_that_is_running_is_refused_with_the_way_on() {
    let mut first = Vm::start("twice", None, &[]);
    first.wait_until_said("QEMU");
    let second = vm::command(&first.home).args(["--name", "twice"]).output().unwrap();
    assert_eq!(second.status.code(), Some(2));
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.contains("a VM named twice is running already") && said.contains("--name"), "{said}");
    first.signal(Signal::SIGTERM);
    first.wait();
}

#[test]
fn closing_the_window_powers_the_guest_off() {
    let screen = Screen::new("closed");
    let mut vm = Vm::start("closed", Some(&screen), &[]);
    vm.wait_until_ready();
    let qemus = vm.qemus();
    screen.close_window();
    assert!(vm.wait().success(), "{}", vm.said());
    assert!(
        vm.console("closed").contains("reboot: Power down"),
        "the guest was not asked:\n{}",
        vm.console("closed")
    );
    assert_gone(&qemus);
}

#[test]
fn when_the_launcher_is_killed_qemu_dies_and_nothing_blocks_the_next_start() {
    let mut vm = Vm::start("killed", None, &[]);
    vm.wait_until_ready();
    let qemus = vm.qemus();
    vm.signal(Signal::SIGKILL);
    assert_eq!(vm.wait().signal(), Some(9));
    assert_gone(&qemus);
    let overlays = fs::read_dir(vm::shared_cache().join("virtualghost/overlays")).unwrap().count();
    assert_eq!(overlays, 0, "an overlay was left behind");
    let mut again = vm::command(&vm.home);
    again.args(["--name", "killed"]);
    let mut again = Vm::spawn(again, vm.home.clone());
    again.wait_until_ready();
    again.signal(Signal::SIGTERM);
    assert!(again.wait().success(), "{}", again.said());
}

#[test]
fn a_panic_of_the_guest_is_a_failure_with_the_consoles_last_lines() {
    let screen = Screen::new("panic");
    let mut vm = Vm::start("panic", Some(&screen), &["--gl", "off"]);
    vm.wait_until_ready();
    screen.type_line("echo c | sudo tee /proc/sysrq-trigger");
    assert_eq!(vm.wait().code(), Some(3), "{}", vm.said());
    assert!(vm.said().contains("panic") && vm.said().contains("sysrq triggered crash"), "{}", vm.said());
}

#[test]
fn a_kernel_and_a_root_filesystem_of_the_users_own_boot_and_stay_as_they_are() {
    let home = vm::home("own");
    let mut files = Vec::new();
    for part in ["kernel/vmlinux", "rootfs/rootfs.img"] {
        let built = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/build").join(part);
        let own = home.join(built.file_name().unwrap());
        let copied =
            Command::new("cp").args(["--sparse=always", "--reflink=auto"]).arg(&built).arg(&own).status();
        assert!(copied.unwrap().success(), "{}", built.display());
        files.push(own);
    }
    let digest = |file: &std::path::Path| Command::new("sha256sum").arg(file).output().unwrap().stdout;
    let before: Vec<_> = files.iter().map(|file| digest(file)).collect();
    let mut command = vm::command(&home);
    command.args(["--name", "own", "--kernel"]).arg(&files[0]).arg("--rootfs").arg(&files[1]);
    let mut vm = Vm::spawn(command, home);
    vm.wait_until_ready();
    vm.signal(Signal::SIGTERM);
    assert!(vm.wait().success(), "{}", vm.said());
    assert_eq!(
        files.iter().map(|file| digest(file)).collect::<Vec<_>>(),
        before,
        "a file of the user's was written"
    );
}

/// Where KVM runs guests, nothing has to fall and there is nothing to see.
#[test]
fn an_accelerator_that_opens_and_runs_nothing_is_left_within_one_run_and_fails_when_it_is_forced() {
    let mut vm = Vm::start("fallback", None, &[]);
    vm.wait_until_ready();
    let fell = vm.said().contains("using TCG");
    vm.signal(Signal::SIGTERM);
    vm.wait();
    println!("{}", vm.said());
    if fell {
        let home = vm::home("forced");
        let forced = vm::command(&home).args(["--name", "forced", "--accel", "kvm"]).output().unwrap();
        assert_eq!(forced.status.code(), Some(2));
        let said = String::from_utf8(forced.stderr).unwrap();
        assert!(said.contains("KVM was asked for (flag, --accel) and can't be had"), "{said}");
    }
}
