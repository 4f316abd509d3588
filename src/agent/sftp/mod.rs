//! The file server of a session: SFTP on standard input and output, run as the session's user, so that the kernel
//! decides about every file. One request after the other; it knows nothing of SSH.
//!
//! It is our own because russh-sftp's server takes names as text, and a file whose name is none could be neither
//! listed nor fetched.

mod files;
mod listing;
mod wire;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use nix::sys::statvfs::Statvfs;

use files::Handle;
use wire::{Attributes, MAX_DATA, MAX_PACKET, Reply, Request};

/// How many files may be open at once.
const MAX_HANDLES: usize = 512;

/// Serves one client, until it closes `input`.
pub fn serve(input: impl Read, output: impl Write) -> io::Result<()> {
    let mut input = BufReader::with_capacity(MAX_PACKET as usize, input);
    let mut output = BufWriter::with_capacity(MAX_PACKET as usize, output);
    let mut server = Server::default();
    let mut packet = Vec::new();
    loop {
        // Replies to requests that came together leave together.
        if input.buffer().is_empty() {
            output.flush()?;
        }
        if !wire::read_packet(&mut input, &mut packet)? {
            return output.flush();
        }
        let (number, request) = Request::parse(&packet)
            .map_err(|_| io::Error::new(ErrorKind::InvalidData, "an SFTP packet that ends too early"))?;
        let reply = server.answer(number, request).unwrap_or_else(|error| failure(number, &error));
        output.write_all(&reply.finish())?;
    }
}

#[derive(Default)]
struct Server {
    handles: HashMap<u32, Handle>,
    last_handle: u32,
    names: listing::Names,
}

