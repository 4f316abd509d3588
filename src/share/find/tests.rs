use super::*;
use std::os::unix::fs::symlink;

/// A home with a project in it, and folders that nobody else should have.
struct Scene {
    machine: tempfile::TempDir,
    protected: Protected,
}

impl Scene {
    fn new() -> Self {
        let machine = tempfile::tempdir().unwrap();
        for folder in ["own/src/web", "own/.ssh", "own/.config/gh", "own/.cache/virtualghost/x", "data"] {
            fs::create_dir_all(machine.path().join(folder)).unwrap();
        }
        fs::write(machine.path().join("own/file"), "").unwrap();
        symlink(machine.path().join("own/.ssh"), machine.path().join("data/keys")).unwrap();
        symlink(machine.path().join("own/src"), machine.path().join("data/src")).unwrap();
        let of = |path: &str| machine.path().join(path);
        let protected =
            Protected { homes: vec![of("own"), of("other")], own: vec![of("own/.cache/virtualghost")] };
        Self { machine, protected }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.machine.path().join(path)
    }

    /// The shares of these texts, in which `@` is the machine's folder.
    fn find(&self, texts: &[&str], workdir: Option<&str>, anyway: bool) -> Result<Found> {
        let machine = self.machine.path().to_str().unwrap();
        let shares: Vec<Share> =
            texts.iter().map(|text| text.replace('@', machine).parse().unwrap()).collect();
        find(&shares, workdir.map(|path| self.path(path)).as_deref(), &self.protected, anyway)
    }

    fn error(&self, texts: &[&str], workdir: Option<&str>) -> String {
        self.find(texts, workdir, false).unwrap_err().to_string()
    }
}

#[test]
fn a_folder_has_the_path_in_the_guest_that_was_written() {
    let scene = Scene::new();
    let found =
        scene.find(&["@/data/src", "~/src/web:ro=/mnt", "@/own/src/../src/web"], None, false).unwrap();
    let of = |share: &SharedFolder| (share.folder.clone(), share.place.to_string());
    let shown = |path: &str| scene.path(path).to_str().unwrap().to_owned();
    let web = scene.path("own/src/web").canonicalize().unwrap();
    assert_eq!(of(&found.shares[0]), (scene.path("own/src").canonicalize().unwrap(), shown("data/src")));
    assert_eq!(of(&found.shares[1]), (web.clone(), "/mnt".to_owned()));
    assert_eq!(found.shares[1].access, ShareAccess::Read);
    assert_eq!(of(&found.shares[2]), (web.clone(), web.to_str().unwrap().to_owned()));
}

#[test]
fn the_terminal_opens_in_a_folder_that_is_shared_once() {
    let scene = Scene::new();
    let found = scene.find(&["@/own/src/web:ro=/mnt"], Some("own/src/web"), false).unwrap();
    assert_eq!((found.shares.len(), found.workdir.unwrap().to_string().as_str()), (1, "/mnt"));
    let found = scene.find(&["@/own/src/web:ro=/mnt"], Some("data/src"), false).unwrap();
    let place = scene.path("data/src").to_str().unwrap().to_owned();
    assert_eq!((found.shares.len(), found.workdir.unwrap().to_string()), (2, place));
}

#[test]
fn what_a_guest_should_not_have_is_shared_on_request_only() {
    let scene = Scene::new();
    for folder in [
        "/",
        "~",
        "@",
        "~/.ssh",
        "@/data/keys",
        "~/.config",
        "~/.config/gh",
        "~/.cache",
        "~/.cache/virtualghost/x",
        "/proc/self",
        "/dev",
    ] {
        let place = format!("{folder}=/mnt");
        assert_eq!(scene.find(&[&place], None, false).unwrap_err().kind, Kind::BadInput, "{folder}");
        scene.find(&[&place], None, true).unwrap();
    }
    scene.find(&["~/src", "@/data=/mnt"], None, false).unwrap();
}

#[test]
fn two_folders_are_not_in_one_place_nor_one_in_the_other() {
    let scene = Scene::new();
    for texts in [
        ["~/src=/mnt", "@/data=/mnt"],
        ["~/src=/mnt", "@/data=/mnt/x"],
        ["~/src=/mnt/x", "@/data=/mnt"],
        ["@/own/src", "@/own/src/web"],
    ] {
        assert_eq!(scene.find(&texts, None, true).unwrap_err().kind, Kind::BadInput, "{texts:?}");
    }
    scene.find(&["@/own/src:ro", "@/own/src/web=/mnt"], None, false).unwrap();
    let many: Vec<_> = (0..=MOST).map(|number| format!("@/data=/mnt/{number}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    assert!(scene.find(&many, None, false).is_err() && scene.find(&many[1..], None, false).is_ok());
}

#[test]
fn errors() {
    let scene = Scene::new();
    let mut texts = crate::testing::Texts::default();
    for (about, shares, workdir) in [
        ("a folder that is missing", &["@/none"][..], None),
        ("a file", &["~/file"], None),
        ("the whole machine", &["/"], None),
        ("the home", &["~"], None),
        ("a folder with the home", &["@"], None),
        ("a folder with keys in it", &["~/.config"], None),
        ("a folder of keys", &["@/data/keys"], None),
        ("own files", &["~/.cache"], None),
        ("the system", &["/proc"], None),
        ("a place of the guest's own", &["/etc"], None),
        ("two in one place", &["~/src=/mnt", "@/data=/mnt"], None),
        ("one in the other", &["@/own/src"], Some("own/src/web")),
    ] {
        let text = scene.error(shares, workdir);
        texts.add(about, text.replace(scene.machine.path().to_str().unwrap(), "MACHINE"));
    }
    crate::testing::assert_texts!("refusals", texts);
}
