//! The launcher's executable: the library and the payload. The payload is embedded here and not in the library, so that
//! neither the compiled library nor its tests contain it.

use virtualghost::payload::Blobs;

static BLOBS: Blobs = include_dir::include_dir!("$OUT_DIR/payload");

fn main() -> std::process::ExitCode {
    virtualghost::cli::main(&BLOBS)
}
