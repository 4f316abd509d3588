//! Reads the disk in an image file, raw or qcow2, for checks before anything starts. QEMU itself reads it in the VM.
//!
//! Source of qcow2: docs/interop/qcow2.rst of QEMU 10. All of its numbers are big-endian.

use super::unfit::Unfit;
use crate::qemu::qcow2::{Format, format_and_size};
use anyhow::{Result, bail};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

const HEADER: usize = 104;
const BACKING_FILE: usize = 8;
const CLUSTER_BITS: usize = 20;
const ENCRYPTION: usize = 32;
const L1_ENTRIES: usize = 36;
const L1_TABLE: usize = 40;
const INCOMPATIBLE: usize = 72;
/// Incompatible features: the data is in another file; the tables have another form.
const EXTERNAL_DATA: u64 = 1 << 2;
const EXTENDED_L2: u64 = 1 << 4;
/// In entries of the tables.
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
const COMPRESSED: u64 = 1 << 62;
const ZEROS: u64 = 1;

pub struct DiskImage {
    file: File,
    /// Of the disk, in bytes.
    size: u64,
    tables: Option<Tables>,
}

struct Tables {
    cluster_bits: u32,
    l1: u64,
    l1_entries: u64,
    is_known: bool,
}

impl DiskImage {
    /// # Errors
    /// It can't be read, or is a qcow2 image that needs more than its file.
    pub fn open(mut file: File, path: &Path) -> Result<Self> {
        let length = file.seek(SeekFrom::End(0))?;
        let mut head = vec![0; HEADER];
        let filled = read_at(&mut file, 0, &mut head)?;
        head.truncate(filled);
        let (format, size) = format_and_size(&head, length);
        let tables = match format {
            Format::Raw => None,
            Format::Qcow2 => Some(Tables::of(&head, path)?),
        };
        Ok(Self { file, size, tables })
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    pub fn is_qcow2(&self) -> bool {
        self.tables.is_some()
    }

    /// At most `length` bytes of the disk from `at` on, fewer at its end. None where the image has them compressed.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn read(&mut self, at: u64, length: usize) -> io::Result<Option<Vec<u8>>> {
        let length = length.min(usize::try_from(self.size.saturating_sub(at)).unwrap_or(usize::MAX));
        let mut bytes = vec![0; length];
        let mut done = 0;
        while done < length {
            let from = at + done as u64;
            let (place, run) = match &self.tables {
                None => (Place::At(from), length),
                Some(tables) => tables.place(&mut self.file, from)?,
            };
            let part = &mut bytes[done..length.min(done.saturating_add(run))];
            match place {
                Place::Unknown => return Ok(None),
                Place::Zeros => {}
                Place::At(offset) => {
                    read_at(&mut self.file, offset, part)?;
                }
            }
            done += part.len();
        }
        Ok(Some(bytes))
    }
}

/// Where in the file bytes of the disk are.
enum Place {
    At(u64),
    Zeros,
    Unknown,
}

impl Tables {
    fn of(head: &[u8], path: &Path) -> Result<Self> {
        let (u32_at, u64_at) = (
            |at: usize| {
                head.get(at..at + 4).map_or(0, |n| u32::from_be_bytes(n.try_into().expect("four bytes")))
            },
            |at: usize| {
                head.get(at..at + 8).map_or(0, |n| u64::from_be_bytes(n.try_into().expect("eight bytes")))
            },
        );
        // A header of version 2 ends before its features.
        let features = if u32_at(4) >= 3 { u64_at(INCOMPATIBLE) } else { 0 };
        let needs = [
            (u64_at(BACKING_FILE) != 0, "needs the image that it was made from"),
            (u32_at(ENCRYPTION) != 0, "is encrypted"),
            (features & EXTERNAL_DATA != 0, "has its data in another file"),
        ];
        if let Some((_, what)) = needs.iter().find(|(is_so, _)| *is_so) {
            let fix = format!("qemu-img convert -O qcow2 {} whole.qcow2", shell(path));
            bail!(Unfit::new(
                format!("the qcow2 image {} {what}", path.display()),
                "make one that is complete",
                fix
            ));
        }
        let cluster_bits = u32_at(CLUSTER_BITS);
        if !(9..=21).contains(&cluster_bits) {
            bail!("the qcow2 image {} is damaged: its clusters have 2^{cluster_bits} bytes", path.display());
        }
        Ok(Self {
            cluster_bits,
            l1: u64_at(L1_TABLE),
            l1_entries: u32_at(L1_ENTRIES).into(),
            is_known: features & EXTENDED_L2 == 0,
        })
    }

    /// The place of the byte at `at`, and how many follow it there.
    fn place(&self, file: &mut File, at: u64) -> io::Result<(Place, usize)> {
        let cluster = 1u64 << self.cluster_bits;
        let within = at % cluster;
        let run = (cluster - within) as usize;
        let l2_bits = self.cluster_bits - 3;
        let (l1_index, l2_index) =
            (at >> (self.cluster_bits + l2_bits), at >> self.cluster_bits & ((1 << l2_bits) - 1));
        if !self.is_known {
            return Ok((Place::Unknown, run));
        }
        if l1_index >= self.l1_entries {
            return Ok((Place::Zeros, run));
        }
        let l2 = entry(file, self.l1, l1_index)? & OFFSET;
        let data = if l2 == 0 { 0 } else { entry(file, l2, l2_index)? };
        let place = match data {
            _ if data & COMPRESSED != 0 => Place::Unknown,
            _ if data & ZEROS != 0 || data & OFFSET == 0 => Place::Zeros,
            _ => Place::At((data & OFFSET).saturating_add(within)),
        };
        Ok((place, run))
    }
}

fn entry(file: &mut File, table: u64, index: u64) -> io::Result<u64> {
    let mut entry = [0; 8];
    read_at(file, table.saturating_add(index * 8), &mut entry)?;
    Ok(u64::from_be_bytes(entry))
}

/// Fills `buffer` as far as there is something, and returns how far.
pub fn read_up_to(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..])? {
            0 => break,
            n => length += n,
        }
    }
    Ok(length)
}

/// The same from `at` on.
fn read_at(file: &mut File, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
    // Beyond what a file may have there is nothing.
    if i64::try_from(at).is_err() {
        return Ok(0);
    }
    file.seek(SeekFrom::Start(at))?;
    read_up_to(file, buffer)
}

/// A path as a word of a command to type.
pub fn shell(path: &Path) -> String {
    let text = path.to_string_lossy();
    shlex::try_quote(&text).map_or_else(|_| text.to_string(), |word| word.into_owned())
}
