//! A user with a home of their own, the launchers they start, and what must be true of that home afterwards.

use crate::journal::{self, Written};
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
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Against hanging only.
const LONG: Duration = Duration::from_secs(60);

/// What the launcher promises for QEMU's end after its own.
const GONE: Duration = Duration::from_secs(2);

/// Every file of the payload, by the path that it gets, with the digest of its bytes.
static PAYLOAD: LazyLock<BTreeMap<PathBuf, blake3::Hash>> = LazyLock::new(|| {
    let folder = std::env::var_os("VIRTUALGHOST_ASSETS").expect("tests/kill/run.sh makes the payload");
    let mut files = digests(Path::new(&folder));
    files.retain(|path, _| path.file_name() != Some(OsStr::new("manifest.json")));
    files
});

/// A home after a launch that went well, beside the payload: copied for those that start warm.
static WARM: LazyLock<PathBuf> = LazyLock::new(|| {
    let lab = Lab::cold();
    lab.works();
    let folder = std::env::var_os("VIRTUALGHOST_ASSETS").expect("tests/kill/run.sh makes the payload");
    let kept = PathBuf::from(folder).with_file_name("warm");
    let _ = fs::remove_dir_all(&kept);
    copy(&lab.home(), &kept);
    kept
});

/// With times, modes and holes, which the cache's stamp looks at.
fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

pub struct Lab {
    folder: TempDir,
    home: PathBuf,
    /// The setting of that name.
    start: &'static str,
}

/// A launcher and what it has said.
pub struct Launcher {
    pub process: Child,
    said: PathBuf,
}

impl Lab {
    /// Where nothing was ever started.
    pub fn cold() -> Self {
        Self::with_home("home")
    }

    /// Where the parts are unpacked.
    pub fn warm() -> Self {
        let lab = Self::empty("home");
        copy(&WARM, &lab.home);
        lab
    }

    pub fn cold_or_warm(number: usize) -> Self {
        if number.is_multiple_of(2) { Self::cold() } else { Self::warm() }
    }

    /// The home is a folder of this name.
    pub fn with_home(name: impl AsRef<OsStr>) -> Self {
        let lab = Self::empty(name);
        fs::create_dir_all(&lab.home).unwrap();
        lab
    }

    fn empty(name: impl AsRef<OsStr>) -> Self {
        let folder = tempfile::Builder::new().prefix("vg-kill-").tempdir().unwrap();
        Self { home: folder.path().join(name.as_ref()), folder, start: "boot" }
    }

    /// Its VMs start from a checkpoint, if there is one, and leave one.
    pub fn instant(self) -> Self {
        self.starting("instant")
    }

