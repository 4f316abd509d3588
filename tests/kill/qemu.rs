//! QEMU and its guest fail under a live launcher: killed, stopped, not responding, panicked; and all of them suspended.

use crate::lab::{Lab, Launcher};
use crate::random;
use crate::stage::{Stage, words};
use crate::table::Table;
use nix::sys::signal::{Signal, kill};
use std::time::{Duration, Instant};

const READY: &str = "control={\"event\":\"session-ready\"}\\n";

pub fn rows(table: &mut Table) {
    table.row("QEMU killed: ready", table.runs(2, 10), |_| {
        let (lab, mut launcher) = ready(&[]);
        kill(lab.qemu(&launcher), Signal::SIGKILL).unwrap();
        launcher.fails(3, "SIGKILL");
        lab.recovers();
        Ok(())
    });
    table.row("QEMU killed: random moments", table.runs(10, 60), |number| {
        let lab = Lab::warm();
        let mut launcher = lab.launch();
        let until = Instant::now() + random::moment(number, Duration::from_millis(300));
        while Instant::now() < until {
            for pid in lab.processes().into_iter().filter(|pid| *pid != launcher.pid()) {
                if Instant::now() + Duration::from_millis(5) > until {
                    let _ = kill(pid, Signal::SIGKILL);
                }
            }
        }
        // The launcher is alive if the moment was before QEMU's start.
        if launcher.process.try_wait().unwrap().is_none() {
            launcher.signal(Signal::SIGTERM);
        }
        launcher.ends();
        assert!(!launcher.stderr().contains("panicked"), "{}", launcher.stderr());
        lab.recovers();
        Ok(())
    });
    let pause = Duration::from_secs(table.runs(1, 30) as u64);
    table.row("QEMU halted, then continued", 1, |_| {
        let (lab, mut launcher) = ready(&[]);
        let qemu = lab.qemu(&launcher);
        kill(qemu, Signal::SIGSTOP).unwrap();
        std::thread::sleep(pause);
        kill(qemu, Signal::SIGCONT).unwrap();
        launcher.stops();
        lab.recovers();
        Ok(())
    });
    table.row("QEMU halted, then asked to stop", 1, |_| {
        let (lab, mut launcher) = ready(&[]);
        kill(lab.qemu(&launcher), Signal::SIGSTOP).unwrap();
        std::thread::sleep(pause);
        launcher.stops_by_force();
        lab.recovers();
        Ok(())
    });
    table.row("the guest ignores power-off", 1, |_| {
        let (lab, mut launcher) = ready(&["ignore-powerdown"]);
        launcher.stops_by_force();
        lab.recovers();
        Ok(())
    });
    table.row("QEMU ignores quit too", 1, |_| {
        let (lab, mut launcher) = ready(&["ignore-powerdown", "ignore-quit"]);
        launcher.stops_by_force();
        lab.recovers();
        Ok(())
    });
    table.row("the guest panics", 2, |number| {
        let lab = Lab::warm();
        let last = "Kernel panic - not syncing";
        let console = format!("console={last}\\n");
        let steps = ["greet", &console, READY, "guest-panic"];
        // Before the session, and after.
        let steps = steps.into_iter().filter(|step| number > 0 || *step != READY);
        lab.steps(&steps.collect::<Vec<_>>());
        lab.launch().fails(3, last);
        lab.recovers();
        Ok(())
    });
    table.row("all suspended: ready", 1, |_| {
        let (lab, mut launcher) = ready(&[]);
        suspend(&lab, pause);
        launcher.stops();
        lab.recovers();
        Ok(())
    });
    table.row("all suspended: booting", 1, |_| {
        let lab = Lab::warm();
        let gate = lab.folder().join("gate");
        lab.steps(&[&format!("await={}", gate.display()), "greet", "console=Linux\\n", READY]);
        let mut launcher = lab.start(
            lab.command(&[])
                .env("VIRTUALGHOST_BOOT_TIMEOUT", "8")
                .env("VIRTUALGHOST_TCG_TIMEOUT_FACTOR", "1"),
        );
        launcher.prints(words(Stage::Qemu));
        // Longer than QEMU's time limit.
        suspend(&lab, Duration::from_secs(9));
        std::fs::write(gate, "").unwrap();
        launcher.is_ready();
        let stderr = launcher.stderr();
        assert_eq!(stderr.matches(words(Stage::Qemu)).count(), 1, "QEMU was started again:\n{stderr}");
        launcher.stops();
        lab.recovers();
        Ok(())
    });
}

fn ready(before: &[&str]) -> (Lab, Launcher) {
    let lab = Lab::warm();
    let steps: Vec<_> = before.iter().copied().chain(["greet", "console=Linux\\n", READY]).collect();
    lab.steps(&steps);
    let mut launcher = lab.launch();
    launcher.is_ready();
    (lab, launcher)
}

/// Like a laptop whose lid is closed, except that the clock continues.
fn suspend(lab: &Lab, pause: Duration) {
    let all = lab.processes();
    all.iter().for_each(|pid| kill(*pid, Signal::SIGSTOP).unwrap());
    std::thread::sleep(pause);
    all.iter().rev().for_each(|pid| kill(*pid, Signal::SIGCONT).unwrap());
}
