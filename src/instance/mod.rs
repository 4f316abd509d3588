//! A running VM as the host knows it: its name, its lock, its logs. The lock is the kernel's, so it ends
//! with its holder, however that dies; the text in the lock file only tells who holds it.

use crate::error::{Error, Kind, Result};
use crate::folders;
use crate::units::VmName;
use anyhow::Context;
use std::fs::{File, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

const CONSOLE_LOG: &str = "console.log";
const QEMU_LOG: &str = "qemu.log";

/// A name taken for as long as this lives.
pub struct Instance {
    folder: PathBuf,
    _lock: File,
}

impl Instance {
    /// Takes the name, and empties the logs. `folder` is the VM's own and is made if needed.
    ///
    /// # Errors
    /// A VM of this name is running, or the folder can't be made or written.
    pub fn take(name: &VmName, folder: &Path) -> Result<Self> {
        folders::create_private(folder)?;
        let path = folder.join("lock");
        let cannot = || format!("can't open the lock file {}", path.display());
        let mut lock = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .with_context(cannot)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = lock.read_to_string(&mut holder);
                return Err(Error::new(
                    Kind::BadInput,
                    format!("a VM named {name} is running already ({})", holder.trim()),
                )
                .hint("take another name: virtualghost --name OTHER"));
            }
            Err(TryLockError::Error(e)) => {
                return Err(anyhow::Error::new(e).context(format!("can't lock {}", path.display())).into());
            }
        }
        for log in [CONSOLE_LOG, QEMU_LOG] {
            let path = folder.join(log);
            File::create(&path).with_context(|| format!("can't write {}", path.display()))?;
        }
        lock.set_len(0).with_context(cannot)?;
        writeln!(lock, "pid {}", std::process::id()).with_context(cannot)?;
        Ok(Self { folder: folder.to_owned(), _lock: lock })
    }

    /// What the guest said on its console, since its start.
    pub fn console_log_path(&self) -> PathBuf {
        self.folder.join(CONSOLE_LOG)
    }

    /// What QEMU said on its standard error.
    pub fn qemu_log_path(&self) -> PathBuf {
        self.folder.join(QEMU_LOG)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_once_and_is_free_again_when_its_holder_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("web");
        let name: VmName = "web".parse().unwrap();
        let first = Instance::take(&name, &folder).unwrap();
        let refusal = Instance::take(&name, &folder).err().expect("it is taken").to_string();
        assert!(refusal.contains(&format!("running already (pid {})", std::process::id())), "{refusal}");
        drop(first);
        Instance::take(&name, &folder).unwrap();
    }
}
