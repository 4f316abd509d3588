//! The stamp of a version: the metadata of every file right after it was written. The stamp is written last, before the
//! version is renamed. A start compares it with the current metadata: a file that was changed, truncated, replaced or
//! removed is found with one `stat` each.

use super::embedded::{Member, Payload, is_intact};
use super::error::{At, Result};
use super::manifest::is_hole;
use crate::sys::files::Folder;
use crate::sys::sparse;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

const NAME: &str = "stamp";

pub fn write(version: &Path, members: &[Member<'_>]) -> Result<()> {
    let path = version.join(NAME);
    let text = observe(version, members).at("read the files in", version)?;
    let written = File::create(&path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.at("write", &path)
}

/// Whether `version` exists and is unchanged.
pub fn holds(version: &Path, members: &[Member<'_>]) -> bool {
    let stamped = fs::read_to_string(version.join(NAME));
    matches!((stamped, observe(version, members)), (Ok(stamped), Ok(now)) if stamped == now)
}

/// A line per file: its metadata and its path.
fn observe(version: &Path, members: &[Member<'_>]) -> io::Result<String> {
    let version = Folder::open(version)?;
    let mut text = String::new();
    for member in members {
        let seen = version.look(&member.path)?;
        writeln!(text, "{seen} {}", member.path.display()).expect("writing to a String does not fail");
    }
    Ok(text)
}

/// Reads all files of `payload` in `version` and returns those whose bytes differ: damage on the disk, which the stamp does
/// not show. Takes about a second.
pub fn damaged_files(payload: &Payload, version: &Path) -> Result<Vec<PathBuf>> {
    let mut damaged = Vec::new();
    for member in payload.members() {
        let path = version.join(&member.path);
        if !is_as_packed(&member, &path).at("read", &path)? {
            damaged.push(path);
        }
    }
    Ok(damaged)
}

fn is_as_packed(member: &Member<'_>, path: &Path) -> io::Result<bool> {
    let mut file = match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        file => file?,
    };
    let meta = file.metadata()?;
    let mut intact = meta.len() == member.size && (sparse::is_program(&meta) || !member.executable);
    let mut end = 0;
    for chunk in member.chunks {
        intact &= is_zero(&mut file, end, chunk.offset)?;
        intact &= is_intact(chunk, &read(&mut file, chunk.offset, chunk.length)?);
        end = chunk.offset + chunk.length;
    }
    Ok(intact && is_zero(&mut file, end, member.size)?)
}

fn is_zero(file: &mut File, mut from: u64, to: u64) -> io::Result<bool> {
    while let Some(data) = sparse::next_data(file, from)?.filter(|data| *data < to) {
        from = to.min(data + (1 << 20));
        if !is_hole(&read(file, data, from - data)?) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn read(file: &mut File, from: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(from))?;
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}
