use std::io;
use std::path::Path;

/// A profile's folders are the user's alone by inheritance.
pub fn create_private(path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(path)
}
