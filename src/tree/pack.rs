//! From files to the stream. What can't be read is reported and left out.

use super::os::{self, Folder};
use super::{BUFFER, Kind, MAX_DEPTH, Metadata, Observer, since_1970};
use std::ffi::{OsStr, OsString};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use tar::{Builder, EntryType, Header};

/// The longest name in a header; a longer one has an entry of its own before it.
const SHORT: usize = 100;

/// Writes what is at the paths to the stream, under their last names. Of a path without one (`.`, `..`, `/`), what is in the
/// folder is written, after an entry for the folder itself, whose name is `.`.
///
/// # Errors
/// The stream can't be written.
pub fn pack(paths: &[PathBuf], to: impl Write, observer: &mut dyn Observer) -> io::Result<()> {
    let mut packer = Packer { to: Builder::new(BufWriter::with_capacity(BUFFER, to)), observer };
    for path in paths {
        packer.add_path(path)?;
    }
    packer.to.into_inner()?.flush()
}

struct Packer<'a, W: Write> {
    to: Builder<W>,
    observer: &'a mut dyn Observer,
}

impl<W: Write> Packer<'_, W> {
    fn add_path(&mut self, path: &Path) -> io::Result<()> {
        let (parent, name) = split(path);
        // A slash after a link means what it points to.
        let is_itself = name.is_none() || ends_with_separator(path);
        let name = name.unwrap_or_else(|| ".".into());
        match Folder::open(if is_itself { path } else { &parent }) {
            Err(error) => self.leave_out(path, &error),
            Ok(folder) if is_itself => self.add_open_folder(&folder, None, Path::new(&name), 0),
            Ok(folder) => self.add(&folder, &name, Path::new(&name), 0),
        }
    }

    /// Writes what has this name in the folder; `path` is its name in the stream.
    fn add(&mut self, folder: &Folder, name: &OsStr, path: &Path, depth: usize) -> io::Result<()> {
        let found = match folder.look(name) {
            Ok(Some(found)) => found,
            Ok(None) => return self.leave_out(path, &"it does not exist"),
            Err(error) => return self.leave_out(path, &error),
        };
        match found.kind {
            Kind::Folder if depth >= MAX_DEPTH => {
                self.leave_out(path, &"too many folders are inside each other")
            }
            Kind::Folder => match folder.enter(name) {
                Ok(inner) => self.add_open_folder(&inner, Some(found), path, depth),
                Err(error) => self.leave_out(path, &error),
            },
            Kind::File => match folder.open_file(name).and_then(|file| Ok((file.metadata()?.len(), file))) {
                Ok((size, file)) => self.add_file(file, size, found, path),
                Err(error) => self.leave_out(path, &error),
            },
            Kind::Link => match folder.read_link(name) {
                Ok(target) => self.write(EntryType::Symlink, path, Some(&target), 0, found, io::empty()),
                Err(error) => self.leave_out(path, &error),
            },
            Kind::Other => self.leave_out(path, &"it is neither a file nor a folder nor a link"),
        }
    }

    fn add_open_folder(
        &mut self,
        folder: &Folder,
        found: Option<Metadata>,
        path: &Path,
        depth: usize,
    ) -> io::Result<()> {
        let names = match folder.names() {
            Ok(names) => names,
            Err(error) => return self.leave_out(path, &error),
        };
        let itself = folder.look(OsStr::new(".")).ok().flatten();
        let Some(found) = found.or(itself) else {
            return self.leave_out(path, &"it does not exist any more");
        };
        self.write(EntryType::Directory, path, None, 0, found, io::empty())?;
        for name in names {
            self.add(folder, &name, &path.join(&name), depth + 1)?;
        }
        Ok(())
    }

    fn add_file(&mut self, file: impl Read, size: u64, found: Metadata, path: &Path) -> io::Result<()> {
        let mut content = Content { file, path, left: size, problem: None, observer: &mut *self.observer };
        let header = match header(EntryType::Regular, path, None, size, found) {
            Ok(header) => header,
            Err(error) => return self.leave_out(path, &error),
        };
        write_long_names(&mut self.to, path, None)?;
        write_nanoseconds(&mut self.to, found)?;
        self.to.append(&header, &mut content)?;
        match content.problem.take() {
            Some(error) => self.leave_out(path, &error),
            None => Ok(()),
        }
    }

    fn write(
        &mut self,
        kind: EntryType,
        path: &Path,
        target: Option<&OsStr>,
        size: u64,
        found: Metadata,
        content: impl Read,
    ) -> io::Result<()> {
        let header = match header(kind, path, target, size, found) {
            Ok(header) => header,
            Err(error) => return self.leave_out(path, &error),
        };
        write_long_names(&mut self.to, path, target)?;
        write_nanoseconds(&mut self.to, found)?;
        self.to.append(&header, content)
    }

    fn leave_out(&mut self, path: &Path, because: &dyn std::fmt::Display) -> io::Result<()> {
        self.observer.problem(path, because);
        Ok(())
    }
}

