//! Files: sftp, scp in its SFTP mode, and rsync.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::support::{Server, me, noise};

/// Names that break programs which take them for text, options, patterns or lines.
const ODD_NAMES: [&[u8]; 9] = [
    b"plain",
    b" spaces  around ",
    b"new\nline",
    b"-rf",
    b"quote'\"`$(x)",
    b"*?[a]{b}",
    b"\\back\\slash",
    "\u{e4}\u{4e16}".as_bytes(),
    b"no text \xff\xfe\x80",
];

fn assert_same_tree(a: &Path, b: &Path) {
    let output = Command::new("diff").arg("-r").arg("--no-dereference").arg(a).arg(b).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn files_of_any_name_travel_both_ways() {
    let server = Server::start();
    let tree = server.path("tree");
    for (number, name) in ODD_NAMES.iter().enumerate() {
        let folder = tree.join(OsStr::from_bytes(name));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(OsStr::from_bytes(name)), noise(number * 50_000)).unwrap();
    }
    let (there, back) = (server.path("there"), server.path("back"));
    let remote = format!("vm:{}", there.display());
    assert!(
        server.client("scp").args(["-s", "-q", "-r"]).arg(&tree).arg(&remote).status().unwrap().success()
    );
    assert_same_tree(&tree, &there);
    assert!(
        server.client("scp").args(["-s", "-q", "-r"]).arg(&remote).arg(&back).status().unwrap().success()
    );
    assert_same_tree(&tree, &back);
}

#[test]
fn times_and_modes_are_kept_when_asked() {
    let server = Server::start();
    let (from, to) = (server.path("from"), server.path("to"));
    fs::write(&from, "text").unwrap();
    fs::set_permissions(&from, fs::Permissions::from_mode(0o640)).unwrap();
    let touched = Command::new("touch").args(["-d", "2001-02-03 04:05:06 UTC"]).arg(&from).status().unwrap();
    assert!(touched.success());
    let remote = format!("vm:{}", to.display());
    assert!(server.client("scp").args(["-s", "-q", "-p"]).arg(&from).arg(remote).status().unwrap().success());
    let found = fs::metadata(&to).unwrap();
    assert_eq!((found.mode() & 0o7777, found.mtime()), (0o640, 981_173_106));
}

#[test]
fn an_sftp_client_can_do_all_that_its_commands_do() {
    let server = Server::start();
    let folder = server.path("folder");
    fs::create_dir(&folder).unwrap();
    fs::write(server.path("local"), noise(300_000)).unwrap();
    let (there, local, got) = (folder.display(), server.path("local"), server.path("got"));
    let listing = server
        .sftp(&format!(
            "cd {there}\npwd\nput {} 'a file'\nmkdir sub\nrename 'a file' sub/b\nsymlink b sub/link\nln sub/b sub/hard\n\
             chmod 600 sub/b\nls -la sub\nget sub/link {}\nrm sub/link\ndf\nput -f {} sub/synced\nrm sub/synced",
            local.display(),
            got.display(),
            local.display()
        ))
        .expect("a command failed");
    assert!(listing.contains(&format!("Remote working directory: {there}")), "{listing}");
    let line = listing.lines().find(|l| l.ends_with(" b")).expect("b is not listed");
    assert!(line.starts_with("-rw-------    2 ") && line.contains(&me().name), "{line}");
    assert!(listing.lines().any(|l| l.starts_with("lrwxrwxrwx")), "{listing}");
    assert_eq!(fs::read(&got).unwrap(), fs::read(&local).unwrap());
    let left: Vec<_> = fs::read_dir(folder.join("sub")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
    assert_eq!(server.sftp(&format!("rmdir {there}/sub")), None, "a folder that is not empty was removed");
    assert_eq!(server.sftp(&format!("get {there}/none {there}/x")), None);
}

#[test]
fn a_broken_transfer_is_taken_up_where_it_broke() {
    let server = Server::start();
    let (whole, part) = (server.path("whole"), server.path("part"));
    let bytes = noise(3_000_000);
    fs::write(&whole, &bytes).unwrap();
    fs::write(&part, &bytes[..1_234_567]).unwrap();
    server.sftp(&format!("reget {} {}", whole.display(), part.display())).expect("reget failed");
    assert!(fs::read(&part).unwrap() == bytes);
    fs::write(&part, &bytes[..7_654]).unwrap();
    server.sftp(&format!("reput {} {}", whole.display(), part.display())).expect("reput failed");
    assert!(fs::read(&part).unwrap() == bytes);
}

#[test]
fn a_folder_of_thousands_is_listed_whole() {
    let server = Server::start();
    let folder = server.path("many");
    fs::create_dir(&folder).unwrap();
    for number in 0..5000 {
        fs::write(folder.join(format!("a file with a longer name {number}")), "").unwrap();
    }
    let listing = server.sftp(&format!("ls -1 {}", folder.display())).unwrap();
    assert_eq!(listing.lines().filter(|l| l.contains("a longer name")).count(), 5000);
}

#[test]
fn the_file_server_has_its_users_rights_and_no_others() {
    let root = me().uid.is_root();
    let server = if root { Server::start_with("daemon", &[]) } else { Server::start() };
    let status = server.path("status");
    server.sftp(&format!("get /proc/self/status {}", status.display())).expect("no /proc/self/status");
    let status = fs::read_to_string(status).unwrap();
    let field = |name: &str| status.lines().find_map(|l| l.strip_prefix(name)).unwrap().trim().to_owned();
    let user = nix::unistd::User::from_name(&server.user).unwrap().unwrap();
    assert_eq!(field("Uid:"), vec![user.uid.to_string(); 4].join("\t"));
    assert_eq!(field("Gid:"), vec![user.gid.to_string(); 4].join("\t"));
    assert_eq!(field("CapEff:"), "0000000000000000");
    assert_eq!(field("CapPrm:"), "0000000000000000");
    if root {
        assert_eq!(field("Groups:"), user.gid.to_string());
    }
    assert_eq!(server.sftp(&format!("get /etc/shadow {}", server.path("shadow").display())), None);
    assert_eq!(server.sftp("mkdir /etc/ghostly-test"), None);
}

#[test]
fn rsync_copies_thousands_of_files_and_then_nothing() {
    let server = Server::start();
    let (tree, there) = (server.path("tree"), server.path("there"));
    for number in 0..3000 {
        let folder = tree.join(format!("{}", number % 50));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("f{number}")), noise(number)).unwrap();
    }
    symlink("0/f0", tree.join("link")).unwrap();
    let rsync = || {
        let shell = format!("ssh -F {}", server.path("config").display());
        let mut rsync = Command::new("rsync");
        rsync.args(["-a", "--delete", "--stats", "-e", &shell]).arg(format!("{}/", tree.display()));
        let output = rsync.arg(format!("vm:{}", there.display())).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    rsync();
    assert_same_tree(&tree, &there);
    assert!(rsync().contains("Number of regular files transferred: 0"));
}
