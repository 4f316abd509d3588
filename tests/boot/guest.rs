//! What a guest keeps right while it runs, and what it survives.

use crate::screen::Screen;
use crate::vm::{self, Vm};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::Output;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Against hanging only.
const HUNG: Duration = Duration::from_secs(240);

/// On a busy machine a guest takes its time to power off.
const PATIENT: (&str, &str) = ("VIRTUALGHOST_POWEROFF_TIMEOUT", "200");

fn exec(vm: &Vm, name: &str, line: &str) -> Output {
    vm::command(&vm.home).args(["exec", "--root", name, "--", "sh", "-c", line]).output().unwrap()
}

fn output(vm: &Vm, name: &str, line: &str) -> String {
    let output = exec(vm, name, line);
    assert!(output.status.success(), "{line}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < HUNG, "{what}");
        std::thread::sleep(Duration::from_millis(500));
    }
}

fn start(name: &str, screen: &Screen, timezone: &str, args: &[&str]) -> Vm {
    let home = vm::home(name);
    let mut command = vm::command(&home);
    command.args(["--name", name, "--accel", "tcg", "--gl", "off"]).args(args);
    command.env("DISPLAY", &screen.display).env("TZ", timezone).env(PATIENT.0, PATIENT.1);
    let mut vm = Vm::spawn(command, home);
    vm.wait_until_ready();
    vm
}

fn power_off(mut vm: Vm) {
    vm.signal(Signal::SIGTERM);
    assert!(vm.wait().success(), "{}", vm.stderr());
}

/// By how many seconds the guest's clock is behind the host's; what the question takes counts for it.
fn seconds_behind(vm: &Vm, name: &str) -> f64 {
    let guest: f64 = output(vm, name, "date +%s.%N").parse().unwrap();
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64() - guest
}

/// As the host's suspend does it to QEMU.
fn stop_qemu_for(vm: &Vm, time: Duration) {
    let [qemu] = vm.qemus()[..] else { panic!("one QEMU") };
    let qemu = Pid::from_raw(qemu as i32);
    kill(qemu, Signal::SIGSTOP).unwrap();
    std::thread::sleep(time);
    kill(qemu, Signal::SIGCONT).unwrap();
}

const STANDSTILL: Duration = Duration::from_secs(20);

/// With ACPI's timer, whose counter wraps after 4.7 s, the guest loses most of a standstill; with another it may lose nothing.
const LOSES_TIME: &str =
    "cd /sys/devices/system/clocksource/clocksource0 && echo acpi_pm >current_clocksource";

fn assert_clock_is_kept_right(vm: &Vm, name: &str) {
    let is_right = || seconds_behind(vm, name).abs() < 1.0;
    eventually("the clock is right at the start", is_right);
    let control = |verb: &str| output(vm, name, &format!("systemctl {verb} virtualghost-control.service"));
    output(vm, name, LOSES_TIME);
    control("stop");
    stop_qemu_for(vm, STANDSTILL);
    let behind = seconds_behind(vm, name);
    assert!(behind > 2.0, "the guest loses no time ({behind} s), so this test shows nothing");
    control("start");
    eventually("the guest asks for the time at its start", is_right);

    output(vm, name, "nohup sh -c 'while sleep 0.1; do date +%s%N; done' >/run/times 2>/dev/null &");
    let times = || output(vm, name, "wc -l </run/times").parse::<u32>().unwrap();
    eventually("times are written before a standstill", || times() > 0);
    stop_qemu_for(vm, STANDSTILL);
    eventually("the clock is right after a standstill", is_right);
    let before = times();
    eventually("times are written after a standstill", || times() > before);
    output(vm, name, "sort -nc /run/times");

    for wrong in ["2001-01-01", "+2 hours"] {
        output(vm, name, &format!("date -s '{wrong}'"));
        eventually("a clock that was set wrong comes right", is_right);
    }
}

#[test]
fn a_guest_that_booted_has_the_hosts_time_and_time_zone() {
    let screen = Screen::new("guest-boot");
    let vm = start("guest-boot", &screen, "Asia/Kolkata", &["--start", "boot"]);
    assert_eq!(output(&vm, "guest-boot", "date +%z"), "+0530");
    assert_clock_is_kept_right(&vm, "guest-boot");
    power_off(vm);
}

#[test]
fn a_guest_that_resumed_has_the_hosts_time_and_time_zone() {
    let screen = Screen::new("guest-instant");
    for (timezone, offset) in [(":US/Arizona", "-0700"), ("/usr/share/zoneinfo/Asia/Tokyo", "+0900")] {
        let vm = start("guest-instant", &screen, timezone, &["--memory", "700"]);
        assert_eq!(output(&vm, "guest-instant", "date +%z"), offset);
        if timezone.contains("Tokyo") {
            assert_clock_is_kept_right(&vm, "guest-instant");
        }
        power_off(vm);
    }
}

