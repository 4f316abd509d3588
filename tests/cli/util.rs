//! A user with an empty home of its own.

use crate::os;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

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

    /// The executable, with nothing of this machine's environment but what any program needs.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_virtualghost"));
        command.args(args).env_clear();
        command.envs(os::HOME.iter().map(|(variable, folder)| (variable, self.path.join(folder))));
        command.envs(os::PASSED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
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

    /// A kernel and a root filesystem: no more of a bzImage and of an ext4 than is looked at.
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
        assert!(!self.path.join(os::CACHE).exists(), "something was extracted");
    }
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}
