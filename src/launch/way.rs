//! What a launch has to do with a checkpoint: which files it reads or makes, and what it tells the guest there.

use crate::checkpoint::{self, Checkpoint};
use crate::error::{Error, Result};
use crate::folders::Folders;
use crate::instance;
use crate::plan::VmSpec;
use crate::qemu::{CREDENTIALS, Paths, RootDisk};
use crate::supervise::{Entry, From, HomeDisk};
use anyhow::Context;
use std::fs;
use std::path::Path;
use std::thread::JoinHandle;

/// What a start has to do with a checkpoint.
pub enum Way {
    Boot,
    /// One is made. It lies with the launch's overlay until it is whole.
    Save {
        checkpoint: Checkpoint,
        files: checkpoint::Files,
        published: Option<JoinHandle<Result<()>>>,
    },
    Restore {
        checkpoint: Checkpoint,
        files: checkpoint::Files,
    },
}

impl Way {
    pub fn new(checkpoint: Option<Checkpoint>, folders: &Folders) -> Self {
        let Some(checkpoint) = checkpoint else { return Self::Boot };
        match checkpoint.find() {
            Some(files) => Self::Restore { checkpoint, files },
            None => {
                let files = checkpoint::Files::in_folder(&folders.overlay_path().join("checkpoint"));
                Self::Save { checkpoint, files, published: None }
            }
        }
    }

    pub fn begin(&self, rootfs: &Path) -> Result<()> {
        if let Self::Save { files, .. } = self { files.begin(rootfs) } else { Ok(()) }
    }

    pub fn root_disk(&self) -> RootDisk {
        match self {
            Self::Boot => RootDisk::Image,
            Self::Save { files, .. } => RootDisk::ToSave(files.disk.clone()),
            Self::Restore { files, .. } => RootDisk::Saved(files.disk.clone()),
        }
    }

    pub fn start(&self) -> Option<From> {
        match self {
            Self::Boot => None,
            Self::Save { files, .. } => Some(From::Boot {
                memory: files.memory.clone(),
                overlay: files.folder.with_extension("overlay"),
            }),
            Self::Restore { files, .. } => Some(From::Saved { memory: files.memory.clone() }),
        }
    }

    /// Beside the VM, which goes on: it takes as long as the disk does.
    pub fn publish(&mut self) {
        let Self::Save { checkpoint, files, published } = self else { return };
        let (checkpoint, folder) = (checkpoint.clone(), files.folder.clone());
        *published = Some(std::thread::spawn(move || checkpoint.publish(&folder)));
    }

    /// Waits for what [`Self::publish`] has begun.
    pub fn finish(&mut self) -> Result<()> {
        let Self::Save { published, .. } = self else { return Ok(()) };
        let published = published.take().map(JoinHandle::join);
        published.map_or(Ok(()), |done| done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    }

    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        match self {
            Self::Boot => None,
            Self::Save { checkpoint, .. } | Self::Restore { checkpoint, .. } => Some(checkpoint),
        }
    }
}

/// What makes the VM the one of this name.
pub fn entry(spec: &VmSpec, paths: &Paths) -> Result<Entry> {
    let read =
        |path: &Path| fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()));
    let credentials = CREDENTIALS.iter().map(|&name| Ok((name.to_owned(), read(&paths.keys.join(name))?)));
    let home = paths.home.as_ref().map(|path| {
        let bytes = fs::metadata(path).with_context(|| format!("can't read {}", path.display()))?.len();
        Ok::<_, Error>(HomeDisk { path: path.clone(), bytes })
    });
    Ok(Entry {
        host_name: spec.name.to_string(),
        entropy: instance::entropy(),
        home: home.transpose()?,
        credentials: credentials.collect::<Result<_>>()?,
    })
}