impl Server {
    fn answer(&mut self, number: u32, request: Request<'_>) -> io::Result<Reply> {
        let done = |result: io::Result<()>| result.map(|()| status(number, 0, "Success"));
        let attributes = |found: Attributes| Reply::new(105, number).attributes(&found);
        match request {
            Request::Init { .. } => Ok(version()),
            Request::Open { path, flags, attributes } => {
                let file = files::open(path, flags, attributes.permissions)?;
                self.keep(number, Handle::File(file))
            }
            Request::OpenDir { path } => self.keep(number, Handle::Folder(files::list(path)?)),
            Request::Close { handle } => {
                let handle = self.number_of(handle)?;
                self.handles.remove(&handle);
                done(Ok(()))
            }
            Request::Read { handle, offset, length } => {
                let mut data = vec![0; length.min(MAX_DATA) as usize];
                let read = self.file(handle)?.read_at(&mut data, offset)?;
                if read == 0 && length > 0 {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
                Ok(Reply::new(103, number).bytes(&data[..read]))
            }
            Request::Write { handle, offset, data } => done(self.file(handle)?.write_all_at(data, offset)),
            Request::Stat { path } => Ok(attributes(files::attributes(&std::fs::metadata(path)?))),
            Request::LinkStat { path } => {
                Ok(attributes(files::attributes(&std::fs::symlink_metadata(path)?)))
            }
            Request::HandleStat { handle } => {
                Ok(attributes(files::attributes(&self.file(handle)?.metadata()?)))
            }
            Request::SetStat { path, attributes } => done(files::set(path, &attributes, true)),
            Request::SetLinkStat { path, attributes } => done(files::set(path, &attributes, false)),
            Request::SetHandleStat { handle, attributes } => {
                done(files::set_open(self.file(handle)?, &attributes))
            }
            Request::ReadDir { handle } => self.read_dir(number, handle),
            Request::Remove { path } => done(std::fs::remove_file(path)),
            Request::MakeDir { path, attributes } => done(files::make_dir(path, attributes.permissions)),
            Request::RemoveDir { path } => done(std::fs::remove_dir(path)),
            Request::RealPath { path } => Ok(name(number, files::real_path(path)?.as_os_str())),
            Request::ExpandPath { path } => {
                Ok(name(number, files::real_path(&files::expand(path)?)?.as_os_str()))
            }
            Request::ReadLink { path } => Ok(name(number, std::fs::read_link(path)?.as_os_str())),
            Request::Rename { from, to, replace: true } => done(std::fs::rename(from, to)),
            Request::Rename { from, to, replace: false } => done(files::rename_to_new(from, to)),
            Request::SymLink { target, link } => done(std::os::unix::fs::symlink(target, link)),
            Request::HardLink { from, to } => done(std::fs::hard_link(from, to)),
            Request::Sync { handle } => done(self.file(handle)?.sync_all()),
            Request::FileSystem { path } => Ok(file_system(number, &nix::sys::statvfs::statvfs(path)?)),
            Request::HandleFileSystem { handle } => {
                Ok(file_system(number, &nix::sys::statvfs::fstatvfs(self.file(handle)?)?))
            }
            Request::Limits => Ok(Reply::new(201, number)
                .u64(MAX_PACKET.into())
                .u64(MAX_DATA.into())
                .u64(MAX_DATA.into())
                .u64(MAX_HANDLES as u64)),
            Request::Unknown => Err(ErrorKind::Unsupported.into()),
        }
    }

    fn keep(&mut self, number: u32, handle: Handle) -> io::Result<Reply> {
        if self.handles.len() >= MAX_HANDLES {
            return Err(Errno::EMFILE.into());
        }
        while self.handles.contains_key(&self.last_handle) {
            self.last_handle = self.last_handle.wrapping_add(1);
        }
        self.handles.insert(self.last_handle, handle);
        Ok(Reply::new(102, number).bytes(&self.last_handle.to_be_bytes()))
    }

    fn number_of(&self, handle: &[u8]) -> io::Result<u32> {
        let number = handle.try_into().map(u32::from_be_bytes).ok();
        number.filter(|n| self.handles.contains_key(n)).ok_or_else(|| Errno::EBADF.into())
    }

    fn file(&self, handle: &[u8]) -> io::Result<&std::fs::File> {
        match &self.handles[&self.number_of(handle)?] {
            Handle::File(file) => Ok(file),
            Handle::Folder(_) => Err(Errno::EISDIR.into()),
        }
    }

    /// As many entries as fill a packet half; the end of the folder is an error of its own kind.
    fn read_dir(&mut self, number: u32, handle: &[u8]) -> io::Result<Reply> {
        let handle = self.number_of(handle)?;
        let Some(Handle::Folder(folder)) = self.handles.get_mut(&handle) else {
            return Err(Errno::ENOTDIR.into());
        };
        let mut entries = Vec::new();
        let mut size = 0;
        while size < MAX_PACKET as usize / 2
            && let Some(entry) = folder.next()
        {
            let (name, metadata) = entry?;
            let line = self.names.long_line(&name, &metadata);
            size += name.len() + line.len() + 40;
            entries.push((name, line, files::attributes(&metadata)));
        }
        if entries.is_empty() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let reply = Reply::new(104, number).u32(entries.len() as u32);
        Ok(entries.iter().fold(reply, |reply, (name, line, attributes)| {
            reply.bytes(name.as_bytes()).bytes(line).attributes(attributes)
        }))
    }
}

fn version() -> Reply {
    let reply = Reply::new(2, wire::VERSION);
    wire::EXTENSIONS
        .iter()
        .fold(reply, |reply, (name, data)| reply.bytes(name.as_bytes()).bytes(data.as_bytes()))
}

fn name(number: u32, name: &OsStr) -> Reply {
    let bytes = name.as_bytes();
    Reply::new(104, number).u32(1).bytes(bytes).bytes(bytes).attributes(&Attributes::default())
}

fn file_system(number: u32, found: &Statvfs) -> Reply {
    // OpenSSH's PROTOCOL, section 4.4.
    const READ_ONLY: u64 = 1;
    const NO_SETUID: u64 = 2;
    let flag = |flag, wire| if found.flags().contains(flag) { wire } else { 0 };
    let flags = flag(nix::sys::statvfs::FsFlags::ST_RDONLY, READ_ONLY)
        | flag(nix::sys::statvfs::FsFlags::ST_NOSUID, NO_SETUID);
    [
        found.block_size(),
        found.fragment_size(),
        found.blocks(),
        found.blocks_free(),
        found.blocks_available(),
        found.files(),
        found.files_free(),
        found.files_available(),
        found.filesystem_id(),
        flags,
        found.name_max(),
    ]
    .into_iter()
    .fold(Reply::new(201, number), Reply::u64)
}

fn status(number: u32, code: u32, message: &str) -> Reply {
    Reply::new(101, number).u32(code).bytes(message.as_bytes()).bytes(b"en")
}

/// The codes of section 7 of the draft; the text is what the client's user reads.
fn failure(number: u32, error: &io::Error) -> Reply {
    let code = match error.kind() {
        ErrorKind::UnexpectedEof => return status(number, 1, "End of file"),
        ErrorKind::NotFound | ErrorKind::NotADirectory => 2,
        ErrorKind::PermissionDenied => 3,
        ErrorKind::Unsupported => 8,
        _ => 4,
    };
    let text = match error.raw_os_error() {
        Some(number) => Errno::from_raw(number).desc().to_owned(),
        None => error.to_string(),
    };
    status(number, code, &text)
}
