//! SIGKILL of the commands that copy what a VM keeps. The VM itself loses nothing, and the same command works afterwards.

use crate::lab::Lab;
use crate::random;
use crate::table::Table;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// A copy of a home and a system in the lab takes about as long.
const COPY: Duration = Duration::from_millis(60);

pub fn rows(table: &mut Table) {
    table.row("clone killed: random moments", table.runs(8, 60), |number| {
        clone_killed(number);
        Ok(())
    });
    table.row("restore killed: random moments", table.runs(8, 60), |number| {
        restore_killed(number);
        Ok(())
    });
}

/// A lab with a VM that has kept a home and a system.
fn kept() -> Lab {
    let lab = Lab::warm().keeping_systems();
    lab.works();
    lab
}

fn home(lab: &Lab, name: &str) -> PathBuf {
    lab.home().join(format!(".local/share/virtualghost/homes/{name}.img"))
}

fn system(lab: &Lab, name: &str) -> PathBuf {
    lab.home().join(format!(".local/share/virtualghost/systems/{name}/disk.qcow2"))
}

fn succeeds(lab: &Lab, args: &[&str]) {
    let output = lab.output(args);
    assert!(output.status.success(), "{args:?}: {output:?}");
}

fn killed_at_random(lab: &Lab, args: &[&str], number: usize) {
    let mut command = lab.start(&mut lab.command(args));
    std::thread::sleep(random::moment(number, COPY));
    let _ = command.process.kill();
    command.ends();
    lab.is_at_rest();
}

fn clone_killed(number: usize) {
    let lab = kept();
    let (before, disk) = (lab.journals(None), fs::read(system(&lab, "default")).unwrap());
    killed_at_random(&lab, &["clone", "default", "copy"], number);
    assert_eq!(lab.journals(None)[&home(&lab, "default")], before[&home(&lab, "default")]);
    assert_eq!(fs::read(system(&lab, "default")).unwrap(), disk);
    // Killed in the middle of its renames it may have made a VM with one of the disks, but none with a part of a disk.
    let (home_made, system_made) = (home(&lab, "copy").exists(), system(&lab, "copy").exists());
    if home_made {
        assert_eq!(
            lab.journals(None)[&home(&lab, "copy")],
            before[&home(&lab, "default")],
            "a part of a home"
        );
    }
    if system_made {
        assert_eq!(fs::read(system(&lab, "copy")).unwrap(), disk, "a part of a system");
    }
    if home_made || system_made {
        succeeds(&lab, &["rm", "--yes", "copy"]);
    }
    succeeds(&lab, &["clone", "default", "copy"]);
    assert_eq!(lab.journals(None)[&home(&lab, "copy")], before[&home(&lab, "default")]);
    assert_eq!(fs::read(system(&lab, "copy")).unwrap(), disk);
    lab.recovers();
}

fn restore_killed(number: usize) {
    let lab = kept();
    succeeds(&lab, &["snapshot", "default", "before"]);
    let (old, disk) = (lab.journals(None), fs::read(system(&lab, "default")).unwrap());
    lab.works();
    let new = lab.journals(None);
    let home = home(&lab, "default");
    assert_ne!(new[&home], old[&home], "the guest has written nothing");
    killed_at_random(&lab, &["restore", "--yes", "default", "before"], number);
    let left = lab.journals(None)[&home];
    assert!(left == old[&home] || left == new[&home], "neither the home before nor the one after");
    let system = system(&lab, "default");
    assert!(!system.exists() || fs::read(&system).unwrap() == disk, "a part of a system");
    succeeds(&lab, &["restore", "--yes", "default", "before"]);
    assert_eq!(lab.journals(None), old);
    assert_eq!(fs::read(&system).unwrap(), disk);
    lab.recovers();
}
