//! From the stream to files, below one folder. The stream may be anything.

use super::os::{self, Folder};
use super::{BUFFER, Kind, MAX_DEPTH, MAX_NAME, Observer};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tar::{Archive, EntryType};

/// Zeros of this length, in bytes, become a hole of the file.
const BLOCK: usize = 4096;

/// Where to: into a folder, or to a name in one.
pub struct Target {
    folder: Folder,
    /// Instead of the stream's first name.
    name: Option<OsString>,
    /// Only a folder may get that name.
    is_folder: bool,
}

impl Target {
    /// As cp(1) reads it: a folder that is there, or the name for the only source.
    ///
    /// # Errors
    /// It is no folder and there are several sources, or the folder that it is in does not exist.
    pub fn new(path: &Path, is_only_source: bool) -> io::Result<Self> {
        match Folder::open(path) {
            Ok(folder) => return Ok(Self { folder, name: None, is_folder: false }),
            Err(error) if !is_only_source => return Err(error),
            Err(_) => (),
        }
        let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let last = path.as_os_str().as_encoded_bytes().last();
        let is_folder = last.is_some_and(|&byte| std::path::is_separator(byte.into()));
        Ok(Self { folder: Folder::open(parent)?, name: Some(name.to_owned()), is_folder })
    }
}

/// Writes what the stream holds. What can't be written is reported and left out.
///
/// # Errors
/// The stream ends too early, or is none of [`super::pack`]'s.
pub fn unpack(from: impl Read, target: Target, observer: &mut dyn Observer) -> io::Result<()> {
    let mut unpacker = Unpacker { target, open: Vec::new(), renamed: None, temporary: 0, observer };
    let mut archive = Archive::new(BufReader::with_capacity(BUFFER, from));
    let mut before = Before::default();
    // Raw: else the length of a long name would be the sender's to choose.
    for entry in archive.entries()?.raw(true) {
        let mut entry = entry?;
        let header = entry.header().clone();
        match header.entry_type() {
            EntryType::GNULongName => before.name = Some(short(&mut entry)?),
            EntryType::GNULongLink => before.target = Some(short(&mut entry)?),
            EntryType::XHeader => before.modified = modified(&short(&mut entry)?),
            kind => {
                let seconds = Duration::from_secs(header.mtime().unwrap_or_default());
                let Before { name, target, modified } = std::mem::take(&mut before);
                let name = name.unwrap_or_else(|| header.path_bytes().into_owned());
                let target = target.or_else(|| header.link_name_bytes().map(Into::into)).unwrap_or_default();
                let modified = modified.or_else(|| UNIX_EPOCH.checked_add(seconds)).unwrap_or(UNIX_EPOCH);
                let mode = header.mode().unwrap_or_default();
                let size = header.entry_size()?;
                unpacker.add(kind, &name, Content { mode, modified, size, target, from: &mut entry })?;
            }
        }
    }
    unpacker.close_to(0);
    Ok(())
}

/// What entries of their own tell about the next one.
#[derive(Default)]
struct Before {
    name: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    modified: Option<SystemTime>,
}

fn short(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    from.take(MAX_NAME + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MAX_NAME {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a name in the copy is too long"));
    }
    if text.last() == Some(&0) {
        text.pop();
    }
    Ok(text)
}

/// The time of pax's extended header (pax(1)).
fn modified(records: &[u8]) -> Option<SystemTime> {
    let text = records.split(|&byte| byte == b'\n').find_map(|record| {
        let at = record.iter().position(|&byte| byte == b' ')?;
        record[at + 1..].strip_prefix(b"mtime=")
    })?;
    let (seconds, fraction) = std::str::from_utf8(text).ok()?.split_once('.')?;
    let nanoseconds = format!("{fraction:0<9.9}").parse().ok()?;
    UNIX_EPOCH
        .checked_add(Duration::new(seconds.parse().ok()?, 0))?
        .checked_add(Duration::from_nanos(nanoseconds))
}

struct Content<'a, R> {
    mode: u32,
    modified: SystemTime,
    size: u64,
    /// Of a link.
    target: Vec<u8>,
    from: &'a mut R,
}

/// A folder of the stream that is being filled.
struct Open {
    name: OsString,
    folder: Folder,
    /// Its mode and time, once everything is in it.
    then: Option<(u32, SystemTime)>,
}

struct Unpacker<'a> {
    target: Target,
    /// From the outermost to the innermost.
    open: Vec<Open>,
    /// Whether the target's name replaces the first name of each entry, or comes before it.
    renamed: Option<Renamed>,
    temporary: u64,
    observer: &'a mut dyn Observer,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Renamed {
    Replaces,
    ComesBefore,
}

