use std::io::{self, Read, Write};
pub fn serve(_: impl Read, _: impl Write) -> io::Result<()> { Ok(()) }
