//! Time limits for calls that have none of their own: a connection that nobody accepts, a driver that does not return.

use anyhow::bail;
use std::io;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// What `request` returns on a thread of its own, which is left behind if the limit expires.
///
/// # Errors
/// The request's own, or that there was no reply within the limit.
pub fn within<T: Send + 'static>(
    limit: Duration,
    request: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let (sender, receiver) = mpsc::channel();
    let started = thread::Builder::new().name("request".to_owned()).spawn(move || sender.send(request()));
    started.map_err(|e| e.to_string())?;
    receiver.recv_timeout(limit).unwrap_or_else(|_| Err(format!("no reply within {} s", limit.as_secs_f32())))
}

/// Waits until `child` ends. When the limit expires, returns None and kills it without waiting for its end: a process that
/// hangs in the kernel ends only when the kernel returns.
///
/// # Errors
/// The system can't report how it ended.
pub fn wait_or_kill(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let until = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= until {
            let _ = child.kill();
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Runs `command` without input, and returns what it printed: not more than a pipe holds (64 KiB, pipe(7)).
///
/// # Errors
/// It can't be started, or did not end within the limit.
pub fn output_within(command: &mut Command, limit: Duration) -> anyhow::Result<Output> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    match wait_or_kill(&mut child, limit)? {
        Some(_) => Ok(child.wait_with_output()?),
        None => bail!("no reply within {} s", limit.as_secs_f32()),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_hangs_is_killed_and_one_that_ends_is_read() {
        let refused = output_within(Command::new("sleep").arg("600"), Duration::from_millis(50)).unwrap_err();
        assert_eq!(refused.to_string(), "no reply within 0.05 s");
        let printed = output_within(Command::new("echo").arg("text"), Duration::from_secs(60)).unwrap();
        assert_eq!(printed.stdout, b"text\n");
    }
}
