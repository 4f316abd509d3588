//! SIGKILL of the launcher: at every fault point, and at moments that nobody chose.

use crate::lab::Lab;
use crate::random;
use crate::table::Table;
use nix::sys::signal::Signal;
use std::fs;
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use virtualghost::fault::Point;

/// How long the longest life takes here, from a first start to its end.
static LIFE: LazyLock<Duration> = LazyLock::new(|| {
    let started = Instant::now();
    Lab::cold().works();
    started.elapsed()
});

pub fn rows(table: &mut Table) {
    for point in Point::ALL {
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

fn killed_at(point: Point, number: usize) {
    let lab = match point {
        // Steps of a first start.
        Point::HomeMade
        | Point::CacheLocked
        | Point::AfterChunk
        | Point::BeforeRename
        | Point::AfterRename => Lab::cold(),
        _ if is_at_checkpoint(point) => {
            let lab = Lab::cold_or_warm(number).instant();
            if point == Point::Entered && lab.cache().exists() {
                lab.works(); // so that this start is one from a checkpoint
            }
            lab
        }
        _ => Lab::cold_or_warm(number),
    };
    guest(&lab, point);
    let mut launcher = lab.launch_with_fault(point.name());
    if matches!(point, Point::PowerButton | Point::QuitSent | Point::AfterExit) {
        launcher.is_ready();
        launcher.signal(Signal::SIGTERM);
    }
    launcher.is_killed();
    lab.recovers();
}

/// Only a start that has to do with a checkpoint comes to it.
pub fn is_at_checkpoint(point: Point) -> bool {
    matches!(point, Point::Saving | Point::CheckpointMade | Point::CheckpointNamed | Point::Entered)
}

/// A guest that comes to `point`: its console and its control port have no common order.
pub fn guest(lab: &Lab, point: Point) {
    let ready = "control={\"event\":\"session-ready\"}\\n";
    match point {
        Point::Kernel => lab.steps(&["greet", "console=Linux\\n"]),
        Point::Services => lab.steps(&["greet", "console=Welcome to Debian\\n"]),
        Point::QuitSent => lab.steps(&["ignore-powerdown", "greet", "console=Linux\\n", ready]),
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
        if !asked && launcher.said().contains("ready (") {
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
    // More to remove, so that there is time to be killed in.
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
