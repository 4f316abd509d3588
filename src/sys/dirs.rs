//! Locations of files, by each system's convention (XDG base directories, Known Folders, Library).

use super::os;
use crate::error::{Error, Kind, Result};
use crate::model::units::VmName;
use std::path::PathBuf;

pub use os::home_of_ssh;

/// Paths only: no folder is created here.
pub struct Dirs {
    pub(super) cache: PathBuf,
    pub(super) config: PathBuf,
    pub(super) state: PathBuf,
    pub(super) data: PathBuf,
}

/// The user's home folders: that of the environment, and the user database's if it is another.
pub fn homes() -> Vec<PathBuf> {
    let set = directories::BaseDirs::new().map(|dirs| dirs.home_dir().to_owned());
    let mut homes: Vec<_> = set.into_iter().chain(home_of_ssh()).collect();
    homes.dedup();
    homes
}

impl Dirs {
    /// # Errors
    /// The user has no home folder; or this is root with the folders of another user, who could not change afterwards what
    /// root makes in them.
    pub fn find() -> Result<Self> {
        let dirs = Self::of_environment()?;
        for path in [&dirs.cache, &dirs.config, &dirs.state, &dirs.data] {
            if let Some(owner) = os::owner_that_root_would_lock_out(path) {
                let (home, path) = (os::HOME, path.display());
                return Err(Error::bad_input(format!("{path} would be root's, in a folder of {owner}'s"))
                    .hint(format!(
                        "run it as {owner}, or with root's own folders: {home}=/root virtualghost"
                    )));
            }
        }
        Ok(dirs)
    }

    fn of_environment() -> Result<Self> {
        os::dirs().ok_or_else(|| {
            let home = os::HOME;
            Error::new(Kind::Failed, format!("no home folder: neither {home} nor the user database has one"))
                .hint(format!("set {home} to your home folder"))
        })
    }

    /// For tests: everything in one folder.
    #[cfg(test)]
    pub fn below(folder: &std::path::Path) -> Self {
        let of = |name: &str| folder.join(name);
        Self { cache: of("cache"), config: of("config"), state: of("state"), data: of("data") }
    }

    /// Every folder that this program keeps something in.
    pub fn all(&self) -> Vec<PathBuf> {
        [&self.cache, &self.config, &self.state, &self.data].map(PathBuf::clone).into()
    }

    /// Unpacked artifacts and overlays, which can be made again.
    pub fn cache_path(&self) -> PathBuf {
        self.cache.clone()
    }

    /// The overlay of the VM that this process launches; on disk, because it grows as the guest writes.
    pub fn overlay_path(&self) -> PathBuf {
        self.cache.join("overlays").join(std::process::id().to_string())
    }

    pub fn config_file_path(&self) -> PathBuf {
        self.config.join("config.toml")
    }

    /// A folder for each VM, with its state, logs and keys.
    pub fn vms_path(&self) -> PathBuf {
        self.state.join("vms")
    }

    /// OpenSSH's configuration for all VMs.
    pub fn ssh_config_path(&self) -> PathBuf {
        self.vms_path().with_file_name("ssh-config")
    }

    /// Features that failed at earlier starts.
    pub fn known_failures_path(&self) -> PathBuf {
        self.vms_path().with_file_name("known-failures.json")
    }

    /// A file for each sentence that is printed once a month.
    pub fn notices_path(&self) -> PathBuf {
        self.vms_path().with_file_name("notices")
    }

    /// Where `make gpu-pack` installs the drivers of physical GPUs.
    pub fn gpu_pack_path(&self) -> PathBuf {
        self.data.join("gpu-pack")
    }

    /// Why checkpoints are not possible in these folders, if so: paths in QMP are UTF-8, and the path of a backing file in a
    /// disk image has 1023 bytes at most.
    pub fn unfit_for_checkpoints(&self) -> Option<String> {
        const LONGEST: usize = 1023 - 100; // for the file names below
        let fits = |folder: &PathBuf| folder.to_str().is_some_and(|name| name.len() <= LONGEST);
        let unfit = [&self.cache, &self.data].into_iter().find(|folder| !fits(folder))?;
        Some(format!("{} is not UTF-8, or too long", unfit.display()))
    }

    /// The folder of a VM's kept system.
    pub fn system_path(&self, name: &VmName) -> PathBuf {
        self.systems_path().join(name.as_str())
    }

    /// The kept systems of all VMs. They, the homes and the snapshots are all that can't be made again.
    pub fn systems_path(&self) -> PathBuf {
        self.data.join("systems")
    }

    /// The snapshots of a VM: a folder for each.
    pub fn snapshots_path(&self, name: &VmName) -> PathBuf {
        self.all_snapshots_path().join(name.as_str())
    }

    /// A folder for each VM that has snapshots.
    pub fn all_snapshots_path(&self) -> PathBuf {
        self.data.join("snapshots")
    }

    /// The copies of folders that a VM works on: a folder for each.
    pub fn working_copies_path(&self, name: &VmName) -> PathBuf {
        self.all_working_copies_path().join(name.as_str())
    }

    /// A folder for each VM that works on copies.
    pub fn all_working_copies_path(&self) -> PathBuf {
        self.data.join("working-copies")
    }

    /// The unfinished copies that this process makes of what VMs keep; on the same filesystem as these.
    pub fn copies_path(&self) -> PathBuf {
        self.data.join("copies").join(std::process::id().to_string())
    }

    /// The disk with a VM's home.
    pub fn home_path(&self, name: &VmName) -> PathBuf {
        self.homes_path().join(format!("{name}.img"))
    }

    /// The homes of all VMs.
    pub fn homes_path(&self) -> PathBuf {
        self.data.join("homes")
    }
}
