//! A VM that the executable under test starts, as a user starts it.

use crate::screen::Screen;
use crate::stage::{Stage, words};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A step that takes longer has hung. No test measures a time.
const HUNG: Duration = Duration::from_secs(240);

pub struct Vm {
    launcher: Child,
    /// The file with the launcher's standard error.
    stderr: PathBuf,
    pub home: PathBuf,
}

/// An empty home for one test. All tests share the cache.
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

/// The outputs of the build that the executable under test carries.
pub fn built() -> PathBuf {
    std::env::var_os("VIRTUALGHOST_BUILT")
        .map_or(Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/build"), PathBuf::from)
}

/// The executable under test with `home` as its only home, and no session.
pub fn command(home: &Path) -> Command {
    let mut command = Command::new(executable());
    set_environment(&mut command, home);
    command.stdin(Stdio::null());
    command
}

pub fn set_environment(command: &mut Command, home: &Path) {
    command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command.env("HOME", home).env("XDG_CACHE_HOME", shared_cache());
}

fn ready() -> String {
    format!("\n{}", words(Stage::Ready))
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
        let stderr = home.join("stderr");
        command.stderr(File::create(&stderr).unwrap());
        Self { launcher: command.spawn().unwrap(), stderr, home }
    }

    pub fn pid(&self) -> u32 {
        self.launcher.id()
    }

    /// The launcher's standard error.
    pub fn stderr(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap()
    }

    pub fn console(&self, name: &str) -> String {
        let log = self.home.join(".local/state/virtualghost/vms").join(name).join("console.log");
        String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned()
    }

    pub fn wait_until_printed(&mut self, wanted: &str) {
        let start = Instant::now();
        while !self.stderr().contains(wanted) {
            let ended = self.launcher.try_wait().unwrap();
            assert!(
                ended.is_none() && start.elapsed() < HUNG,
                "{ended:?}, {wanted:?} was not printed:\n{}",
                self.stderr()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub fn wait_until_ready(&mut self) {
        self.wait_until_printed(&ready());
    }

    pub fn is_ready(&mut self) -> bool {
        assert_eq!(self.launcher.try_wait().unwrap(), None, "{}", self.stderr());
        self.stderr().contains(&ready())
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
            assert!(start.elapsed() < HUNG, "the launcher does not end:\n{}", self.stderr());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The pids of this launcher's live QEMUs.
    pub fn qemus(&self) -> Vec<u32> {
        children(self.pid())
    }
}

/// The QEMUs of a launcher: its live children but the peer of the network card and the servers of folders.
pub fn children(parent: u32) -> Vec<u32> {
    let is_child = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // proc_pid_stat(5): the fields after the name in parentheses are state and parent.
        let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        fields.next() != Some("Z")
            && fields.next() == Some(&parent.to_string())
            && !["\0net-peer\0", "\0share-server\0"].iter().any(|role| line.contains(role))
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
