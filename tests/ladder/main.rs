//! Every rung of a launch, broken one after the other in a fake QEMU: the launcher goes down to the next one in the
//! same run, says why in one line, and the next start does not try the broken one first. What is forced does not fall.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

struct Home(TempDir);

impl Home {
    /// Of a user with files of his own for a VM, whose QEMU is broken so.
    fn new(broken: &[&str]) -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        home.breaks(broken);
        // No more of a bzImage and of an ext4 than is looked at.
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

    fn breaks(&self, broken: &[&str]) {
        let lines: String = broken.iter().map(|line| format!("{line}\n")).collect();
        fs::write(self.path().join("broken"), lines).unwrap();
        let _ = fs::remove_file(self.path().join("starts"));
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_virtualghost"));
        command.args(args).env_clear().env("HOME", self.path()).env("DISPLAY", ":4711");
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        let qemu = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ladder/fake-qemu");
        command.env("VIRTUALGHOST_QEMU", qemu);
        for (variable, file) in [("VIRTUALGHOST_KERNEL", "bzImage"), ("VIRTUALGHOST_ROOTFS", "root.img")] {
            command.env(variable, self.path().join(file));
        }
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// What each QEMU was told about accelerator and window.
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

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// With what is broken: the starts, and what is said of the fall.
fn row(args: &[&str], broken: &[&str], starts: &[&str], sentences: &[&str]) -> Home {
    let home = Home::new(broken);
    let output = home.run(args);
    assert!(output.status.success(), "{broken:?}: {}", said(&output));
    assert_eq!(home.starts(), starts, "{broken:?}: {}", said(&output));
    let said = said(&output);
    for sentence in sentences {
        assert_eq!(said.matches(sentence).count(), 1, "{sentence:?} is not said once in:\n{said}");
    }
    home
}

const TCG: &[&str] = &["--accel", "tcg"];

#[test]
fn nothing_broken_is_one_start_with_the_best() {
    row(TCG, &[], &["tcg gtk gl"], &[]);
}

#[test]
fn opengl_that_fails_leaves_the_window() {
    row(
        TCG,
        &["gtk,gl=on|qemu-system-x86_64: OpenGL is not supported by display backend 'gtk'|1"],
        &["tcg gtk gl", "tcg gtk"],
        &[
            "OpenGL does not work here: OpenGL is not supported by display backend 'gtk'; the rendering is software",
        ],
    );
    row(
        TCG,
        &["gtk,gl=on|egl: eglInitialize failed|ABRT"],
        &["tcg gtk gl", "tcg gtk"],
        &["OpenGL does not work here: egl: eglInitialize failed; the rendering is software"],
    );
}

#[test]
fn a_toolkit_that_fails_leaves_the_other_with_opengl_and_both_the_shell() {
    row(
        TCG,
        &["display gtk|gtk initialization failed|1"],
        &["tcg gtk gl", "tcg sdl gl"],
        &["the window of gtk does not work here: gtk initialization failed; the window is sdl"],
    );
    row(
        TCG,
        &[
            "display gtk|qemu-system-x86_64: -display gtk: Display 'gtk' is not available, please recompile|1",
            "display sdl|qemu-system-x86_64: Could not initialize SDL(x11 not available) - exiting|1",
        ],
        &["tcg gtk gl", "tcg sdl gl", "tcg none"],
        &["the window is sdl\n", "the window of sdl does not work here", "the window is none\n"],
    );
}

#[test]
fn a_crash_without_a_word_takes_one_rung_after_the_other() {
    row(
        TCG,
        &["display gtk||SEGV", "display sdl||SEGV"],
        &["tcg gtk gl", "tcg gtk", "tcg sdl", "tcg none"],
        &[
            "OpenGL does not work here: QEMU was ended by SIGSEGV; the rendering is software",
            "the window of gtk does not work here: QEMU was ended by SIGSEGV; the window is sdl",
        ],
    );
}

#[test]
fn a_qemu_that_hangs_is_given_up_when_its_limit_is_over() {
    let home = Home::new(&["gl=on||hang"]);
    let mut command = home.command(TCG);
    let output = command.env("VIRTUALGHOST_LIFE_TIMEOUT", "1").env("VIRTUALGHOST_TCG_PATIENCE", "1").output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(home.starts(), ["tcg gtk gl", "tcg gtk"]);
    assert!(
        said(&output).contains("OpenGL does not work here: QEMU did not answer in 1 s"),
        "{}",
        said(&output)
    );
}

/// Where /dev/kvm does not open the launcher does not get as far as to try it, which is another row.
#[test]
fn an_accelerator_that_fails_leaves_tcg() {
    let home = Home::new(&["accel kvm|qemu-system-x86_64: error: failed to set MSR 0x10a to 0x0|ABRT"]);
    let output = home.run(&[]);
    assert!(output.status.success(), "{}", said(&output));
    if fs::File::options().read(true).write(true).open("/dev/kvm").is_ok() {
        assert_eq!(home.starts(), ["kvm gtk gl", "tcg gtk gl"], "{}", said(&output));
        assert!(
            said(&output).contains("KVM does not work here: failed to set MSR 0x10a to 0x0; using TCG\n")
        );
    } else {
        assert_eq!(home.starts(), ["tcg gtk gl"], "{}", said(&output));
    }
}

#[test]
fn what_is_forced_fails_with_its_reason_and_the_fix_and_does_not_fall() {
    for (args, broken, wanted) in [
        (
            &["--gl", "on"][..],
            "gl=on|egl: eglInitialize failed|1",
            "OpenGL of the host was asked for (flag, --gl)",
        ),
        (
            &["--display", "gtk"],
            "display gtk|gtk initialization failed|1",
            "gtk was asked for (flag, --display)",
        ),
    ] {
        let home = Home::new(&[broken]);
        let output = home.run(&[TCG, args].concat());
        let said = said(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert_eq!(home.starts().len(), 1, "{said}");
        let (reason, hint) = (broken.split('|').nth(1).unwrap(), "\nhint: drop it");
        assert!(said.contains(wanted) && said.contains(reason) && said.contains(hint), "{said}");
    }
}

#[test]
fn what_failed_is_not_tried_first_again_until_it_is_forgotten() {
    let home = row(TCG, &["display gtk|gtk initialization failed|1"], &["tcg gtk gl", "tcg sdl gl"], &[]);
    home.breaks(&[]);
    let plan = String::from_utf8(home.run(&[TCG, &["--dry-run"]].concat()).stdout).unwrap();
    assert!(plan.contains("sdl  (no gtk: gtk initialization failed (on 20"), "{plan}");
    assert!(home.run(TCG).status.success());
    assert_eq!(home.starts(), ["tcg sdl gl"]);

    let shown = String::from_utf8(home.run(&["doctor"]).stdout).unwrap();
    assert!(shown.contains("the window of gtk is not tried: gtk initialization failed"), "{shown}");

    // Who forces it has it tried.
    home.breaks(&[]);
    assert!(home.run(&[TCG, &["--display", "gtk"]].concat()).status.success());
    assert_eq!(home.starts(), ["tcg gtk gl"]);

    home.breaks(&[]);
    assert!(home.run(&["doctor", "--forget"]).status.success());
    assert!(home.run(TCG).status.success());
    assert_eq!(home.starts(), ["tcg gtk gl"]);
}

#[test]
fn a_session_that_is_gone_teaches_nothing_about_its_toolkits() {
    let broken = ["display gtk|gtk initialization failed|1", "display sdl|Could not initialize SDL|1"];
    let home = row(TCG, &broken, &["tcg gtk gl", "tcg sdl gl", "tcg none"], &[]);
    home.breaks(&[]);
    assert!(home.run(TCG).status.success());
    assert_eq!(home.starts(), ["tcg gtk gl"]);
}

#[test]
fn a_launch_that_fails_for_good_ends_with_what_is_not_as_it_should_be() {
    let home = Home::new(&["display|qemu-system-x86_64: cannot set up guest memory|1"]);
    // More than can be had of this machine now, but not more than it has.
    let total = fs::read_to_string("/proc/meminfo").unwrap();
    let kib =
        total.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()).unwrap();
    let most = (kib.parse::<u64>().unwrap() / 1024).to_string();
    let output = home.run(&[TCG, &["--memory", &most]].concat());
    let said = said(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("QEMU ended with status 1: cannot set up guest memory"), "{said}");
    assert!(said.contains("limited  memory") && said.contains("→ end something that takes memory"), "{said}");
}
