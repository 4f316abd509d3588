//! One server for a test, with keys and an ssh_config of its own.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::unistd::{User, getuid};
use tempfile::TempDir;

/// Long enough for any machine; reached only by a test that fails.
pub const PATIENCE: Duration = Duration::from_secs(120);

pub struct Server {
    process: Child,
    pub address: SocketAddr,
    pub folder: TempDir,
    pub user: String,
    panicked: Arc<AtomicBool>,
}

impl Server {
    /// For sessions of whoever runs the test.
    pub fn start() -> Self {
        Self::start_with(&me().name, &[])
    }

    pub fn start_with(user: &str, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let credentials = folder.path().join("credentials");
        fs::create_dir(&credentials).unwrap();
        for key in ["host", "user", "root", "stranger"] {
            make_key(&folder.path().join(key));
        }
        let give = |from: &str, to: &str| fs::copy(folder.path().join(from), credentials.join(to)).unwrap();
        give("host", "ghostly.host-key");
        give("user.pub", "ghostly.authorized-user");
        give("root.pub", "ghostly.authorized-root");

        let mut process = Command::new(env!("CARGO_BIN_EXE_ghostly-agent"))
            .args(["--listen", "tcp:127.0.0.1:0", "--user", user, "--credentials"])
            .arg(&credentials)
            .args(options)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let mut line = String::new();
        log.read_line(&mut line).unwrap();
        let address = line.trim().rsplit_once("tcp:").unwrap_or_else(|| panic!("{line}")).1.parse().unwrap();
        let panicked = Arc::new(AtomicBool::new(false));
        let seen = panicked.clone();
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                // One that a connection causes ends that connection only, so nothing else reports it.
                seen.fetch_or(line.contains("panicked at"), Ordering::Relaxed);
                eprintln!("{line}");
            }
        });

        let server = Self { process, address, folder, user: user.to_owned(), panicked };
        server.write_config();
        server
    }

    /// Goes on with another process and port, and the same keys.
    pub fn replace(&mut self, process: Child, address: SocketAddr) {
        let mut before = std::mem::replace(&mut self.process, process);
        let _ = before.kill();
        let _ = before.wait();
        self.address = address;
        self.write_config();
    }

    fn write_config(&self) {
        let host_key = fs::read_to_string(self.path("host.pub")).unwrap();
        let (ip, port) = (self.address.ip(), self.address.port());
        fs::write(self.path("known_hosts"), format!("[{ip}]:{port} {host_key}")).unwrap();
        let folder = self.folder.path().display();
        let config = format!(
            "Host vm\n HostName {ip}\n Port {port}\n User {}\n IdentityFile {folder}/user\n IdentitiesOnly yes\n \
             IdentityAgent none\n UserKnownHostsFile {folder}/known_hosts\n GlobalKnownHostsFile none\n \
             BatchMode yes\n LogLevel ERROR\n ControlPath {folder}/control\n ExitOnForwardFailure yes\n",
            self.user
        );
        fs::write(self.path("config"), config).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `ssh`, `scp` or `sftp`, configured for the host `vm`.
    pub fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("-F").arg(self.path("config")).stdin(Stdio::null());
        command
    }

    /// What `ssh vm LINE` gives.
    pub fn run(&self, line: &str) -> Output {
        self.client("ssh").args(["vm", line]).output().unwrap()
    }

    pub fn stdout(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(output.status.success(), "{line}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// An SFTP client's output for a batch of commands; None if one fails.
    pub fn sftp(&self, batch: &str) -> Option<String> {
        let file = self.path("batch");
        fs::write(&file, batch).unwrap();
        let output = self.client("sftp").arg("-b").arg(&file).arg("vm").output().unwrap();
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// A connection that stays and that further clients share.
    pub fn master(&self, options: &[&str]) -> Master<'_> {
        let child = self.client("ssh").args(["-M", "-N"]).args(options).arg("vm").spawn().unwrap();
        let master = Master { server: self, child };
        wait_until("the connection to share", || master.control("check"));
        master
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// The most memory that the server has had, in KiB.
    pub fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    pub fn is_running(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if !std::thread::panicking() {
            assert!(!self.panicked.load(Ordering::Relaxed), "the agent panicked");
        }
    }
}

pub struct Master<'a> {
    server: &'a Server,
    child: Child,
}

impl Master<'_> {
    /// `ssh -O COMMAND`
    pub fn control(&self, command: &str) -> bool {
        self.control_with(command, &[])
    }

    pub fn control_with(&self, command: &str, options: &[&str]) -> bool {
        let mut ssh = self.server.client("ssh");
        ssh.args(["-O", command]).args(options).arg("vm").stderr(Stdio::null());
        ssh.output().unwrap().status.success()
    }
}

impl Drop for Master<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn me() -> User {
    User::from_uid(getuid()).unwrap().expect("the test's user has no account")
}

pub fn make_key(path: &Path) {
    let status = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path).status();
    assert!(status.expect("ssh-keygen is not installed").success());
}

/// Bytes that no compression shortens and that are the same each time.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Everything until the other side has closed the connection, however it did that.
pub fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return all,
            Ok(n) => all.extend(&buffer[..n]),
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => return all,
            Err(e) => panic!("the connection was not closed: {e}"),
        }
    }
}
