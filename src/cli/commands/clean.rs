//! `virtualghost clean`: removes unpacked files from the cache. Homes are kept.

use crate::cli::output::print;
use crate::error::Result;
use crate::payload::gc::{self, Cleaned};
use crate::payload::{format_mib, progress};
use crate::sys::Dirs;
use std::process::ExitCode;

pub fn run(dry_run: bool) -> Result<ExitCode> {
    let cache = Dirs::find()?.cache_path();
    let (done, found) = if dry_run {
        let (kept, removed) = gc::list(&cache)?.into_iter().partition(|entry| !entry.users.is_empty());
        ("would remove", Cleaned { removed, kept })
    } else {
        ("removed", gc::clean(&cache, &*progress::for_stderr())?)
    };
    let mut lines = Vec::new();
    for entry in &found.removed {
        lines.push(format!("{done} {} ({})", entry.path.display(), format_mib(entry.bytes)));
    }
    for entry in &found.kept {
        let mut users: Vec<_> = entry.users.iter().map(ToString::to_string).collect();
        users.sort();
        lines.push(format!("kept {}: in use by {}", entry.path.display(), users.join(", ")));
    }
    if lines.is_empty() {
        lines.push(format!("nothing to remove in {}", cache.display()));
    }
    print(lines.join("\n"))
}
