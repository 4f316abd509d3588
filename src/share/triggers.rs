//! Files of a shared folder that programs of the host run or obey by themselves: git's hooks, an editor's tasks, what a shell
//! reads on entering a folder. A VM that can change the folder can change them, so those that changed are printed at the end.

use crate::model::{ShareAccess, SharedFolder};
use crate::sys::printable::clean;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::SystemTime;

/// A folder deeper than this, or after so many, is not looked at; nor are more files than a person reads about.
const DEPTH: usize = 4;
const FOLDERS: usize = 5000;
const MOST: usize = 10_000;

/// Names of files that are in any folder.
const FILES: &[&str] = &[
    // A file in the place of git's folder leads to another one.
    ".git",
    ".envrc",
    ".mise.toml",
    "mise.toml",
    ".tool-versions",
    ".exrc",
    ".nvimrc",
    ".nvim.lua",
    ".vimrc",
    ".dir-locals.el",
    ".npmrc",
    ".yarnrc.yml",
    ".gitmodules",
    ".gitattributes",
    ".pre-commit-config.yaml",
    "lefthook.yml",
];

/// Folders all of whose files are meant.
const WHOLE: &[&str] =
    &[".vscode", ".zed", ".idea", ".husky", ".devcontainer", ".cargo", ".direnv", ".github"];

/// What of git's own folder is meant: its hooks and settings name programs.
const OF_GIT: &[&str] = &["config", "config.worktree", "hooks", "info/attributes"];

/// Large folders that hold no project's own files.
const SKIPPED: &[&str] = &["node_modules", "target", ".venv", "__pycache__"];

/// Size and time of change: of a file that was replaced or written, at least one differs.
type Stamp = (u64, Option<SystemTime>);

/// The files as they were.
#[derive(Debug, Default)]
struct Triggers(BTreeMap<PathBuf, Stamp>);

impl Triggers {
    /// What cannot be read is left out.
    fn find(folder: &Path) -> Self {
        let mut found = Self::default();
        let mut left = FOLDERS;
        found.look(folder, folder, DEPTH, false, &mut left);
        found
    }

    /// Those that are new, changed or gone since, relative to the folder.
    fn changed(&self, folder: &Path) -> Vec<PathBuf> {
        let now = Self::find(folder);
        let differ = |path: &&PathBuf| self.0.get(*path) != now.0.get(*path);
        let mut changed: Vec<_> = self.0.keys().chain(now.0.keys()).filter(differ).cloned().collect();
        changed.sort();
        changed.dedup();
        changed
    }

    fn look(&mut self, root: &Path, folder: &Path, depth: usize, is_whole: bool, left: &mut usize) {
        if *left == 0 {
            return;
        }
        *left -= 1;
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let is_named = |names: &[&str]| names.iter().any(|other| name == *other);
            match entry.file_type() {
                Ok(kind) if !kind.is_dir() && (is_whole || is_named(FILES)) => self.add(root, &path),
                Ok(kind) if !kind.is_dir() => {}
                Ok(_) if name == ".git" => self.add_git(root, &path, left),
                Ok(_) if depth > 0 && !is_named(SKIPPED) => {
                    self.look(root, &path, depth - 1, is_whole || is_named(WHOLE), left);
                }
                _ => {}
            }
        }
    }

    fn add_git(&mut self, root: &Path, git: &Path, left: &mut usize) {
        for name in OF_GIT {
            let path = git.join(name);
            match fs::symlink_metadata(&path) {
                Ok(meta) if meta.is_dir() => self.look(root, &path, 1, true, left),
                Ok(_) => self.add(root, &path),
                Err(_) => {}
            }
        }
    }

    fn add(&mut self, root: &Path, path: &Path) {
        if self.0.len() >= MOST {
            return;
        }
        if let (Ok(meta), Ok(name)) = (fs::symlink_metadata(path), path.strip_prefix(root)) {
            self.0.insert(name.to_owned(), (meta.len(), meta.modified().ok()));
        }
    }
}

/// The folders that a VM can change, as they were before. They are looked at on a thread: a start does not wait for it, and a
/// guest takes longer to boot.
pub struct Watched(Vec<(PathBuf, JoinHandle<Triggers>)>);

impl Watched {
    pub fn new(shares: &[SharedFolder]) -> Self {
        let changeable = shares.iter().filter(|share| share.access == ShareAccess::Write);
        let look = |share: &SharedFolder| {
            let folder = share.folder.clone();
            (share.folder.clone(), std::thread::spawn(move || Triggers::find(&folder)))
        };
        Self(changeable.map(look).collect())
    }

    /// A sentence for each folder in which there is something to look at.
    pub fn sentences(self) -> Vec<String> {
        let looked_at = self.0.into_iter().filter_map(|(folder, before)| Some((folder, before.join().ok()?)));
        looked_at.filter_map(|(folder, before)| sentence(&folder, &before.changed(&folder))).collect()
    }
}

/// The line about a folder's changed files; None if there are none.
fn sentence(folder: &Path, changed: &[PathBuf]) -> Option<String> {
    const NAMED: usize = 5;
    let names: Vec<_> =
        changed.iter().take(NAMED).map(|path| clean(path.as_os_str().as_encoded_bytes())).collect();
    let more = changed.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!changed.is_empty()).then(|| {
        format!(
            "while the VM could change {}, these files changed, which programs on this machine run or obey: {}{more}; look at them first",
            folder.display(),
            names.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_others_run_are_told_from_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        for name in
            ["a/.git/config", ".git/config", ".git/HEAD", "src/main.rs", ".vscode/tasks.json", ".envrc"]
        {
            write(name, "before");
        }
        let before = Triggers::find(folder.path());
        assert_eq!(before.changed(folder.path()), Vec::<PathBuf>::new());
        write(".git/HEAD", "other");
        write(".git/objects/aa/bb", "other");
        write("src/main.rs", "other");
        write("node_modules/x/.envrc", "other");
        assert_eq!(before.changed(folder.path()), Vec::<PathBuf>::new(), "none of these is run");
        write(".git/hooks/pre-commit", "rm -rf ~");
        write("a/.git/config", "[core] fsmonitor = evil");
        write(".vscode/tasks.json", "{}");
        fs::remove_file(folder.path().join(".envrc")).unwrap();
        let changed = before.changed(folder.path());
        let names = [".envrc", ".git/hooks/pre-commit", ".vscode/tasks.json", "a/.git/config"];
        assert_eq!(changed, names.map(PathBuf::from));
        let sentence = sentence(Path::new("/p"), &changed).unwrap();
        assert!(sentence.contains("/p") && sentence.contains(".git/hooks/pre-commit, .vscode"), "{sentence}");
        assert_eq!(super::sentence(Path::new("/p"), &[]), None);
    }
}
