//! The fake QEMU with a real command line: it opens every file that the arguments name, and its guest writes to the home
//! disk all the time.

use super::journal;
use serde_json::Value;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

const BOOT: [&str; 4] = [
    "greet",
    "console=[    0.000000] Linux version 6.12\\n",
    "console=Welcome to \\e[1mDebian\\e[0m!\\n",
    "control={\"event\":\"session-ready\"}\\n",
];

/// To the checkpoint.
const CHECKPOINT: [&str; 4] = [
    "greet",
    "console=[    0.000000] Linux version 6.12\\n",
    "console=Welcome to \\e[1mDebian\\e[0m!\\n",
    "control={\"event\":\"checkpoint\"}\\n",
];
/// From the checkpoint to the prompt.
const ENTRY: [&str; 2] = ["read-identity", "control={\"event\":\"session-ready\"}\\n"];

/// Opens all files, starts the guest, and returns the steps to play: the lines of HOME/steps, by default a boot.
pub fn start(args: &[OsString], io_error: fn()) -> Vec<String> {
    if let Err(e) = open(args, io_error) {
        eprintln!("qemu: {e}");
        std::process::exit(1);
    }
    let steps = std::env::var_os("HOME")
        .and_then(|home| std::fs::read_to_string(Path::new(&home).join("steps")).ok());
    let has = |part: &str| args.iter().any(|arg| arg.to_string_lossy().contains(part));
    let own: Vec<&str> = match () {
        () if has("-incoming") => ["greet"].into_iter().chain(ENTRY).collect(),
        () if has("virtualghost.checkpoint") => CHECKPOINT.into_iter().chain(ENTRY).collect(),
        () => BOOT.to_vec(),
    };
    let steps = steps.as_deref().map_or(own, |text| text.lines().collect());
    steps.into_iter().map(str::to_owned).collect()
}

fn open(args: &[OsString], io_error: fn()) -> io::Result<()> {
    overlay()?;
    for pair in args.windows(2) {
        let options = options(&pair[1]);
        let get =
            |key: &str| options.iter().find(|(name, _)| name == key).map(|(_, value)| PathBuf::from(value));
        match pair[0].to_str() {
            Some("-kernel") => drop(opened(Path::new(&pair[1]))?),
            Some("-fw_cfg") => drop(opened(&get("file").expect("a file"))?),
            Some("-drive") if get("id").as_deref() == Some(Path::new("home")) => {
                journal(&get("file").expect("a file"), io_error)?;
            }
            Some("-drive") => drop(opened(&get("file").expect("a file"))?),
            _ => (),
        }
    }
    Ok(())
}

static MEMORY: [u8; 8 << 20] = [7; 8 << 20];

pub fn save(path: &Value) -> io::Result<()> {
    std::fs::write(path.as_str().expect("a path"), &MEMORY[..])
}

/// QEMU prints a message and ends if it cannot restore.
pub fn restore(path: &Value) {
    let saved = std::fs::read(path.as_str().expect("a path"));
    if !saved.is_ok_and(|saved| saved == MEMORY[..]) {
        eprintln!("qemu: load of migration failed");
        std::process::exit(1);
    }
}

pub fn leave_disk(path: &Value) {
    let _ = File::create_new(path.as_str().expect("a path"));
}

pub fn take_home(path: &Value, io_error: fn()) {
    journal(Path::new(path.as_str().expect("a path")), io_error).expect("it opens");
}

fn opened(path: &Path) -> io::Result<File> {
    File::open(path).map_err(|e| io::Error::other(format!("Could not open '{}': {e}", path.display())))
}

/// `snapshot=on`: a file without a name.
fn overlay() -> io::Result<()> {
    let path = std::env::temp_dir().join(format!("vl.{}", std::process::id()));
    File::create_new(&path)?;
    std::fs::remove_file(path)
}

fn journal(path: &Path, io_error: fn()) -> io::Result<()> {
    let mut disk = File::options().read(true).write(true).open(path)?;
    // As QEMU does (its "file" driver, locking=auto).
    disk.try_lock().map_err(|_| io::Error::other("Failed to get \"write\" lock"))?;
    let mut written = journal::read(&disk, None)?;
    let length = disk.metadata()?.len();
    std::thread::spawn(move || {
        loop {
            let (at, block) = written.next();
            if at + block.len() as u64 > length {
                return;
            }
            // Synced before the next block starts.
            let kept = disk.seek(SeekFrom::Start(at)).and_then(|_| disk.write_all(&block));
            if kept.and_then(|()| disk.sync_data()).is_err() {
                return io_error();
            }
            written.add(&block);
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    Ok(())
}

/// `key=value,…`, with `,,` for a comma in a value (QEMU's opts_parse).
fn options(text: &OsStr) -> Vec<(String, OsString)> {
    let mut parts = vec![Vec::new()];
    let mut bytes = text.as_encoded_bytes().iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b',' if bytes.next_if_eq(&b',').is_none() => parts.push(Vec::new()),
            _ => parts.last_mut().expect("never empty").push(byte),
        }
    }
    let pairs = parts.into_iter().map(|part| {
        let (key, value) = part.split_at(part.iter().position(|byte| *byte == b'=').unwrap_or(part.len()));
        // SAFETY: the bytes are an OsStr's, split at or without ASCII commas.
        let value =
            unsafe { OsString::from_encoded_bytes_unchecked(value.get(1..).unwrap_or_default().to_vec()) };
        (String::from_utf8_lossy(key).into_owned(), value)
    });
    pairs.collect()
}
