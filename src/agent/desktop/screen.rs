//! What is on the screen. The compositor copies its next frame for whoever asks (wlr-screencopy), so what is seen here is
//! what the user sees.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};
use wayland_client::globals::{GlobalListContents, registry_queue_init};
use wayland_client::protocol::{wl_buffer, wl_output, wl_registry, wl_shm, wl_shm_pool};
use wayland_client::{Connection, Dispatch, EventQueue, QueueHandle, WEnum, delegate_noop};
use wayland_protocols_wlr::screencopy::v1::client::zwlr_screencopy_frame_v1::{
    self as frame, ZwlrScreencopyFrameV1,
};
use wayland_protocols_wlr::screencopy::v1::client::zwlr_screencopy_manager_v1::ZwlrScreencopyManagerV1;

/// What a frame shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Content {
    /// One colour.
    Nothing,
    /// No more than a cursor.
    Something,
    /// As many strokes in a line as letters have.
    Text,
}

pub struct Screen {
    queue: EventQueue<Frame>,
    manager: ZwlrScreencopyManagerV1,
    output: wl_output::WlOutput,
    shm: wl_shm::WlShm,
    compositor: u32,
}

impl Screen {
    /// The screen of this process's Wayland session.
    ///
    /// # Errors
    /// There is none, or its compositor copies no frames.
    pub fn open() -> io::Result<Self> {
        let variable =
            |name| std::env::var_os(name).ok_or_else(|| io::Error::other(format!("${name} is not set")));
        let path = Path::new(&variable("XDG_RUNTIME_DIR")?).join(variable("WAYLAND_DISPLAY")?);
        let socket = UnixStream::connect(path)?;
        let compositor = getsockopt(&socket, PeerCredentials)?.pid() as u32;
        let connection = Connection::from_socket(socket).map_err(io::Error::other)?;
        let (globals, queue) = registry_queue_init::<Frame>(&connection).map_err(io::Error::other)?;
        let handle = queue.handle();
        let bind = |error| io::Error::other(format!("the compositor: {error}"));
        Ok(Self {
            manager: globals.bind(&handle, 2..=3, ()).map_err(bind)?,
            output: globals.bind(&handle, 1..=1, ()).map_err(bind)?,
            shm: globals.bind(&handle, 1..=1, ()).map_err(bind)?,
            compositor,
            queue,
        })
    }

    /// The compositor's process.
    pub fn compositor(&self) -> u32 {
        self.compositor
    }

    /// What the screen shows when it has changed since the last call; None if it does not before `until`.
    ///
    /// # Errors
    /// The compositor has ended, or its frames can't be read.
    pub fn next_frame(&mut self, until: Instant) -> io::Result<Option<Content>> {
        let handle = self.queue.handle();
        let mut frame = Frame::default();
        let copy = self.manager.capture_output(0, &self.output, &handle, ());
        let content = self.copy(&copy, &mut frame, until);
        copy.destroy();
        content
    }

    fn copy(
        &mut self,
        copy: &ZwlrScreencopyFrameV1,
        frame: &mut Frame,
        until: Instant,
    ) -> io::Result<Option<Content>> {
        let cannot = || io::Error::other("the compositor can't copy a frame");
        if !self.dispatch(frame, until, |frame| frame.format.is_some() || frame.done.is_some())? {
            return Ok(None);
        }
        let Format { format, width, height, stride } = frame.format.ok_or_else(cannot)?;
        // All of these formats have a byte for each colour in the first three.
        if stride / width != PIXEL as u32 {
            return Err(io::Error::other(format!("frames have the format {format:?}")));
        }
        let memory = File::from(memfd_create(c"frame", MFdFlags::MFD_CLOEXEC)?);
        memory.set_len(u64::from(stride) * u64::from(height))?;
        let handle = self.queue.handle();
        let size = [width, height, stride].map(|n| n as i32);
        let pool = self.shm.create_pool(memory.as_fd(), size[2] * size[1], &handle, ());
        let buffer = pool.create_buffer(0, size[0], size[1], size[2], format, &handle, ());
        copy.copy_with_damage(&buffer);
        let arrived = self.dispatch(frame, until, |frame| frame.done.is_some());
        buffer.destroy();
        pool.destroy();
        match (arrived?, frame.done) {
            (false, _) => Ok(None),
            (true, Some(true)) => content(&memory, width, height, stride).map(Some),
            (true, _) => Err(cannot()),
        }
    }

    /// Handles events until `is_done`. Whether it was before `until`.
    fn dispatch(
        &mut self,
        frame: &mut Frame,
        until: Instant,
        is_done: impl Fn(&Frame) -> bool,
    ) -> io::Result<bool> {
        loop {
            self.queue.dispatch_pending(frame).map_err(io::Error::other)?;
            if is_done(frame) {
                return Ok(true);
            }
            self.queue.flush().map_err(io::Error::other)?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            let Some(events) = self.queue.prepare_read() else { continue };
            let socket = events.connection_fd();
            let mut waiting = [PollFd::new(socket, PollFlags::POLLIN)];
            let left = PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
            match poll(&mut waiting, left) {
                Ok(0) | Err(nix::errno::Errno::EINTR) => (),
                Ok(_) => drop(events.read().map_err(io::Error::other)?),
                Err(e) => return Err(e.into()),
            }
        }
    }
}

