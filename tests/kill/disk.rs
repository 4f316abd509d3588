//! A disk that is full at every write, and a cache that can't be written. Needs mounts, and so a namespace of its own.

use crate::lab::{Lab, Launcher};
use crate::table::{NotHere, Run, Table};
use nix::sys::signal::Signal;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use virtualghost::fault::Point;

pub fn rows(table: &mut Table) {
    for point in Point::ALL.iter().take_while(|point| **point != Point::PowerButton) {
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
        assert!(launcher.said().contains("hint: "), "no hint:\n{}", launcher.said());
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

/// The launcher halts at `point`, the disk fills up, it goes on: to a sentence, or to a VM that runs and stops; then,
/// with room again, as if nothing had been.
fn full_from(point: Point, of_files: bool) -> Run {
    let (mut lab, _disk) = on_small_disk()?;
    if crate::matrix::is_at_checkpoint(point) {
        lab = lab.instant();
    }
    crate::matrix::guest(&lab, point);
    let mut launcher = lab.launch_with_fault(&format!("{}:stop", point.name()));
    launcher.is_halted();
    let ballast = fill(&lab.home(), of_files);
    launcher.signal(Signal::SIGCONT);
    says_why_or_works(&mut launcher, point);
    drop(ballast);
    lab.recovers();
    Ok(())
}

fn says_why_or_works(launcher: &mut Launcher, point: Point) {
    let works = match point {
        Point::Kernel => "booting the kernel (",
        Point::Services => "starting the services (",
        _ => "ready (",
    };
    while !launcher.said().contains(works) && launcher.process.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    if launcher.process.try_wait().unwrap().is_none() {
        launcher.signal(Signal::SIGTERM);
    }
    let (status, said) = (launcher.ends(), launcher.said());
    let because = ["No space left", "disk space", "filled up", "disk full"];
    let explained = said.contains("error: ") && because.iter().any(|words| said.contains(words));
    assert!(status.success() || explained, "{status}:\n{said}");
    assert!(!said.contains("panicked at"), "{said}");
}

fn on_small_disk() -> Result<(Lab, Mount), NotHere> {
    let lab = Lab::cold();
    // Two versions' worth of bytes, the margin that an installation leaves, and few files.
    let disk = Mount::new(&["-t", "tmpfs", "-o", "size=160m,nr_inodes=100", "tmpfs"], &lab.home())?;
    Ok((lab, disk))
}

/// What fills a disk; gone when dropped.
struct Ballast(PathBuf);

fn fill(disk: &Path, of_files: bool) -> Ballast {
    let folder = disk.join("ballast");
    fs::create_dir(&folder).unwrap();
    for number in 0.. {
        let Ok(mut file) = File::create(folder.join(number.to_string())) else { break };
        if !of_files {
            // To the last byte: less and less fits.
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
    pub fn new(what: &[&str], to: &Path) -> Result<Self, NotHere> {
        let output = Command::new("mount").args(what).arg(to).output().unwrap();
        if !output.status.success() {
            return Err(NotHere("this system lets nobody mount in a namespace".to_owned()));
        }
        Ok(Self(to.to_owned()))
    }

    fn read_only(folder: &Path) -> Result<Self, NotHere> {
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
