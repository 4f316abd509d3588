//! When the session is ready: the prompt is on the screen, and the next key arrives.
//!
//! ```text
//! bashrc ─► ghostly-agent first-prompt: the shell waits for a key ─► its prompt is on the screen ─► the compositor has
//!           the keyboards open ─► session-ready ─► the host passes on the keys that it has kept
//! ```

use super::keyboards;
use super::prompt;
use super::screen::{Content, Screen};
use crate::agent::status;
use std::io;
use std::path::Path;
use std::str::FromStr;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The arguments that make this program report the first prompt of the shell with this number, and wait for the screen.
pub const FIRST_PROMPT: &str = "first-prompt";
pub const AWAIT_SCREEN: &str = "await-screen";

/// A shell waits for a key right after it has printed its prompt.
const PROMPT: Duration = Duration::from_secs(2);
/// Without a GPU and without KVM a terminal takes its time for one frame.
const FRAME: Duration = Duration::from_secs(120);
/// A prompt of one or two letters looks like a cursor: after so long it is one.
const BARE: Duration = Duration::from_secs(1);
/// udev has announced the keyboards long before a terminal has drawn a frame.
const KEYBOARDS: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);

/// # Errors
/// The host can't be told.
pub fn first_prompt(shell: Option<&str>) -> io::Result<()> {
    let shell = shell.and_then(|pid| u32::from_str(pid).ok());
    let shell =
        shell.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "first-prompt: no process"))?;
    wait(PROMPT, || prompt::is_waiting(shell));
    report(&status::own_terminal().unwrap_or_default())
}

/// Reports that the session on this terminal is ready, once that is true: a screen that can't be seen is none that is waited
/// for.
pub fn report(terminal: &Path) -> io::Result<()> {
    if let Ok(mut screen) = Screen::open() {
        let _ = wait_for_text(&mut screen);
        wait(KEYBOARDS, || keyboards::are_open(screen.compositor()));
    }
    status::report_ready(terminal)
}

/// Waits until there is text on the screen, or none (`blank`).
///
/// # Errors
/// The screen can't be seen.
pub fn await_screen(what: Option<&str>) -> io::Result<()> {
    let mut screen = Screen::open()?;
    match what {
        Some("text") => wait_for_text(&mut screen),
        Some("blank") => wait_for_blank(&mut screen),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "await-screen: neither text nor blank")),
    }
}

fn wait_for_text(screen: &mut Screen) -> io::Result<()> {
    let limit = Instant::now() + FRAME;
    let mut bare = None;
    loop {
        let until = bare.map_or(limit, |since: Instant| limit.min(since + BARE));
        match screen.next_frame(until)? {
            None | Some(Content::Text) => return Ok(()),
            Some(Content::Something) if bare.is_some_and(|since| since.elapsed() >= BARE) => return Ok(()),
            Some(Content::Something) => drop(bare.get_or_insert_with(Instant::now)),
            Some(Content::Nothing) => bare = None,
        }
    }
}

fn wait_for_blank(screen: &mut Screen) -> io::Result<()> {
    let limit = Instant::now() + FRAME;
    while screen.next_frame(limit)? == Some(Content::Text) {}
    Ok(())
}

fn wait(limit: Duration, mut is_done: impl FnMut() -> bool) {
    let until = Instant::now() + limit;
    while !is_done() && Instant::now() < until {
        sleep(LOOK);
    }
}
