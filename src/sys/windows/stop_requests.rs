//! Stop requests: console events, and an event that another launcher sets.

use super::processes::{checked, event_name, owned};
use crate::sys::signals::StopSignal;
use std::io::{self, ErrorKind};
use std::os::windows::io::AsRawHandle;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use windows_sys::Win32::Foundation::WAIT_OBJECT_0;
use windows_sys::Win32::System::Console::{CTRL_BREAK_EVENT, CTRL_C_EVENT, SetConsoleCtrlHandler};
use windows_sys::Win32::System::Threading::{CreateEventW, INFINITE, WaitForSingleObject};

/// The caught console events, queued until they are read.
pub struct StopRequests(Receiver<StopSignal>);

impl StopRequests {
    /// Calls `raise` with each, on a new thread.
    pub fn listen(self, raise: impl Fn(StopSignal) + Send + 'static) -> io::Result<()> {
        let Self(requests) = self;
        let listen = move || requests.into_iter().for_each(raise);
        std::thread::Builder::new().name("console events".to_owned()).spawn(listen).map(drop)
    }
}

static REQUESTS: OnceLock<Sender<StopSignal>> = OnceLock::new();

/// Catches the console's events: Ctrl-C, Ctrl-Break, a closed console, the end of the session.
///
/// # Errors
/// They are caught already.
pub fn take_over_stop_requests(_: &[StopSignal]) -> io::Result<StopRequests> {
    let (sender, requests) = channel();
    REQUESTS.set(sender.clone()).map_err(|_| io::Error::from(ErrorKind::AlreadyExists))?;
    listen_to_event(sender);
    // SAFETY: the handler is a function for as long as the program runs.
    checked(unsafe { SetConsoleCtrlHandler(Some(on_console_event), 1) })?;
    Ok(StopRequests(requests))
}

/// Another process requests a stop by setting this launcher's event ([`super::ask_to_stop`]).
fn listen_to_event(requests: Sender<StopSignal>) {
    // SAFETY: no attributes, automatic reset, not set, and a name that ends with a NUL.
    let event = unsafe { CreateEventW(std::ptr::null(), 0, 0, event_name(std::process::id()).as_ptr()) };
    let Ok(event) = owned(event) else { return tracing::warn!("`virtualghost stop` can't reach this VM") };
    std::thread::spawn(move || {
        // SAFETY: the handle is open for as long as this thread runs.
        while unsafe { WaitForSingleObject(event.as_raw_handle(), INFINITE) } == WAIT_OBJECT_0 {
            let _ = requests.send(StopSignal::Terminate);
        }
    });
}

/// Runs on a thread that the system creates. After any event but these two the system ends the process when this returns,
/// and 5 s after the event in any case (HandlerRoutine): some of these are for the guest to power off, the rest for QEMU
/// to write its disks.
unsafe extern "system" fn on_console_event(event: u32) -> i32 {
    const GUESTS: Duration = Duration::from_secs(3);
    let Some(requests) = REQUESTS.get() else { return 0 };
    let is_key = matches!(event, CTRL_C_EVENT | CTRL_BREAK_EVENT);
    let signal = if is_key { StopSignal::Interrupt } else { StopSignal::HangUp };
    // Fails if the receiver is gone.
    let request = || _ = requests.send(signal);
    request();
    if !is_key {
        std::thread::sleep(GUESTS);
        request();
        loop {
            std::thread::park();
        }
    }
    1
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;
    use windows_sys::Win32::System::Console::CTRL_CLOSE_EVENT;

    #[test]
    fn a_closed_console_requests_two_stops_and_lets_the_process_end_itself() {
        let StopRequests(requests) = take_over_stop_requests(&StopSignal::STOP).unwrap();
        let asked = || requests.try_iter().count();
        // SAFETY: it is a function like any other.
        let send = |event| thread::spawn(move || unsafe { on_console_event(event) });
        assert_eq!(send(CTRL_C_EVENT).join().unwrap(), 1);
        assert_eq!(asked(), 1);
        let handler = send(CTRL_CLOSE_EVENT);
        thread::sleep(Duration::from_millis(4500));
        assert_eq!(asked(), 2);
        assert!(!handler.is_finished());
    }
}
