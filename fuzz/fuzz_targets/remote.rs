//! Words of `cp` and `exec`: a file of the host's is never taken for another host's, and a command arrives word by word.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use virtualghost::remote::{End, end, scp, shell_line};

fn copy(text: &OsStr) {
    let Ok(end) = end(text) else { return };
    let command = scp(Path::new("/config"), std::slice::from_ref(&end));
    let argument = command.get_args().last().expect("the end").as_bytes();
    let colon = argument.iter().take_while(|&&b| b != b'/').position(|&b| b == b':');
    match end {
        End::Host(_) => assert!(colon.is_none() && argument.first().is_none_or(|&b| b"./".contains(&b))),
        End::Guest(name, path) => {
            let host = format!("vg-{name}");
            assert_eq!(&argument[..colon.expect("a host's name")], host.as_bytes());
            assert!(argument.ends_with(path.as_bytes()));
        }
    }
}

fuzz_target!(|input: &[u8]| {
    // No argument of a program's holds a NUL.
    if input.contains(&0) {
        return;
    }
    copy(OsStr::from_bytes(input));

    let words: Vec<_> = input.split(|&b| b == b'\n').map(|word| OsString::from_vec(word.to_vec())).collect();
    if let Ok(line) = shell_line(&words) {
        let read: Vec<_> = shlex::bytes::Shlex::new(line.as_bytes()).map(OsString::from_vec).collect();
        assert_eq!(read, words);
    }
});
