//! A disk that is full at every write, and a cache that is read-only. Needs mounts, so a mount namespace.

use crate::lab::{Lab, Launcher};
use crate::stage::{Stage, words};
use crate::table::{Run, Table, Unsupported};
use nix::sys::signal::Signal;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use virtualghost::failpoints::FailPoint;

pub fn rows(table: &mut Table) {
    for point in FailPoint::ALL.iter().take_while(|point| **point != FailPoint::PowerButton) {
        // By bytes, then by files.
        table.row(&format!("disk full from then on: {}", point.name()), 2, |number| {
            full_from(*point, number == 1)
        });
    }
    table.row("disk full: config --init", 1, |_| {
        let (lab, _disk) = on_small_disk()?;
        let ballast = fill(&lab.home(), false);
        assert_eq!(lab.output(&["config", "--init"]).status.code(), Some(1));
        drop(ballast);
        let output = lab.output(&["config", "--init"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    });
    table.row("cache turns read-only: before a launch", 2, |number| {
        let lab = Lab::cold_or_warm(number);
        fs::create_dir_all(lab.cache()).unwrap();
        let read_only = Mount::read_only(&lab.cache())?;
        let mut launcher = lab.launch();
        launcher.refuses(1, "Read-only file system");
        assert!(launcher.stderr().contains("hint: "), "no hint:\n{}", launcher.stderr());
        drop(read_only);
        lab.recovers();
        Ok(())
    });
    table.row("cache turns read-only: while it is used", 1, |_| {
        let lab = Lab::warm();
        let mut launcher = lab.launch();
        launcher.is_ready();
        let read_only = Mount::read_only(&lab.cache())?;
        launcher.stops();
        drop(read_only);
        lab.recovers();
        Ok(())
    });
}

/// The launcher stops at `point`, the disk fills up, the launcher continues. It fails with an error, or the VM runs and stops.
/// With free space again, the next launch works.
fn full_from(point: FailPoint, of_files: bool) -> Run {
    let (mut lab, _disk) = on_small_disk()?;
    if crate::matrix::is_at_checkpoint(point) {
        lab = lab.instant();
    }
    if point == FailPoint::SystemImageKept {
        lab = lab.keeping_systems();
    }
    crate::matrix::guest(&lab, point);
    let mut launcher = lab.launch_with_failpoint(&format!("{}:stop", point.name()));
    launcher.is_halted();
    let ballast = fill(&lab.home(), of_files);
    launcher.signal(Signal::SIGCONT);
    fails_with_reason_or_works(&mut launcher, point);
    drop(ballast);
    lab.recovers();
    Ok(())
}

fn fails_with_reason_or_works(launcher: &mut Launcher, point: FailPoint) {
    let works = match point {
        FailPoint::Kernel => words(Stage::Kernel),
        FailPoint::Services => words(Stage::Services),
        _ => words(Stage::Ready),
    };
    // A guest whose disk is full is paused, and stops all the same.
    let goes_on = |said: String| said.contains(works) || said.contains("paused");
    while !goes_on(launcher.stderr()) && launcher.process.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    if launcher.process.try_wait().unwrap().is_none() {
        launcher.signal(Signal::SIGTERM);
    }
    let (status, stderr) = (launcher.ends(), launcher.stderr());
    let error = stderr.lines().find(|line| line.starts_with("error: "));
    // The system's message, or ours, which names the disk.
    let explained = error.is_some_and(|error| stderr.contains("No space left") || error.contains("disk"));
    assert!(status.success() || explained, "{status}:\n{stderr}");
    assert!(!stderr.contains("panicked at"), "{stderr}");
}

fn on_small_disk() -> Result<(Lab, Mount), Unsupported> {
    let lab = Lab::cold();
    // Space for two versions and the margin of an installation, and few inodes.
    let disk = Mount::new(&["-t", "tmpfs", "-o", "size=160m,nr_inodes=100", "tmpfs"], &lab.home())?;
    Ok((lab, disk))
}

/// Files that fill a disk; removed when dropped.
struct Ballast(PathBuf);

fn fill(disk: &Path, of_files: bool) -> Ballast {
    let folder = disk.join("ballast");
    fs::create_dir(&folder).unwrap();
    for number in 0.. {
        let Ok(mut file) = File::create(folder.join(number.to_string())) else { break };
        if !of_files {
            // To the last byte.
            let block = vec![1; 1 << 20];
            while file.write(&block).is_ok_and(|written| written > 0) {}
            break;
        }
    }
    Ballast(folder)
}

impl Drop for Ballast {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

pub struct Mount(PathBuf);

impl Mount {
    pub fn new(what: &[&str], to: &Path) -> Result<Self, Unsupported> {
        let output = Command::new("mount").args(what).arg(to).output().unwrap();
        if !output.status.success() {
            return Err(Unsupported("mounting in a namespace is not permitted".to_owned()));
        }
        Ok(Self(to.to_owned()))
    }

    fn read_only(folder: &Path) -> Result<Self, Unsupported> {
        let mount = Self::new(&["--bind", folder.to_str().unwrap()], folder)?;
        assert!(
            Command::new("mount").args(["-o", "remount,bind,ro"]).arg(folder).status().unwrap().success()
        );
        Ok(mount)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
