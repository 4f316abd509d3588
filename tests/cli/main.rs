//! The command line as a user sees it: output, exit status, and files on the disk. Starts no VM; `launch` starts a fake QEMU.

#[cfg(unix)]
mod completions;
#[path = "../supervise/example.rs"]
mod example;
mod help;
mod launch;
#[cfg_attr(unix, path = "os/unix.rs")]
#[cfg_attr(windows, path = "os/windows.rs")]
mod os;
#[cfg(target_os = "linux")]
mod texts;
mod util;

use std::fs;
use util::{Home, stderr, stdout};

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
    assert_eq!(origin("vcpus").0, "vcpus = 3");
    assert!(origin("vcpus").1.contains("VIRTUALGHOST_VCPUS"), "{shown}");
    assert_eq!(origin("memory").0, "memory = 1024");
    assert!(origin("gl").1.contains("config.toml") && origin("gl").1.contains('3'), "{shown}");
    assert_eq!(origin("display").1, "default");
    assert_eq!(keys(&shown), settings(), "{shown}");
}

/// The text before ` = ` of each line.
fn keys(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.split_once(" = ")).map(|(key, _)| key).collect()
}

/// The names of all settings, from the file with the defaults.
fn settings() -> Vec<&'static str> {
    keys(include_str!("../../src/config/default.toml"))
        .into_iter()
        .filter(|key| !key.starts_with('#'))
        .collect()
}

#[test]
fn config_init_writes_a_commented_file_and_never_overwrites_one() {
    let home = Home::new();
    let path = stdout(&home.run(&["config", "--path"])).trim().to_owned();
    assert!(home.run(&["config", "--init"]).status.success());
    assert_eq!(fs::read_to_string(&path).unwrap(), virtualghost::config::template());
    fs::write(&path, "vcpus = 4\n").unwrap();
    let again = home.run(&["config", "--init"]);
    assert_eq!(again.status.code(), Some(2));
    assert_eq!(fs::read_to_string(&path).unwrap(), "vcpus = 4\n");
}

#[test]
fn a_bad_configuration_is_an_error_that_names_the_file() {
    for text in ["\nvcpus = 0\n", "memory = \"much\"\n", "colour = 1\n"] {
        let home = Home::new();
        home.write_config(text);
        let output = home.run(&["--dry-run"]);
        assert_eq!(output.status.code(), Some(2), "{text}");
        let path = home.path().join(os::CONFIG).join("config.toml");
        assert!(stderr(&output).contains(path.to_str().unwrap()), "{}", stderr(&output));
        assert!(stdout(&output).is_empty());
        home.assert_no_cache();
    }
}

/// The error names the value, or the flag.
#[test]
fn a_bad_flag_is_refused_before_anything_starts() {
    let text = Home::new();
    text.write_config("no filesystem");
    let text = text.path().join(os::CONFIG).join("config.toml");
    let text = text.to_str().unwrap();
    let refused = [
        (&["--vcpus", "0"][..], "255"),
        (&["--memory", "1"], "1048576"),
        (&["--gpu", "1:2"], "1:2"),
        (&["--size", "9x9"], "9x9"),
        (&["--name", "a/b"], "a/b"),
        (&["--keyboard", "de x"], "de x"),
        (&["--input", "/etc/passwd"], "/etc/passwd"),
        (&["--input", "/dev/input/event0"], "--input"),
        (&["--kernel", "/nowhere/vmlinux"], "vmlinux"),
        (&["--rootfs", text], text),
        (&["gpu", "write", text, "x"], text),
    ];
    for (args, named) in refused.iter().chain(os::REFUSED) {
        let home = Home::new();
        let output = home.run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(named), "{args:?}: {}", stderr(&output));
        home.assert_no_cache();
    }
}

/// The path of the home has characters that have to be quoted for a shell and for QEMU.
#[test]
fn a_dry_run_prints_the_plan_and_the_command_line() {
    let home = Home::new();
    let [kernel, rootfs] = home.write_guest("it's, odd");
    let args = ["--kernel", &kernel, "--rootfs", &rootfs, "--accel", "tcg", "--keyboard", "de", "--dry-run"];
    // Any file will do.
    let output = home.command(&args).env("VIRTUALGHOST_QEMU", &kernel).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let shown = os::without_pid(&stdout(&output)).replace(&home.path().display().to_string(), "HOME");
    // Without what depends on this machine: the channel to the agent, and what confines QEMU.
    let mut shown = shown.replace(",hostfwd=tcp:127.0.0.1:0-:22", "");
    if let Some(at) = shown.find(" -device 'vhost-vsock-pci") {
        let end = at + shown[at..].find("' ").unwrap() + 1;
        shown.replace_range(at..end, "");
    }
    let lines: Vec<_> = shown
        .lines()
        .filter(|line| !["agent ", "jail ", "scope "].iter().any(|row| line.starts_with(row)))
        .collect();
    insta::assert_snapshot!(os::DRY_RUN, lines.join("\n"));
    home.assert_no_cache();
    let left: Vec<_> = fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["it's, odd"], "a file was written");
}

#[test]
fn doctor_prints_the_same_findings_as_text_and_json_and_writes_nothing() {
    let home = Home::new();
    let json: serde_json::Value = serde_json::from_str(&stdout(&home.run(&["doctor", "--json"]))).unwrap();
    let output = home.run(&["doctor"]);
    let status = match json["state"].as_str().unwrap() {
        "ok" | "note" => 0,
        "limited" => 1,
        _ => 2,
    };
    assert_eq!(output.status.code(), Some(status), "{}", stdout(&output));
    for finding in json["findings"].as_array().unwrap() {
        let (check, state) = (finding["check"].as_str().unwrap(), finding["state"].as_str().unwrap());
        let row = format!("{state:<8} {check:<14} ");
        assert!(stdout(&output).contains(&row), "{row:?} is not in:\n{}", stdout(&output));
        // A problem has a fix.
        assert!(!["limited", "broken"].contains(&state) || finding["fix"].is_string(), "{finding}");
    }
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0, "a file was written");
}

#[test]
fn doctor_checks_everything_despite_a_bad_configuration() {
    let home = Home::new();
    home.write_config("vcpus = 0\n");
    let output = home.run(&["doctor", "--json"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let json: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    let finding = |check: &str| {
        let findings = json["findings"].as_array().unwrap();
        findings.iter().find(|finding| finding["check"] == check).unwrap_or_else(|| panic!("{check}: {json}"))
    };
    assert_eq!(finding("config")["state"], "broken");
    assert!(finding("config")["fix"].is_string(), "{json}");
    finding("vsock");
}
