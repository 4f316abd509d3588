//! Places in a launch where a test ends the launcher, or halts it. Nothing at all without the feature `fault-points`.
//!
//! `VIRTUALGHOST_FAULT=POINT` has the launcher send SIGKILL to itself when it comes to that point for the first time;
//! `VIRTUALGHOST_FAULT=POINT:stop`, SIGSTOP. `tests/kill` goes through all of them.

/// The enum, its list and its names, from one list: a test that goes through [`Point::ALL`] misses none.
macro_rules! points {
    ($($point:ident = $name:literal: $when:literal,)+) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Point {
            $(#[doc = $when] $point,)+
        }

        impl Point {
            /// In the order of a launch.
            pub const ALL: &[Self] = &[$(Self::$point),+];

            pub fn name(self) -> &'static str {
                match self { $(Self::$point => $name),+ }
            }
        }
    };
}

points! {
    BeforeLock = "before-lock": "The VM's folder is there, its name is not taken.",
    AfterLock = "after-lock": "The name is taken, nothing is cleaned up yet.",
    AfterKeys = "after-keys": "The keys are made.",
    StateWritten = "state-written": "The first state lies beside its name.",
    HomeMade = "home-made": "The home disk is there, with no size yet.",
    CacheLocked = "cache-locked": "The cache's change lock is taken.",
    AfterChunk = "after-chunk": "One chunk of a file is unpacked.",
    BeforeRename = "before-rename": "A version is whole and has not got its name.",
    AfterRename = "after-rename": "A version has its name, no lease is on it.",
    BeforeLease = "before-lease": "The lock on the leases is held.",
    AfterLease = "after-lease": "The lease's file is there and locked.",
    BeforeSpawn = "before-spawn": "Everything is there but QEMU.",
    AfterSpawn = "after-spawn": "QEMU is there and has not greeted.",
    Kernel = "kernel": "The console had its first byte.",
    Services = "services": "systemd has said its welcome.",
    Saving = "saving": "QEMU was told to save the VM.",
    CheckpointMade = "checkpoint-made": "A checkpoint is whole and has not got its name.",
    CheckpointNamed = "checkpoint-named": "A checkpoint has its name.",
    Entered = "entered": "The guest was told who it is.",
    Ready = "ready": "The session is ready.",
    PowerButton = "power-button": "The power button was pressed.",
    QuitSent = "quit-sent": "QEMU was told to quit.",
    AfterExit = "after-exit": "QEMU has ended, nothing is cleaned up.",
}

#[cfg(not(feature = "fault-points"))]
#[inline(always)]
pub fn point(_: Point) {}

#[cfg(feature = "fault-points")]
pub fn point(here: Point) {
    use nix::sys::signal::{Signal, raise};
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicBool, Ordering};

    static ASKED: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("VIRTUALGHOST_FAULT").ok());
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
