use std::fs::{DirBuilder, File, Metadata, Permissions, set_permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Whatever the umask is: the mode of the last folder is set, not only asked for.
pub fn create_private(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    set_permissions(path, Permissions::from_mode(0o700))
}

/// A new file for reading and writing, mode 0600.
pub fn create_new_private(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create_new(true).mode(0o600).open(path)
}

/// Nothing to do: every file can have holes.
pub fn make_sparse(_: &File) -> io::Result<()> {
    Ok(())
}

/// What a file takes on the disk: holes don't count.
pub fn bytes_on_disk(file: &Metadata) -> u64 {
    file.blocks() * 512
}
