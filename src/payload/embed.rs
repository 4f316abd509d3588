//! The launcher's build step, called by `build.rs` and no part of the library.
//!
//! Packs `assets/build/{kernel,rootfs,qemu}` into `OUT_DIR/payload`, which `src/main.rs` embeds. If one of them is missing,
//! the payload is empty: the program builds, its tests run, and a launch fails with a hint.
//!
//! `VIRTUALGHOST_ASSETS` is another folder than `assets/build`, for tests.
//! `VIRTUALGHOST_ZSTD_LEVEL` (1 to 22) sets the level; unset, a fast one. Releases use the best.
//! With `VIRTUALGHOST_EMPTY` set, the payload is empty in any case: for builds that are only checked or fuzzed.

#[path = "../model/arch.rs"]
mod arch;
mod manifest;
mod pack;
mod parallel;
#[cfg_attr(unix, path = "../sys/sparse/unix.rs")]
#[cfg_attr(windows, path = "../sys/sparse/windows.rs")]
mod sparse;

use anyhow::{Context, Result, ensure};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

const FOLDER: &str = "VIRTUALGHOST_ASSETS";
const LEVEL: &str = "VIRTUALGHOST_ZSTD_LEVEL";
const EMPTY: &str = "VIRTUALGHOST_EMPTY";
const FAST: i32 = 3;

pub fn main() -> Result<()> {
    println!("cargo:rerun-if-env-changed={FOLDER}");
    let build = env::var_os(FOLDER).map_or_else(|| "assets/build".into(), PathBuf::from);
    let out = PathBuf::from(env::var_os("OUT_DIR").context("cargo sets OUT_DIR")?);
    let payload = out.join("payload");
    println!("cargo:rerun-if-env-changed={LEVEL}");
    println!("cargo:rerun-if-env-changed={EMPTY}");
    if env::var_os(EMPTY).is_some() {
        return empty(&payload);
    }
    let level = level()?;
    let mut missing = Vec::new();
    for component in ["kernel", "rootfs", "qemu"] {
        let about = build.join(component).join("manifest.json");
        // Cargo always treats a path that does not exist as changed: watch its folder instead.
        let watched = about.ancestors().find(|path| path.exists()).unwrap_or(Path::new("Cargo.toml"));
        println!("cargo:rerun-if-changed={}", watched.display());
        if !about.exists() {
            missing.push(component);
        }
    }

    if missing.is_empty() {
        // Made beside the earlier one, whose frames are reused, then renamed: an interrupted build leaves nothing incomplete.
        let fresh = out.join("payload.new");
        let _ = fs::remove_dir_all(&fresh);
        pack::pack(&build, &fresh, level, &payload)?;
        let _ = fs::remove_dir_all(&payload);
        fs::rename(fresh, payload)?;
    } else {
        println!(
            "cargo:warning=no {} in {}: this executable carries no VM (see `make help`)",
            missing.join(", "),
            build.display()
        );
        empty(&payload)?;
    }
    Ok(())
}

fn empty(payload: &Path) -> Result<()> {
    let _ = fs::remove_dir_all(payload);
    Ok(fs::create_dir(payload)?)
}

fn level() -> Result<i32> {
    let Ok(text) = env::var(LEVEL) else { return Ok(FAST) };
    let level = text.parse().with_context(|| format!("{LEVEL}={text}"))?;
    ensure!((1..=22).contains(&level), "{LEVEL} must be from 1 to 22, not {level}");
    Ok(level)
}
