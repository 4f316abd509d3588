//! The guest's side of a copy: a process of the user, with the request in its environment and the files on its standard
//! output or input. Problems are lines on its standard error; with one the status is 1.

use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::protocol::request::{Bytes, REQUEST_VARIABLE, Request};
use crate::tree::{self, Observer, Target};

/// The argument that makes this program a copy's end.
pub const COPY: &str = "copy";

/// # Errors
/// There was a problem with a file, or with the copy as a whole.
pub fn copy() -> io::Result<()> {
    let mut problems = Problems(0);
    match request()? {
        Request::Pack { paths } => {
            let paths: Vec<_> = paths.into_iter().map(path).collect();
            tree::pack(&paths, io::stdout().lock(), &mut problems)?;
        }
        Request::Unpack { target, is_only_source } => {
            let target = path(target);
            let named = |error| io::Error::other(format!("{}: {error}", target.display()));
            let target = Target::new(&target, is_only_source).map_err(named)?;
            tree::unpack(io::stdin().lock(), target, &mut problems)?;
        }
        Request::Run(_) | Request::Signal { .. } => return Err(io::ErrorKind::InvalidInput.into()),
    }
    match problems.0 {
        0 => Ok(()),
        1 => Err(io::Error::other("1 file was not copied")),
        count => Err(io::Error::other(format!("{count} files were not copied"))),
    }
}

fn request() -> io::Result<Request> {
    let is_piece =
        |(name, _): &(OsString, OsString)| name.as_encoded_bytes().starts_with(REQUEST_VARIABLE.as_bytes());
    let mut pieces: Vec<_> = std::env::vars_os().filter(is_piece).collect();
    pieces.sort();
    let texts = pieces.iter().filter_map(|(_, piece)| piece.to_str());
    Ok(Request::parse(texts)?)
}

/// From the home, where the process is: for nothing and `~`, the home itself.
fn path(bytes: Bytes) -> PathBuf {
    let text = match bytes.0.as_slice() {
        b"" | b"~" => b".".to_vec(),
        text => text.strip_prefix(b"~/").map_or_else(|| text.to_vec(), <[u8]>::to_vec),
    };
    let path = PathBuf::from(OsString::from_vec(text));
    if path.as_os_str() == OsStr::new("") { PathBuf::from(".") } else { path }
}

struct Problems(usize);

impl Observer for Problems {
    fn problem(&mut self, path: &Path, because: &dyn Display) {
        self.0 += 1;
        eprintln!("{}: {because}", path.display());
    }

    fn progress(&mut self, _: &Path, _: u64) {}
}
