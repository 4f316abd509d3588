//! A screen with nobody before it: Xvfb, hands (xdotool) and eyes (import, tesseract).

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
    /// A screen of its own; screenshots go to target/tmp/screenshots/NAME-*.png.
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

    /// The VM's window.
    pub fn window(&self) -> String {
        let ids = self.output("xdotool", &["search", "--onlyvisible", "--name", "VirtualGhost"]);
        ids.lines().last().expect("there is a window").to_owned()
    }

    pub fn type_line(&self, text: &str) {
        self.output("xdotool", &["windowfocus", &self.window()]);
        self.output("xdotool", &["type", "--delay", "40", &format!("{text}\n")]);
    }

    pub fn resize(&self, width: u32, height: u32) {
        self.output("xdotool", &["windowsize", &self.window(), &width.to_string(), &height.to_string()]);
    }

    /// What a window manager does when its close button is pressed (ICCCM, WM_DELETE_WINDOW).
    pub fn close_window(&self) {
        self.output("wmctrl", &["-i", "-c", &self.window()]);
    }

    /// The window, as it is on the screen.
    pub fn screenshot(&self, what: &str) -> PathBuf {
        let path = self
            .shots
            .with_file_name(format!("{}-{what}.png", self.shots.file_name().unwrap().to_string_lossy()));
        self.output("import", &["-window", &self.window(), path.to_str().unwrap()]);
        path
    }

    /// What can be read on the screen.
    pub fn read(&self, what: &str) -> String {
        let shot = self.screenshot(what);
        let large = shot.with_extension("large.png");
        // Tesseract is made for dark print on white paper of 300 dpi.
        let (from, to) = (shot.to_str().unwrap(), large.to_str().unwrap());
        let paper = ["-colorspace", "Gray", "-negate", "-fuzz", "20%", "-trim", "+repage"];
        let print = ["-resize", "250%", "-bordercolor", "white", "-border", "40"];
        self.output("convert", &[&[from][..], &paper, &print, &[to]].concat());
        let text = self.output("tesseract", &[to, "-", "--psm", "6"]);
        std::fs::remove_file(large).unwrap();
        text
    }

    /// Looks until `wanted` can be read.
    pub fn wait_for(&self, what: &str, wanted: &str) -> String {
        let start = Instant::now();
        loop {
            let text = self.read(what);
            if text.contains(wanted) {
                return text;
            }
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "{wanted:?} can't be read on the screen:\n{text}"
            );
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
