//! What users expect of the guest beyond its prompt: disks that take little of the host's, builds in the home, services of
//! their own.

use crate::vm;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;

struct Guest<'a>(&'a Path);

impl Guest<'_> {
    /// What a command line in the guest prints, as its user.
    fn run(&self, line: &str) -> String {
        let (status, text) = self.try_run(line);
        assert!(status, "{line}: {text}");
        text
    }

    fn try_run(&self, line: &str) -> (bool, String) {
        let mut command = vm::command(self.0);
        let output = command.args(["exec", "--", "sh", "-c", line]).stdin(Stdio::null()).output().unwrap();
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        (output.status.success(), text.concat().trim().to_owned())
    }

    /// Until `line` succeeds.
    fn wait_for(&self, line: &str) {
        let start = Instant::now();
        while !self.try_run(line).0 {
            assert!(start.elapsed() < Duration::from_secs(120), "{line}: {}", self.try_run(line).1);
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// The space that the file of a kept home takes, in bytes.
    fn home_bytes(&self) -> u64 {
        fs::metadata(self.0.join(".local/share/virtualghost/homes/default.img")).unwrap().blocks() * 512
    }

    /// The space that the overlay takes. Nothing but its QEMU knows the file.
    fn overlay_bytes(&self) -> u64 {
        let launcher = vm::command(self.0).args(["ps", "--json"]).output().unwrap().stdout;
        let found: serde_json::Value = serde_json::from_slice(&launcher).unwrap();
        let launcher = found[0]["pid"].as_u64().unwrap();
        let files = vm::children(launcher as u32)
            .into_iter()
            .flat_map(|qemu| fs::read_dir(format!("/proc/{qemu}/fd")).unwrap().flatten())
            .filter(|fd| {
                let file = fs::read_link(fd.path()).unwrap_or_default();
                let name = file.to_string_lossy();
                name.contains("/overlays/") && name.ends_with(" (deleted)")
            });
        files.map(|fd| fs::metadata(fd.path()).unwrap().blocks() * 512).max().expect("it has an overlay")
    }

    /// Waits until `bytes` is below `limit`.
    fn wait_until_below(&self, what: &str, limit: u64, bytes: impl Fn() -> u64) {
        let start = Instant::now();
        while bytes() > limit {
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "{what} has {} MiB, more than {}",
                bytes() / MIB,
                limit / MIB
            );
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        let _ = vm::command(self.0).args(["stop", "--all", "--force"]).output();
    }
}

/// A VM without a window, which has booted.
fn start(home: &Path) -> Guest<'_> {
    let started =
        vm::command(home).args(["--start", "boot", "--display", "none", "--detach"]).output().unwrap();
    assert!(started.status.success(), "{started:?}");
    Guest(home)
}

#[test]
fn disks_take_what_is_in_them_and_builds_work_in_the_home() {
    let home = vm::home("disks");
    let guest = start(&home);
    let booted = Instant::now();
    guest.run("cp /usr/bin/id . && sudo chown root id && sudo chmod u+s id && [ \"$(./id -u)\" = 0 ]");
    guest.run("sudo mknod null c 1 3 && sudo chmod 666 null && echo gone >null");
    guest.wait_for("[ \"$(df --output=size -BM / | tr -dc 0-9)\" -gt 30000 ]");
    guest.run("systemctl is-active virtualghost-trim.timer");

    // What is removed is freed on the host: at once in the home, at the next trim in the root.
    for (folder, bytes) in [
        ("/home/ghost", &(|| guest.home_bytes()) as &dyn Fn() -> u64),
        ("/var/tmp", &|| guest.overlay_bytes()),
    ] {
        guest.run("sudo systemctl start virtualghost-trim.service && sync");
        let before = bytes();
        guest.run(&format!("head -c 200M /dev/urandom >{folder}/large && sync"));
        assert!(bytes() > before + 150 * MIB, "{folder}");
        guest.run(&format!("rm {folder}/large && sync && sudo systemctl start virtualghost-trim.service"));
        guest.wait_until_below(folder, before + 50 * MIB, bytes);
    }

    // The kernel begins to write zeros in the first seconds, if it does.
    std::thread::sleep(Duration::from_secs(20).saturating_sub(booted.elapsed()));
    guest.run("rm -r id null && sync");
    guest.wait_until_below("an empty home", 16 * MIB, || guest.home_bytes());
}

#[test]
fn services_of_the_user_and_the_session_bus_start_when_they_are_first_asked() {
    let home = vm::home("services");
    let guest = start(&home);
    guest.wait_for(
        "[ -S $XDG_RUNTIME_DIR/systemd/private ] && [ -S $XDG_RUNTIME_DIR/bus ] && \
            [ -S /run/dbus/system_bus_socket ]",
    );
    assert_eq!(guest.try_run("systemctl is-active user@1000.service").1, "inactive");
    guest.run("systemctl --user list-units >/dev/null");
    guest.run(
        "mkdir -p .config/systemd/user && printf '[Service]\\nExecStart=/bin/sleep infinity\\n' \
            >.config/systemd/user/mine.service && systemctl --user daemon-reload && systemctl --user start mine && \
            systemctl --user is-active mine",
    );
    guest.run("systemd-run --user --wait --quiet true");
    guest.run("busctl --user status org.freedesktop.systemd1 >/dev/null");

    // The next who asks starts it again, here by the bus.
    guest.run("sudo systemctl stop user@1000.service");
    guest.wait_for("busctl --user status org.freedesktop.systemd1 >/dev/null");
    guest.run("systemctl --user is-active dbus.socket");

    guest.run("loginctl enable-linger");
    assert_eq!(guest.run("loginctl show-user ghost --property=Linger"), "Linger=yes");
    guest.run("loginctl disable-linger");
}
