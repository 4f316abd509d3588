//! The executable: what it carries, and the library that does the work. Embedded here and not in the library,
//! so that neither its compiled form nor its tests hold the blobs.

use virtualghost::assets::Blobs;

static BLOBS: Blobs = include_dir::include_dir!("$OUT_DIR/payload");

fn main() -> std::process::ExitCode {
    virtualghost::app::main(&BLOBS)
}
