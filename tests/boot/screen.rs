//! A virtual screen (Xvfb), with keyboard and pointer by xdotool, and text recognition by tesseract.

use std::collections::HashMap;
use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub struct Screen {
    server: Child,
    pub display: String,
    shots: PathBuf,
}

impl Screen {
    /// A new screen. Screenshots go to target/tmp/screenshots/NAME-*.png.
    pub fn new(name: &str) -> Self {
        let mut server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", "1600x1200x24", "+extension", "GLX", "-noreset"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Xvfb is installed (scripts/install-deps.sh test)");
        let mut number = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut number).unwrap();
        let shots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("screenshots");
        std::fs::create_dir_all(&shots).unwrap();
        Self { server, display: format!(":{}", number.trim()), shots: shots.join(name) }
    }

    fn tool(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("DISPLAY", &self.display).stderr(Stdio::null());
        command
    }

    fn output(&self, program: &str, args: &[&str]) -> String {
        let output = self.tool(program).args(args).output().unwrap_or_else(|e| panic!("{program}: {e}"));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// The VM's window, which is waited for. (A search fails if any window of the screen goes while it looks.)
    pub fn window(&self) -> String {
        let start = Instant::now();
        loop {
            let search = ["search", "--onlyvisible", "--name", "VirtualGhost"];
            let found = self.tool("xdotool").args(search).stderr(Stdio::piped()).output().unwrap();
            if let Some(id) = String::from_utf8_lossy(&found.stdout).lines().last() {
                return id.to_owned();
            }
            assert!(start.elapsed() < Duration::from_secs(60), "there is no window: {found:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for the VM's window, and gives it the keyboard.
    pub fn focus_first_window(&self) {
        self.output("xdotool", &["windowfocus", &self.window()]);
    }

    pub fn keyboard(&self) -> Keyboard {
        use x11rb::connection::Connection;
        use x11rb::protocol::xproto::ConnectionExt;
        let (server, _) = x11rb::connect(Some(&self.display)).unwrap();
        let (first, last) = (server.setup().min_keycode, server.setup().max_keycode);
        let mapping = server.get_keyboard_mapping(first, last - first + 1).unwrap().reply().unwrap();
        // Without Shift.
        let symbols = mapping.keysyms.chunks(mapping.keysyms_per_keycode.into()).map(|symbols| symbols[0]);
        let keys = (first..=last).zip(symbols).map(|(key, symbol)| (symbol, key)).collect();
        Keyboard { server, keys }
    }

    pub fn type_line(&self, text: &str) {
        self.output("xdotool", &["windowfocus", &self.window()]);
        self.output("xdotool", &["type", "--delay", "40", &format!("{text}\n")]);
    }

    /// As xdotool names keys: ctrl+alt+End.
    pub fn press(&self, keys: &str) {
        self.output("xdotool", &["windowfocus", &self.window(), "key", keys]);
    }

    pub fn resize(&self, width: u32, height: u32) {
        self.output("xdotool", &["windowsize", &self.window(), &width.to_string(), &height.to_string()]);
    }

    /// As a window manager does when its close button is pressed (ICCCM 4.2.8.1, WM_DELETE_WINDOW).
    pub fn close_window(&self) {
        use x11rb::protocol::xproto::{ClientMessageEvent, ConnectionExt, EventMask};
        let (server, _) = x11rb::connect(Some(&self.display)).unwrap();
        let atom = |name: &[u8]| server.intern_atom(false, name).unwrap().reply().unwrap().atom;
        let window = self.window().parse().unwrap();
        let data = [atom(b"WM_DELETE_WINDOW"), 0, 0, 0, 0];
        let message = ClientMessageEvent::new(32, window, atom(b"WM_PROTOCOLS"), data);
        server.send_event(false, window, EventMask::NO_EVENT, message).unwrap();
        // The answer shows that the server has read the message: it may drop what a closed connection had sent.
        server.get_input_focus().unwrap().reply().unwrap();
    }

    /// The mouse pointer as it is drawn: its pixels (ARGB) in rows, and which of them points.
    pub fn pointer(&self) -> Pointer {
        use x11rb::protocol::xfixes::ConnectionExt;
        let (server, _) = x11rb::connect(Some(&self.display)).unwrap();
        server.xfixes_query_version(5, 0).unwrap().reply().unwrap();
        let image = server.xfixes_get_cursor_image().unwrap().reply().unwrap();
        let [width, x, y] = [image.width, image.xhot, image.yhot].map(usize::from);
        Pointer { rows: image.cursor_image.chunks(width).map(<[u32]>::to_vec).collect(), x, y }
    }

    /// Moves the mouse pointer to a place in the VM's window.
    pub fn move_pointer(&self, x: u32, y: u32) {
        let [window, x, y] = [self.window(), x.to_string(), y.to_string()];
        self.output("xdotool", &["mousemove", "--window", &window, &x, &y]);
    }

    /// Takes a picture of the window.
    pub fn screenshot(&self, what: &str) -> PathBuf {
        let path = self
            .shots
            .with_file_name(format!("{}-{what}.png", self.shots.file_name().unwrap().to_string_lossy()));
        self.output("import", &["-window", &self.window(), path.to_str().unwrap()]);
        path
    }

    /// The text on the screen.
    pub fn read(&self, what: &str) -> String {
        let shot = self.screenshot(what);
        let large = shot.with_extension("large.png");
        // Tesseract expects dark print on white paper at 300 dpi.
        let (from, to) = (shot.to_str().unwrap(), large.to_str().unwrap());
        let paper = ["-colorspace", "Gray", "-negate", "-fuzz", "20%", "-trim", "+repage"];
        let print = ["-resize", "250%", "-bordercolor", "white", "-border", "40"];
        self.output("convert", &[&[from][..], &paper, &print, &[to]].concat());
        let text = self.output("tesseract", &[to, "-", "--psm", "6"]);
        std::fs::remove_file(large).unwrap();
        text
    }

    /// Waits until `wanted` is on the screen.
    pub fn wait_for(&self, what: &str, wanted: &str) -> String {
        let start = Instant::now();
        loop {
            let text = self.read(what);
            if text.contains(wanted) {
                return text;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "{wanted:?} is not on the screen:\n{text}");
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

/// The screen's keyboard, without a program to start for each key.
pub struct Keyboard {
    server: x11rb::rust_connection::RustConnection,
    /// By the symbols on them (keysyms).
    keys: HashMap<u32, u8>,
}

impl Keyboard {
    /// Presses a key and releases it, both within `interval`, which it takes.
    pub fn tap(&self, symbol: char, interval: Duration) {
        use x11rb::connection::Connection;
        use x11rb::protocol::xproto::{KEY_PRESS_EVENT, KEY_RELEASE_EVENT};
        use x11rb::protocol::xtest::ConnectionExt;
        const ENTER: u32 = 0xff0d;
        let key = self.keys[&if symbol == '\n' { ENTER } else { symbol.into() }];
        for event in [KEY_PRESS_EVENT, KEY_RELEASE_EVENT] {
            self.server.xtest_fake_input(event, key, 0, x11rb::NONE, 0, 0, 0).unwrap();
            self.server.flush().unwrap();
            std::thread::sleep(interval / 2);
        }
    }
}

pub struct Pointer {
    rows: Vec<Vec<u32>>,
    x: usize,
    y: usize,
}

impl Pointer {
    /// How much is drawn within four pixels of the one that points.
    pub fn drawn_at_its_tip(&self) -> usize {
        let near = |at: usize| at.saturating_sub(4)..=at + 4;
        let rows = self.rows.iter().enumerate().filter(|(y, _)| near(self.y).contains(y));
        rows.flat_map(|(_, row)| row.iter().enumerate())
            .filter(|(x, pixel)| near(self.x).contains(x) && **pixel >> 24 > 0x80)
            .count()
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (y, row) in self.rows.iter().enumerate() {
            let dots = row.iter().enumerate().map(|(x, pixel)| match pixel >> 24 {
                _ if (x, y) == (self.x, self.y) => '+',
                0..=0x80 => '.',
                _ => '#',
            });
            writeln!(f, "{}", dots.collect::<String>())?;
        }
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
