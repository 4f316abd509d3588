//! Where QEMU puts a VM's throw-away overlay: a folder by the VM's name. QEMU takes the file's name away as soon as it is
//! open, so a file that is there has lost its QEMU in that very moment, or is about to lose its name; the lock on the
//! VM's name, which QEMU shares, tells the two apart.

use super::{Files, LOCK, try_lock};
use crate::error::Result;
use crate::folders;
use crate::units::VmName;
use std::fs;
use std::path::{Path, PathBuf};

/// There for as long as this lives, and empty at first.
pub struct Overlays(PathBuf);

impl Overlays {
    /// Makes the folder of a VM whose name is taken, and removes those of VMs that are gone.
    ///
    /// # Errors
    /// It can't be made.
    pub fn make(overlays: &Path, name: &VmName, vms: &Path) -> Result<Self> {
        folders::create_private(overlays)?;
        let own = overlays.join(name.as_str());
        for entry in fs::read_dir(overlays).into_iter().flatten().flatten() {
            let path = entry.path();
            if path == own {
                let _ = fs::remove_dir_all(&path);
            } else {
                remove_if_left(&path, vms);
            }
        }
        folders::create_private(&own)?;
        Ok(Self(own))
    }
}

impl Drop for Overlays {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn remove_if_left(path: &Path, vms: &Path) {
    let name = path.file_name().and_then(|name| name.to_str()?.parse::<VmName>().ok());
    let Some(name) = name else {
        // Of a version that kept them all in one folder.
        let _ = fs::remove_file(path);
        return;
    };
    let lock = Files::new(vms, &name).0.join(LOCK);
    // Held while the folder goes, so that no start of that VM is in it.
    let held = try_lock(&lock);
    if matches!(held, Ok(Some(_))) || !lock.exists() {
        let _ = fs::remove_dir_all(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_qemu_left_goes_at_the_next_start_and_a_live_ones_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (overlays, vms) = (folder.path().join("overlays"), folder.path().join("vms"));
        let lock = |name: &str| {
            fs::create_dir_all(vms.join(name)).unwrap();
            try_lock(&vms.join(name).join(LOCK)).unwrap().unwrap()
        };
        let _live = lock("live");
        drop(lock("dead"));
        for name in ["live", "dead", "ephemeral-1", "own"] {
            fs::create_dir_all(overlays.join(name)).unwrap();
            fs::write(overlays.join(name).join("vl.X"), "").unwrap();
        }
        fs::write(overlays.join("vl.X"), "").unwrap();
        let there = || {
            let mut names: Vec<_> =
                fs::read_dir(&overlays).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let own = Overlays::make(&overlays, &"own".parse().unwrap(), &vms).unwrap();
        assert_eq!(there(), ["live", "own"]);
        assert_eq!(fs::read_dir(overlays.join("own")).unwrap().count(), 0);
        assert!(overlays.join("live/vl.X").exists());
        drop(own);
        assert_eq!(there(), ["live"]);
    }
}
