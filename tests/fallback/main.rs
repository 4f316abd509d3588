//! Each feature of a launch fails in a fake QEMU: the launcher starts again with the fallback in the same run and prints
//! why in one line, and the next start skips what failed. A forced feature does not fall back.

#[cfg(target_os = "linux")]
mod killed;
#[path = "../namespace.rs"]
mod namespace;
#[path = "../skipped.rs"]
mod skipped;
#[path = "../boot/stage.rs"]
mod stage;

use skipped::skipped;
use stage::{Stage, words};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

/// The home of a user who has a kernel, a root filesystem and a QEMU of their own.
struct Home(TempDir);

impl Home {
    /// QEMU fails as `failures` describes (`fake-qemu`).
    fn new(failures: &[&str]) -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        home.set_failures(failures);
        // The launcher checks only these bytes of a bzImage and of an ext4 filesystem.
        for (name, at, content) in
            [("bzImage", 0x1fe, &b"\x55\xaa\0\0HdrS"[..]), ("root.img", 1024 + 0x38, b"\x53\xef")]
        {
            let mut bytes = vec![0; 4096];
            bytes[at..at + content.len()].copy_from_slice(content);
            fs::write(home.path().join(name), bytes).unwrap();
        }
        home
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn set_failures(&self, failures: &[&str]) {
        let lines: String = failures.iter().map(|line| format!("{line}\n")).collect();
        fs::write(self.path().join("failures"), lines).unwrap();
        let _ = fs::remove_file(self.path().join("starts"));
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(EXECUTABLE);
        self.set_environment(command.args(args));
        command
    }

    fn set_environment(&self, command: &mut Command) {
        command.env_clear().env("HOME", self.path()).env("DISPLAY", ":4711").env("TZ", "UTC");
        // The fake QEMU writes to the home.
        command.env("VIRTUALGHOST_JAIL", "off");
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        let qemu = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fallback/fake-qemu");
        command.env("VIRTUALGHOST_QEMU", qemu);
        for (variable, file) in [("VIRTUALGHOST_KERNEL", "bzImage"), ("VIRTUALGHOST_ROOTFS", "root.img")] {
            command.env(variable, self.path().join(file));
        }
    }

