//! Copies of disks: of as little space as the disk uses, and on filesystems that can share blocks, of none.

use crate::sys::{files, sparse};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

const BLOCK: usize = 64 << 10;

/// Gives the file at `from`, which is never written, the second name `to`; on another filesystem, or where the system does
/// not allow it, `to` is a copy.
pub fn link_or_copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::hard_link(from, to).or_else(|_| copy(from, to))
}

/// Creates the private file `to` with the content of `from`: in the time of one call where the filesystem can share blocks
/// (Btrfs, XFS, APFS, ReFS), else block by block, with holes where there are zeros. It is on the disk when this returns.
pub fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if reflink_copy::reflink(from, to).is_ok() {
        return File::options().write(true).open(to)?.sync_all();
    }
    copy_blocks(from, to)
}

fn copy_blocks(from: &Path, to: &Path) -> io::Result<()> {
    let (mut source, mut copy) = (File::open(from)?, files::create_new_private(to)?);
    files::make_sparse(&copy)?;
    let length = source.metadata()?.len();
    copy.set_len(length)?;
    let (mut block, mut at) = (vec![0; BLOCK], 0);
    while let Some(data) = sparse::next_data(&source, at)? {
        let size = BLOCK.min(usize::try_from(length - data).unwrap_or(BLOCK));
        source.seek(SeekFrom::Start(data))?;
        source.read_exact(&mut block[..size])?;
        if block[..size].iter().any(|&byte| byte != 0) {
            copy.seek(SeekFrom::Start(data))?;
            copy.write_all(&block[..size])?;
        }
        at = data + size as u64;
    }
    copy.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_every_byte_and_the_holes() {
        let folder = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "to"].map(|name| folder.path().join(name));
        let mut file = File::create(&from).unwrap();
        file.set_len((256 << 20) + 5).unwrap();
        // In the middle of a block, over two blocks, and at the end.
        for (at, text) in [(100, "one"), (3 * BLOCK as u64 - 2, "two"), ((256 << 20) + 1, "last")] {
            file.seek(SeekFrom::Start(at)).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }
        // Written zeros become holes too.
        file.seek(SeekFrom::Start(128 << 20)).unwrap();
        file.write_all(&vec![0; 4 << 20]).unwrap();
        copy_blocks(&from, &to).unwrap();
        assert!(fs::read(&from).unwrap() == fs::read(&to).unwrap(), "the copy differs");
        let bytes = files::bytes_on_disk(&fs::metadata(&to).unwrap());
        assert!(bytes < 1 << 20, "the copy of three blocks uses {bytes} bytes");
    }
}
