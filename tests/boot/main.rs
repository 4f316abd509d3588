//! Real VMs on an X server (Xvfb), tested by the text on the screen and on the guest's console. Needs an executable that
//! carries kernel, root filesystem and QEMU, and about a minute per test under TCG: `make test` and `make lab`.

mod counts;
mod everyday;
mod guest;
mod instant;
mod kept;
#[path = "../namespace.rs"]
mod namespace;
mod network;
mod remote;
mod screen;
mod shares;
#[path = "../skipped.rs"]
mod skipped;
mod stage;
mod typing;
mod vm;

use nix::sys::signal::Signal;
use screen::Screen;
use skipped::skipped;
use stage::{Stage, words};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use vm::Vm;

/// Types a command in the VM's terminal, and returns its output, which is sent to the serial console.
fn run_in_terminal(screen: &Screen, vm: &Vm, name: &str, command: &str) -> String {
    static COMMANDS: AtomicU32 = AtomicU32::new(0);
    let number = COMMANDS.fetch_add(1, Ordering::Relaxed);
    screen.type_line(&format!(
        "(echo; echo q{number}.; {command}; echo a{number}.) 2>&1 | sudo tee /dev/console >/dev/null"
    ));
    let start = Instant::now();
    loop {
        let console = vm.console(name).replace('\r', "");
        let answer = console
            .split_once(&format!("\nq{number}.\n"))
            .and_then(|(_, rest)| rest.split_once(&format!("a{number}.\n")));
        if let Some((answer, _)) = answer {
            return answer.to_owned();
        }
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "no output of {command:?} on the console:\n{console}"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The arrow points with its tip. (The pointer over text is the same upside down.)
fn assert_pointer_is_the_right_way_up(screen: &Screen) {
    screen.type_line(r"printf '\e]22;default\e\\'");
    let start = Instant::now();
    loop {
        for x in [200, 300] {
            screen.move_pointer(x, 200);
            std::thread::sleep(Duration::from_millis(500));
        }
        let pointer = screen.pointer();
        if pointer.drawn_at_its_tip() >= 6 {
            return println!("{pointer}");
        }
        assert!(start.elapsed() < Duration::from_secs(60), "nothing points at +:\n{pointer}");
    }
}

fn last_line(text: &str) -> &str {
    text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().trim()
}

fn image_digest() -> Vec<Vec<u8>> {
    let versions = fs::read_dir(vm::shared_cache().join("virtualghost/assets")).unwrap();
    let images = versions.map(|version| version.unwrap().path().join("rootfs"));
    let digests: Vec<_> = images.filter(|image| image.is_dir()).map(|image| digest(&image)).collect();
    assert!(!digests.is_empty(), "nothing was unpacked");
    digests
}

fn assert_gone(qemus: &[u32]) {
    assert!(!qemus.is_empty(), "no QEMU was started");
    let start = Instant::now();
    while let Some(pid) = qemus.iter().find(|pid| vm::is_alive(**pid)) {
        assert!(start.elapsed() < Duration::from_secs(10), "QEMU {pid} outlives its launcher");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_terminal_opens_gets_keys_resizes_with_its_window_and_powers_off_at_exit() {
    let screen = Screen::new("virgl");
    let mut vm = Vm::start("virgl", Some(&screen), &[]);
    vm.wait_until_ready();
    let before = image_digest();
    let qemus = vm.qemus();
    assert_eq!(qemus.len(), 1, "one QEMU, also after a fallback: {}", vm.stderr());
    println!("{}", vm.stderr());
    counts::assert_counts(&vm.home);

    screen.type_line("echo virtual | tr a-z A-Z");
    screen.wait_for("typed", "VIRTUAL");

    let renderer = run_in_terminal(&screen, &vm, "virgl", "eglinfo -B -p gbm | grep -i renderer");
    println!("renderer in the guest:\n{renderer}");
    assert!(renderer.contains("virgl"), "{renderer}");

    // The check that the terminal runs before it uses the host's OpenGL.
    let offered = run_in_terminal(&screen, &vm, "virgl", "/usr/lib/virtualghost/opengl 4.3 && echo enough");
    assert_eq!(last_line(&offered), "enough", "{offered}");
    let old = "MESA_GL_VERSION_OVERRIDE=4.1 /usr/lib/virtualghost/opengl 4.3 || echo less";
    let offered = run_in_terminal(&screen, &vm, "virgl", old);
    assert!(offered.contains("4.1") && last_line(&offered) == "less", "{offered}");

    counts::assert_idle(qemus[0]);
    assert_pointer_is_the_right_way_up(&screen);
    let size_at_first = last_line(&run_in_terminal(&screen, &vm, "virgl", "stty size")).to_owned();
    screen.resize(900, 600);
    screen.wait_for("resized", "VIRTUAL");
    let modes = run_in_terminal(&screen, &vm, "virgl", "head -1 /sys/class/drm/card0-Virtual-1/modes");
    assert_eq!(last_line(&modes), "900x600");
    let size = last_line(&run_in_terminal(&screen, &vm, "virgl", "stty size")).to_owned();
    let cells = |size: &str| size.split(' ').map(|n| n.parse::<u32>().unwrap()).collect::<Vec<_>>();
    let (first, now) = (cells(&size_at_first), cells(&size));
    assert!(now[0] < first[0] && now[1] < first[1], "{first:?} rows and columns became {now:?}");
    // The host has the same size.
    let output_of = |args: &[&str]| {
        let output = vm::command(&vm.home).args(args).output().unwrap();
        String::from_utf8(output.stdout).unwrap().split_whitespace().collect::<String>()
    };
    let size = format!("\"terminal\":{{\"columns\":{},\"rows\":{}}}", now[1], now[0]);
    let (listed, status) = (
        output_of(&["ps", "--json"]),
        output_of(&["exec", "--", "/usr/lib/virtualghost/ghostly-agent", "status"]),
    );
    assert!(listed.contains(&size) && status.contains(&size), "{size}: {listed} {status}");

    screen.type_line("exit");
    assert_eq!(vm.wait().code(), Some(0), "{}", vm.stderr());
    assert_gone(&qemus);
    assert_eq!(image_digest(), before, "the image was written");
}

#[test]
fn without_opengl_the_guest_renders_in_software_and_closing_the_window_powers_it_off() {
    let screen = Screen::new("software");
    let mut vm = Vm::start("software", Some(&screen), &["--gl", "off", "--size", "1024x768"]);
    vm.wait_until_ready();
    screen.type_line("echo virtual | tr a-z A-Z");
    screen.wait_for("typed", "VIRTUAL");
    let renderer = run_in_terminal(&screen, &vm, "software", "eglinfo -B -p gbm | grep -i renderer");
    assert!(renderer.contains("llvmpipe") && !renderer.contains("virgl"), "{renderer}");
    let mode = run_in_terminal(&screen, &vm, "software", "head -1 /sys/class/drm/card0-Virtual-1/modes");
    assert_eq!(last_line(&mode), "1024x768");
    assert_pointer_is_the_right_way_up(&screen);
    let qemus = vm.qemus();
    screen.close_window();
    assert!(vm.wait().success(), "{}", vm.stderr());
    let console = vm.console("software");
    assert!(console.contains("reboot: Power down"), "the guest did not power off:\n{console}");
    assert_gone(&qemus);
}

#[test]
fn a_guest_panic_fails_with_the_last_lines_of_the_console() {
    let screen = Screen::new("panic");
    let mut vm = Vm::start("panic", Some(&screen), &["--gl", "off"]);
    vm.wait_until_ready();
    screen.type_line("echo c | sudo tee /proc/sysrq-trigger");
    assert_eq!(vm.wait().code(), Some(3), "{}", vm.stderr());
    assert!(
        vm.stderr().contains("panic") && vm.stderr().contains("sysrq triggered crash"),
        "{}",
        vm.stderr()
    );
}

/// Two VMs at the same time; then the second starts once more, with the user's own kernel and root filesystem.
#[test]
fn vms_share_one_image_and_leave_nothing_behind_however_they_end() {
    let mut first = Vm::start("one", None, &[]);
    let mut second = Vm::start("two", None, &[]);
    // Only after the first has its name: on a busy machine the third could be earlier.
    first.wait_until_printed(words(Stage::Qemu));
    let namesake = vm::command(&first.home).args(["--name", "one"]).output().unwrap();
    let refusal = String::from_utf8(namesake.stderr).unwrap();
    assert_eq!(namesake.status.code(), Some(2), "{refusal}");
    assert!(refusal.contains("one") && refusal.contains("--name"), "{refusal}");
    first.wait_until_ready();
    second.wait_until_ready();
    assert!(first.stderr().contains("WAYLAND_DISPLAY"), "{}", first.stderr());

    let kept = vm::command(&first.home).arg("clean").output().unwrap();
    let kept = String::from_utf8(kept.stdout).unwrap();
    let user = |name: &str, vm: &Vm| kept.contains(name) && kept.contains(&vm.pid().to_string());
    assert!(user("one", &first) && user("two", &second), "{kept}");

    let qemus = first.qemus();
    first.signal(Signal::SIGINT);
    assert!(first.wait().success(), "a requested stop is no failure: {}", first.stderr());
    assert_gone(&qemus);

    let own = own_files(&second.home);
    let before = own.clone().map(|file| digest(&file));
    let mut command = vm::command(&second.home);
    command.args(["--name", "two", "--kernel"]).arg(&own[0]).arg("--rootfs").arg(&own[1]);
    let qemus = second.qemus();
    second.signal(Signal::SIGKILL);
    assert_eq!(second.wait().signal(), Some(9));
    // Immediately: the old QEMU may still have the home disk open.
    let mut third = Vm::spawn(command, second.home.clone());
    assert_gone(&qemus);
    let overlays = Command::new("find")
        .arg(vm::shared_cache().join("virtualghost/overlays"))
        .args(["-type", "f", "-name", "vl.*"])
        .output();
    assert_eq!(overlays.unwrap().stdout, b"", "an overlay was left behind");
    third.wait_until_ready();
    third.signal(Signal::SIGTERM);
    assert!(third.wait().success(), "{}", third.stderr());
    assert_eq!(own.map(|file| digest(&file)), before, "the user's file was written");
}

/// Copies of the kernel and the root filesystem, as the user's own files.
fn own_files(home: &Path) -> [PathBuf; 2] {
    let built = vm::built();
    let kernel = ["vmlinux", "Image"]
        .map(|name| built.join("kernel").join(name))
        .into_iter()
        .find(|file| file.exists());
    [kernel.expect("a kernel was built"), built.join("rootfs/rootfs.img")].map(|built| {
        let own = home.join(built.file_name().unwrap());
        let copied =
            Command::new("cp").args(["--sparse=always", "--reflink=auto"]).arg(&built).arg(&own).status();
        assert!(copied.unwrap().success(), "{}", built.display());
        own
    })
}

/// Covers content, holes, modes and times of a file or folder. tar skips holes, which are most of an image.
fn digest(path: &Path) -> Vec<u8> {
    let sum = "tar --sort=name -cSf - \"$1\" 2>/dev/null | sha256sum";
    let output = Command::new("bash").args(["-o", "pipefail", "-c", sum, "bash"]).arg(path).output().unwrap();
    assert!(output.status.success(), "{}", path.display());
    output.stdout
}

#[test]
fn a_forced_accelerator_that_runs_nothing_fails_with_the_reason() {
    let home = vm::home("forced");
    let Some(mut command) = namespace::with_broken_kvm(&vm::executable(), &home.join("dev")) else {
        return skipped("boot: a forced accelerator", "mounting in a user namespace is not permitted");
    };
    vm::set_environment(&mut command, &home);
    command.args(["--name", "forced", "--accel", "kvm", "--display", "none"]);
    let mut vm = Vm::spawn(command, home);
    assert_eq!(vm.wait().code(), Some(2), "{}", vm.stderr());
    let text = vm.stderr();
    assert!(text.contains("KVM") && text.contains("--accel"), "{text}");
    assert!(text.contains("hint: "), "{text}");
    assert_eq!(text.matches(words(Stage::Qemu)).count(), 1, "it fell back: {text}");
}
