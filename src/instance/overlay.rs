//! An overlay over an image: a VM's root disk. In a launch's folder of the cache it is empty, makes the disk larger, and has a
//! temporary one over it with all that the guest writes, which QEMU unlinks as soon as it is open; the overlay of a kept system
//! is written itself.

use crate::error::{Error, Result};
use crate::model::units::RootSize;
use crate::qemu::qcow2;
use anyhow::Context;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// Creates `disk`, an empty overlay over `image`, of a disk of `size` unless the image's is larger. `name`: the image's path as
/// QEMU finds it, absolute or from the disk's folder.
///
/// # Errors
/// The image can't be read, or the overlay not be written.
pub fn create_overlay(disk: &Path, image: &Path, name: &Path, size: RootSize) -> Result<()> {
    let cannot_read = || format!("can't read {}", image.display());
    let (mut file, mut head) = (File::open(image).with_context(cannot_read)?, Vec::new());
    let length = file.metadata().with_context(cannot_read)?.len();
    file.by_ref().take(32).read_to_end(&mut head).with_context(cannot_read)?;
    let (format, own_size) = qcow2::format_and_size(&head, length);
    let header = qcow2::header_over(name, format, size.bytes().max(own_size)).ok_or_else(|| {
        Error::bad_input(format!("the path {} is longer than QEMU supports", image.display()))
            .hint("set XDG_CACHE_HOME, or --rootfs, to a shorter path")
    })?;
    Ok(fs::write(disk, header).with_context(|| format!("can't create {}", disk.display()))?)
}
