//! Real VMs, seen from outside: under Xvfb, by what can be read on the screen and on the guest's console.
//! Needs an executable with its assets inside, and a minute a test under TCG: `make test` and `make lab`.

mod counts;
mod instant;
mod remote;
mod screen;
mod vm;

use nix::sys::signal::Signal;
use screen::Screen;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use vm::Vm;

/// Types a command and waits for what it prints, by way of the serial console.
fn ask(screen: &Screen, vm: &Vm, name: &str, command: &str) -> String {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    let number = ASKED.fetch_add(1, Ordering::Relaxed);
    screen.type_line(&format!(
        "(echo; echo q{number}.; {command}; echo a{number}.) 2>&1 | sudo tee /dev/console >/dev/null"
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

fn image_digest() -> Vec<Vec<u8>> {
    let versions = fs::read_dir(vm::shared_cache().join("virtualghost/assets")).unwrap();
    let images = versions.map(|version| version.unwrap().path().join("rootfs"));
    let digests: Vec<_> = images.filter(|image| image.is_dir()).map(|image| digest(&image)).collect();
    assert!(!digests.is_empty(), "nothing was unpacked");
    digests
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
    assert_eq!(qemus.len(), 1, "one QEMU, whatever was tried before: {}", vm.said());
    println!("{}", vm.said());
    counts::assert_no_more_than_before(&vm.home);

    screen.type_line("echo virtual | tr a-z A-Z");
    screen.wait_for("typed", "VIRTUAL");

    let renderer = ask(&screen, &vm, "virgl", "eglinfo -B -p gbm | grep -i renderer");
    println!("what renders in the guest:\n{renderer}");
    assert!(renderer.contains("virgl"), "{renderer}");

    // What the terminal asks before it takes the host's OpenGL.
    let offered = ask(&screen, &vm, "virgl", "/usr/lib/virtualghost/opengl 4.3 && echo enough");
    assert_eq!(last_line(&offered), "enough", "{offered}");
    let old = "MESA_GL_VERSION_OVERRIDE=4.1 /usr/lib/virtualghost/opengl 4.3 || echo less";
    let offered = ask(&screen, &vm, "virgl", old);
    assert!(offered.contains("4.1") && last_line(&offered) == "less", "{offered}");

    counts::assert_rests(qemus[0]);
    let size_at_first = last_line(&ask(&screen, &vm, "virgl", "stty size")).to_owned();
    screen.resize(900, 600);
    screen.wait_for("resized", "VIRTUAL");
    let modes = ask(&screen, &vm, "virgl", "head -1 /sys/class/drm/card0-Virtual-1/modes");
    assert_eq!(last_line(&modes), "900x600");
    let size = last_line(&ask(&screen, &vm, "virgl", "stty size")).to_owned();
    let cells = |size: &str| size.split(' ').map(|n| n.parse::<u32>().unwrap()).collect::<Vec<_>>();
    let (first, now) = (cells(&size_at_first), cells(&size));
    assert!(now[0] < first[0] && now[1] < first[1], "{first:?} rows and columns became {now:?}");
    // The host is told the same.
    let told = |args: &[&str]| {
        let output = vm::command(&vm.home).args(args).output().unwrap();
        String::from_utf8(output.stdout).unwrap().split_whitespace().collect::<String>()
    };
    let size = format!("\"terminal\":{{\"columns\":{},\"rows\":{}}}", now[1], now[0]);
    let (listed, asked) =
        (told(&["ps", "--json"]), told(&["exec", "--", "/usr/lib/virtualghost/ghostly-agent", "status"]));
    assert!(listed.contains(&size) && asked.contains(&size), "{size}: {listed} {asked}");

    screen.type_line("exit");
    assert_eq!(vm.wait().code(), Some(0), "{}", vm.said());
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
    let renderer = ask(&screen, &vm, "software", "eglinfo -B -p gbm | grep -i renderer");
    assert!(renderer.contains("llvmpipe") && !renderer.contains("virgl"), "{renderer}");
    let mode = ask(&screen, &vm, "software", "head -1 /sys/class/drm/card0-Virtual-1/modes");
    assert_eq!(last_line(&mode), "1024x768");
    let qemus = vm.qemus();
    screen.close_window();
    assert!(vm.wait().success(), "{}", vm.said());
    let console = vm.console("software");
    assert!(console.contains("reboot: Power down"), "the guest was not asked:\n{console}");
    assert_gone(&qemus);
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

/// Two at once, and then a third life for the second, with files of the user's own.
#[test]
fn vms_share_one_image_and_leave_nothing_behind_however_they_end() {
    let mut first = Vm::start("one", None, &[]);
    let mut second = Vm::start("two", None, &[]);
    // Not before the first has taken its name: on a busy machine the third may be there earlier.
    first.wait_until_said("starting QEMU");
    let namesake = vm::command(&first.home).args(["--name", "one"]).output().unwrap();
    let refusal = String::from_utf8(namesake.stderr).unwrap();
    assert_eq!(namesake.status.code(), Some(2), "{refusal}");
    assert!(refusal.contains("a VM named one is running already") && refusal.contains("--name"), "{refusal}");
    first.wait_until_ready();
    second.wait_until_ready();
    assert!(
        first.said().contains("no window: neither WAYLAND_DISPLAY nor DISPLAY is set"),
        "{}",
        first.said()
    );

    let kept = vm::command(&first.home).arg("clean").output().unwrap();
    let kept = String::from_utf8(kept.stdout).unwrap();
    assert!(kept.contains("in use by one (pid") && kept.contains("two (pid"), "{kept}");

    let qemus = first.qemus();
    first.signal(Signal::SIGINT);
    assert!(first.wait().success(), "a stop that was asked for is no failure: {}", first.said());
    assert_gone(&qemus);

    let own = own_files(&second.home);
    let before = own.clone().map(|file| digest(&file));
    let mut command = vm::command(&second.home);
    command.args(["--name", "two", "--kernel"]).arg(&own[0]).arg("--rootfs").arg(&own[1]);
    let qemus = second.qemus();
    second.signal(Signal::SIGKILL);
    assert_eq!(second.wait().signal(), Some(9));
    // At once: the old QEMU may still be dying, with the home disk in its hands.
    let mut third = Vm::spawn(command, second.home.clone());
    assert_gone(&qemus);
    let overlays = Command::new("find")
        .arg(vm::shared_cache().join("virtualghost/overlays"))
        .args(["-type", "f", "-name", "vl.*"])
        .output();
    assert_eq!(overlays.unwrap().stdout, b"", "an overlay was left behind");
    third.wait_until_ready();
    third.signal(Signal::SIGTERM);
    assert!(third.wait().success(), "{}", third.said());
    assert_eq!(own.map(|file| digest(&file)), before, "a file of the user's was written");
}

/// A kernel and a root filesystem that are not the executable's.
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

/// Of a file or folder: content, holes, modes and times. tar passes over holes, which are most of an image.
fn digest(path: &Path) -> Vec<u8> {
    let sum = "tar --sort=name -cSf - \"$1\" 2>/dev/null | sha256sum";
    let output = Command::new("bash").args(["-o", "pipefail", "-c", sum, "bash"]).arg(path).output().unwrap();
    assert!(output.status.success(), "{}", path.display());
    output.stdout
}

/// Where KVM runs guests there is nothing to see.
#[test]
fn an_accelerator_that_runs_nothing_fails_when_it_is_forced_and_says_why() {
    let home = vm::home("forced");
    let mut vm = Vm::spawn(
        {
            let mut command = vm::command(&home);
            command.args(["--name", "forced", "--accel", "kvm", "--display", "none"]);
            command
        },
        home,
    );
    if vm.ends_or_is_ready() {
        assert_eq!(vm.wait().code(), Some(2), "{}", vm.said());
        let said = vm.said();
        assert!(said.contains("KVM was asked for (flag, --accel) and can't be had: "), "{said}");
        assert!(said.contains("hint: "), "{said}");
        assert!(!said.contains("using TCG"), "it fell: {said}");
    }
}