/// Bytes of a pixel.
const PIXEL: usize = 4;
/// Rows that are looked at: letters are higher.
const STEP: usize = 3;
/// Two pixels differ by at least so much, in all their colours together.
const CONTRAST: u32 = 90;
/// A cursor changes the colour twice in a row of pixels, the strokes of a few letters do it more often.
const STROKES: usize = 6;

fn content(frame: &File, width: u32, height: u32, stride: u32) -> io::Result<Content> {
    let mut row = vec![0; width as usize * PIXEL];
    let mut most = Content::Nothing;
    for number in (0..height).step_by(STEP) {
        frame.read_exact_at(&mut row, u64::from(number) * u64::from(stride))?;
        most = most.max(content_of(changes(&row)));
        if most == Content::Text {
            break;
        }
    }
    Ok(most)
}

fn content_of(changes: usize) -> Content {
    match changes {
        0 => Content::Nothing,
        1..STROKES => Content::Something,
        _ => Content::Text,
    }
}

/// How often the colour changes in a row of pixels.
fn changes(row: &[u8]) -> usize {
    let differ = |(a, b): (&[u8], &[u8])| {
        (0..3).map(|colour| u32::from(a[colour].abs_diff(b[colour]))).sum::<u32>() >= CONTRAST
    };
    row.chunks_exact(PIXEL).zip(row[PIXEL..].chunks_exact(PIXEL)).filter(|&pixels| differ(pixels)).count()
}

#[derive(Debug, Clone, Copy)]
struct Format {
    format: wl_shm::Format,
    width: u32,
    height: u32,
    stride: u32,
}

/// What the compositor says of a frame.
#[derive(Debug, Default)]
struct Frame {
    format: Option<Format>,
    /// It is copied, or can't be.
    done: Option<bool>,
}

impl Dispatch<ZwlrScreencopyFrameV1, ()> for Frame {
    fn event(
        state: &mut Self,
        _: &ZwlrScreencopyFrameV1,
        event: frame::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        match event {
            frame::Event::Buffer { format: WEnum::Value(format), width, height, stride } if width > 0 => {
                state.format = Some(Format { format, width, height, stride });
            }
            frame::Event::Ready { .. } => state.done = Some(true),
            frame::Event::Buffer { .. } | frame::Event::Failed => state.done = Some(false),
            _ => (),
        }
    }
}

/// Screens that come and go are not followed.
impl Dispatch<wl_registry::WlRegistry, GlobalListContents> for Frame {
    fn event(
        _: &mut Self,
        _: &wl_registry::WlRegistry,
        _: wl_registry::Event,
        _: &GlobalListContents,
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
    }
}

delegate_noop!(Frame: ignore wl_output::WlOutput);
delegate_noop!(Frame: ignore wl_shm::WlShm);
delegate_noop!(Frame: ignore wl_buffer::WlBuffer);
delegate_noop!(Frame: wl_shm_pool::WlShmPool);
delegate_noop!(Frame: ZwlrScreencopyManagerV1);

#[cfg(test)]
mod tests {
    use super::*;

    const PAPER: [u8; PIXEL] = [0x24, 0x24, 0x24, 0];
    const INK: [u8; PIXEL] = [0x35, 0xc0, 0x80, 0xff];

    /// A file with a frame of 40 times 20 pixels, in which `ink` is drawn.
    fn frame(ink: impl Fn(u32, u32) -> bool) -> Content {
        let (width, height, stride) = (40, 20, 256);
        let mut file = tempfile::tempfile().unwrap();
        for y in 0..height {
            let mut row: Vec<u8> = (0..width).flat_map(|x| if ink(x, y) { INK } else { PAPER }).collect();
            // What is after a row is no picture.
            row.resize(stride, if y % 2 == 0 { 0 } else { 0xff });
            io::Write::write_all(&mut file, &row).unwrap();
        }
        content(&file, width, height, stride as u32).unwrap()
    }

    #[test]
    fn text_is_told_from_a_cursor_and_from_an_empty_screen() {
        assert_eq!(frame(|_, _| false), Content::Nothing);
        assert_eq!(frame(|_, _| true), Content::Nothing, "one colour");
        assert_eq!(frame(|x, y| (8..17).contains(&x) && (2..19).contains(&y)), Content::Something, "a block");
        assert_eq!(frame(|x, y| x == 8 && (2..19).contains(&y)), Content::Something, "a beam");
        assert_eq!(frame(|x, y| (4..30).contains(&x) && x % 4 < 2 && (8..12).contains(&y)), Content::Text);
    }

    #[test]
    fn shades_of_one_colour_are_no_strokes() {
        let row: Vec<u8> =
            (0..40).flat_map(|x| if x % 2 == 0 { PAPER } else { [0x30, 0x30, 0x30, 0] }).collect();
        assert_eq!(changes(&row), 0);
    }
}
