//! Places in a launch where a test can kill or halt the launcher. Compiled to nothing without the feature `failpoints`.
//!
//! With `VIRTUALGHOST_FAILPOINT=POINT` the launcher sends SIGKILL to itself when it reaches that point for the first time; with
//! `VIRTUALGHOST_FAILPOINT=POINT:stop`, SIGSTOP. `tests/kill` tests all of them.

/// The enum, its list and its names from one table, so that [`FailPoint::ALL`] is complete.
macro_rules! points {
    ($($point:ident = $name:literal: $when:literal,)+) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum FailPoint {
            $(#[doc = $when] $point,)+
        }

        impl FailPoint {
            /// In the order of a launch.
            pub const ALL: &[Self] = &[$(Self::$point),+];

            pub fn name(self) -> &'static str {
                match self { $(Self::$point => $name),+ }
            }
        }
    };
}

points! {
    BeforeLock = "before-lock": "The VM's folder exists, its name is not reserved.",
    AfterLock = "after-lock": "The name is reserved, nothing is cleaned up yet.",
    AfterKeys = "after-keys": "The keys are made.",
    StateWritten = "state-written": "The first state is written, but not renamed.",
    HomeMade = "home-made": "The home disk exists, with no size yet.",
    SystemImageKept = "system-image-kept": "A kept system has its image, and no disk yet.",
    CacheLocked = "cache-locked": "The cache's change lock is held.",
    AfterChunk = "after-chunk": "One chunk of a file is unpacked.",
    BeforeRename = "before-rename": "A version is complete, but not renamed.",
    AfterRename = "after-rename": "A version has its name, but no lease.",
    BeforeLease = "before-lease": "The lock on the leases is held.",
    AfterLease = "after-lease": "The lease's file exists and is locked.",
    BeforeSpawn = "before-spawn": "Everything is ready to start QEMU.",
    AfterSpawn = "after-spawn": "QEMU has started and sent no greeting.",
    Kernel = "kernel": "The console has printed its first byte.",
    Services = "services": "systemd has printed its welcome line.",
    Saving = "saving": "QEMU got the command to save the VM.",
    CheckpointMade = "checkpoint-made": "A checkpoint is complete, but not renamed.",
    CheckpointNamed = "checkpoint-named": "A checkpoint has its name.",
    Entered = "entered": "The guest got its identity.",
    Ready = "ready": "The session is ready.",
    PowerButton = "power-button": "The power button was pressed.",
    QuitSent = "quit-sent": "QEMU got the quit command.",
    AfterExit = "after-exit": "QEMU has exited, nothing is cleaned up.",
}

#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn hit(_: FailPoint) {}

#[cfg(feature = "failpoints")]
pub fn hit(here: FailPoint) {
    use nix::sys::signal::{Signal, raise};
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicBool, Ordering};

    static ASKED: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("VIRTUALGHOST_FAILPOINT").ok());
    static DONE: AtomicBool = AtomicBool::new(false);
    let Some(asked) = ASKED.as_deref() else { return };
    let (name, signal) = match asked.strip_suffix(":stop") {
        Some(name) => (name, Signal::SIGSTOP),
        None => (asked, Signal::SIGKILL),
    };
    if name == here.name() && !DONE.swap(true, Ordering::SeqCst) {
        raise(signal).expect("a process may signal itself");
    }
}
