//! The name in a TLS greeting (the ClientHello), which says in the clear which server a client wants. Parsed by rustls, which is
//! made for hostile clients.

use rustls::server::Acceptor;

/// No greeting of a real client is longer.
const LONGEST: usize = 16 << 10;

#[derive(Debug, PartialEq, Eq)]
pub enum Greeting {
    /// More of it has to come.
    Incomplete,
    /// In small letters.
    Name(String),
    /// It has none, or it is no greeting.
    Nameless,
}

/// Reads the first bytes of a connection.
pub fn read(bytes: &[u8]) -> Greeting {
    let mut acceptor = Acceptor::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        if acceptor.read_tls(&mut rest).is_err() {
            return Greeting::Nameless;
        }
        match acceptor.accept() {
            Ok(Some(accepted)) => {
                let name = accepted.client_hello().server_name().map(str::to_ascii_lowercase);
                return name.map_or(Greeting::Nameless, Greeting::Name);
            }
            Ok(None) => {}
            Err(_) => return Greeting::Nameless,
        }
    }
    if bytes.len() >= LONGEST { Greeting::Nameless } else { Greeting::Incomplete }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A greeting as clients of TLS 1.2 and 1.3 send it, for a server of this name.
    pub fn greeting(name: Option<&str>) -> Vec<u8> {
        let mut extensions = Vec::new();
        let mut extension = |kind: u16, data: &[u8]| {
            extensions.extend(kind.to_be_bytes());
            extensions.extend((data.len() as u16).to_be_bytes());
            extensions.extend(data);
        };
        if let Some(name) = name {
            let length = name.len() as u16;
            let entry =
                [&(length + 3).to_be_bytes()[..], &[0], &length.to_be_bytes(), name.as_bytes()].concat();
            extension(0, &entry);
        }
        // Groups, signatures, versions.
        extension(10, &[0, 2, 0, 29]);
        extension(13, &[0, 2, 8, 4]);
        extension(43, &[2, 3, 4]);
        let random = [7; 32];
        let body = [
            &[3, 3][..],
            &random,
            &[0],
            &[0, 2, 0x13, 1],
            &[1, 0],
            &(extensions.len() as u16).to_be_bytes(),
            &extensions,
        ]
        .concat();
        let handshake = [&[1, 0][..], &(body.len() as u16).to_be_bytes(), &body].concat();
        [&[22, 3, 1][..], &(handshake.len() as u16).to_be_bytes(), &handshake].concat()
    }

    #[test]
    fn the_name_is_read_once_the_greeting_is_complete() {
        let whole = greeting(Some("WWW.example.com"));
        for length in 0..whole.len() {
            assert_eq!(read(&whole[..length]), Greeting::Incomplete, "{length}");
        }
        assert_eq!(read(&whole), Greeting::Name("www.example.com".to_owned()));
        assert_eq!(read(&[&whole[..], b"and more"].concat()), Greeting::Name("www.example.com".to_owned()));
    }

    #[test]
    fn what_is_no_greeting_has_no_name() {
        for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"SSH-2.0-x\r\n", &greeting(None), &vec![22; LONGEST]] {
            assert_eq!(read(bytes), Greeting::Nameless);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..600)) {
            read(&bytes);
        }
    }
}
