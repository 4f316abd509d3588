//! The complete output of commands, as snapshots of terminals. On Linux only, because paths and reasons differ on other
//! systems; those are in the snapshots of the unit tests.

mod terminal;

use crate::launch::Lab;
use crate::os;
use crate::util::Home;
use std::fs;
use terminal::Terminal;

/// Errors of clap, and of the types of the settings.
const BAD_ARGUMENTS: &[&str] = &[
    "nonsense",
    "--nonsense",
    "--vcpus 0",
    "--vcpus two",
    "--memory 1",
    "--accel kwm",
    "--display x",
    "--gl maybe",
    "--start slowly",
    "--gpu 1:2",
    "--input /etc/passwd",
    "--size 9x9",
    "--keyboard de(",
    "--name a/b",
    "--kernel",
    "--vcpus 2 ps",
    "config",
    "config --show --path",
    "checkpoint --name web",
    "stop --all web",
    "logs --console --qemu",
    "rm",
    "ssh Web",
    "exec web",
    "cp web:a",
    "doctor --json --forget",
    "gpu bind",
    "gpu bind 1:2",
];

#[test]
fn bad_arguments() {
    let (home, mut terminal) = (Home::new(), Terminal::default());
    for words in BAD_ARGUMENTS {
        assert_eq!(terminal.run(&home, words).status.code(), Some(2), "{words}");
    }
    terminal.assert("bad-arguments");
}

/// Files and devices that do not exist or are of the wrong kind.
#[test]
fn bad_files() {
    let (home, mut terminal) = (Home::new(), Terminal::default());
    let [kernel, rootfs] = home.write_guest("guest");
    let text = home.path().join("text");
    fs::write(&text, "no filesystem").unwrap();
    for words in [
        "--kernel /nowhere/vmlinux",
        &format!("--kernel {}", home.path().display()),
        &format!("--kernel {}", text.display()),
        &format!("--rootfs {}", text.display()),
        &format!("--kernel {kernel} --start instant"),
        &format!("--rootfs {rootfs} --start instant"),
        "--accel hvf",
        "--display gtk",
        "--display cocoa",
        "--display none --gl on",
        "--input /dev/input/event0",
        "--share /nowhere",
        &format!("--share {}", text.display()),
        "--share /proc:ro",
        "--share /usr/share:ro",
        "--share /usr/share:ro=relative",
        "--git-identity",
        "diff",
        "apply web",
    ] {
        assert_eq!(terminal.run(&home, words).status.code(), Some(2), "{words}");
    }
    terminal.run_with(&home, &[("VIRTUALGHOST_QEMU", "/nowhere/qemu")], "");
    terminal.assert("bad-files");
}

#[test]
fn configuration() {
    let (home, mut terminal) = (Home::new(), Terminal::default());
    terminal.run(&home, "config --path");
    terminal.run(&home, "config --show");
    terminal.run(&home, "config --init");
    terminal.run(&home, "config --init");
    home.write_config("memory = 1024\n\ngl = \"off\"\nkernel = \"vmlinux\"\n");
    terminal.run_with(&home, &[("VIRTUALGHOST_VCPUS", "3")], "config --show");
    terminal.assert("configuration");
}

#[test]
fn bad_configuration() {
    let (home, mut terminal) = (Home::new(), Terminal::default());
    for text in ["\nvcpus = 0", "memory = \"much\"", "colour = 1", "vcpus =", "input = [\"/dev/sda\"]"] {
        home.write_config(text);
        terminal.run(&home, "config --show");
    }
    home.write_config("");
    terminal.run_with(&home, &[("VIRTUALGHOST_VCPUS", "two")], "config --show");
    terminal.run_with(&home, &[("VIRTUALGHOST_FULLSCREEN", "maybe")], "config --show");
    terminal.assert("bad-configuration");
}

#[test]
fn no_vm() {
    let (home, mut terminal) = (Home::new(), Terminal::default());
    for words in [
        "ps",
        "ps --json",
        "ls",
        "ls --json",
        "stop",
        "stop web",
        "stop --all",
        "logs",
        "logs --qemu web",
        "rm web",
        "rename web db",
        "rename web Db",
        "clone web db",
        "snapshot web",
        "restore web before",
        "ssh",
        "ssh web",
        "exec web -- true",
        "cp a b",
        "cp web:a b",
        "cp Web:a b",
        "ssh-config",
        "ssh-config web",
        "proxy web",
        "clean",
        "clean --dry-run",
        "doctor --forget",
    ] {
        terminal.run(&home, words);
    }
    terminal.assert("no-vm");
}

#[test]
fn a_session() {
    let (lab, mut terminal) = (Lab::new(Home::new()), Terminal::default());
    lab.plays(&["greet", "console=Linux version 6.12\\n", "control={\"event\":\"session-ready\"}\\n"]);
    let flags = "--accel tcg --display none";
    let mut run = |words: &str| terminal.run_in(&lab, words);
    run(&format!("{flags} --name web --detach"));
    for words in [
        "ps",
        &format!("{flags} --name web"),
        "rm web",
        "stop db",
        "rename web db",
        "clone web db",
        "snapshot web before",
        "stop",
        "ls",
        "logs web",
        "rm web",
        "rename web web",
        "clone web web",
        "restore web before",
        "snapshot web -x",
        "snapshot web before",
        "snapshot web before",
        "restore web before",
        "restore web never",
        "restore web before --yes",
        "rm web",
        "rm web --snapshot never",
        "rm web --snapshot before --yes",
        "clone web db",
        "clone web db",
        "rename web db",
        "rm --yes db",
        "rename web db",
        "rename web db",
        "rm --yes db",
        "ls",
    ] {
        run(words);
    }
    lab.plays(&[
        "greet",
        "console=Linux version 6.12\\n",
        "console=Welcome to Debian\\n",
        "control={\"event\":\"notice\",\"message\":\"no clock\"}\\n",
        "control={\"event\":\"session-ready\"}\\n",
        "control={\"event\":\"session-exit\",\"status\":0}\\n",
        "guest-poweroff",
    ]);
    run(&format!("{flags} --ephemeral"));
    lab.plays(&[
        "greet",
        "console=Kernel panic - not syncing: test\\n",
        "stderr=qemu: a warning\\n",
        "guest-panic",
    ]);
    run(&format!("{flags} --ephemeral"));
    run(&format!("{flags} --ephemeral --detach"));
    run(&format!("checkpoint {flags}"));
    terminal.assert("a-session");
}

#[test]
fn a_cache() {
    let (home, mut terminal) = (Home::new(), Terminal::default());
    let cache = home.path().join(os::CACHE).join("virtualghost");
    let used = "0123456789abcdef0123";
    for name in [used, "1123456789abcdef0123", ".2123456789abcdef0123.7.partial"] {
        let folder = cache.join("assets").join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("file"), "").unwrap();
    }
    fs::create_dir_all(cache.join("leases")).unwrap();
    let lease = fs::File::create(cache.join("leases").join(format!("{used}.web.4711.0"))).unwrap();
    lease.lock().unwrap();
    terminal.run(&home, "clean --dry-run");
    terminal.run(&home, "clean");
    terminal.run(&home, "clean");
    terminal.assert("a-cache");
}
