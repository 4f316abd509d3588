//! The host's way to programs that listen on ::1 alone. The network card leads to 127.0.0.1 (route_localnet), but Linux has no
//! such setting for IPv6: what comes from a card for ::1 is dropped. So the host names the port, and this process connects.
//!
//! An address of the card for each such port would need no relay's protocol, but would keep a program from listening on all
//! addresses with the same number.

use crate::protocol::{GATEWAY, GUEST, RELAY_PORT};
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// So many connections are relayed at once; others wait.
const MOST: usize = 256;

/// The host names the port at once.
const PATIENCE: Duration = Duration::from_secs(5);

/// Relays from now on, on a thread.
///
/// # Errors
/// The card has no address yet.
pub fn start() -> io::Result<()> {
    let listener = std::net::TcpListener::bind((GUEST, RELAY_PORT))?;
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("relay".to_owned()).spawn(move || {
        runtime.block_on(async { serve(TcpListener::from_std(listener)?, GATEWAY.into()).await })
    })?;
    Ok(())
}

/// Relays for `host` alone: what else has a way to the card, such as a container, has none to ::1.
async fn serve(listener: TcpListener, host: IpAddr) -> io::Result<()> {
    let slots = Arc::new(Semaphore::new(MOST));
    loop {
        let slot = slots.clone().acquire_owned().await.map_err(io::Error::other)?;
        match listener.accept().await {
            Ok((stream, from)) if from.ip() == host => {
                tokio::spawn(async move {
                    // A connection that fails ends, and that is all that the host can be told.
                    let _ = relay(stream).await;
                    drop(slot);
                });
            }
            Ok(_) => {}
            // Out of descriptors: that passes.
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn relay(mut host: TcpStream) -> io::Result<()> {
    let port = timeout(PATIENCE, host.read_u16()).await??;
    let mut program = TcpStream::connect((Ipv6Addr::LOCALHOST, port)).await?;
    host.set_nodelay(true)?;
    program.set_nodelay(true)?;
    copy_bidirectional(&mut host, &mut program).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use std::time::Duration;
    use tokio::io::AsyncWriteExt;
    use tokio::time::timeout;

    /// Far longer than a relay on one machine takes.
    const HUNG: Duration = Duration::from_secs(30);

    async fn relayed(host: IpAddr, port: u16) -> Vec<u8> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let place = listener.local_addr().unwrap();
        let serving = tokio::spawn(serve(listener, host));
        let mut stream = TcpStream::connect(place).await.unwrap();
        stream.write_all(&[&port.to_be_bytes()[..], b"hello"].concat()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut text = Vec::new();
        let read = timeout(HUNG, stream.read_to_end(&mut text)).await;
        assert!(read.is_ok(), "the relay does not pass on the end of what the host sends");
        serving.abort();
        text
    }

    #[test]
    fn the_host_alone_reaches_what_listens_on_the_loopback_interface_of_ipv6() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let program = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await.unwrap();
            let port = program.local_addr().unwrap().port();
            tokio::spawn(async move {
                while let Ok((mut stream, _)) = program.accept().await {
                    let mut text = Vec::new();
                    stream.read_to_end(&mut text).await.unwrap();
                    stream.write_all(&[&text[..], b" and goodbye"].concat()).await.unwrap();
                }
            });
            let host = Ipv4Addr::LOCALHOST.into();
            assert_eq!(relayed(host, port).await, b"hello and goodbye");
            assert_eq!(relayed(Ipv4Addr::new(127, 0, 0, 2).into(), port).await, b"");
            assert_eq!(relayed(host, 1).await, b"", "nobody listens there");
        });
    }
}
