//! A VM without a window: reached by SSH, listed, stopped, and what it keeps.

use crate::vm;
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The executable, asked something.
fn ask(home: &Path, args: &[&str]) -> Output {
    vm::command(home).args(args).stdin(Stdio::null()).output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// However the test ends, no VM of its stays.
struct Stopped<'a>(&'a Path);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        ask(self.0, &["stop", "--all", "--force"]);
    }
}

fn ps(home: &Path) -> Vec<Value> {
    serde_json::from_slice(&ask(home, &["ps", "--json"]).stdout).unwrap()
}

/// With `input` on standard input.
fn feed(mut command: Command, input: &[u8]) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feeder = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    let _ = feeder.join().unwrap();
    output
}

/// OpenSSH, rsync and the like, with the VM's configuration.
fn tool(home: &Path, program: &str, args: &[&str]) -> Output {
    let config = home.join(".local/state/virtualghost/ssh-config");
    let mut command = Command::new(program);
    match program {
        "rsync" => command.arg("-e").arg(format!("ssh -F {}", config.display())),
        _ => command.arg("-F").arg(&config),
    };
    command.args(args).env("HOME", home).stdin(Stdio::null()).output().unwrap()
}

#[test]
fn a_vm_is_entered_copied_to_listed_and_stopped_and_its_home_outlives_a_killed_qemu() {
    let home = vm::home("remote");
    let _stopped_at_the_end = Stopped(&home);
    let detached = ["--name", "web", "--display", "none", "--detach"];
    let start = || {
        let started = ask(&home, &detached);
        assert!(started.status.success(), "{}", text(&started));
        // The state says so, too.
        let found = ps(&home);
        assert_eq!((&found[0]["name"], &found[0]["state"]), (&"web".into(), &"ready".into()));
        found[0].clone()
    };
    let state = start();
    assert!(state["channel"]["port"].is_u64() || state["channel"]["vsock"].is_u64(), "{state}");
    assert!(state["ready_after"].as_f64().unwrap() > 0.0, "{state}");

    // Words as they are, the status, and every byte both ways.
    let said = ask(&home, &["exec", "web", "--", "printf", "%s|", "a  b", "$HOME", "it's"]);
    assert_eq!(String::from_utf8_lossy(&said.stdout), "a  b|$HOME|it's|");
    assert_eq!(ask(&home, &["exec", "--", "sh", "-c", "exit 7"]).status.code(), Some(7));
    let who = |args: &[&str]| text(&ask(&home, args)).trim().to_owned();
    assert_eq!(who(&["exec", "--", "id", "-un"]), "ghost");
    assert_eq!(who(&["exec", "--root", "--", "id", "-un"]), "root");
    assert_eq!(who(&["ssh", "--", "echo $HOME; test -t 0 || echo no terminal"]), "/home/ghost\nno terminal");
    assert!(who(&["exec", "--tty", "--", "tty"]).contains("/dev/pts/"));
    let bytes: Vec<u8> =
        (0..3_000_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let mut cat = vm::command(&home);
    cat.args(["exec", "--", "cat"]);
    let back = feed(cat, &bytes);
    assert!(back.status.success() && back.stdout == bytes, "{} bytes came back", back.stdout.len());

    // Each of the tools that people use.
    let file = home.join("odd name's.bin");
    fs::write(&file, &bytes[..100_000]).unwrap();
    let file_path = file.to_str().unwrap();
    let copied = ask(&home, &["cp", file_path, "web:"]);
    assert!(copied.status.success(), "{}", text(&copied));
    let back = home.join("back");
    let copied = ask(&home, &["cp", "web:odd name's.bin", back.to_str().unwrap()]);
    assert!(copied.status.success(), "{}", text(&copied));
    assert_eq!(fs::read(&back).unwrap(), bytes[..100_000]);
    let batch = home.join("batch");
    fs::write(&batch, "put back by-sftp\n".replace("back", back.to_str().unwrap())).unwrap();
    for (program, args) in [
        ("sftp", vec!["-b", batch.to_str().unwrap(), "vg-web"]),
        ("scp", vec![back.to_str().unwrap(), "vg-web:by-scp"]),
        ("rsync", vec![back.to_str().unwrap(), "vg-web:by-rsync"]),
    ] {
        let done = tool(&home, program, &args);
        assert!(done.status.success(), "{program}: {}", text(&done));
    }
    let sums =
        who(&["exec", "--", "sh", "-c", "sha256sum by-* | cut -c1-64 | sort -u | wc -l; ls by-* | wc -l"]);
    assert_eq!(sums, "1\n3");

    // Taken: says so, with the two ways on.
    let again = ask(&home, &detached);
    let refusal = text(&again);
    assert_eq!(again.status.code(), Some(2), "{refusal}");
    assert!(refusal.contains("--name OTHER") && refusal.contains("--ephemeral"), "{refusal}");

    // QEMU is killed after a sync: what was synced is there at the next start, and the old key opens nothing.
    let synced = ask(&home, &["exec", "--", "sh", "-c", "echo precious >kept && sync"]);
    assert!(synced.status.success(), "{}", text(&synced));
    let keys = home.join(".local/state/virtualghost/vms/web/keys");
    let old_key = home.join("old-key");
    fs::copy(keys.join("user-key"), &old_key).unwrap();
    let launcher = state["pid"].as_u64().unwrap() as u32;
    let [qemu] = vm::children(launcher)[..] else { panic!("one QEMU") };
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(qemu as i32), nix::sys::signal::Signal::SIGKILL)
        .unwrap();
    vm::wait_until_gone(launcher);
    assert_eq!(ps(&home), [] as [Value; 0]);
    assert!(!keys.exists(), "keys are left");
    start();
    assert_eq!(who(&["exec", "--", "cat", "kept"]), "precious");
    let refused = Command::new("ssh")
        .args([
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
        ])
        .args(["-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none"])
        .arg("-i")
        .arg(&old_key)
        .arg("-o")
        .arg(format!("ProxyCommand=env HOME='{}' '{}' proxy web", home.display(), vm::executable().display()))
        .args(["ghost@web", "id"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(text(&refused).contains("Permission denied"), "{}", text(&refused));

    let stopped = ask(&home, &["stop", "web"]);
    assert_eq!(text(&stopped), "stopped web\n");
    assert!(text(&ask(&home, &["logs", "web"])).contains("reboot: Power down"));
    assert_eq!(text(&ask(&home, &["stop"])).lines().next(), Some("error: no VM is running"));

    // The cache may go, the home stays, until it is deleted.
    let disk = home.join(".local/share/virtualghost/homes/web.img");
    assert!(ask(&home, &["clean", "--dry-run"]).status.success() && disk.exists());
    assert_eq!(ask(&home, &["rm", "web"]).status.code(), Some(2), "nobody was asked");
    assert!(disk.exists());
    assert_eq!(text(&ask(&home, &["rm", "--yes", "web"])), "removed web and its home\n");
    assert!(!disk.exists());
}

/// script(1) gives it a terminal.
#[test]
fn without_a_display_the_shell_is_in_this_terminal_and_leaving_it_powers_the_vm_off() {
    let home = vm::home("here");
    let mut script = Command::new("script");
    script.args(["-qec", &format!("'{}' --ephemeral", vm::executable().display()), "/dev/null"]);
    script.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
    script.env("HOME", &home).env("XDG_CACHE_HOME", vm::shared_cache()).env("TERM", "xterm");
    let output = feed(script, b"echo virtual | tr a-z A-Z; exit\n");
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("no window: neither WAYLAND_DISPLAY nor DISPLAY is set"), "{said}");
    assert!(said.contains("VIRTUAL"), "{said}");
    let left: Vec<_> = fs::read_dir(home.join(".local/state/virtualghost/vms")).unwrap().collect();
    assert!(left.is_empty(), "an ephemeral VM left {left:?}");
    assert!(!home.join(".local/share/virtualghost/homes").exists(), "it has a home");
}
