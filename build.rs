//! The launcher embeds the VM's parts; the agent, which is one of them, embeds nothing.

#[cfg(feature = "launcher")]
#[path = "src/payload/embed.rs"]
mod embed;

#[cfg(feature = "launcher")]
fn main() -> anyhow::Result<()> {
    embed::main()
}

#[cfg(not(feature = "launcher"))]
fn main() {}
