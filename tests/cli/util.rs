//! A user with an empty home.

use crate::os;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

const EXECUTABLE: &str = env!("CARGO_BIN_EXE_virtualghost");

pub struct Home {
    path: PathBuf,
    _folder: TempDir,
}

impl Home {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { path: folder.path().to_owned(), _folder: folder }
    }

    /// In a folder of this name.
    pub fn below(name: &str) -> Self {
        let mut home = Self::new();
        home.path.push(name);
        std::fs::create_dir_all(&home.path).unwrap();
        home
    }

    /// The executable, with only the environment variables that every program needs.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.program(EXECUTABLE);
        command.args(args);
        command
    }

    /// The same for another program, with the executable in its PATH.
    pub fn program(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear();
        command.envs(os::HOME.iter().map(|(variable, folder)| (variable, self.path.join(folder))));
        command.envs(os::PASSED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        let folder = Path::new(EXECUTABLE).parent().unwrap().to_owned();
        let others = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(folder).chain(std::env::split_paths(&others));
        command.env("PATH", std::env::join_paths(folders).unwrap());
        // The plan has the host's time zone, and a snapshot the plan.
        command.env("TZ", "UTC");
        command
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    pub fn write_config(&self, text: &str) {
        let folder = self.path.join(os::CONFIG);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("config.toml"), text).unwrap();
    }

    /// A kernel and a root filesystem: of a bzImage and an ext4, just the bytes that are checked.
    pub fn write_guest(&self, folder: &str) -> [String; 2] {
        let folder = self.path.join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        [("bzImage", 0x1fe, &b"\x55\xaa\0\0HdrS"[..]), ("root.img", 1024 + 0x38, b"\x53\xef")].map(
            |(name, at, content)| {
                let mut bytes = vec![0; 4096];
                bytes[at..at + content.len()].copy_from_slice(content);
                std::fs::write(folder.join(name), bytes).unwrap();
                folder.join(name).display().to_string()
            },
        )
    }

    pub fn assert_no_cache(&self) {
        assert!(!self.path.join(os::CACHE).exists(), "a file was unpacked");
    }
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}