/// A file's content with exactly the announced length, whatever happens to the file meanwhile.
struct Content<'a, R> {
    file: R,
    path: &'a Path,
    left: u64,
    problem: Option<io::Error>,
    observer: &'a mut dyn Observer,
}

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = &mut buffer[..wanted];
        if wanted == 0 {
            return Ok(0);
        }
        let mut length = wanted;
        if self.problem.is_none() {
            match self.file.read(buffer) {
                Ok(0) => {
                    self.problem = Some(io::Error::other("it became shorter; the rest of the copy is zeros"));
                }
                Ok(read) => length = read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => return Err(e),
                Err(error) => self.problem = Some(error),
            }
        }
        if self.problem.is_some() {
            buffer.fill(0);
        }
        self.left -= length as u64;
        self.observer.progress(self.path, length as u64);
        Ok(length)
    }
}

fn header(
    kind: EntryType,
    path: &Path,
    target: Option<&OsStr>,
    size: u64,
    found: Metadata,
) -> io::Result<Header> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(found.mode);
    header.set_size(size);
    header.set_mtime(since_1970(found.modified).as_secs());
    let name = stream_name(path)?;
    let short = |bytes: &[u8]| bytes[..bytes.len().min(SHORT)].to_vec();
    let (name, target) = (short(&name), target.map(os::os_bytes).transpose()?.map(short).unwrap_or_default());
    let fields = header.as_old_mut();
    fields.name[..name.len()].copy_from_slice(&name);
    fields.linkname[..target.len()].copy_from_slice(&target);
    header.set_cksum();
    Ok(header)
}

/// With slashes, on every system.
fn stream_name(path: &Path) -> io::Result<Vec<u8>> {
    let parts = path.iter().map(os::os_bytes).collect::<io::Result<Vec<_>>>()?;
    Ok(parts.join(&b'/'))
}

/// GNU's entries for what does not fit a header (tar(5), "@LongLink").
fn write_long_names<W: Write>(to: &mut Builder<W>, path: &Path, target: Option<&OsStr>) -> io::Result<()> {
    let target = target.map(os::os_bytes).transpose()?.unwrap_or_default();
    for (kind, bytes) in [(EntryType::GNULongName, &stream_name(path)?[..]), (EntryType::GNULongLink, target)]
    {
        if bytes.len() > SHORT {
            let mut header = Header::new_gnu();
            header.set_entry_type(kind);
            header.set_size(bytes.len() as u64);
            header.set_cksum();
            to.append(&header, bytes)?;
        }
    }
    Ok(())
}

/// The time of the last change as pax has it (pax(1), "mtime"), where a header's seconds are not enough.
fn write_nanoseconds<W: Write>(to: &mut Builder<W>, found: Metadata) -> io::Result<()> {
    let since = since_1970(found.modified);
    if since.subsec_nanos() == 0 {
        return Ok(());
    }
    let time = format!("{}.{:09}", since.as_secs(), since.subsec_nanos());
    to.append_pax_extensions([("mtime", time.as_bytes())])
}

/// A path's parent and its last name, if it has one. Not by [`Path`], for which `a/.` ends with `a`.
fn split(path: &Path) -> (PathBuf, Option<OsString>) {
    let bytes = path.as_os_str().as_encoded_bytes();
    let trimmed =
        bytes.iter().rposition(|&byte| !std::path::is_separator(byte.into())).map_or(0, |last| last + 1);
    let start = bytes[..trimmed]
        .iter()
        .rposition(|&byte| std::path::is_separator(byte.into()))
        .map_or(0, |at| at + 1);
    if matches!(&bytes[start..trimmed], b"" | b"." | b"..") {
        return (path.to_owned(), None);
    }
    let name = path.file_name().map(OsStr::to_owned);
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    (parent.to_owned(), name)
}

fn ends_with_separator(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().last().is_some_and(|&byte| std::path::is_separator(byte.into()))
}
