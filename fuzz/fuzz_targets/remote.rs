//! Arguments of `cp` and `exec`: a path on the host never becomes one in a VM, and a request reaches the agent unchanged.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use virtualghost::protocol::request::{Bytes, Request, Run};
use virtualghost::remote::{End, end};

fn copy(text: &OsStr) {
    let bytes = text.as_bytes();
    let colon = bytes.iter().take_while(|&&b| b != b'/').position(|&b| b == b':');
    match end(text) {
        Ok(End::Host(path)) => assert!(colon.is_none() && path == text),
        Ok(End::Guest(name, path)) => {
            let colon = colon.expect("a VM's name");
            assert_eq!((name.as_str().as_bytes(), path.as_bytes()), (&bytes[..colon], &bytes[colon + 1..]));
        }
        Err(_) => {}
    }
}

fuzz_target!(|input: &[u8]| {
    copy(OsStr::from_bytes(input));

    let request = Request::Run(Run {
        id: String::new(),
        words: input.split(|&b| b == b'\n').map(|word| Bytes(word.to_vec())).collect(),
        environment: vec![(Bytes(input.to_vec()), Bytes(input.to_vec()))],
        folder: Some(Bytes(input.to_vec())),
    });
    let variables = request.variables();
    assert_eq!(Request::parse(variables.iter().map(|(_, piece)| piece.as_str())).unwrap(), request);
    if let Ok(text) = std::str::from_utf8(input) {
        let _ = Request::parse([text].into_iter());
    }
});
