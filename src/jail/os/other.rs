//! No jail: only Linux has Landlock. A plan has no policy here, and says so.

use crate::jail::JailPolicy;
use anyhow::Result;
use std::process::Command;

impl JailPolicy {
    /// # Errors
    /// None.
    pub fn confine(&self, _: &mut Command) -> Result<()> {
        Ok(())
    }
}
