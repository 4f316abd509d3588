//! A fake QEMU to be supervised, and what was seen of it.

use crate::example::example;
use crate::os;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use virtualghost::supervise::{End, Launch, Limits, Rungs, Signals, Stage, Status, run};

pub const READY: &str = "control={\"event\":\"session-ready\"}\\n";

/// The steps up to a prompt.
pub const BOOT: [&str; 4] = [
    "greet",
    "console=[    0.000000] Linux version 6.12\\n",
    "console=Welcome to \\e[1mDebian\\e[0m!\\n",
    READY,
];

/// Against hanging only.
pub const LONG: Duration = Duration::from_secs(60);

/// A limit that is not to be waited for.
const NEVER: Duration = Duration::from_secs(1000);

pub struct Scene {
    pub launch: Launch,
    pub signals: Signals,
    /// Asked to stop this often, at once when the VM is ready.
    pub stops_at_ready: u32,
    pub folder: TempDir,
}

/// What a scene came to.
pub struct Seen {
    pub end: End,
    pub stages: Vec<Stage>,
    pub said: Vec<String>,
}

impl Scene {
    pub fn new<'a>(steps: impl IntoIterator<Item = &'a str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (channels, words) = os::channels();
        let launch = Launch {
            program: example("fake-qemu"),
            args: words.into_iter().chain(steps.into_iter().map(Into::into)).collect(),
            environment: Vec::new(),
            lock: None,
            channels,
            console_log: Some(folder.path().join("console.log")),
            qemu_log: Some(folder.path().join("qemu.log")),
            rungs: Rungs::default(),
            tells_session: true,
            checkpoint: None,
            limits: Limits { life: NEVER, ready: NEVER, poweroff: NEVER, quit: NEVER },
        };
        Self { launch, signals: Signals::default(), stops_at_ready: 0, folder }
    }

    /// The steps come when the launcher knows that the VM is ready: its channels have no common order.
    pub fn booted<'a>(steps: impl IntoIterator<Item = &'a str>) -> Self {
        let mut scene = Self::new(steps);
        let [boot @ .., ready] = BOOT;
        let known = |stage| scene.await_step(stage);
        let before = boot.map(OsString::from).into_iter().chain([
            known(Stage::Services),
            ready.into(),
            known(Stage::Ready),
        ]);
        scene.launch.args = before.chain(scene.launch.args.clone()).collect();
        scene
    }

    /// A step that waits until the launcher has come to `stage`.
    fn await_step(&self, stage: Stage) -> OsString {
        format!("await={}", self.folder.path().join(format!("{stage:?}")).display()).into()
    }

    pub fn accelerated(mut self) -> Self {
        self.launch.rungs.accelerator = true;
        self
    }

    pub fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.launch.limits);
        self
    }

    pub fn stopped_at_ready(mut self, times: u32) -> Self {
        self.stops_at_ready = times;
        self
    }

    /// Has the fake write its pid, and says where.
    pub fn pid_path(&mut self) -> PathBuf {
        let path = self.folder.path().join("pid");
        self.launch.args.insert(0, format!("write-pid={}", path.display()).into());
        path
    }

    /// Supervises it to its end, which must come.
    pub fn try_play(&self) -> anyhow::Result<Seen> {
        let mut watcher = Watcher { stages: Vec::new(), said: Vec::new(), scene: self };
        let end = run(&self.launch, &mut watcher, &self.signals)?;
        Ok(Seen { end, stages: watcher.stages, said: watcher.said })
    }

    pub fn play(&self) -> Seen {
        self.try_play().unwrap()
    }

    pub fn end(&self) -> End {
        self.play().end
    }
}

struct Watcher<'a> {
    stages: Vec<Stage>,
    said: Vec<String>,
    scene: &'a Scene,
}

impl Status for Watcher<'_> {
    fn stage(&mut self, stage: Stage, _: Duration) {
        self.stages.push(stage);
        if stage == Stage::Ready {
            (0..self.scene.stops_at_ready).for_each(|_| self.scene.signals.raise());
        }
        std::fs::write(self.scene.folder.path().join(format!("{stage:?}")), "").unwrap();
    }

    fn tick(&mut self, elapsed: Duration) {
        assert!(elapsed < LONG, "the VM does not end");
    }

    fn say(&mut self, sentence: &str) {
        self.said.push(sentence.to_owned());
    }

    fn done(&mut self) {}
}

/// What `read` gives, as soon as it gives something.
pub fn eventually<T>(what: &str, mut read: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + LONG;
    loop {
        if let Some(found) = read() {
            return found;
        }
        assert!(Instant::now() < until, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub fn pid_in(path: &Path) -> u32 {
    eventually("the pid is written", || std::fs::read_to_string(path).ok()?.parse().ok())
}
