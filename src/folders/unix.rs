use super::Folders;
use crate::error::Result;
use directories::ProjectDirs;
use nix::sys::stat::{Mode, umask};
use nix::unistd::geteuid;
use std::fs::{DirBuilder, File, Metadata, Permissions, set_permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What the user's folders are found by.
pub const HOME: &str = "HOME";

pub fn folders() -> Option<Folders> {
    let found = ProjectDirs::from("", "", "virtualghost")?;
    let data = found.data_local_dir().to_owned();
    Some(Folders {
        cache: found.cache_dir().to_owned(),
        config: found.config_dir().to_owned(),
        // macOS has none.
        state: found.state_dir().map_or_else(|| data.clone(), Path::to_owned),
        data,
    })
}

/// From here on, what this process and its children make is the user's alone, whatever the umask was.
pub fn keep_private() {
    umask(Mode::from_bits_truncate(0o077));
}

pub fn create_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Whose a folder is, if it is not this user's.
pub fn stranger(folder: &Metadata) -> Option<String> {
    let user = geteuid().as_raw();
    (folder.uid() != user).then(|| format!("it belongs to user {}, not to you (user {user})", folder.uid()))
}

/// Whatever the umask is or was; `found` is what the folder is now.
pub fn set_private(folder: &Path, found: &Metadata) -> io::Result<()> {
    const PRIVATE: u32 = 0o700;
    let is_private = found.mode() & 0o7777 == PRIVATE;
    if is_private { Ok(()) } else { set_permissions(folder, Permissions::from_mode(PRIVATE)) }
}

/// A new file for reading and writing, mode 0600.
pub fn create_new_private(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create_new(true).mode(0o600).open(path)
}

pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)
}

/// A path as any program takes it: as it is.
pub fn narrow(path: PathBuf) -> Result<PathBuf> {
    Ok(path)
}

/// Nothing to do: every file can have holes.
pub fn make_sparse(_: &File) -> io::Result<()> {
    Ok(())
}

/// What a file takes on the disk: holes don't count.
pub fn bytes_on_disk(file: &Metadata) -> u64 {
    file.blocks() * 512
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folders::create_private;

    #[test]
    fn a_folder_that_was_open_to_others_is_the_users_alone_from_then_on() {
        let folder = tempfile::tempdir().unwrap();
        for mode in [0o755, 0o700] {
            set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
            create_private(folder.path()).unwrap();
            assert_eq!(folder.path().metadata().unwrap().mode() & 0o7777, 0o700);
        }
    }
}
