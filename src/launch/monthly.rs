//! Sentences that every start could print, and that a user reads once a month. If the folder can't be written, each start
//! prints them.

use crate::sys::files;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

const PERIOD: Duration = Duration::from_secs(30 * 24 * 3600);

/// Whether the sentence with this name was not printed in the last month; from now on it was. `folder` has a file for each.
pub fn is_due(folder: &Path, name: &str) -> bool {
    let printed = folder.join(name);
    let at = printed.metadata().and_then(|file| file.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    // A clock that was set back makes it due, too.
    let is_due = SystemTime::now().duration_since(at).map_or(true, |age| age > PERIOD);
    if is_due {
        let _ = fs::remove_file(&printed);
        let _ = files::create_private(folder);
        let _ = fs::File::create(&printed);
    }
    is_due
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_monthly_sentence_is_due_once_a_month() {
        let folder = tempfile::tempdir().unwrap();
        let notices = folder.path().join("notices");
        assert!(is_due(&notices, "tcg"));
        assert!(!is_due(&notices, "tcg"));
        assert!(is_due(&notices, "another"));
        let file = fs::File::options().write(true).open(notices.join("tcg")).unwrap();
        file.set_modified(SystemTime::now() - PERIOD - Duration::from_secs(1)).unwrap();
        assert!(is_due(&notices, "tcg") && !is_due(&notices, "tcg"));
        file.set_modified(SystemTime::now() + PERIOD).unwrap();
        assert!(!is_due(&notices, "tcg"), "the file is a new one");
    }
}