    pub fn starting(mut self, start: &'static str) -> Self {
        self.start = start;
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

    /// What the guest does instead of booting and staying.
    pub fn steps(&self, steps: &[&str]) {
        fs::write(self.home.join("steps"), steps.join("\n")).unwrap();
    }

    /// `command` with the environment of this user and nothing else.
    pub fn environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", &self.home);
        // One that QEMU gets, too: by it the processes are found.
        command.env("XDG_KILL_LAB", self.folder());
        command.env("VIRTUALGHOST_HOME_SIZE", "64").env("VIRTUALGHOST_ACCEL", "tcg");
        command.env("VIRTUALGHOST_START", self.start);
        command.env("VIRTUALGHOST_POWEROFF_TIMEOUT", "1").stdin(Stdio::null())
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(executable());
        self.environment(&mut command).args(args);
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

    /// A launcher that sends a signal to itself at a fault point; `:stop` after its name, SIGSTOP.
    pub fn launch_with_fault(&self, fault: &str) -> Launcher {
        self.start(self.command(&[]).env("VIRTUALGHOST_FAULT", fault))
    }

    pub fn start(&self, command: &mut Command) -> Launcher {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let said = self.folder().join(format!("said-{}", STARTED.fetch_add(1, Ordering::Relaxed)));
        let file = File::create(&said).unwrap();
        let process = command.stdout(Stdio::null()).stderr(file).spawn().unwrap();
        Launcher { process, said }
    }

    /// One that nobody listens to.
    pub fn start_unheard(&self, unread: impl Fn() -> Stdio) -> Launcher {
        let process = self.command(&["-vvv"]).stdout(unread()).stderr(unread()).spawn().unwrap();
        Launcher { process, said: "/dev/null".into() }
    }

    /// Every process that has this lab's folder in its environment or its arguments; zombies have neither.
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

    /// QEMU's: what is left when the launcher is not counted.
    pub fn qemu(&self, launcher: &Launcher) -> Pid {
        let processes = self.processes();
        *processes.iter().find(|pid| **pid != launcher.pid()).expect("QEMU runs")
    }

    /// What must hold as soon as the launcher is dead, before anything else is done.
    pub fn is_at_rest(&self) {
        eventually("no QEMU is left", GONE, || self.processes().is_empty().then_some(()));
        for lock in self
            .files()
            .iter()
            .filter(|path| path.ends_with("lock") || path.extension() == Some(OsStr::new("lock")))
        {
            // A dying process loses its memory, by which it is found, before its files.
            let is_free = || File::open(lock).unwrap().try_lock().ok();
            eventually(&format!("{} is free", lock.display()), GONE, is_free);
        }
        self.versions_are_whole();
        self.journals(None);
    }

    /// After a fault: at rest; the next launch works with no manual step, on whole parts and the same home; nothing is
    /// left behind after it.
    pub fn recovers(&self) {
        self.is_at_rest();
        let before = self.journals(None);
        self.works();
        for (path, written) in before {
            let now = self.journals(Some(written.blocks));
            assert_eq!(now[&path], written, "the home disk lost something");
        }
        assert_eq!(self.versions_are_whole(), 1, "versions in the cache");
        self.is_clean();
    }

    /// A launch from start to end.
    pub fn works(&self) {
        let _ = fs::remove_file(self.home.join("steps"));
        let mut launcher = self.launch();
        launcher.is_ready();
        assert!(self.versions_are_whole() > 0, "it runs on nothing");
        launcher.stops();
        self.is_at_rest();
    }

    /// A version that has its name has every byte. Returns how many there are.
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
            assert!(files == *PAYLOAD, "{} is not what was packed", entry.path().display());
        };
        named.map(check).count()
    }

    fn journals(&self, limit: Option<u64>) -> BTreeMap<PathBuf, Written> {
        let disks = self.files().into_iter().filter(|path| path.extension() == Some(OsStr::new("img")));
        let homes = disks.filter(|path| path.parent().unwrap().ends_with("homes"));
        homes.map(|path| (path.clone(), journal::read(&File::open(path).unwrap(), limit).unwrap())).collect()
    }

    /// Nothing lies about but what the next launch can use.
    pub fn is_clean(&self) {
        for path in self.files() {
            let relative = path.strip_prefix(&self.home).unwrap();
            let text = relative.to_string_lossy();
            let name = relative.file_name().unwrap().to_string_lossy();
            let kept = match relative.parent().unwrap().to_string_lossy().as_ref() {
                "" => name == "steps" || name == ".config" || name == "ballast",
                ".cache/virtualghost" => ["changes.lock", "leases.lock", "overlays.lock"].contains(&&*name),
                ".local/state/virtualghost" => ["ssh-config", "learnt.json"].contains(&&*name),
                ".local/share/virtualghost/homes" => name.ends_with(".img"),
                folder if folder.starts_with(".local/state/virtualghost/vms/") => {
                    ["lock", "console.log", "qemu.log", "launcher.log", "stop.lock"].contains(&&*name)
                }
                folder => folder.starts_with(".cache/virtualghost/assets/") && !text.contains("assets/."),
            };
            assert!(kept, "{text} was left behind");
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

    pub fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.said).unwrap()).into_owned()
    }

    pub fn says(&mut self, what: &str) {
        eventually(what, LONG, || {
            if self.said().contains(what) {
                return Some(());
            }
            let ended = self.process.try_wait().unwrap();
            assert!(ended.is_none(), "never said {what:?}, but {ended:?}:\n{}", self.said());
            None
        });
    }

    pub fn is_ready(&mut self) {
        self.says("ready (");
    }

    pub fn ends(&mut self) -> ExitStatus {
        eventually("the launcher ends", LONG, || self.process.try_wait().unwrap())
    }

    /// Asked to, it powers the VM off.
    pub fn stops(&mut self) {
        self.signal(Signal::SIGTERM);
        let status = self.ends();
        assert!(status.success(), "{status}:\n{}", self.said());
    }

    /// It killed itself.
    pub fn is_killed(&mut self) {
        let status = self.ends();
        assert_eq!(status.signal(), Some(Signal::SIGKILL as i32), "{status}:\n{}", self.said());
    }

    /// It ends with this status and an `error:` that has these words; no panic.
    pub fn fails(&mut self, code: i32, words: &str) {
        let status = self.ends();
        let said = self.said();
        assert_eq!(status.code(), Some(code), "{said}");
        assert!(said.contains("error: ") && said.contains(words), "not {words:?} but:\n{said}");
    }

    /// As [`Self::fails`], before there is a VM.
    pub fn refuses(&mut self, code: i32, words: &str) {
        eventually("the launcher refuses", LONG, || {
            assert!(!self.said().contains("starting QEMU"), "it starts");
            self.process.try_wait().unwrap()
        });
        self.fails(code, words);
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

/// What `read` gives, as soon as it gives something.
pub fn eventually<T>(what: &str, limit: Duration, mut read: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + limit;
    loop {
        if let Some(found) = read() {
            return found;
        }
        assert!(Instant::now() < until, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(3));
    }
}

pub fn walk(folder: &Path, each: &mut dyn FnMut(&Path, &fs::Metadata)) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(meta) = entry.path().symlink_metadata() else { continue };
        each(&entry.path(), &meta);
        if meta.is_dir() {
            walk(&entry.path(), each);
        }
    }
}

fn digests(folder: &Path) -> BTreeMap<PathBuf, blake3::Hash> {
    let mut found = BTreeMap::new();
    walk(folder, &mut |path, meta| {
        if meta.is_file() {
            let digest = blake3::hash(&fs::read(path).unwrap());
            found.insert(path.strip_prefix(folder).unwrap().to_owned(), digest);
        }
    });
    found
}
