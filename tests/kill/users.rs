//! Several users on one machine, and links or foreign folders in place of a user's own.

use crate::lab::{Lab, executable};
use crate::table::{Run, Table, Unsupported};
use nix::unistd::{Gid, Uid, chown};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// User ids that this machine does not use.
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
        launcher.refuses(1, "HOME");
        assert!(launcher.stderr().contains("hint: "), "{}", launcher.stderr());
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
            launcher.refuses(1, &path.display().to_string());
            assert!(launcher.stderr().contains("hint: "), "{}", launcher.stderr());
            assert!(fs::read_dir(&elsewhere).unwrap().next().is_none(), "something was written there");
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
            // Root could write to it, another user could not. Both are refused.
            let mut command = if number == 0 {
                lab.command(&[])
            } else {
                give_all_above(&lab.home(), &path);
                as_user(&lab, USERS[0])
            };
            let mut launcher = lab.start(&mut command);
            // What root would make in the cache folder would be root's, which is refused before anything starts.
            let code = if number == 0 && what == "cache" { 2 } else { 1 };
            launcher.refuses(code, "54322");
            assert!(launcher.stderr().contains("hint: "), "{}", launcher.stderr());
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
        return Err(Unsupported("only root can run programs as other users".to_owned()));
    }
    let reach = Command::new("setpriv")
        .args(["--reuid", "54321", "--clear-groups", "test", "-x"])
        .arg(executable())
        .status();
    if !reach.unwrap().success() {
        return Err(Unsupported("other users cannot execute the launcher".to_owned()));
    }
    Ok(())
}

/// The launcher, run by that user.
fn as_user(lab: &Lab, user: u32) -> Command {
    // Only its owner can open the lab's folder.
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
