//! A lab: a user with a home of their own, the launchers that they start, and what must hold for that home afterwards.

use crate::journal::{self, Written};
use crate::stage::{Stage, words};
use crate::util::{copy, digests, eventually, walk};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// Against hanging only.
const LONG: Duration = Duration::from_secs(60);

/// SPECIFICATION.md: QEMU ends this long after its launcher at the latest.
const GONE: Duration = Duration::from_secs(2);

/// Every file of the payload, by its path in the cache, with its digest.
static PAYLOAD: LazyLock<BTreeMap<PathBuf, blake3::Hash>> = LazyLock::new(|| {
    let folder = std::env::var_os("VIRTUALGHOST_ASSETS").expect("tests/kill/run.sh makes the payload");
    let mut files = digests(Path::new(&folder));
    files.retain(|path, _| path.file_name() != Some(OsStr::new("manifest.json")));
    files
});

/// A home after a successful launch, beside the payload. Warm labs are copies of it.
static WARM: LazyLock<PathBuf> = LazyLock::new(|| {
    let lab = Lab::cold();
    lab.works();
    let folder = std::env::var_os("VIRTUALGHOST_ASSETS").expect("tests/kill/run.sh makes the payload");
    let kept = PathBuf::from(folder).with_file_name("warm");
    let _ = fs::remove_dir_all(&kept);
    copy(&lab.home(), &kept);
    kept
});

pub struct Lab {
    folder: TempDir,
    home: PathBuf,
    /// The settings of these names.
    start: &'static str,
    keep: &'static str,
}

/// A launcher, and the file with its standard error.
pub struct Launcher {
    pub process: Child,
    stderr: PathBuf,
}

impl Lab {
    /// A lab in which nothing was started.
    pub fn cold() -> Self {
        Self::with_home("home")
    }

    /// A lab in which the payload is unpacked.
    pub fn warm() -> Self {
        let lab = Self::empty("home");
        copy(&WARM, &lab.home);
        lab
    }

    pub fn cold_or_warm(number: usize) -> Self {
        if number.is_multiple_of(2) { Self::cold() } else { Self::warm() }
    }

    /// A lab whose home is a folder of this name.
    pub fn with_home(name: impl AsRef<OsStr>) -> Self {
        let lab = Self::empty(name);
        fs::create_dir_all(&lab.home).unwrap();
        lab
    }

    fn empty(name: impl AsRef<OsStr>) -> Self {
        let folder = tempfile::Builder::new().prefix("vg-kill-").tempdir().unwrap();
        Self { home: folder.path().join(name.as_ref()), folder, start: "boot", keep: "auto" }
    }

    /// Its VMs resume a checkpoint if there is one, and save one otherwise.
    pub fn instant(self) -> Self {
        self.starting("instant")
    }

    pub fn starting(mut self, start: &'static str) -> Self {
        self.start = start;
        self
    }

    /// Its VMs keep their systems.
    pub fn keeping_systems(mut self) -> Self {
        self.keep = "system";
        self
    }

    pub fn home(&self) -> PathBuf {
        self.home.clone()
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn cache(&self) -> PathBuf {
        self.home.join(".cache/virtualghost")
    }

    pub fn vms(&self) -> PathBuf {
        self.home.join(".local/state/virtualghost/vms")
    }

    /// Sets the guest's steps; without them it boots and keeps running.
    pub fn steps(&self, steps: &[&str]) {
        fs::write(self.home.join("steps"), steps.join("\n")).unwrap();
    }

    /// Sets the environment of this user, and nothing else.
    pub fn environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", &self.home);
        // QEMU gets this variable too; `processes` finds it.
        command.env("XDG_KILL_LAB", self.folder());
        command.env("VIRTUALGHOST_HOME_SIZE", "64").env("VIRTUALGHOST_ACCEL", "tcg");
        command.env("VIRTUALGHOST_START", self.start).env("VIRTUALGHOST_KEEP", self.keep);
        // The fake QEMU writes to the lab.
        command.env("VIRTUALGHOST_JAIL", "off");
        command.env("VIRTUALGHOST_POWEROFF_TIMEOUT", "1").stdin(Stdio::null())
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(executable());
        self.environment(&mut command).args(args).stdin(Stdio::null());
        command
    }

