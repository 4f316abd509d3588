//! The settings: four layers (defaults < file < environment < flags), merged key by key, each value with
//! its origin. Owns the names, types and ranges of the settings. Must not depend on the host or QEMU.
//!
//! ```text
//! default.toml ─┐
//! config.toml  ─┤  Layer (every key optional, each with its Origin)  ──►  Config (complete)
//! VIRTUALGHOST_*┤
//! flags        ─┘
//! ```

mod values;

pub use values::*;

use crate::error::{Error, Kind};
use crate::model::units::{
    HomeSize, MemorySize, RootSize, Seconds, TcgTimeoutFactor, Vcpus, VmName, WindowSize,
};
use crate::model::{Initrd, Inputs, Published, RomChoice, Rules, Shares, Source, Terminal};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use toml::Spanned;

const DEFAULTS: &str = include_str!("default.toml");

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Default,
    File { path: PathBuf, line: usize },
    Environment { variable: String },
    Flag { name: String },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}, line {line}", path.display()),
            Self::Environment { variable } => f.write_str(variable),
            Self::Flag { name } => write!(f, "--{name}"),
        }
    }
}

/// A value and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting<T> {
    pub value: T,
    pub origin: Origin,
}

impl<T> Setting<T> {
    pub fn flag(name: &str, value: T) -> Self {
        Self { value, origin: Origin::Flag { name: name.to_owned() } }
    }
}

/// One row of `config --show`.
pub struct Row {
    pub key: &'static str,
    pub value: String,
    pub origin: Origin,
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{}, line {line}: {message}", path.display())]
    File { path: PathBuf, line: usize, message: String },
    #[error("environment variable {variable}: {message}")]
    Environment { variable: String, message: String },
}

/// A bad configuration: nothing was started.
impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        let hint = match &error {
            ConfigError::File { .. } => "correct or remove that line",
            ConfigError::Environment { .. } => "correct or unset that variable",
        };
        Self::caused(Kind::BadInput, error.into(), hint)
    }
}

/// The one list of settings. It defines the format of the file, a layer, the complete configuration, the names of the
/// environment variables and the rows of `config --show`; `default.toml` describes each key.
macro_rules! settings {
    ($($key:ident: $type:ty),+ $(,)?) => {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File { $($key: Option<Spanned<$type>>,)+ vm: Option<BTreeMap<VmName, Table>> }

        /// The settings of one VM, `[vm.NAME]`.
        #[derive(Default, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table { $($key: Option<Spanned<$type>>),+ }

        /// One layer: any subset of the settings.
        #[derive(Debug, Default, Clone)]
        pub struct Layer { $(pub $key: Option<Setting<$type>>),+ }

        /// Every setting, with its origin.
        #[derive(Debug, Clone)]
        pub struct Config { $(pub $key: Setting<$type>),+ }

        impl Layer {
            /// `vm`: the VM whose settings override the others.
            fn parse(text: &str, vm: &VmName, origin: impl Fn(usize) -> Origin) -> Result<Self, toml::de::Error> {
                let mut file: File = toml::from_str(text)?;
                let of_vm = file.vm.as_mut().and_then(|vms| vms.remove(vm)).unwrap_or_default();
                Ok(Self {$(
                    $key: of_vm.$key.or(file.$key).map(|spanned| {
                        let origin = origin(line_of(text, spanned.span().start));
                        Setting { value: spanned.into_inner(), origin }
                    })
                ),+})
            }

            /// The layer of environment variables: `VIRTUALGHOST_` and the key in capitals.
            pub fn environment(get: impl Fn(&str) -> Option<OsString>) -> Result<Self, ConfigError> {
                Ok(Self {$($key: variable(stringify!($key), &get)?),+})
            }

            /// This layer over `below`: its values win.
            #[must_use]
            pub fn over(self, below: Self) -> Self {
                Self {$($key: self.$key.or(below.$key)),+}
            }
        }

        impl Config {
            /// The defaults under `layers`, the first of which wins.
            pub fn merge(layers: impl IntoIterator<Item = Layer>) -> Self {
                let defaults = Layer::parse(DEFAULTS, &VmName::default(), |_| Origin::Default).expect("default.toml is valid");
                let all = layers.into_iter().fold(Layer::default(), |above, below| above.over(below)).over(defaults);
                Self {$($key: all.$key.expect(concat!("default.toml has ", stringify!($key)))),+}
            }

            pub fn rows(&self) -> Vec<Row> {
                vec![$(Row {
                    key: stringify!($key),
                    value: self.$key.value.to_string(),
                    origin: self.$key.origin.clone(),
                }),+]
            }
        }
    };
}

