//! The command line as a person meets it: what is printed, the exit status, what is left on disk. Nothing
//! here starts a VM.

#[path = "../supervise/example.rs"]
mod example;
mod launch;
#[cfg_attr(unix, path = "os/unix.rs")]
#[cfg_attr(windows, path = "os/windows.rs")]
mod os;
mod util;

use std::fs;
use util::{Home, stderr, stdout};

#[test]
fn help_names_every_command_and_flag() {
    let help = stdout(&Home::new().run(&["--help"]));
    for word in [
        "run",
        "config",
        "clean",
        "ps",
        "stop",
        "logs",
        "rm",
        "ssh",
        "exec",
        "cp",
        "ssh-config",
        "doctor",
        "gpu",
        "--vcpus",
        "--memory",
        "--gpu",
        "--input",
        "--kernel",
        "--rootfs",
        "--accel",
        "--display",
        "--gl",
        "--size",
        "--fullscreen",
        "--keyboard",
        "--name",
        "--ephemeral",
        "--detach",
        "--dry-run",
        "--verbose",
    ] {
        assert!(help.contains(word), "{word} is not in:\n{help}");
    }
}

#[test]
fn config_show_prints_every_value_with_its_origin() {
    let home = Home::new();
    home.write_config("memory = 1024\n\ngl = \"off\"\n");
    let output = home.command(&["config", "--show"]).env("VIRTUALGHOST_VCPUS", "3").output().unwrap();
    let shown = stdout(&output);
    let origin = |key: &str| {
        let line = shown
            .lines()
            .find(|line| line.starts_with(&format!("{key} = ")))
            .unwrap_or_else(|| panic!("{key}: {shown}"));
        line.split_once("  (")
            .map(|(value, origin)| (value.trim().to_owned(), origin.trim_end_matches(')').to_owned()))
            .unwrap()
    };
    assert_eq!(origin("vcpus"), ("vcpus = 3".into(), "environment, VIRTUALGHOST_VCPUS".into()));
    assert_eq!(origin("memory").0, "memory = 1024");
    assert!(origin("gl").1.ends_with("config.toml, line 3"), "{shown}");
    assert_eq!(origin("display").1, "default");
    assert_eq!(shown.lines().count(), 22, "{shown}");
}

#[test]
fn config_init_writes_a_commented_file_once_and_never_over_one() {
    let home = Home::new();
    let path = stdout(&home.run(&["config", "--path"])).trim().to_owned();
    assert!(home.run(&["config", "--init"]).status.success());
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("#vcpus = 2"), "{text}");
    fs::write(&path, "vcpus = 4\n").unwrap();
    let again = home.run(&["config", "--init"]);
    assert_eq!(again.status.code(), Some(2));
    assert!(stderr(&again).contains("exists already"), "{}", stderr(&again));
    assert_eq!(fs::read_to_string(&path).unwrap(), "vcpus = 4\n");
}

#[test]
fn a_bad_configuration_stops_everything_with_file_line_and_range() {
    for (text, said) in [
        ("\nvcpus = 0\n", "line 2: vcpus must be from 1 to 255, not 0"),
        ("memory = \"much\"\n", "line 1: invalid type"),
        ("colour = 1\n", "line 1: unknown field `colour`"),
    ] {
        let home = Home::new();
        home.write_config(text);
        let output = home.run(&["--dry-run"]);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(stderr(&output).contains(said), "{}", stderr(&output));
        assert!(stdout(&output).is_empty());
        home.assert_no_cache();
    }
}

#[test]
fn a_bad_flag_is_refused_before_anything_starts() {
    let text = Home::new();
    text.write_config("no filesystem");
    let text = text.path().join(os::CONFIG).join("config.toml");
    let refused = [
        (&["--vcpus", "0"][..], "from 1 to 255"),
        (&["--memory", "1"], "from 256 to 1048576"),
        (&["--gpu", "1:2"], "a PCI address is like 0000:01:00.0"),
        (&["--size", "9x9"], "size must be WIDTHxHEIGHT"),
        (&["--name", "a/b"], "a name is 1 to 63"),
        (&["--keyboard", "de x"], "XKB layout"),
        (&["--input", "/etc/passwd"], "input must be a file such as /dev/input/by-id"),
        (&["--input", "/dev/input/event0"], "only a VM with a passed GPU takes them"),
        (&["--kernel", "/nowhere/vmlinux"], "vmlinux does not open"),
        (&["--rootfs", text.to_str().unwrap()], "is no ext4 filesystem"),
    ];
    for (args, said) in refused.iter().chain(os::REFUSED) {
        let home = Home::new();
        let output = home.run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(said), "{args:?}: {}", stderr(&output));
        home.assert_no_cache();
    }
}

/// The plan with its reasons, and the command line; the home holds what a shell and QEMU would trip over.
#[test]
fn a_dry_run_prints_the_plan_and_the_command_line_and_makes_nothing() {
    let home = Home::new();
    let [kernel, rootfs] = home.write_guest("it's, odd");
    let args = ["--kernel", &kernel, "--rootfs", &rootfs, "--accel", "tcg", "--keyboard", "de", "--dry-run"];
    // Any file will do.
    let output = home.command(&args).env("VIRTUALGHOST_QEMU", &kernel).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let shown = os::without_pid(&stdout(&output)).replace(&home.path().display().to_string(), "HOME");
    // Whether this machine has vsock is not ours to say: neither way to the agent is shown.
    let mut shown = shown.replace(",hostfwd=tcp:127.0.0.1:0-:22", "");
    if let Some(at) = shown.find(" -device 'vhost-vsock-pci") {
        let end = at + shown[at..].find("' ").unwrap() + 1;
        shown.replace_range(at..end, "");
    }
    let lines: Vec<_> = shown.lines().filter(|line| !line.starts_with("agent ")).collect();
    insta::assert_snapshot!(os::DRY_RUN, lines.join("\n"));
    home.assert_no_cache();
    let left: Vec<_> = fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["it's, odd"], "something was made");
}

#[test]
fn doctor_tells_the_same_to_people_and_programs_and_makes_nothing() {
    let home = Home::new();
    let told: serde_json::Value = serde_json::from_str(&stdout(&home.run(&["doctor", "--json"]))).unwrap();
    let output = home.run(&["doctor"]);
    let status = match told["state"].as_str().unwrap() {
        "ok" | "note" => 0,
        "limited" => 1,
        _ => 2,
    };
    assert_eq!(output.status.code(), Some(status), "{}", stdout(&output));
    for finding in told["findings"].as_array().unwrap() {
        let (check, state) = (finding["check"].as_str().unwrap(), finding["state"].as_str().unwrap());
        let row = format!("{state:<8} {check:<14} ");
        assert!(stdout(&output).contains(&row), "{row:?} is not in:\n{}", stdout(&output));
        // What is not as it should be says what to type.
        assert!(!["limited", "broken"].contains(&state) || finding["fix"].is_string(), "{finding}");
    }
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0, "something was made");
}

#[test]
fn doctor_goes_on_with_a_configuration_that_stops_everything_else() {
    let home = Home::new();
    home.write_config("vcpus = 0\n");
    let output = home.run(&["doctor"]);
    let shown = stdout(&output);
    assert_eq!(output.status.code(), Some(2), "{shown}");
    assert!(
        shown.contains("broken   config") && shown.contains("line 1: vcpus must be from 1 to 255"),
        "{shown}"
    );
    assert!(shown.contains("→ correct that line") && shown.contains("vsock"), "{shown}");
}