    pub fn output(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    pub fn start_piped(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    pub fn launch_named(&self, number: usize) -> Launcher {
        self.start(&mut self.command(&["--name", &format!("vm{number}")]))
    }

    pub fn launch(&self) -> Launcher {
        self.start(&mut self.command(&[]))
    }

    /// A launcher that sends SIGKILL to itself at a fail point; with `:stop` after its name, SIGSTOP.
    pub fn launch_with_failpoint(&self, failpoint: &str) -> Launcher {
        self.start(self.command(&[]).env("VIRTUALGHOST_FAILPOINT", failpoint))
    }

    pub fn start(&self, command: &mut Command) -> Launcher {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let stderr = self.folder().join(format!("stderr-{}", STARTED.fetch_add(1, Ordering::Relaxed)));
        let file = File::create(&stderr).unwrap();
        let process = command.stdout(Stdio::null()).stderr(file).spawn().unwrap();
        Launcher { process, stderr }
    }

    /// A launcher whose output has no reader.
    pub fn start_unread(&self, unread: impl Fn() -> Stdio) -> Launcher {
        let process = self.command(&["-vvv"]).stdout(unread()).stderr(unread()).spawn().unwrap();
        Launcher { process, stderr: "/dev/null".into() }
    }

    /// Every process with this lab's folder in its environment or its arguments. Zombies have neither.
    pub fn processes(&self) -> Vec<Pid> {
        let needle = self.folder().as_os_str().as_bytes();
        let has = |pid: &Path, what: &str| {
            fs::read(pid.join(what)).is_ok_and(|bytes| bytes.windows(needle.len()).any(|part| part == needle))
        };
        let pids = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
            let number = entry.file_name().to_str()?.parse().ok()?;
            (has(&entry.path(), "environ") || has(&entry.path(), "cmdline")).then(|| Pid::from_raw(number))
        });
        pids.collect()
    }

    /// QEMU's pid.
    pub fn qemu(&self, launcher: &Launcher) -> Pid {
        let processes = self.processes();
        *processes.iter().find(|pid| **pid != launcher.pid()).expect("QEMU runs")
    }

    /// What must hold as soon as the launcher is dead: no QEMU, no lock, whole versions and disks.
    pub fn is_at_rest(&self) {
        eventually("no QEMU is left", GONE, || self.processes().is_empty().then_some(()));
        for lock in self
            .files()
            .iter()
            .filter(|path| path.ends_with("lock") || path.extension() == Some(OsStr::new("lock")))
        {
            // A process that ends loses its memory, by which it is found, before its files.
            let is_free = || File::open(lock).unwrap().try_lock().ok();
            eventually(&format!("{} is free", lock.display()), GONE, is_free);
        }
        self.versions_are_whole();
        self.journals(None);
    }

    /// After a fault: no process and no lock remain; the next launch works without a manual step, with a whole payload and the
    /// same home; and it leaves nothing behind.
    pub fn recovers(&self) {
        self.is_at_rest();
        let before = self.journals(None);
        self.works();
        for (path, written) in before {
            let now = self.journals(Some(written.blocks));
            assert_eq!(now[&path], written, "blocks of the home disk are lost");
        }
        assert_eq!(self.versions_are_whole(), 1, "versions in the cache");
        self.is_clean();
    }

    /// A launch from start to end.
    pub fn works(&self) {
        let _ = fs::remove_file(self.home.join("steps"));
        let mut launcher = self.launch();
        launcher.is_ready();
        assert!(self.versions_are_whole() > 0, "it runs without a payload");
        launcher.stops();
        self.is_at_rest();
    }

    /// Checks that each version with its final name is complete. Returns their number.
    pub fn versions_are_whole(&self) -> usize {
        let versions = fs::read_dir(self.cache().join("assets")).into_iter().flatten().flatten();
        let named = versions.filter(|entry| !entry.file_name().as_bytes().starts_with(b"."));
        let check = |entry: fs::DirEntry| {
            let mut files = digests(&entry.path());
            files.remove(Path::new("stamp")).expect("a version has a stamp");
            let (saved, files): (BTreeMap<_, _>, _) =
                files.into_iter().partition(|(path, _)| path.starts_with("checkpoints"));
            let mut checkpoints: Vec<_> = saved.keys().filter_map(|path| path.parent()).collect();
            checkpoints.dedup();
            for checkpoint in checkpoints.iter().map(|folder| entry.path().join(folder)) {
                for file in ["about.json", "disk", "memory"] {
                    assert!(checkpoint.join(file).exists(), "{} has no {file}", checkpoint.display());
                }
            }
            assert!(files == *PAYLOAD, "{} differs from the payload", entry.path().display());
        };
        named.map(check).count()
    }

