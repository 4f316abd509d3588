//! Unusual home folders, clocks that jump, and standard streams that are closed.

use crate::disk::Mount;
use crate::lab::{Lab, Launcher, executable};
use crate::table::{Table, Unsupported};
use crate::util::{eventually, walk};
use nix::unistd::{Uid, User};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

pub fn rows(table: &mut Table) {
    let long = format!("{}/{}", "l".repeat(200), "o".repeat(100));
    let names: [(&str, OsString); 4] = [
        ("spaces, commas, quotes", "a b,c,,d 'e' \"f\" =%h$HOME\\".into()),
        ("bytes that are not UTF-8", OsStr::from_bytes(b"caf\xe9,\xff").to_owned()),
        ("300 characters", long.into()),
        ("a plain name", "home".into()),
    ];
    for (what, name) in &names {
        table.row(&format!("HOME: {what}"), 1, |_| {
            let lab = Lab::with_home(name).starting("auto");
            let mut launcher = lab.launch();
            launcher.is_ready();
            openssh_finds_the_keys(&lab);
            launcher.stops();
            lab.recovers();
            Ok(())
        });
    }
    table.row("HOME: a line break", 1, |_| {
        let lab = Lab::with_home("a\nb");
        lab.launch().refuses(2, "a\nb");
        lab.is_at_rest();
        lab.is_clean();
        Ok(())
    });
    table.row("no HOME: the user database has one", 1, |_| {
        let lab = Lab::cold();
        let home = User::from_uid(Uid::current())
            .ok()
            .flatten()
            .ok_or(Unsupported("this user is not in the user database".into()))?
            .dir;
        let mount = Mount::new(&["--bind", lab.home().to_str().unwrap()], &home)?;
        let mut launcher = lab.start(lab.command(&[]).env_remove("HOME"));
        launcher.is_ready();
        launcher.stops();
        drop(mount);
        assert!(lab.vms().exists(), "the VM is in another folder");
        lab.recovers();
        Ok(())
    });
    for umask in ["077", "000"] {
        table.row(&format!("umask {umask}"), 1, |_| {
            let lab = Lab::cold();
            let mut shell = Command::new("sh");
            lab.environment(&mut shell)
                .args(["-c", &format!("umask {umask}; exec \"$0\"")])
                .arg(executable());
            let mut launcher = lab.start(&mut shell);
            launcher.is_ready();
            walk(&lab.home(), &mut |path, meta| {
                let mode = meta.permissions().mode() & 0o777;
                assert!(!meta.is_dir() || mode == 0o700, "{} has mode {mode:o}", path.display());
                assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", path.display());
            });
            launcher.stops();
            lab.recovers();
            Ok(())
        });
    }
    table.row("the clock jumps", 2, |number| {
        let lab = Lab::warm();
        let time = if number == 0 { SystemTime::now() + YEAR } else { SystemTime::now() - YEAR };
        fs::create_dir_all(lab.cache().join("overlays")).unwrap();
        fs::write(lab.cache().join("overlays/vl.left"), "").unwrap();
        for path in lab.files().iter().filter(|path| !path.starts_with(lab.cache().join("assets"))) {
            File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
        }
        lab.recovers();
        Ok(())
    });
    table.row("the clock jumps while a VM runs", 1, |_| {
        let library = Path::new("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1");
        if !library.exists() {
            return Err(Unsupported("libfaketime is not installed".into()));
        }
        let lab = Lab::warm();
        let clock = lab.folder().join("clock");
        let jump = |offset: &str| fs::write(&clock, offset).unwrap();
        jump("+0");
        let mut command = lab.command(&[]);
        // Only the launcher's wall clock: QEMU's environment does not have these variables.
        command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", &clock);
        command.env("FAKETIME_NO_CACHE", "1").env("DONT_FAKE_MONOTONIC", "1").env("FAKETIME_DONT_RESET", "1");
        let mut launcher = lab.start(&mut command);
        launcher.is_ready();
        for offset in ["+1y", "-1y", "+0"] {
            jump(offset);
            std::thread::sleep(Duration::from_millis(700));
            let listed = lab.output(&["ps"]);
            assert!(String::from_utf8_lossy(&listed.stdout).contains("ready"), "after {offset}: {listed:?}");
        }
        jump("-1y");
        launcher.stops();
        lab.recovers();
        Ok(())
    });
    table.row("standard output is closed by its reader", 1, |_| {
        let lab = Lab::warm();
        for args in [
            &["--help"][..],
            &["--dry-run"],
            &["ps"],
            &["config", "--show"],
            &["config", "--path"],
            &["clean"],
        ] {
            let output = lab.command(args).stdout(unread()).output().unwrap();
            assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    });
    table.row("standard error is closed by its reader", 1, |_| {
        let lab = Lab::cold();
        let status = lab.command(&[]).env("VIRTUALGHOST_VCPUS", "0").stderr(unread()).status().unwrap();
        assert_eq!(status.code(), Some(2));
        let mut launcher = lab.start_unread(unread);
        is_ready_by_state(&lab, &mut launcher);
        launcher.stops();
        lab.recovers();
        Ok(())
    });
    table.row("standard streams are closed", 1, |_| {
        let lab = Lab::cold();
        let mut shell = Command::new("sh");
        lab.environment(&mut shell).args(["-c", "exec \"$0\" <&- >&- 2>&-"]).arg(executable());
        let mut launcher = lab.start(&mut shell);
        is_ready_by_state(&lab, &mut launcher);
        launcher.stops();
        lab.recovers();
        Ok(())
    });
}

/// By the state file, because standard error is not readable.
fn is_ready_by_state(lab: &Lab, launcher: &mut Launcher) {
    let state = lab.vms().join("default/state.json");
    eventually("the VM is ready", Duration::from_secs(60), || {
        assert!(launcher.process.try_wait().unwrap().is_none(), "the launcher ended");
        fs::read_to_string(&state).ok()?.contains("\"ready\"").then_some(())
    });
}

/// A pipe whose reader is closed.
fn unread() -> Stdio {
    std::io::pipe().unwrap().1.into()
}

fn openssh_finds_the_keys(lab: &Lab) {
    let folder = lab.vms().join("default");
    let mut ssh = Command::new("ssh");
    let output = ssh.arg("-G").arg("-F").arg(folder.join("ssh-config")).arg("vg-default").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // ssh prints the keys' paths with their tokens.
    let line = [b"userknownhostsfile ", folder.join("keys/known_hosts").as_os_str().as_bytes()].concat();
    let found =
        output.stdout.split(|byte| *byte == b'\n').find(|line| line.starts_with(b"userknownhostsfile"));
    assert_eq!(found.map(String::from_utf8_lossy), Some(String::from_utf8_lossy(&line)));
    assert_eq!(found, Some(&line[..]));
}
