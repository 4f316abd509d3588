//! QEMU and its guest fail under a launcher that lives: killed, halted, deaf, panicked; all of them suspended.

use crate::lab::{Lab, Launcher};
use crate::random;
use crate::table::Table;
use nix::sys::signal::{Signal, kill};
use std::time::{Duration, Instant};

const READY: &str = "control={\"event\":\"session-ready\"}\\n";

pub fn rows(table: &mut Table) {
    table.row("QEMU killed: ready", table.runs(2, 10), |_| {
        let (lab, mut launcher) = ready(&[]);
        kill(lab.qemu(&launcher), Signal::SIGKILL).unwrap();
        launcher.fails(3, "QEMU was ended by SIGKILL");
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
        // Alive if the moment came before QEMU did.
        if launcher.process.try_wait().unwrap().is_none() {
            launcher.signal(Signal::SIGTERM);
        }
        launcher.ends();
        assert!(!launcher.said().contains("panicked"), "{}", launcher.said());
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
        launcher.stops();
        lab.recovers();
        Ok(())
    });
    table.row("the guest ignores power-off", 1, |_| {
        let (lab, mut launcher) = ready(&["ignore-powerdown"]);
        launcher.stops();
        assert!(launcher.said().contains("did not power off in time"), "{}", launcher.said());
        lab.recovers();
        Ok(())
    });
    table.row("QEMU ignores quit, too", 1, |_| {
        let (lab, mut launcher) = ready(&["ignore-powerdown", "ignore-quit"]);
        launcher.stops();
        lab.recovers();
        Ok(())
    });
    table.row("the guest panics", 2, |number| {
        let lab = Lab::warm();
        let before = ["greet", "console=Kernel panic - not syncing\\n", "guest-panic"];
        lab.steps(if number == 0 { &before } else { &["greet", "console=Linux\\n", READY, "guest-panic"] });
        lab.launch().fails(3, "the guest's kernel panicked");
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
            lab.command(&[]).env("VIRTUALGHOST_LIFE_TIMEOUT", "8").env("VIRTUALGHOST_TCG_PATIENCE", "1"),
        );
        launcher.says("starting QEMU");
        // Longer than QEMU has for its answer.
        suspend(&lab, Duration::from_secs(9));
        std::fs::write(gate, "").unwrap();
        launcher.is_ready();
        let said = launcher.said();
        assert_eq!(said.matches("starting QEMU").count(), 1, "it was given up:\n{said}");
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

/// As when a laptop's lid closes, but that the clock runs on.
fn suspend(lab: &Lab, pause: Duration) {
    let all = lab.processes();
    all.iter().for_each(|pid| kill(*pid, Signal::SIGSTOP).unwrap());
    std::thread::sleep(pause);
    all.iter().rev().for_each(|pid| kill(*pid, Signal::SIGCONT).unwrap());
}