    /// What is written on each home.
    pub fn journals(&self, limit: Option<u64>) -> BTreeMap<PathBuf, Written> {
        let disks = self.files().into_iter().filter(|path| path.extension() == Some(OsStr::new("img")));
        let homes = disks.filter(|path| path.parent().unwrap().ends_with("homes"));
        homes.map(|path| (path.clone(), journal::read(&File::open(path).unwrap(), limit).unwrap())).collect()
    }

    /// Only files that the next launch can use remain.
    pub fn is_clean(&self) {
        for path in self.files() {
            let relative = path.strip_prefix(&self.home).unwrap();
            let text = relative.to_string_lossy();
            let name = relative.file_name().unwrap().to_string_lossy();
            let kept = match relative.parent().unwrap().to_string_lossy().as_ref() {
                "" => name == "steps" || name == ".config" || name == "ballast",
                ".cache/virtualghost" => {
                    ["CACHEDIR.TAG", "changes.lock", "leases.lock", "overlays.lock"].contains(&&*name)
                }
                ".local/state/virtualghost" => ["ssh-config", "known-failures.json"].contains(&&*name),
                // When the notices of once a month were last printed.
                ".local/state/virtualghost/notices" => true,
                ".local/share/virtualghost/homes" => name.ends_with(".img"),
                ".local/share/virtualghost" => name == "copies.lock",
                folder if folder.starts_with(".local/share/virtualghost/snapshots/") => {
                    ["home.img", "disk.qcow2", "image"].contains(&&*name)
                }
                folder if folder.starts_with(".local/share/virtualghost/systems/") => {
                    ["disk.qcow2", "image"].contains(&&*name)
                }
                folder if folder.starts_with(".local/state/virtualghost/vms/") => {
                    ["lock", "console.log", "qemu.log", "network.log", "launcher.log", "stop.lock"]
                        .contains(&&*name)
                }
                folder => folder.starts_with(".cache/virtualghost/assets/") && !text.contains("assets/."),
            };
            assert!(kept, "{text} remains");
        }
    }

    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        walk(&self.home, &mut |path, meta| {
            if !meta.is_dir() {
                files.push(path.to_owned());
            }
        });
        files
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for pid in self.processes() {
            let _ = kill(pid, Signal::SIGKILL);
        }
    }
}

impl Launcher {
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.process.id() as i32)
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.stderr).unwrap()).into_owned()
    }

    /// Waits until it prints `what`.
    pub fn prints(&mut self, what: &str) {
        eventually(what, LONG, || {
            if self.stderr().contains(what) {
                return Some(());
            }
            let ended = self.process.try_wait().unwrap();
            assert!(ended.is_none(), "{what:?} was not printed, {ended:?}:\n{}", self.stderr());
            None
        });
    }

    pub fn is_ready(&mut self) {
        self.prints(words(Stage::Ready));
    }

    pub fn ends(&mut self) -> ExitStatus {
        eventually("the launcher ends", LONG, || self.process.try_wait().unwrap())
    }

    /// SIGTERM powers the VM off.
    pub fn stops(&mut self) {
        self.signal(Signal::SIGTERM);
        let status = self.ends();
        assert!(status.success(), "{status}:\n{}", self.stderr());
    }

    /// SIGTERM ends a VM that does not power off, which is no clean end.
    pub fn stops_by_force(&mut self) {
        self.signal(Signal::SIGTERM);
        self.fails(3, "stopped before its guest had powered off");
    }

    /// It ends by its own SIGKILL.
    pub fn is_killed(&mut self) {
        let status = self.ends();
        assert_eq!(status.signal(), Some(Signal::SIGKILL as i32), "{status}:\n{}", self.stderr());
    }

    /// It ends with this status, and with an `error:` that contains `named`.
    pub fn fails(&mut self, code: i32, named: &str) {
        let status = self.ends();
        let stderr = self.stderr();
        assert_eq!(status.code(), Some(code), "{stderr}");
        assert!(stderr.contains("error: ") && stderr.contains(named), "no {named:?} in:\n{stderr}");
    }

    /// As [`Self::fails`], before there is a VM.
    pub fn refuses(&mut self, code: i32, named: &str) {
        eventually("the launcher refuses", LONG, || {
            assert!(!self.stderr().contains(words(Stage::Qemu)), "QEMU was started");
            self.process.try_wait().unwrap()
        });
        self.fails(code, named);
    }

    pub fn is_halted(&self) {
        let stat = || fs::read_to_string(format!("/proc/{}/stat", self.pid())).ok();
        eventually("the launcher halts", LONG, || {
            stat()?.rsplit_once(") ")?.1.starts_with('T').then_some(())
        });
    }
}

pub fn executable() -> &'static str {
    env!("CARGO_BIN_EXE_virtualghost")
}