    /// In the jail that the launcher chooses, where QEMU has only the folder of its program.
    fn run_jailed(&self, args: &[&str]) -> Output {
        let folder = self.path().join("qemu");
        fs::create_dir_all(&folder).unwrap();
        let fake = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fallback/fake-qemu");
        fs::copy(fake, folder.join("fake-qemu")).unwrap();
        fs::copy(self.path().join("failures"), folder.join("failures")).unwrap();
        let mut command = self.command(args);
        command.env_remove("VIRTUALGHOST_JAIL").env("VIRTUALGHOST_QEMU", folder.join("fake-qemu"));
        command.output().unwrap()
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// The accelerator and the window of each QEMU that was started.
    fn starts(&self) -> Vec<String> {
        let of = |line: &str, switch: &str| {
            let value = line.split(&format!(" {switch} ")).nth(1).unwrap_or_default();
            value.split([' ', ',']).next().unwrap().to_owned()
        };
        let gl = |line: &str| if line.contains("gl=on") { " gl" } else { "" };
        let starts = fs::read_to_string(self.path().join("starts")).unwrap_or_default();
        starts
            .lines()
            .map(|line| format!("{} {}{}", of(line, "-accel"), of(line, "-display"), gl(line)))
            .collect()
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Compares standard error with the snapshot of this name, without the seconds, and without the stages after QEMU's
/// start, which depend on how fast its threads are.
#[track_caller]
fn assert_stderr(name: &str, home: &Home, output: &Output) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.add_filter(r"\b\d+\.\d s\b", "[SECONDS] s");
    for stage in [Stage::Kernel, Stage::Services] {
        let words = words(stage).trim_end_matches('(');
        settings.add_filter(&format!(r"(?m)^{words}.*\n"), "");
    }
    // A machine with little memory or disk.
    settings.add_filter(r"(?m)^limited .*\n +→ .*\n", "");
    let text = stderr(output).replace(&home.path().display().to_string(), "[HOME]");
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// A launch in which QEMU fails as `failures` describes makes these `starts`, and prints the snapshot of this name.
#[track_caller]
fn assert_starts(name: &str, args: &[&str], failures: &[&str], starts: &[&str]) -> Home {
    let home = Home::new(failures);
    let output = home.run(args);
    assert!(output.status.success(), "{failures:?}: {}", stderr(&output));
    assert_eq!(home.starts(), starts, "{failures:?}: {}", stderr(&output));
    assert_stderr(name, &home, &output);
    home
}

const EXECUTABLE: &str = env!("CARGO_BIN_EXE_virtualghost");
const TCG: &[&str] = &["--accel", "tcg"];

#[test]
fn without_a_failure_there_is_one_start() {
    assert_starts("nothing-fails", TCG, &[], &["tcg gtk gl"]);
}

#[test]
fn when_opengl_fails_the_same_window_opens_with_software_rendering() {
    assert_starts(
        "opengl-fails",
        TCG,
        &["gtk,gl=on|qemu-system-x86_64: OpenGL is not supported by display backend 'gtk'|1"],
        &["tcg gtk gl", "tcg gtk"],
    );
    assert_starts(
        "opengl-aborts",
        TCG,
        &["gtk,gl=on|egl: eglInitialize failed|ABRT"],
        &["tcg gtk gl", "tcg gtk"],
    );
}

/// The driver needs a file that the strict jail does not have, and the wider one does.
const NEEDS_A_FILE: &str = "gl=on without /etc/hosts|egl: eglInitialize failed|1";
const JAILED: &[&str] = &["--accel", "tcg", "--ephemeral"];

#[cfg(target_os = "linux")]
#[test]
fn when_opengl_fails_in_the_strict_jail_it_is_tried_in_a_wider_one() {
    let name = "fallback: jail";
    if let Err(e) = virtualghost::sys::landlock::abi() {
        return skipped(name, &format!("no Landlock: {e}"));
    }
    let home = Home::new(&[NEEDS_A_FILE]);
    let output = home.run_jailed(JAILED);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_stderr("opengl-fails-in-the-strict-jail", &home, &output);
    // The next start has the wider jail at once.
    let plan = String::from_utf8(home.run_jailed(&[JAILED, &["--dry-run"]].concat()).stdout).unwrap();
    let jail = plan.lines().find(|line| line.starts_with("jail ")).unwrap();
    assert!(jail.contains("gpu-wide") && jail.contains("eglInitialize"), "{plan}");
    assert!(plan.lines().any(|line| line.starts_with("gpu ") && line.contains("virgl")), "{plan}");
}

#[cfg(target_os = "linux")]
#[test]
fn when_opengl_fails_in_each_jail_the_strict_one_has_software_rendering() {
    if let Err(e) = virtualghost::sys::landlock::abi() {
        return skipped("fallback: OpenGL in each jail", &format!("no Landlock: {e}"));
    }
    let home = Home::new(&["gl=on|egl: eglInitialize failed|1"]);
    let output = home.run_jailed(JAILED);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_stderr("opengl-fails-in-each-jail", &home, &output);
    let plan = String::from_utf8(home.run_jailed(&[JAILED, &["--dry-run"]].concat()).stdout).unwrap();
    let row = |name: &str| plan.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(row("jail ").contains("strict") && row("gpu ").contains("software"), "{plan}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_forced_jail_is_not_widened() {
    if let Err(e) = virtualghost::sys::landlock::abi() {
        return skipped("fallback: forced jail", &format!("no Landlock: {e}"));
    }
    let home = Home::new(&[NEEDS_A_FILE]);
    let output = home.run_jailed(&[JAILED, &["--jail", "strict"]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    assert_stderr("opengl-fails-in-a-forced-jail", &home, &output);
}

#[test]
fn when_gtk_fails_sdl_is_used_and_when_both_fail_no_window() {
    assert_starts(
        "gtk-fails",
        TCG,
        &["display gtk|gtk initialization failed|1"],
        &["tcg gtk gl", "tcg sdl gl"],
    );
    assert_starts(
        "each-window-fails",
        TCG,
        &[
            "display gtk|qemu-system-x86_64: -display gtk: Display 'gtk' is not available, please recompile|1",
            "display sdl|qemu-system-x86_64: Could not initialize SDL(x11 not available) - exiting|1",
        ],
        &["tcg gtk gl", "tcg sdl gl", "tcg none"],
    );
}

#[test]
fn a_crash_without_a_message_disables_one_feature_at_a_time() {
    assert_starts(
        "each-window-crashes",
        TCG,
        &["display gtk||SEGV", "display sdl||SEGV"],
        &["tcg gtk gl", "tcg gtk", "tcg sdl", "tcg none"],
    );
}

#[test]
fn a_qemu_that_hangs_is_stopped_at_its_time_limit() {
    let home = Home::new(&["gl=on||hang"]);
    let mut command = home.command(TCG);
    let output =
        command.env("VIRTUALGHOST_BOOT_TIMEOUT", "1").env("VIRTUALGHOST_TCG_TIMEOUT_FACTOR", "1").output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(home.starts(), ["tcg gtk gl", "tcg gtk"]);
    assert_stderr("opengl-hangs", &home, &output);
}

#[test]
fn when_kvm_fails_tcg_is_used() {
    let home = Home::new(&["accel kvm|qemu-system-x86_64: error: failed to set MSR 0x10a to 0x0|ABRT"]);
    let Some(mut command) = namespace::with_broken_kvm(Path::new(EXECUTABLE), &home.path().join("dev"))
    else {
        return skipped("fallback: KVM", "mounting in a user namespace is not permitted");
    };
    home.set_environment(&mut command);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(home.starts(), ["kvm gtk gl", "tcg gtk gl"], "{}", stderr(&output));
    assert_stderr("kvm-fails", &home, &output);
}

#[test]
fn a_forced_feature_that_fails_does_not_fall_back() {
    for (name, args, failure) in [
        ("forced-opengl-fails", &["--gl", "on"][..], "gl=on|egl: eglInitialize failed|1"),
        ("forced-gtk-fails", &["--display", "gtk"], "display gtk|gtk initialization failed|1"),
    ] {
        let home = Home::new(&[failure]);
        let output = home.run(&[TCG, args].concat());
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert_eq!(home.starts().len(), 1, "{}", stderr(&output));
        assert_stderr(name, &home, &output);
    }
}

#[test]
fn a_feature_that_failed_is_skipped_until_doctor_forgets_it() {
    let failures = ["display gtk|gtk initialization failed|1"];
    let home = assert_starts("gtk-fails", TCG, &failures, &["tcg gtk gl", "tcg sdl gl"]);
    home.set_failures(&[]);
    let plan = String::from_utf8(home.run(&[TCG, &["--dry-run"]].concat()).stdout).unwrap();
    let window = plan.lines().find(|line| line.starts_with("window ")).unwrap();
    assert!(window.contains("sdl") && window.contains("gtk initialization failed"), "{plan}");
    assert!(home.run(TCG).status.success());
    assert_eq!(home.starts(), ["tcg sdl gl"]);

    let shown = String::from_utf8(home.run(&["doctor"]).stdout).unwrap();
    assert!(shown.contains("gtk initialization failed"), "{shown}");

    // A forced feature is tried again.
    home.set_failures(&[]);
    assert!(home.run(&[TCG, &["--display", "gtk"]].concat()).status.success());
    assert_eq!(home.starts(), ["tcg gtk gl"]);

    home.set_failures(&[]);
    assert!(home.run(&["doctor", "--forget"]).status.success());
    assert!(home.run(TCG).status.success());
    assert_eq!(home.starts(), ["tcg gtk gl"]);
}

#[test]
fn when_no_window_opens_no_toolkit_is_remembered_as_failed() {
    let failures = ["display gtk|gtk initialization failed|1", "display sdl|Could not initialize SDL|1"];
    let home = assert_starts("no-window-opens", TCG, &failures, &["tcg gtk gl", "tcg sdl gl", "tcg none"]);
    home.set_failures(&[]);
    assert!(home.run(TCG).status.success());
    assert_eq!(home.starts(), ["tcg gtk gl"]);
}

#[test]
fn a_launch_that_fails_prints_what_doctor_finds_wrong() {
    let home = Home::new(&["display|qemu-system-x86_64: cannot set up guest memory|1"]);
    // All of this machine's memory, so more than is free.
    let total = fs::read_to_string("/proc/meminfo").unwrap();
    let kib =
        total.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()).unwrap();
    let all = (kib.parse::<u64>().unwrap() / 1024).to_string();
    let output = home.run(&[TCG, &["--memory", &all]].concat());
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("cannot set up guest memory"), "{text}");
    assert!(text.contains("\nlimited  memory "), "{text}");
}
