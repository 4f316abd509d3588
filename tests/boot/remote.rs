//! A VM without a window: ssh, exec, cp, ps, logs, stop and rm, and the home that stays.

use crate::vm;
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs the executable under test.
fn run(home: &Path, args: &[&str]) -> Output {
    vm::command(home).args(args).stdin(Stdio::null()).output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Stops the test's VMs when it is dropped, also after a failure.
struct StopAll<'a>(&'a Path);

impl Drop for StopAll<'_> {
    fn drop(&mut self) {
        run(self.0, &["stop", "--all", "--force"]);
    }
}

fn ps(home: &Path) -> Vec<Value> {
    serde_json::from_slice(&run(home, &["ps", "--json"]).stdout).unwrap()
}

/// Runs `command` with `input` on standard input.
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

/// Runs a tool of OpenSSH or rsync with the VM's configuration.
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
fn ssh_exec_cp_ps_and_stop_work_and_a_home_survives_a_killed_qemu() {
    let home = vm::home("remote");
    let _stop_all = StopAll(&home);
    let detached = ["--name", "web", "--display", "none", "--detach"];
    let start = || {
        let started = run(&home, &detached);
        assert!(started.status.success(), "{}", text(&started));
        let found = ps(&home);
        assert_eq!((&found[0]["name"], &found[0]["state"]), (&"web".into(), &"ready".into()));
        found[0].clone()
    };
    let state = start();
    assert!(state["channel"] == "socket" || state["channel"]["vsock"].is_u64(), "{state}");
    assert!(state["ready_after"].as_f64().unwrap() > 0.0, "{state}");

    // exec passes arguments, the exit status and all bytes unchanged.
    let printed = run(&home, &["exec", "web", "--", "printf", "%s|", "a  b", "$HOME", "it's"]);
    assert_eq!(String::from_utf8_lossy(&printed.stdout), "a  b|$HOME|it's|");
    assert_eq!(run(&home, &["exec", "--", "sh", "-c", "exit 7"]).status.code(), Some(7));
    let output_of = |args: &[&str]| text(&run(&home, args)).trim().to_owned();
    assert_eq!(output_of(&["exec", "--", "id", "-un"]), "ghost");
    assert_eq!(output_of(&["exec", "--root", "--", "id", "-un"]), "root");
    assert_eq!(
        output_of(&["ssh", "--", "echo $HOME; test -t 0 || echo no terminal"]),
        "/home/ghost\nno terminal"
    );
    assert!(output_of(&["exec", "--tty", "--", "tty"]).contains("/dev/pts/"));
    let bytes: Vec<u8> =
        (0..3_000_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let mut cat = vm::command(&home);
    cat.args(["exec", "--", "cat"]);
    let back = feed(cat, &bytes);
    assert!(back.status.success() && back.stdout == bytes, "{} bytes came back", back.stdout.len());

    // Every shell finds the user's own programs.
    let path = output_of(&["exec", "--", "printenv", "PATH"]);
    assert!(path.starts_with("/home/ghost/.local/bin:") && path.contains(":/usr/sbin:"), "{path}");
    for line in ["echo $PATH", "bash -lc 'echo $PATH'", "sh -lc 'echo $PATH'"] {
        assert_eq!(output_of(&["ssh", "--", line]), path, "{line}");
    }
    assert_eq!(output_of(&["exec", "-w", "/usr", "-e", "A=b", "--", "sh", "-c", "echo $PWD $A"]), "/usr b");
    assert_eq!(run(&home, &["exec", "--", "sh", "-c", "kill -KILL $$"]).status.code(), Some(137));
    assert_eq!(output_of(&["ssh", "--", "echo 'echo from bashrc' >>.bashrc; true"]), "");
    assert_eq!(output_of(&["ssh", "--", "true"]), "from bashrc");
    // As on any machine, rsync and sftp need a start file that prints nothing.
    assert_eq!(output_of(&["exec", "--", "sed", "-i", "$d", ".bashrc"]), "");

    // cp, and the tools that people use.
    let file = home.join("odd name's.bin");
    fs::write(&file, &bytes[..100_000]).unwrap();
    let file_path = file.to_str().unwrap();
    let copied = run(&home, &["cp", file_path, "web:"]);
    assert!(copied.status.success(), "{}", text(&copied));
    let back = home.join("back");
    let copied = run(&home, &["cp", "web:odd name's.bin", back.to_str().unwrap()]);
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
    let sums = output_of(&[
        "exec",
        "--",
        "sh",
        "-c",
        "sha256sum by-* | cut -c1-64 | sort -u | wc -l; ls by-* | wc -l",
    ]);
    assert_eq!(sums, "1\n3");

    // The name is taken: the error has the two options.
    let again = run(&home, &detached);
    let refusal = text(&again);
    assert_eq!(again.status.code(), Some(2), "{refusal}");
    assert!(refusal.contains("--name") && refusal.contains("--ephemeral"), "{refusal}");

    // QEMU is killed after a sync: the synced file is there at the next start, and the old key is refused.
    let synced = run(&home, &["exec", "--", "sh", "-c", "echo precious >kept && sync"]);
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
    assert_eq!(output_of(&["exec", "--", "cat", "kept"]), "precious");
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

    let stopped = run(&home, &["stop", "web"]);
    assert!(stopped.status.success(), "{}", text(&stopped));
    assert!(text(&run(&home, &["logs", "web"])).contains("reboot: Power down"));
    assert_eq!(run(&home, &["stop"]).status.code(), Some(2));

    // `clean` keeps the home, `rm` removes it.
    let disk = home.join(".local/share/virtualghost/homes/web.img");
    assert!(run(&home, &["clean", "--dry-run"]).status.success() && disk.exists());
    assert_eq!(run(&home, &["rm", "web"]).status.code(), Some(2), "it was removed without confirmation");
    assert!(disk.exists());
    let removed = run(&home, &["rm", "--yes", "web"]);
    assert!(removed.status.success(), "{}", text(&removed));
    assert!(!disk.exists());
}

/// The streams, the signals and the status are the program's, and nothing else is printed.
#[test]
fn a_vm_for_one_program_or_one_script() {
    let home = vm::home("one");
    let one = |args: &[&str]| {
        let mut command = vm::command(&home);
        command.args(["run", "--ephemeral"]).args(args);
        command
    };
    let output = feed(one(&["--", "sh", "-c", "cat; echo error >&2; exit 7"]), b"\x00in\xff");
    assert_eq!(
        (output.status.code(), &output.stdout[..]),
        (Some(7), &b"\x00in\xff"[..]),
        "{}",
        text(&output)
    );
    assert_eq!(output.stderr, b"error\n");
    let output = feed(one(&["--display", "none"]), b"cd /\npwd\nexit 5\n");
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(5), &b"/\n"[..]), "{}", text(&output));

    let mut waits =
        one(&["--", "sh", "-c", "trap 'echo caught; exit 9' TERM; echo ready; while :; do sleep 0.1; done"]);
    let mut child = waits.stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), nix::sys::signal::Signal::SIGTERM)
        .unwrap();
    line.clear();
    output.read_line(&mut line).unwrap();
    assert_eq!((line.as_str(), child.wait().unwrap().code()), ("caught\n", Some(9)));
    assert_eq!(ps(&home), [] as [Value; 0]);
}

/// script(1) provides a terminal.
#[test]
fn without_a_display_the_shell_is_in_this_terminal_and_its_exit_powers_the_vm_off() {
    let home = vm::home("here");
    let mut script = Command::new("script");
    script.args(["-qec", &format!("'{}' --ephemeral", vm::executable().display()), "/dev/null"]);
    script.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
    script.env("HOME", &home).env("XDG_CACHE_HOME", vm::shared_cache()).env("TERM", "xterm");
    let output = feed(script, b"echo virtual | tr a-z A-Z; exit\n");
    let printed = text(&output);
    assert!(output.status.success(), "{printed}");
    assert!(printed.contains("WAYLAND_DISPLAY"), "{printed}");
    assert!(printed.contains("VIRTUAL"), "{printed}");
    let left: Vec<_> = fs::read_dir(home.join(".local/state/virtualghost/vms")).unwrap().collect();
    assert!(left.is_empty(), "an ephemeral VM left {left:?}");
    assert!(!home.join(".local/share/virtualghost/homes").exists(), "an ephemeral VM has a home disk");
}
