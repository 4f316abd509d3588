//! SFTP version 3 as bytes (draft-ietf-secsh-filexfer-02): requests are read, replies are written. Names are bytes,
//! as they are for the kernel.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The longest packet, in bytes, as in OpenSSH; the client gets it from `limits@openssh.com`.
pub const MAX_PACKET: u32 = 256 << 10;
/// The most that one READ or WRITE carries: a packet less the fields around the data.
pub const MAX_DATA: u32 = MAX_PACKET - 1024;

pub const VERSION: u32 = 3;

const ATTR_SIZE: u32 = 1;
const ATTR_OWNER: u32 = 2;
const ATTR_PERMISSIONS: u32 = 4;
const ATTR_TIMES: u32 = 8;
const ATTR_EXTENDED: u32 = 1 << 31;

/// Attributes of a file, those that the packet holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    pub size: Option<u64>,
    pub owner: Option<(u32, u32)>,
    pub permissions: Option<u32>,
    /// Accessed, modified, in seconds since 1970.
    pub times: Option<(u32, u32)>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Request<'a> {
    Init { version: u32 },
    Open { path: &'a Path, flags: u32, attributes: Attributes },
    Close { handle: &'a [u8] },
    Read { handle: &'a [u8], offset: u64, length: u32 },
    Write { handle: &'a [u8], offset: u64, data: &'a [u8] },
    Stat { path: &'a Path },
    LinkStat { path: &'a Path },
    HandleStat { handle: &'a [u8] },
    SetStat { path: &'a Path, attributes: Attributes },
    SetLinkStat { path: &'a Path, attributes: Attributes },
    SetHandleStat { handle: &'a [u8], attributes: Attributes },
    OpenDir { path: &'a Path },
    ReadDir { handle: &'a [u8] },
    Remove { path: &'a Path },
    MakeDir { path: &'a Path, attributes: Attributes },
    RemoveDir { path: &'a Path },
    RealPath { path: &'a Path },
    ExpandPath { path: &'a Path },
    ReadLink { path: &'a Path },
    Rename { from: &'a Path, to: &'a Path, replace: bool },
    SymLink { target: &'a Path, link: &'a Path },
    HardLink { from: &'a Path, to: &'a Path },
    Sync { handle: &'a [u8] },
    FileSystem { path: &'a Path },
    HandleFileSystem { handle: &'a [u8] },
    Limits,
    Unknown,
}

/// The packet ends in the middle of a field.
#[derive(Debug, PartialEq, Eq)]
pub struct Truncated;

/// Reads the next packet, without its length, into `packet`. False at the end of the input.
pub fn read_packet(input: &mut impl Read, packet: &mut Vec<u8>) -> io::Result<bool> {
    let mut length = [0; 4];
    match input.read(&mut length)? {
        0 => return Ok(false),
        n => input.read_exact(&mut length[n..])?,
    }
    let length = u32::from_be_bytes(length);
    if !(1..=MAX_PACKET).contains(&length) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("an SFTP packet of {length} bytes")));
    }
    packet.resize(length as usize, 0);
    input.read_exact(packet)?;
    Ok(true)
}

impl<'a> Request<'a> {
    /// The request in a packet, and the number that its reply has to carry.
    pub fn parse(packet: &'a [u8]) -> Result<(u32, Self), Truncated> {
        let mut fields = Fields(packet);
        let kind = fields.byte()?;
        let number = fields.u32()?;
        let request = match kind {
            1 => Self::Init { version: number },
            3 => Self::Open { path: fields.path()?, flags: fields.u32()?, attributes: fields.attributes()? },
            4 => Self::Close { handle: fields.bytes()? },
            5 => Self::Read { handle: fields.bytes()?, offset: fields.u64()?, length: fields.u32()? },
            6 => Self::Write { handle: fields.bytes()?, offset: fields.u64()?, data: fields.bytes()? },
            7 => Self::LinkStat { path: fields.path()? },
            8 => Self::HandleStat { handle: fields.bytes()? },
            9 => Self::SetStat { path: fields.path()?, attributes: fields.attributes()? },
            10 => Self::SetHandleStat { handle: fields.bytes()?, attributes: fields.attributes()? },
            11 => Self::OpenDir { path: fields.path()? },
            12 => Self::ReadDir { handle: fields.bytes()? },
            13 => Self::Remove { path: fields.path()? },
            14 => Self::MakeDir { path: fields.path()?, attributes: fields.attributes()? },
            15 => Self::RemoveDir { path: fields.path()? },
            16 => Self::RealPath { path: fields.path()? },
            17 => Self::Stat { path: fields.path()? },
            18 => Self::Rename { from: fields.path()?, to: fields.path()?, replace: false },
            19 => Self::ReadLink { path: fields.path()? },
            // OpenSSH's order, which all clients follow; the draft has it the other way round.
            20 => Self::SymLink { target: fields.path()?, link: fields.path()? },
            200 => Self::extension(fields)?,
            _ => Self::Unknown,
        };
        Ok((number, request))
    }

    /// OpenSSH's PROTOCOL, section 4.
    fn extension(mut fields: Fields<'a>) -> Result<Self, Truncated> {
        Ok(match fields.bytes()? {
            b"posix-rename@openssh.com" => {
                Self::Rename { from: fields.path()?, to: fields.path()?, replace: true }
            }
            b"hardlink@openssh.com" => Self::HardLink { from: fields.path()?, to: fields.path()? },
            b"fsync@openssh.com" => Self::Sync { handle: fields.bytes()? },
            b"statvfs@openssh.com" => Self::FileSystem { path: fields.path()? },
            b"fstatvfs@openssh.com" => Self::HandleFileSystem { handle: fields.bytes()? },
            b"lsetstat@openssh.com" => {
                Self::SetLinkStat { path: fields.path()?, attributes: fields.attributes()? }
            }
            b"expand-path@openssh.com" => Self::ExpandPath { path: fields.path()? },
            b"limits@openssh.com" => Self::Limits,
            _ => Self::Unknown,
        })
    }
}

/// The extensions that [`Request`] knows, with their versions, for the VERSION packet.
pub const EXTENSIONS: [(&str, &str); 8] = [
    ("posix-rename@openssh.com", "1"),
    ("hardlink@openssh.com", "1"),
    ("fsync@openssh.com", "1"),
    ("statvfs@openssh.com", "2"),
    ("fstatvfs@openssh.com", "2"),
    ("lsetstat@openssh.com", "1"),
    ("expand-path@openssh.com", "1"),
    ("limits@openssh.com", "1"),
];

struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Truncated> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Truncated> {
        Ok(self.take(1)?[0])
    }

    fn u32(&mut self) -> Result<u32, Truncated> {
        self.take(4)?.try_into().map(u32::from_be_bytes).map_err(|_| Truncated)
    }

    fn u64(&mut self) -> Result<u64, Truncated> {
        self.take(8)?.try_into().map(u64::from_be_bytes).map_err(|_| Truncated)
    }

    fn bytes(&mut self) -> Result<&'a [u8], Truncated> {
        let length = self.u32()?;
        self.take(length as usize)
    }

    /// An empty path is the folder that the session starts in.
    fn path(&mut self) -> Result<&'a Path, Truncated> {
        let bytes = self.bytes()?;
        Ok(Path::new(OsStr::from_bytes(if bytes.is_empty() { b"." } else { bytes })))
    }

    fn attributes(&mut self) -> Result<Attributes, Truncated> {
        let flags = self.u32()?;
        let mut found = Attributes::default();
        if flags & ATTR_SIZE != 0 {
            found.size = Some(self.u64()?);
        }
        if flags & ATTR_OWNER != 0 {
            found.owner = Some((self.u32()?, self.u32()?));
        }
        if flags & ATTR_PERMISSIONS != 0 {
            found.permissions = Some(self.u32()?);
        }
        if flags & ATTR_TIMES != 0 {
            found.times = Some((self.u32()?, self.u32()?));
        }
        if flags & ATTR_EXTENDED != 0 {
            for _ in 0..self.u32()? {
                self.bytes()?;
                self.bytes()?;
            }
        }
        Ok(found)
    }
}

/// A reply, being written behind the place of its length.
pub struct Reply(Vec<u8>);

impl Reply {
    pub fn new(kind: u8, number: u32) -> Self {
        Self(vec![0, 0, 0, 0, kind]).u32(number)
    }

    pub fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub fn u64(mut self, value: u64) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub fn bytes(self, bytes: &[u8]) -> Self {
        let mut reply = self.u32(bytes.len() as u32);
        reply.0.extend(bytes);
        reply
    }

    pub fn attributes(self, a: &Attributes) -> Self {
        let flag = |there: bool, flag: u32| if there { flag } else { 0 };
        let mut reply = self.u32(
            flag(a.size.is_some(), ATTR_SIZE)
                | flag(a.owner.is_some(), ATTR_OWNER)
                | flag(a.permissions.is_some(), ATTR_PERMISSIONS)
                | flag(a.times.is_some(), ATTR_TIMES),
        );
        if let Some(size) = a.size {
            reply = reply.u64(size);
        }
        if let Some((uid, gid)) = a.owner {
            reply = reply.u32(uid).u32(gid);
        }
        if let Some(permissions) = a.permissions {
            reply = reply.u32(permissions);
        }
        if let Some((accessed, modified)) = a.times {
            reply = reply.u32(accessed).u32(modified);
        }
        reply
    }

    /// The packet, with its length.
    pub fn finish(mut self) -> Vec<u8> {
        let length = (self.0.len() - 4) as u32;
        self.0[..4].copy_from_slice(&length.to_be_bytes());
        self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_need_not_be_text() {
        let packet = [&[17, 0, 0, 0, 9, 0, 0, 0, 3][..], b"a\xff\n"].concat();
        let path = Path::new(OsStr::from_bytes(b"a\xff\n"));
        assert_eq!(Request::parse(&packet), Ok((9, Request::Stat { path })));
    }

    #[test]
    fn attributes_are_read_as_they_are_written() {
        let attributes =
            Attributes { size: Some(1 << 40), permissions: Some(0o644), ..Attributes::default() };
        let packet = Reply::new(9, 1).bytes(b"f").attributes(&attributes).finish();
        let request = Request::SetStat { path: Path::new("f"), attributes };
        assert_eq!(Request::parse(&packet[4..]), Ok((1, request)));
    }

    #[test]
    fn a_packet_that_is_too_long_is_refused_before_it_is_read() {
        for length in [0, MAX_PACKET + 1, u32::MAX] {
            let mut input = &length.to_be_bytes()[..];
            assert!(read_packet(&mut input, &mut Vec::new()).is_err(), "{length}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(kind in prop_oneof![0u8..=21, Just(200)], rest: Vec<u8>) {
            let _ = Request::parse(&[&[kind][..], &rest].concat());
        }

        #[test]
        fn every_cut_of_a_request_is_noticed(cut in 0usize..40) {
            let open = Reply::new(3, 7).bytes(b"some name").u32(1).attributes(&Attributes {
                size: Some(1), owner: Some((2, 3)), ..Attributes::default()
            }).finish();
            let packet = &open[4..];
            if cut < packet.len() {
                prop_assert_eq!(Request::parse(&packet[..cut]), Err(Truncated));
            }
        }
    }
}
