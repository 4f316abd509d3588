//! The stamp of a version: what the file system said of every file right after it was written. It is itself
//! written last, before the version gets its name. A start compares it with what the file system says now: a
//! file that was changed, cut off, replaced or removed since then is found with one `stat` each.

use super::error::{At, Result};
use super::manifest::is_hole;
use super::payload::{Member, Payload, is_intact};
use super::{files, os};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

const NAME: &str = "stamp";

pub fn write(version: &Path, members: &[Member]) -> Result<()> {
    let path = version.join(NAME);
    let text = observe(version, members).at("read the files in", version)?;
    let written = File::create(&path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.at("write", &path)
}

/// Whether `version` is there and as it was written.
pub fn holds(version: &Path, members: &[Member]) -> bool {
    let stamped = fs::read_to_string(version.join(NAME));
    matches!((stamped, observe(version, members)), (Ok(stamped), Ok(now)) if stamped == now)
}

/// A line per file: what the file system says of it, and its path.
fn observe(version: &Path, members: &[Member]) -> io::Result<String> {
    let version = os::Folder::open(version)?;
    let mut text = String::new();
    for member in members {
        let seen = version.look(&member.path)?;
        writeln!(text, "{seen} {}", member.path.display()).expect("a String takes everything");
    }
    Ok(text)
}

/// Reads everything that `payload` has in `version` and returns the files whose bytes are not the payload's:
/// damage below the file system, which no stamp shows. Takes about a second.
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

fn is_as_packed(member: &Member, path: &Path) -> io::Result<bool> {
    let mut file = match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        file => file?,
    };
    let meta = file.metadata()?;
    let mut sound = meta.len() == member.size && (files::is_program(&meta) || !member.executable);
    let mut end = 0;
    for chunk in member.chunks {
        sound &= is_zero(&mut file, end, chunk.offset)?;
        sound &= is_intact(chunk, &read(&mut file, chunk.offset, chunk.length)?);
        end = chunk.offset + chunk.length;
    }
    Ok(sound && is_zero(&mut file, end, member.size)?)
}

fn is_zero(file: &mut File, mut from: u64, to: u64) -> io::Result<bool> {
    while let Some(data) = files::next_data(file, from)?.filter(|data| *data < to) {
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
