//! Unpacks a payload: several chunks at once into a temporary folder, which is synced and then renamed.

use super::cache::{Cache, ChangeLock};
use super::embedded::{Member, Payload};
use super::error::{At, PayloadError, Result};
use super::manifest::{Chunk, is_hole};
use super::progress::Progress;
use super::{integrity, parallel};
use crate::failpoints::{self, FailPoint};
use crate::sys::{
    self,
    files::{self, create_folder, rename},
};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

/// Needed on the disk in addition to the files: for their metadata, and the start of the run's overlay.
const MARGIN: u64 = 64 << 20;
/// Blocks of zeros of this size are skipped, so that the file is as sparse as the image was.
const BLOCK: usize = 64 << 10;

/// Creates the version of `payload`, which must not exist. After an error nothing of it is left.
pub fn extract(payload: &Payload, cache: &Cache, lock: &ChangeLock, progress: &dyn Progress) -> Result<()> {
    let (versions, needed) = (cache.versions_path(), payload.unpacked_bytes());
    let free = fs4::available_space(&versions).at("read the free space of", &versions)?;
    if free < needed + MARGIN {
        return Err(PayloadError::NoSpace { path: versions, needed: needed + MARGIN, free });
    }
    progress.plan(needed);
    let partial = cache.leftover_path(lock, payload.digest(), "partial");
    let version = cache.version_path(payload.digest());
    let result = fill(payload, &partial, progress)
        .inspect(|()| failpoints::hit(FailPoint::BeforeRename))
        .and_then(|()| rename(&partial, &version).at("rename to", &version))
        .inspect(|()| failpoints::hit(FailPoint::AfterRename))
        .and_then(|()| files::sync_folder(&versions).at("write", &versions));
    result.map_err(|error| {
        // If it can't be removed now, the next installation removes it.
        let _ = fs::remove_dir_all(&partial);
        if error.is_full_disk() { PayloadError::DiskFull { path: versions, needed } } else { error }
    })
}

fn fill(payload: &Payload, folder: &Path, progress: &dyn Progress) -> Result<()> {
    let members = payload.members();
    let mut folders = BTreeSet::from([folder.to_owned()]);
    for member in &members {
        let path = folder.join(&member.path);
        folders.extend(path.ancestors().skip(1).take_while(|above| *above != folder).map(Path::to_owned));
        create(&path, member.size).at("make", &path)?;
    }
    let chunks: Vec<_> = members.iter().flat_map(|m| m.chunks.iter().map(move |chunk| (m, chunk))).collect();
    parallel::map(&chunks, |(member, chunk)| {
        let path = folder.join(&member.path);
        write(&path, chunk, &member.read(chunk)?).at("write", &path)?;
        progress.advance(chunk.length);
        failpoints::hit(FailPoint::AfterChunk);
        Ok(())
    })?;
    parallel::map(&members, |member| {
        let path = folder.join(&member.path);
        finish(&path, member).at("write", &path)
    })?;
    integrity::write(folder, &members)?;
    folders.iter().try_for_each(|folder| files::sync_folder(folder).at("write", folder))
}

/// A new file that is one hole, in private folders.
fn create(path: &Path, size: u64) -> io::Result<()> {
    path.parent().map_or(Ok(()), create_folder)?;
    File::create_new(path)?.set_len(size)
}

fn write(path: &Path, chunk: &Chunk, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::options().write(true).open(path)?;
    for (index, block) in bytes.chunks(BLOCK).enumerate() {
        if !is_hole(block) {
            file.seek(SeekFrom::Start(chunk.offset + (index * BLOCK) as u64))?;
            file.write_all(block)?;
        }
    }
    sys::start_writeback(&file, chunk.offset, chunk.length);
    Ok(())
}

fn finish(path: &Path, member: &Member<'_>) -> io::Result<()> {
    let file = File::options().write(true).open(path)?;
    files::seal(&file, member.executable)?;
    file.sync_all()
}
