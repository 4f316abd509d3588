//! Supervises a fake QEMU, and records the events.

use crate::example::example;
use crate::os;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use virtualghost::model::{Accelerator, Feature, Window};
use virtualghost::supervise::{End, Launch, Limits, Stage, Vm, VmEvent};
use virtualghost::sys::StopHandle;

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

/// A time limit that a test does not reach.
const NEVER: Duration = Duration::from_secs(1000);

pub struct Scene {
    pub launch: Launch,
    pub stop: StopHandle,
    /// The number of requests to stop when the VM is ready.
    pub stops_at_ready: u32,
    pub folder: TempDir,
}

/// The result of a scene.
pub struct Seen {
    pub end: End,
    pub stages: Vec<Stage>,
    pub notices: Vec<String>,
}

impl Scene {
    pub fn new<'a>(steps: impl IntoIterator<Item = &'a str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (channels, words) = os::channels();
        let launch = Launch {
            card: None,
            shares: Vec::new(),
            program: example("fake-qemu"),
            args: words.into_iter().chain(steps.into_iter().map(Into::into)).collect(),
            environment: Vec::new(),
            jail: None,
            scope: None,
            lock: None,
            channels,
            keys: Vec::new(),
            console_log: Some(folder.path().join("console.log")),
            qemu_log: Some(folder.path().join("qemu.log")),
            features: Vec::new(),
            reports_session: true,
            checkpoint: None,
            limits: Limits { boot: NEVER, ready: NEVER, poweroff: NEVER, quit: NEVER },
        };
        Self { launch, stop: StopHandle::default(), stops_at_ready: 0, folder }
    }

    /// The steps run after the launcher has seen that the VM is ready, because its channels have no common order.
    pub fn booted<'a>(steps: impl IntoIterator<Item = &'a str>) -> Self {
        let mut scene = Self::new(steps);
        let [boot @ .., ready] = BOOT;
        let reached = |stage| scene.await_step(stage);
        let before = boot.map(OsString::from).into_iter().chain([
            reached(Stage::Services),
            ready.into(),
            reached(Stage::Ready),
        ]);
        scene.launch.args = before.chain(scene.launch.args.clone()).collect();
        scene
    }

    /// Lets the fake's steps continue that wait for this stage.
    pub fn mark(&self, stage: Stage) {
        std::fs::write(self.folder.path().join(format!("{stage:?}")), "").unwrap();
    }

    /// A step that waits until the launcher has reached `stage`.
    fn await_step(&self, stage: Stage) -> OsString {
        format!("await={}", self.folder.path().join(format!("{stage:?}")).display()).into()
    }

    pub fn accelerated(mut self) -> Self {
        self.launch.features =
            vec![Feature::Accelerator(Accelerator::Kvm), Feature::Gl, Feature::Window(Window::Gtk)];
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

    /// Adds a step that writes the fake's pid, and returns the file.
    pub fn pid_path(&mut self) -> PathBuf {
        let path = self.folder.path().join("pid");
        self.launch.args.insert(0, format!("write-pid={}", path.display()).into());
        path
    }

    /// Supervises the VM until it ends, which it must.
    pub fn try_play(&self) -> anyhow::Result<Seen> {
        let (mut stages, mut notices) = (Vec::new(), Vec::new());
        let mut vm = Vm::start(&self.launch, &self.stop)?;
        while let Some(event) = vm.next_event()? {
            match event {
                VmEvent::Stage { stage, .. } => {
                    stages.push(stage);
                    if stage == Stage::Ready {
                        (0..self.stops_at_ready).for_each(|_| self.stop.request());
                    }
                    self.mark(stage);
                }
                VmEvent::Notice(notice) => notices.push(notice),
                VmEvent::Tick(elapsed) => assert!(elapsed < LONG, "the VM does not end"),
                _ => {}
            }
        }
        Ok(Seen { end: vm.end(), stages, notices })
    }

    pub fn play(&self) -> Seen {
        self.try_play().unwrap()
    }

    pub fn end(&self) -> End {
        self.play().end
    }
}

/// Waits until `read` returns something.
pub fn eventually<T>(what: &str, mut read: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + LONG;
    loop {
        if let Some(found) = read() {
            return found;
        }
        assert!(Instant::now() < until, "did not happen: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub fn pid_in(path: &Path) -> u32 {
    eventually("the pid is written", || std::fs::read_to_string(path).ok()?.parse().ok())
}
