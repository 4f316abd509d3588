//! Several users on one machine, and what a user finds where their own folder should be.

use crate::lab::{Lab, executable};
use crate::table::{NotHere, Run, Table};
use nix::unistd::{Gid, Uid, chown};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// No user of this machine has them.
const USERS: [u32; 2] = [54321, 54322];

pub fn rows(table: &mut Table) {
    table.row("2 users at the same time", 1, |_| {
        is_root()?;
        let labs = USERS.map(|_| Lab::cold());
        let mut launchers = Vec::new();
        for (lab, user) in labs.iter().zip(USERS) {
            give(&lab.home(), user);
            launchers.push(lab.start(&mut as_user(lab, user)));
        }
        launchers.iter_mut().for_each(|launcher| launcher.is_ready());
        launchers.iter_mut().for_each(|launcher| launcher.stops());
        for lab in &labs {
            lab.is_at_rest();
            lab.is_clean();
        }
        Ok(())
    });
    table.row("no HOME, and not in the user database", 1, |_| {
        is_root()?;
        let lab = Lab::cold();
        let mut launcher = lab.start(as_user(&lab, USERS[0]).env_remove("HOME"));
        launcher.refuses(1, "no home folder");
        assert!(launcher.said().contains("hint: set HOME"), "{}", launcher.said());
        Ok(())
    });
    for (what, folder) in [
        ("cache", ".cache/virtualghost"),
        ("assets", ".cache/virtualghost/assets"),
        ("overlays", ".cache/virtualghost/overlays"),
        ("VMs", ".local/state/virtualghost/vms"),
        ("one VM's", ".local/state/virtualghost/vms/default"),
        ("homes", ".local/share/virtualghost/homes"),
    ] {
        table.row(&format!("a link for the folder: {what}"), 1, |_| {
            let lab = Lab::cold();
            let elsewhere = lab.folder().join("elsewhere");
            fs::create_dir(&elsewhere).unwrap();
            let path = lab.home().join(folder);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            symlink(&elsewhere, &path).unwrap();
            let mut launcher = lab.launch();
            launcher.refuses(1, "link");
            assert!(launcher.said().contains(&path.display().to_string()), "{}", launcher.said());
            assert!(launcher.said().contains("hint: "), "{}", launcher.said());
            assert!(fs::read_dir(&elsewhere).unwrap().next().is_none(), "something was put there");
            fs::remove_file(&path).unwrap();
            lab.recovers();
            Ok(())
        });
        table.row(&format!("another user's folder: {what}"), 2, |number| {
            is_root()?;
            let lab = Lab::cold();
            let path = lab.home().join(folder);
            fs::create_dir_all(&path).unwrap();
            give(&path, USERS[1]);
            // Root could; another user could not, and is told as well.
            let mut command = if number == 0 {
                lab.command(&[])
            } else {
                give_all_above(&lab.home(), &path);
                as_user(&lab, USERS[0])
            };
            let mut launcher = lab.start(&mut command);
            launcher.refuses(1, "belongs to user 54322");
            assert!(launcher.said().contains("hint: "), "{}", launcher.said());
            lab.is_at_rest();
            Ok(())
        });
    }
    table.row("a link for the folder: keys", 1, |_| {
        let lab = Lab::warm();
        let elsewhere = lab.folder().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        fs::write(elsewhere.join("precious"), "").unwrap();
        symlink(&elsewhere, lab.vms().join("default/keys")).unwrap();
        // The link is removed as a killed launcher's keys would be.
        lab.recovers();
        let left: Vec<_> =
            fs::read_dir(&elsewhere).unwrap().flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(left, ["precious"]);
        Ok(())
    });
}

fn is_root() -> Run {
    if !Uid::effective().is_root() {
        return Err(NotHere("only root can be other users".to_owned()));
    }
    let reach = Command::new("setpriv")
        .args(["--reuid", "54321", "--clear-groups", "test", "-x"])
        .arg(executable())
        .status();
    if !reach.unwrap().success() {
        return Err(NotHere("other users can't reach the executable".to_owned()));
    }
    Ok(())
}

/// The launcher, started by that user.
fn as_user(lab: &Lab, user: u32) -> Command {
    // The lab's folder is its maker's alone.
    give(lab.folder(), user);
    let mut command = Command::new("setpriv");
    let id = user.to_string();
    lab.environment(&mut command).args(["--reuid", &id, "--regid", &id, "--clear-groups"]).arg(executable());
    command
}

fn give(path: &Path, user: u32) {
    chown(path, Some(Uid::from_raw(user)), Some(Gid::from_raw(user))).unwrap();
}

fn give_all_above(home: &Path, path: &Path) {
    let above: Vec<PathBuf> =
        path.ancestors().skip(1).take_while(|above| above.starts_with(home)).map(Path::to_owned).collect();
    above.iter().for_each(|folder| give(folder, USERS[0]));
}
