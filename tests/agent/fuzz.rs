//! The line between transport and sessions: a client that has shown its key, and asks for anything in any order. The
//! scripts in corpus/ are played as they are, and then mutated; the agent serves on.
//!
//! FUZZ_RUNS is how many mutated scripts are played (200), FUZZ_SEED where they start.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use russh::client::{self, Handle, Msg};
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg, load_secret_key};
use russh::{Channel, Pty, Sig};
use tokio::task::JoinSet;

use crate::support::{Server, me};

struct Client;

impl client::Handler for Client {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        _: &russh::keys::PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        Ok(true)
    }
}

/// xorshift64: the same seed plays the same scripts.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % sides.max(1)
    }

    fn of<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.roll(choices.len())]
    }
}

fn mutated(script: &str, all: &str, dice: &mut Dice) -> String {
    let mut lines: Vec<String> = script.lines().map(str::to_owned).collect();
    let others: Vec<&str> = all.lines().collect();
    for _ in 0..=dice.roll(6) {
        let at = dice.roll(lines.len());
        match dice.roll(6) {
            0 if lines.len() > 1 => drop(lines.remove(at)),
            1 => lines.insert(at, lines[at].clone()),
            2 => lines.insert(at, dice.of(&others).to_owned()),
            3 => {
                let other = dice.roll(lines.len());
                lines.swap(at, other);
            }
            4 => {
                let odd =
                    dice.of(&["0", "4294967295", "65536", "-1", "", "\\xff\\xfe", "\\0", "../..", "%n%s"]);
                let mut words: Vec<&str> = lines[at].split(' ').collect();
                let word = dice.roll(words.len() - 1) + 1;
                match words.get_mut(word) {
                    Some(word) => *word = odd,
                    None => words.push(odd),
                }
                lines[at] = words.join(" ");
            }
            _ => lines[at].push_str(&"x".repeat(dice.roll(100_000))),
        }
    }
    lines.join("\n")
}

/// `\0`, `\N` and `\xNN` as bytes.
fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = (first == b'\\').then(|| match tail {
            [b'x', a, b, ..] => {
                let digits = [*a, *b];
                let digits = std::str::from_utf8(&digits).ok()?;
                Some((u8::from_str_radix(digits, 16).ok()?, 3))
            }
            [digit @ b'0'..=b'9', ..] => Some((digit - b'0', 1)),
            _ => None,
        });
        let (byte, length) = escaped.flatten().unwrap_or((first, 0));
        out.push(byte);
        rest = &tail[length..];
    }
    out
}

/// Where to come in, and as whom.
struct Door {
    address: SocketAddr,
    user: String,
    key: Arc<PrivateKey>,
}

async fn play(door: Arc<Door>, script: String) -> Option<()> {
    let config = client::Config { inactivity_timeout: Some(Duration::from_secs(5)), ..Default::default() };
    let mut client = client::connect(Arc::new(config), door.address, Client).await.ok()?;
    let key = PrivateKeyWithHashAlg::new(door.key.clone(), None);
    let admitted = client.authenticate_publickey(&door.user, key).await.ok()?;
    assert!(admitted.success(), "the key opens the door");
    let mut channels: Vec<Channel<Msg>> = Vec::new();
    for line in script.lines() {
        // What the agent refuses or does not answer is no failure.
        let _ = tokio::time::timeout(Duration::from_millis(300), step(&client, &mut channels, line)).await;
    }
    Some(())
}

async fn step(client: &Handle<Client>, channels: &mut Vec<Channel<Msg>>, line: &str) -> Option<()> {
    let (what, rest) = line.split_once(' ').unwrap_or((line, ""));
    let words: Vec<&str> = rest.split(' ').collect();
    let text = |n: usize| String::from_utf8_lossy(&bytes(words.get(n).unwrap_or(&""))).into_owned();
    let number = |n: usize| words.get(n).and_then(|word| word.parse::<i64>().ok()).unwrap_or(7) as u32;
    match what {
        "open" => channels.push(client.channel_open_session().await.ok()?),
        "tcp" => channels
            .push(client.channel_open_direct_tcpip(text(0), number(1), text(0), number(1)).await.ok()?),
        "unix" => channels.push(client.channel_open_direct_streamlocal(text(0)).await.ok()?),
        "forward" => drop(client.tcpip_forward(text(0), number(1)).await.ok()?),
        "forward-unix" => client.streamlocal_forward(text(0)).await.ok()?,
        "global" => drop(client.send_global_request(text(0), &bytes(rest), true).await.ok()?),
        _ => {
            let channel = channels.last()?;
            match what {
                "pty" => {
                    let modes = [(Pty::VINTR, number(1)), (Pty::TTY_OP_ISPEED, u32::MAX)];
                    let size = [1, 2, 3, 4].map(number);
                    channel
                        .request_pty(true, &text(0), size[0], size[1], size[2], size[3], &modes)
                        .await
                        .ok()?;
                }
                "env" => channel.set_env(true, text(0), text(1)).await.ok()?,
                "shell" => channel.request_shell(true).await.ok()?,
                "exec" => channel.exec(true, bytes(rest)).await.ok()?,
                "subsystem" => channel.request_subsystem(true, text(0)).await.ok()?,
                "data" => channel.data_bytes([bytes(rest), vec![b'\n']].concat()).await.ok()?,
                "extended" => channel.extended_data_bytes(number(0), bytes(rest)).await.ok()?,
                "signal" => channel.signal(Sig::Custom(text(0))).await.ok()?,
                "window" => channel.window_change(number(0), number(1), number(2), number(3)).await.ok()?,
                "x11" => channel.request_x11(true, false, text(0), text(1), number(2)).await.ok()?,
                "agent" => channel.agent_forward(true).await.ok()?,
                "eof" => channel.eof().await.ok()?,
                "close" => channel.close().await.ok()?,
                _ => {}
            }
        }
    }
    Some(())
}

#[test]
fn whatever_a_client_asks_for_the_agent_serves_on() {
    let setting = |name: &str, default| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (runs, seed): (usize, u64) = (setting("FUZZ_RUNS", 200) as usize, setting("FUZZ_SEED", 1));
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/agent/corpus");
    let mut files: Vec<_> = std::fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let scripts: Vec<String> = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let all = scripts.join("");
    // Sessions are of whoever runs the test; a fuzzed command line must do nothing there.
    let mut server = Server::start_with(&me().name, &[]);
    let key = Arc::new(load_secret_key(server.path("user"), None).unwrap());
    let door = Arc::new(Door { address: server.address, user: server.user.clone(), key });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut dice = Dice(seed | 1 << 63);
    let mutants: Vec<_> = (0..runs)
        .map(|_| {
            let script = &scripts[dice.roll(scripts.len())];
            mutated(script, &all, &mut dice)
        })
        .collect();
    let mut played = 0;
    for batch in scripts.iter().chain(&mutants).collect::<Vec<_>>().chunks(8) {
        played += runtime.block_on(async {
            let scripts = batch.iter().map(|&script| play(door.clone(), script.clone()));
            scripts.collect::<JoinSet<_>>().join_all().await.into_iter().flatten().count()
        });
        assert!(server.is_running(), "seed {seed}: one of these ended the agent:\n{batch:#?}");
    }
    assert_eq!(server.stdout("echo fine"), "fine\n");
    println!("{played} of {} scripts played to their end", scripts.len() + runs);
    assert!(played > runs / 2, "only {played} were let in");
}