settings! {
    vcpus: Vcpus,
    memory: MemorySize,
    accel: AccelChoice,
    gpu: GpuChoice,
    gpu_rom: RomChoice,
    gpu_x_vga: bool,
    gpu_pack: PackChoice,
    input: Inputs,
    display: DisplayChoice,
    gl: GlChoice,
    start: StartChoice,
    size: WindowSize,
    fullscreen: bool,
    terminal: Terminal,
    keyboard: KeyboardChoice,
    timezone: TimezoneChoice,
    hostname: HostnameChoice,
    kernel: Source,
    rootfs: Source,
    qemu: Source,
    initrd: Initrd,
    keep: KeepChoice,
    root_size: RootSize,
    home_size: HomeSize,
    net: NetChoice,
    allow: Rules,
    net_log: bool,
    ports: PortsChoice,
    publish: Published,
    shares: Shares,
    git_identity: bool,
    jail: JailChoice,
    jail_log: bool,
    boot_timeout: Seconds,
    ready_timeout: Seconds,
    tcg_timeout_factor: TcgTimeoutFactor,
    poweroff_timeout: Seconds,
    age_notice: bool,
}

impl Layer {
    /// The layer of a configuration file with this text, for the VM of this name.
    pub fn file(text: &str, path: &Path, vm: &VmName) -> Result<Self, ConfigError> {
        let origin = |line| Origin::File { path: path.to_owned(), line };
        let mut layer = Self::parse(text, vm, origin).map_err(|e| ConfigError::File {
            path: path.to_owned(),
            line: e.span().map_or(1, |span| line_of(text, span.start)),
            message: e.message().to_owned(),
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for source in [&mut layer.kernel, &mut layer.rootfs, &mut layer.qemu].into_iter().flatten() {
            source.value = source.value.clone().anchored(folder);
        }
        layer.initrd.iter_mut().for_each(|initrd| initrd.value = initrd.value.clone().anchored(folder));
        layer.gpu_rom.iter_mut().for_each(|rom| rom.value = rom.value.clone().anchored(folder));
        layer.gpu_pack.iter_mut().for_each(|pack| pack.value = pack.value.clone().anchored(folder));
        for share in layer.shares.iter_mut().flat_map(|shares| &mut shares.value.0) {
            *share = share.clone().anchored(folder);
        }
        Ok(layer)
    }
}

/// What `config --show` prints: one line for each setting, `key = value`, aligned, and its origin. A path may contain a
/// line break or an escape sequence; neither reaches the terminal.
impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.rows();
        let lines: Vec<_> = rows.iter().map(|row| shown(format!("{} = {}", row.key, row.value))).collect();
        let width = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
        let lines =
            lines.iter().zip(&rows).map(|(line, row)| shown(format!("{line:<width$}  ({})", row.origin)));
        f.write_str(&lines.collect::<Vec<_>>().join("\n"))
    }
}

fn shown(text: String) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

/// The file that `config --init` writes: every setting, commented out.
pub fn template() -> String {
    DEFAULTS
        .lines()
        .map(|line| {
            if line.is_empty() || line.starts_with('#') { format!("{line}\n") } else { format!("#{line}\n") }
        })
        .collect()
}

/// 1-based line of a byte offset.
fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())].iter().filter(|&&b| b == b'\n').count() + 1
}

fn variable<T: FromVariable>(
    key: &str,
    get: &impl Fn(&str) -> Option<OsString>,
) -> Result<Option<Setting<T>>, ConfigError> {
    let variable = format!("VIRTUALGHOST_{}", key.to_uppercase());
    match get(&variable).filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => match T::from_variable(text) {
            Ok(value) => Ok(Some(Setting { value, origin: Origin::Environment { variable } })),
            Err(message) => Err(ConfigError::Environment { variable, message }),
        },
    }
}

/// Reads a setting from an environment variable: as text, except for paths, which may be any bytes.
trait FromVariable: Sized {
    fn from_variable(text: OsString) -> Result<Self, String>;
}

macro_rules! from_text {
    ($($type:ty),+) => {$(
        impl FromVariable for $type {
            fn from_variable(text: OsString) -> Result<Self, String> {
                let text = text.to_str().ok_or("is not UTF-8")?;
                Self::from_str(text).map_err(|e| e.to_string())
            }
        }
    )+};
}
from_text!(
    Vcpus,
    MemorySize,
    HomeSize,
    RootSize,
    TcgTimeoutFactor,
    Seconds,
    WindowSize,
    AccelChoice,
    GpuChoice,
    DisplayChoice,
    JailChoice,
    GlChoice,
    Inputs,
    KeepChoice,
    KeyboardChoice,
    HostnameChoice,
    NetChoice,
    PortsChoice,
    Published,
    Rules,
    Shares,
    StartChoice,
    Terminal,
    TimezoneChoice
);

impl FromVariable for bool {
    fn from_variable(text: OsString) -> Result<Self, String> {
        match text.to_str() {
            Some("true" | "1") => Ok(true),
            Some("false" | "0") => Ok(false),
            _ => Err(format!("must be true or false, not {text:?}")),
        }
    }
}

macro_rules! from_path {
    ($($type:ty),+) => {$(
        impl FromVariable for $type {
            fn from_variable(text: OsString) -> Result<Self, String> {
                Ok(text.into())
            }
        }
    )+};
}
from_path!(Source, Initrd, RomChoice, PackChoice);

#[cfg(test)]
mod tests;

#[cfg(all(test, unix))]
mod texts;