impl Unpacker<'_> {
    /// An error is one of the stream; everything else is reported.
    fn add<R: Read>(&mut self, kind: EntryType, name: &[u8], content: Content<'_, R>) -> io::Result<()> {
        let shown = PathBuf::from(String::from_utf8_lossy(name).into_owned());
        let names = match self.names(name) {
            Ok(names) => names,
            Err(error) => return self.leave_out(&shown, &error),
        };
        let Some((last, parents)) = names.split_last() else { return Ok(()) };
        let path: PathBuf = names.iter().collect();
        let placed = self.place(parents).and_then(|()| match kind {
            EntryType::Directory => self.make_folder(last, (content.mode, content.modified)),
            EntryType::Regular | EntryType::Continuous if self.target.is_folder && parents.is_empty() => {
                Err(io::Error::other("it would be a file, and the name for it ends as a folder's"))
            }
            EntryType::Regular | EntryType::Continuous => self.make_file(last, &path, content),
            EntryType::Symlink => self.make_link(last, &content),
            _ => Err(io::Error::other("it is neither a file nor a folder nor a link")),
        });
        match placed {
            Err(error) if error.get_ref().is_some_and(|inner| inner.is::<StreamError>()) => Err(error),
            Err(error) => self.leave_out(&path, &error),
            Ok(()) => Ok(()),
        }
    }

    /// The steps of a name, below the target folder.
    fn names(&mut self, name: &[u8]) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for part in name.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".") {
            if part == b".." || part.contains(&0) {
                return Err(io::Error::other("the name leads out of the folder"));
            }
            names.push(os::name_of(part)?.into_owned());
        }
        if name.first() == Some(&b'/') {
            return Err(io::Error::other("the name leads out of the folder"));
        }
        if names.len() > MAX_DEPTH {
            return Err(io::Error::other("too many folders are inside each other"));
        }
        let is_whole = names.is_empty();
        let renamed =
            *self.renamed.get_or_insert(if is_whole { Renamed::ComesBefore } else { Renamed::Replaces });
        if let Some(new) = self.target.name.clone() {
            match renamed {
                Renamed::ComesBefore => names.insert(0, new),
                Renamed::Replaces if is_whole => (),
                Renamed::Replaces => names[0] = new,
            }
        }
        Ok(names)
    }

    /// Makes the folder with these names the innermost open one.
    fn place(&mut self, names: &[OsString]) -> io::Result<()> {
        let same = self.open.iter().zip(names).take_while(|(open, name)| open.name == **name).count();
        self.close_to(same);
        for name in &names[same..] {
            self.enter(name, None)?;
        }
        Ok(())
    }

    fn folder(&self) -> &Folder {
        self.open.last().map_or(&self.target.folder, |open| &open.folder)
    }

    fn enter(&mut self, name: &OsStr, then: Option<(u32, SystemTime)>) -> io::Result<()> {
        if self.folder().look(name)?.is_none() {
            self.folder().make_folder(name)?;
        }
        let folder = self.folder().enter(name)?;
        self.open.push(Open { name: name.to_owned(), folder, then });
        Ok(())
    }

    fn make_folder(&mut self, name: &OsStr, then: (u32, SystemTime)) -> io::Result<()> {
        self.enter(name, Some(then))
    }

    fn make_link<R>(&mut self, name: &OsStr, content: &Content<'_, R>) -> io::Result<()> {
        let target = os::name_of_target(&content.target)?;
        let new = self.temporary_name();
        self.folder().make_link(&target, &new, content.modified)?;
        self.put(&new, name)
    }

    fn make_file<R: Read>(
        &mut self,
        name: &OsStr,
        path: &Path,
        mut content: Content<'_, R>,
    ) -> io::Result<()> {
        let new = self.temporary_name();
        let file = self.folder().create(&new)?;
        let observer = &mut *self.observer;
        let written = copy_sparse(&mut content, &file, |bytes| observer.progress(path, bytes))
            .and_then(|()| os::finish(&file, content.mode, content.modified));
        drop(file);
        match written {
            Ok(()) => self.put(&new, name),
            Err(error) => {
                let _ = self.folder().remove(&new);
                Err(error)
            }
        }
    }

    /// Replaces what has this name, if it is no folder.
    fn put(&mut self, new: &OsStr, name: &OsStr) -> io::Result<()> {
        let is_folder = self.folder().look(name)?.is_some_and(|found| found.kind == Kind::Folder);
        let put = if is_folder {
            Err(io::Error::other("there is a folder of that name"))
        } else {
            self.folder().rename(new, name)
        };
        if put.is_err() {
            let _ = self.folder().remove(new);
        }
        put
    }

    /// A name that a file has until it is complete.
    fn temporary_name(&mut self) -> OsString {
        self.temporary += 1;
        format!(".virtualghost-{}-{}", std::process::id(), self.temporary).into()
    }

    fn close_to(&mut self, depth: usize) {
        while self.open.len() > depth
            && let Some(Open { folder, then, .. }) = self.open.pop()
        {
            if let Some((mode, modified)) = then
                && let Err(error) = folder.finish(mode, modified)
            {
                let path: PathBuf = self.open.iter().map(|open| &open.name).collect();
                self.observer.problem(&path, &error);
            }
        }
    }

    fn leave_out(&mut self, path: &Path, because: &dyn std::fmt::Display) -> io::Result<()> {
        self.observer.problem(path, because);
        Ok(())
    }
}

/// The stream itself ended or broke, in contrast to a file that can't be written.
#[derive(Debug)]
struct StreamError;

impl std::fmt::Display for StreamError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the other side ended too early")
    }
}

impl std::error::Error for StreamError {}

/// Writes the content with holes for its zeros.
fn copy_sparse<R: Read>(
    content: &mut Content<'_, R>,
    mut to: &File,
    mut progress: impl FnMut(u64),
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    let mut left = content.size;
    while left > 0 {
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(BUFFER);
        content.from.read_exact(&mut buffer[..wanted]).map_err(|_| io::Error::other(StreamError))?;
        for block in buffer[..wanted].chunks(BLOCK) {
            if block.iter().all(|&byte| byte == 0) {
                to.seek(SeekFrom::Current(block.len() as i64))?;
            } else {
                to.write_all(block)?;
            }
        }
        left -= wanted as u64;
        progress(wanted as u64);
    }
    to.set_len(content.size)
}