/// Types a line in the terminal.
fn type_and_wait(screen: &Screen, what: &str, line: &str, wanted: &str) {
    screen.type_line(line);
    screen.wait_for(what, wanted);
}

#[test]
fn keys_switch_between_the_guests_windows_and_close_them() {
    let (name, screen) = ("guest-windows", Screen::new("guest-windows"));
    let vm = start(name, &screen, "UTC", &["--start", "boot", "--terminal", "foot --app-id=own"]);
    assert_eq!(output(&vm, name, "pgrep -fc '[f]oot --app-id=own'"), "1", "the terminal that was asked for");
    type_and_wait(&screen, "first", "echo first | tr a-z A-Z", "FIRST");
    let second = "(foot sh -c 'echo second | tr a-z A-Z; exec cat' >/dev/null 2>&1 &)";
    type_and_wait(&screen, "second", second, "SECOND");
    assert!(!screen.read("second").contains("FIRST"), "a window fills the screen");
    for (keys, shows) in
        [("ctrl+alt+Page_Down", "FIRST"), ("ctrl+alt+Page_Down", "SECOND"), ("ctrl+alt+Page_Up", "FIRST")]
    {
        screen.press(keys);
        screen.wait_for("switched", shows);
    }
    // What is typed goes to the window that is seen.
    type_and_wait(&screen, "typed", "echo third | tr a-z A-Z", "THIRD");
    screen.press("ctrl+alt+Page_Down");
    screen.wait_for("switched", "SECOND");
    screen.press("ctrl+alt+End");
    eventually("the window is closed", || !exec(&vm, name, "pgrep -x cat").status.success());
    screen.wait_for("closed", "THIRD");
    power_off(vm);
}

#[test]
fn what_runs_out_of_memory_is_killed_and_what_crashes_starts_again_in_the_same_vm() {
    let (name, screen) = ("guest-memory", Screen::new("guest-memory"));
    let mut vm = start(name, &screen, "UTC", &["--start", "boot", "--memory", "512"]);
    let boot_id = output(&vm, name, "cat /proc/sys/kernel/random/boot_id");
    screen.type_line("tail /dev/zero; echo status $?");
    // Emulated, it takes its time to fill the memory.
    eventually("tail is killed", || output(&vm, name, "dmesg").contains("Killed process"));
    screen.wait_for("killed", "status 137");
    let killed = exec(&vm, name, "tail /dev/zero");
    assert_eq!(killed.status.code().map(|status| status & 0x7f), Some(137 & 0x7f), "{killed:?}");
    // Each of them is killed after what the user runs.
    let score = |of: &str| output(&vm, name, &format!("cat /proc/$(pgrep -o {of})/oom_score_adj"));
    assert_eq!(
        ["-x foot", "-x labwc", "-x seatd", "-u ghost -x bash"].map(score),
        ["-250", "-250", "-900", "0"]
    );

    for (crash, what) in
        [("pkill -SEGV -x foot", "the terminal crashed"), ("pkill -9 -x labwc", "the compositor crashed")]
    {
        output(&vm, name, crash);
        vm.wait_until_printed(what);
        screen.wait_for("crashed", "started again");
        // A new compositor takes the keyboard a moment after its screen is there.
        eventually("keys arrive", || {
            screen.type_line("echo virtual | tr a-z A-Z");
            std::thread::sleep(Duration::from_secs(2));
            screen.read("again").contains("VIRTUAL")
        });
    }
    assert_eq!(output(&vm, name, "cat /proc/sys/kernel/random/boot_id"), boot_id, "it is another VM");
    // The compositor crashed just now.
    for _ in 0..2 {
        eventually("the compositor runs", || exec(&vm, name, "pgrep -x labwc").status.success());
        let _ = exec(&vm, name, "pkill -9 -x labwc");
        std::thread::sleep(Duration::from_secs(2));
    }
    assert_eq!(vm.wait().code(), Some(3), "{}", vm.stderr());
    let text = vm.stderr();
    assert!(text.contains("the session failed: the compositor crashed 3 times"), "{text}");
    let console = vm.console(name);
    assert!(console.contains("reboot: Power down"), "the guest did not power off:\n{console}");
}

#[test]
fn a_terminal_in_the_home_runs_after_an_instant_start_too() {
    let (name, screen) = ("guest-own-terminal", Screen::new("guest-own-terminal"));
    let script = "printf '#!/bin/sh\\nexec foot --app-id=own\\n' >term && chmod +x term";
    let home = prepared_home(name, script);
    // The first of them makes the checkpoint.
    for _ in 0..2 {
        let mut vm = start_in(&home, name, &screen, &["--start", "instant", "--terminal", "~/term"]);
        vm.wait_until_ready();
        assert_eq!(output(&vm, name, "pgrep -fc '[f]oot --app-id=own'"), "1");
        assert!(!vm.stderr().contains("is not in this VM"), "{}", vm.stderr());
        power_off(vm);
    }
}

