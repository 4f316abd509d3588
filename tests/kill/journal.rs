//! The blocks that the fake guest writes to its home disk. Each has its number, the digest of the previous block and its own.
//! A block that was lost, torn, or written by a second QEMU at the same time is found.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

pub const BLOCK: usize = 4096;
const DIGEST: usize = 32;

type Digest = [u8; DIGEST];

/// The whole blocks on a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    pub blocks: u64,
    pub last: Digest,
}

impl Written {
    /// The next block, and its offset.
    pub fn next(&self) -> (u64, [u8; BLOCK]) {
        (self.blocks * BLOCK as u64, block(self.blocks, &self.last))
    }

    pub fn add(&mut self, block: &[u8; BLOCK]) {
        self.blocks += 1;
        self.last = block[BLOCK - DIGEST..].try_into().expect("as long");
    }
}

/// Reads at most `limit` blocks from the start.
///
/// # Errors
/// A block differs from what was written. The last one may be torn: then it does not count, and is written again.
pub fn read(file: &File, limit: Option<u64>) -> io::Result<Written> {
    let mut written = Written { blocks: 0, last: [0; DIGEST] };
    let mut found = [0; BLOCK];
    while limit.is_none_or(|limit| written.blocks < limit) {
        let (at, next) = written.next();
        match read_at(file, at, &mut found) {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => break,
            read => read?,
        }
        if found != next {
            let mut after = [0; BLOCK];
            let is_last = read_at(file, at + BLOCK as u64, &mut after).is_err() || after == [0; BLOCK];
            if is_last {
                break;
            }
            return Err(io::Error::other(format!("block {} of the home disk is damaged", written.blocks)));
        }
        written.add(&found);
    }
    Ok(written)
}

fn read_at(mut file: &File, at: u64, block: &mut [u8; BLOCK]) -> io::Result<()> {
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(block)
}

fn block(number: u64, before: &Digest) -> [u8; BLOCK] {
    let mut block = [number as u8 | 1; BLOCK];
    block[..8].copy_from_slice(&number.to_le_bytes());
    block[8..8 + DIGEST].copy_from_slice(before);
    let digest = *blake3::hash(&block[..BLOCK - DIGEST]).as_bytes();
    block[BLOCK - DIGEST..].copy_from_slice(&digest);
    block
}
