//! Descriptors that a new process inherits under fixed numbers.
//!
//! A number that is free in this process may be in use in the new one by the time it is assigned: for a pipe of the standard
//! library, or for what another thread has opened. So the copies that are passed on have high numbers from the start, and the
//! fixed numbers are assigned last, when nothing else is needed.

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// No fixed number is as high.
const FIRST: RawFd = 64;

/// Descriptors with their numbers in the new process.
#[derive(Default)]
pub struct Assigned {
    copies: Vec<(OwnedFd, RawFd)>,
    /// Keep the numbers in use in this process. Otherwise the pipe with which the standard library learns that a program
    /// could not be started may get one of them.
    occupied: Vec<File>,
}

impl Assigned {
    /// Passes on a copy of `descriptor` as `number`.
    ///
    /// # Errors
    /// This process has too many open.
    pub fn add(&mut self, descriptor: impl AsFd, number: RawFd) -> io::Result<()> {
        let copy = fcntl(descriptor, FcntlArg::F_DUPFD_CLOEXEC(FIRST))?;
        // SAFETY: the descriptor is new, and no one else closes it.
        self.copies.push((unsafe { OwnedFd::from_raw_fd(copy) }, number));
        // The system assigns the lowest free number, so once one is above them, they are in use.
        while self.occupied.last().is_none_or(|last| last.as_raw_fd() <= number) {
            self.occupied.push(File::open("/dev/null")?);
        }
        Ok(())
    }

    /// Lets `command` start with them. To be called last: the numbers are assigned after everything else that is to be done
    /// before exec. Keep this until the process has started.
    pub fn hand_to(&self, command: &mut Command) {
        for (from, to) in self.copies.iter().map(|(from, to)| (from.as_raw_fd(), *to)) {
            // SAFETY: numbers; an invalid descriptor is an error.
            let place = move || match unsafe { libc::dup2(from, to) } {
                -1 => Err(io::Error::last_os_error()),
                // The copy stays open at exec (dup2(2)); the original does not.
                _ => Ok(()),
            };
            // SAFETY: between fork and exec, `place` makes one system call and allocates nothing.
            unsafe { command.pre_exec(place) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    /// In a process in which other threads open and close files all the time.
    #[test]
    fn each_descriptor_arrives_under_its_number_whatever_else_is_open() {
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let _files: Vec<_> = (0..8).map(|_| File::open("/dev/null")).collect();
                }
            });
            for _ in 0..50 {
                let mut command = Command::new("sh");
                command.args(["-c", "echo three >&3; echo four >&4; echo five >&5"]);
                let mut assigned = Assigned::default();
                let mut readers = Vec::new();
                for number in 3..6 {
                    let (reader, writer) = io::pipe().unwrap();
                    assigned.add(&writer, number).unwrap();
                    readers.push(reader);
                }
                assigned.hand_to(&mut command);
                let mut child = command.spawn().unwrap();
                drop(assigned);
                assert!(child.wait().unwrap().success());
                let texts = readers.iter_mut().map(|reader| {
                    let mut text = String::new();
                    reader.read_to_string(&mut text).unwrap();
                    text
                });
                assert_eq!(texts.collect::<Vec<_>>(), ["three\n", "four\n", "five\n"]);
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
    }
}
