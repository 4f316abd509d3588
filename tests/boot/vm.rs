//! The executable on a screen, as a user starts it.

use crate::screen::Screen;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// The longest that anything may take before it counts as hung; nothing is measured here.
const HUNG: Duration = Duration::from_secs(240);

pub struct Vm {
    launcher: Child,
    /// What the launcher says.
    said: PathBuf,
    pub home: PathBuf,
}

/// A folder for this test alone; what is unpacked is shared by all.
pub fn home(name: &str) -> PathBuf {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("homes").join(name);
    let _ = fs::remove_dir_all(&home);
    fs::create_dir_all(&home).unwrap();
    home
}

pub fn shared_cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache")
}

pub fn executable() -> PathBuf {
    std::env::var_os("VIRTUALGHOST_EXECUTABLE")
        .map_or(env!("CARGO_BIN_EXE_virtualghost").into(), PathBuf::from)
}

/// What the executable under test was made of.
pub fn built() -> PathBuf {
    std::env::var_os("VIRTUALGHOST_BUILT")
        .map_or(Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/build"), PathBuf::from)
}

/// The executable under test with `home` as its only home, and no session.
pub fn command(home: &Path) -> Command {
    let mut command = Command::new(executable());
    command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command.env("HOME", home).env("XDG_CACHE_HOME", shared_cache());
    command
}

impl Vm {
    pub fn start(name: &str, screen: Option<&Screen>, args: &[&str]) -> Self {
        let home = home(name);
        let mut command = command(&home);
        command.args(["--name", name]).args(args);
        if let Some(screen) = screen {
            command.env("DISPLAY", &screen.display);
        }
        Self::spawn(command, home)
    }

    pub fn spawn(mut command: Command, home: PathBuf) -> Self {
        let said = home.join("said");
        command.stderr(File::create(&said).unwrap());
        Self { launcher: command.spawn().unwrap(), said, home }
    }

    pub fn pid(&self) -> u32 {
        self.launcher.id()
    }

    pub fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap()
    }

    pub fn console(&self, name: &str) -> String {
        let log = self.home.join(".local/state/virtualghost/vms").join(name).join("console.log");
        String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned()
    }

    /// Waits until the launcher has said this.
    pub fn wait_until_said(&mut self, wanted: &str) {
        let start = Instant::now();
        while !self.said().contains(wanted) {
            let ended = self.launcher.try_wait().unwrap();
            assert!(
                ended.is_none() && start.elapsed() < HUNG,
                "{ended:?}, never said {wanted:?}:\n{}",
                self.said()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub fn wait_until_ready(&mut self) {
        self.wait_until_said("\nready (");
    }

    /// Waits for either; true if it has ended.
    pub fn ends_or_is_ready(&mut self) -> bool {
        let start = Instant::now();
        loop {
            if self.launcher.try_wait().unwrap().is_some() {
                return true;
            }
            if self.said().contains("\nready (") {
                return false;
            }
            assert!(start.elapsed() < HUNG, "{}", self.said());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid() as i32), signal).unwrap();
    }

    pub fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.launcher.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < HUNG, "the launcher does not end:\n{}", self.said());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The pids of the QEMUs that this launcher has started and that are alive.
    pub fn qemus(&self) -> Vec<u32> {
        children(self.pid())
    }
}

pub fn children(parent: u32) -> Vec<u32> {
    let is_child = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // proc_pid_stat(5): the fields after the name in parentheses are state and parent.
        let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        fields.next() != Some("Z") && fields.next() == Some(&parent.to_string())
    };
    let pids = fs::read_dir("/proc").unwrap().flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(is_child).collect()
}

pub fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.rsplit(')').next().unwrap_or_default().trim().starts_with('Z')
}

/// Waits for the end of a process that is not this one's child.
pub fn wait_until_gone(pid: u32) {
    let start = Instant::now();
    while is_alive(pid) {
        assert!(start.elapsed() < HUNG, "process {pid} does not end");
        std::thread::sleep(Duration::from_millis(50));
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        let _ = self.launcher.kill();
        let _ = self.launcher.wait();
    }
}
