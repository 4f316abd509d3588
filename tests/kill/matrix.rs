//! SIGKILL of the launcher: at every fail point, and at random moments.

use crate::lab::Lab;
use crate::random;
use crate::stage::{Stage, words};
use crate::table::Table;
use nix::sys::signal::Signal;
use std::fs;
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use virtualghost::failpoints::FailPoint;

/// The duration of a first start with its end, on this machine.
static LIFE: LazyLock<Duration> = LazyLock::new(|| {
    let started = Instant::now();
    Lab::cold().works();
    started.elapsed()
});

pub fn rows(table: &mut Table) {
    for point in FailPoint::ALL {
        table.row(&format!("launcher killed: {}", point.name()), table.runs(2, 10), |number| {
            killed_at(*point, number);
            Ok(())
        });
    }
    table.row("launcher killed: random moments", table.runs(40, 200), |number| {
        killed_at_random(number);
        Ok(())
    });
    table.row("clean killed: random moments", table.runs(6, 40), |number| {
        clean_killed_at_random(number);
        Ok(())
    });
}

fn killed_at(point: FailPoint, number: usize) {
    let lab = match point {
        // Steps of a first start.
        FailPoint::HomeMade
        | FailPoint::CacheLocked
        | FailPoint::AfterChunk
        | FailPoint::BeforeRename
        | FailPoint::AfterRename => Lab::cold(),
        FailPoint::SystemImageKept => Lab::cold_or_warm(number).keeping_systems(),
        _ if is_at_checkpoint(point) => {
            let lab = Lab::cold_or_warm(number).instant();
            if point == FailPoint::Entered && lab.cache().exists() {
                lab.works(); // so that this start resumes a checkpoint
            }
            lab
        }
        _ => Lab::cold_or_warm(number),
    };
    guest(&lab, point);
    let mut launcher = lab.launch_with_failpoint(point.name());
    if matches!(point, FailPoint::PowerButton | FailPoint::QuitSent | FailPoint::AfterExit) {
        launcher.is_ready();
        launcher.signal(Signal::SIGTERM);
    }
    launcher.is_killed();
    lab.recovers();
}

/// Only a start with a checkpoint reaches `point`.
pub fn is_at_checkpoint(point: FailPoint) -> bool {
    matches!(
        point,
        FailPoint::Saving | FailPoint::CheckpointMade | FailPoint::CheckpointNamed | FailPoint::Entered
    )
}

/// Sets the guest's steps so that it reaches `point`: its console and its control port have no common order.
pub fn guest(lab: &Lab, point: FailPoint) {
    let ready = "control={\"event\":\"session-ready\"}\\n";
    match point {
        FailPoint::Kernel => lab.steps(&["greet", "console=Linux\\n"]),
        FailPoint::Services => lab.steps(&["greet", "console=Welcome to Debian\\n"]),
        FailPoint::QuitSent => lab.steps(&["ignore-powerdown", "greet", "console=Linux\\n", ready]),
        _ => (),
    }
}

fn killed_at_random(number: usize) {
    let lab = Lab::cold_or_warm(number);
    let moment = random::moment(number, *LIFE);
    let started = Instant::now();
    let mut launcher = lab.launch();
    let mut asked = false;
    while started.elapsed() < moment && launcher.process.try_wait().unwrap().is_none() {
        if !asked && launcher.stderr().contains(words(Stage::Ready)) {
            launcher.signal(Signal::SIGTERM);
            asked = true;
        }
        std::thread::sleep(Duration::from_millis(1).min(moment.saturating_sub(started.elapsed())));
    }
    let _ = launcher.process.kill();
    launcher.ends();
    lab.recovers();
}

fn clean_killed_at_random(number: usize) {
    let lab = Lab::warm();
    // More versions to remove, so that there is time to kill it.
    let version = fs::read_dir(lab.cache().join("assets")).unwrap().next().unwrap().unwrap().path();
    for other in 0..8 {
        let name = version.with_file_name(format!("{other:020}"));
        let status = std::process::Command::new("cp").arg("-a").arg(&version).arg(name).status().unwrap();
        assert!(status.success());
    }
    let mut clean = lab.start(&mut lab.command(&["clean"]));
    std::thread::sleep(random::moment(number, Duration::from_millis(60)));
    let _ = clean.process.kill();
    clean.ends();
    lab.is_at_rest();
    lab.works();
    assert!(lab.output(&["clean"]).status.success());
    lab.recovers();
}