/// A home in which `line` has run, for the starts of a test.
fn prepared_home(name: &str, line: &str) -> std::path::PathBuf {
    let home = vm::home(name);
    let mut command = vm::command(&home);
    command.args(["--name", name, "--accel", "tcg", "--display", "none"]).env(PATIENT.0, PATIENT.1);
    let mut vm = Vm::spawn(command, home.clone());
    vm.wait_until_ready();
    let done = vm::command(&home).args(["exec", name, "--", "sh", "-c", line]).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    power_off(vm);
    home
}

fn start_in(home: &std::path::Path, name: &str, screen: &Screen, args: &[&str]) -> Vm {
    let mut command = vm::command(home);
    command
        .args(["--name", name, "--accel", "tcg", "--gl", "off"])
        .args(args)
        .env("DISPLAY", &screen.display);
    command.env(PATIENT.0, PATIENT.1);
    Vm::spawn(command, home.to_owned())
}

#[test]
fn a_start_file_that_ends_the_session_is_a_failure_and_a_safe_start_does_not_read_it() {
    let (name, screen) = ("guest-start-files", Screen::new("guest-start-files"));
    let home = prepared_home(name, "echo exit >>~/.bashrc");
    for how in ["boot", "instant"] {
        let mut vm = start_in(&home, name, &screen, &["--start", how]);
        assert_eq!(vm.wait().code(), Some(3), "{}", vm.stderr());
        let text = vm.stderr();
        assert!(text.contains("before its first prompt") && text.contains("--safe"), "{text}");
        let mut vm = start_in(&home, name, &screen, &["--start", how, "--safe"]);
        vm.wait_until_ready();
        screen.wait_for("safe", "Safe start");
        type_and_wait(&screen, "safe", "pwd; echo virtual | tr a-z A-Z", "VIRTUAL");
        power_off(vm);
    }
}

#[test]
fn a_start_file_that_never_ends_and_a_missing_shell_lead_to_a_notice_and_a_session() {
    let (name, screen) = ("guest-shell", Screen::new("guest-shell"));
    let shell = "mkdir -p ~/.config/foot; echo shell=/usr/bin/no-such-shell >~/.config/foot/foot.ini";
    let home = prepared_home(name, shell);
    for how in ["boot", "instant"] {
        let mut vm = start_in(&home, name, &screen, &["--start", how]);
        vm.wait_until_ready();
        assert!(vm.stderr().contains("/usr/bin/no-such-shell"), "{}", vm.stderr());
        screen.wait_for("missing-shell", "no-such-shell");
        type_and_wait(&screen, "missing-shell", "echo virtual | tr a-z A-Z", "VIRTUAL");
        power_off(vm);
    }
    let home = prepared_home(name, "echo 'while :; do sleep 1; done' >>~/.bashrc");
    let mut vm = start_in(&home, name, &screen, &["--start", "boot"]);
    vm.wait_until_ready();
    assert!(vm.stderr().contains("--safe"), "{}", vm.stderr());
    power_off(vm);
}

#[test]
fn what_the_terminal_reads_from_the_home_counts_after_an_instant_start() {
    let (name, screen) = ("guest-fonts", Screen::new("guest-fonts"));
    // With this rule foot has another font than the one of its configuration.
    let rule = "mkdir -p ~/.config/fontconfig; printf '%s' '<fontconfig><match target=\"pattern\"><edit name=\"family\" \
        mode=\"assign\" binding=\"strong\"><string>Noto Color Emoji</string></edit></match></fontconfig>' \
        >~/.config/fontconfig/fonts.conf";
    let home = prepared_home(name, rule);
    let fonts = |vm: &Vm| {
        output(vm, name, "grep -ho '/usr/share/fonts/[^ ]*' /proc/$(pgrep -o -x foot)/maps | sort -u")
    };
    let mut seen = Vec::new();
    for how in ["boot", "instant", "instant"] {
        let mut vm = start_in(&home, name, &screen, &["--start", how]);
        vm.wait_until_ready();
        assert!(output(&vm, name, "HOME=/ fc-match 'DejaVu Sans Mono'").contains("DejaVuSansMono"));
        seen.push(fonts(&vm));
        power_off(vm);
    }
    assert!(!seen[0].contains("DejaVuSansMono"), "the rule has no effect: {seen:?}");
    assert!(seen.iter().all(|fonts| *fonts == seen[0]), "{seen:?}");
}
