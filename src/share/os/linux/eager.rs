//! Folders that are read with the properties of all that is in them, no faster than there is room for.
//!
//! The kernel of the guest asks for these with the first names of a folder, and for each other name alone, one request each,
//! because the virtiofsd crate lets it choose (kernel, include/uapi/linux/fuse.h, FUSE_READDIRPLUS_AUTO). Most of what reads
//! a folder here asks for all of them: `ls -l`, `git status`, build tools.

use super::room::Room;
use std::ffi::CStr;
use std::io;
use std::time::Duration;
use virtiofsd::filesystem::{
    Context, Entry, Extensions, FileSystem, FsOptions, GetxattrReply, ListxattrReply, OpenOptions,
    SerializableFileSystem, SetattrValid, SetxattrFlags, ZeroCopyReader, ZeroCopyWriter,
};
use virtiofsd::fuse::{Attr, SetattrIn};

/// A file system whose kernel does not choose.
pub struct Eager<F> {
    pub files: F,
    pub room: Room,
}

/// Each of these is as in the file system itself.
macro_rules! unchanged {
    ($(fn $name:ident $(<$kind:ident: $bound:ident>)? ($($argument:ident: $type:ty),*) $(-> $result:ty)?;)*) => {$(
        fn $name $(<$kind: $bound>)? (&self, $($argument: $type),*) $(-> $result)? {
            self.files.$name($($argument),*)
        }
    )*};
}

impl<F: FileSystem> FileSystem for Eager<F> {
    type Inode = F::Inode;
    type Handle = F::Handle;
    type DirIter = F::DirIter;

    fn init(&self, capable: FsOptions) -> io::Result<FsOptions> {
        Ok(self.files.init(capable)? - FsOptions::READDIRPLUS_AUTO)
    }

    /// Each file that the guest's kernel gets to know comes this way.
    fn lookup(&self, ctx: Context, parent: F::Inode, name: &CStr) -> io::Result<Entry> {
        self.room.wait();
        self.files.lookup(ctx, parent, name)
    }

    unchanged! {
        fn destroy();
        fn forget(ctx: Context, inode: F::Inode, count: u64);
        fn batch_forget(ctx: Context, requests: Vec<(F::Inode, u64)>);
        fn getattr(ctx: Context, inode: F::Inode, handle: Option<F::Handle>) -> io::Result<(Attr, Duration)>;
        fn setattr(
            ctx: Context, inode: F::Inode, attr: SetattrIn, handle: Option<F::Handle>, valid: SetattrValid
        ) -> io::Result<(Attr, Duration)>;
        fn readlink(ctx: Context, inode: F::Inode) -> io::Result<Vec<u8>>;
        fn symlink(
            ctx: Context, target: &CStr, parent: F::Inode, name: &CStr, extensions: Extensions
        ) -> io::Result<Entry>;
        fn mknod(
            ctx: Context, inode: F::Inode, name: &CStr, mode: u32, rdev: u32, umask: u32, extensions: Extensions
        ) -> io::Result<Entry>;
        fn mkdir(
            ctx: Context, parent: F::Inode, name: &CStr, mode: u32, umask: u32, extensions: Extensions
        ) -> io::Result<Entry>;
        fn unlink(ctx: Context, parent: F::Inode, name: &CStr) -> io::Result<()>;
        fn rmdir(ctx: Context, parent: F::Inode, name: &CStr) -> io::Result<()>;
        fn rename(
            ctx: Context, old: F::Inode, old_name: &CStr, new: F::Inode, new_name: &CStr, flags: u32
        ) -> io::Result<()>;
        fn link(ctx: Context, inode: F::Inode, parent: F::Inode, name: &CStr) -> io::Result<Entry>;
        fn open(
            ctx: Context, inode: F::Inode, kill_priv: bool, flags: u32
        ) -> io::Result<(Option<F::Handle>, OpenOptions)>;
        fn create(
            ctx: Context, parent: F::Inode, name: &CStr, mode: u32, kill_priv: bool, flags: u32, umask: u32,
            extensions: Extensions
        ) -> io::Result<(Entry, Option<F::Handle>, OpenOptions)>;
        fn read<W: ZeroCopyWriter>(
            ctx: Context, inode: F::Inode, handle: F::Handle, writer: W, size: u32, offset: u64,
            lock_owner: Option<u64>, flags: u32
        ) -> io::Result<usize>;
        fn write<R: ZeroCopyReader>(
            ctx: Context, inode: F::Inode, handle: F::Handle, reader: R, size: u32, offset: u64,
            lock_owner: Option<u64>, delayed: bool, kill_priv: bool, flags: u32
        ) -> io::Result<usize>;
        fn flush(ctx: Context, inode: F::Inode, handle: F::Handle, lock_owner: u64) -> io::Result<()>;
        fn fsync(ctx: Context, inode: F::Inode, data: bool, handle: F::Handle) -> io::Result<()>;
        fn fallocate(
            ctx: Context, inode: F::Inode, handle: F::Handle, mode: u32, offset: u64, length: u64
        ) -> io::Result<()>;
        fn release(
            ctx: Context, inode: F::Inode, flags: u32, handle: F::Handle, flush: bool, flock_release: bool,
            lock_owner: Option<u64>
        ) -> io::Result<()>;
        fn statfs(ctx: Context, inode: F::Inode) -> io::Result<nix::libc::statvfs64>;
        fn setxattr(
            ctx: Context, inode: F::Inode, name: &CStr, value: &[u8], flags: u32, extra: SetxattrFlags
        ) -> io::Result<()>;
        fn getxattr(ctx: Context, inode: F::Inode, name: &CStr, size: u32) -> io::Result<GetxattrReply>;
        fn listxattr(ctx: Context, inode: F::Inode, size: u32) -> io::Result<ListxattrReply>;
        fn removexattr(ctx: Context, inode: F::Inode, name: &CStr) -> io::Result<()>;
        fn opendir(ctx: Context, inode: F::Inode, flags: u32) -> io::Result<(Option<F::Handle>, OpenOptions)>;
        fn readdir(
            ctx: Context, inode: F::Inode, handle: F::Handle, size: u32, offset: u64
        ) -> io::Result<F::DirIter>;
        fn fsyncdir(ctx: Context, inode: F::Inode, data: bool, handle: F::Handle) -> io::Result<()>;
        fn releasedir(ctx: Context, inode: F::Inode, flags: u32, handle: F::Handle) -> io::Result<()>;
        fn access(ctx: Context, inode: F::Inode, mask: u32) -> io::Result<()>;
        fn lseek(
            ctx: Context, inode: F::Inode, handle: F::Handle, offset: u64, whence: u32
        ) -> io::Result<u64>;
        fn copyfilerange(
            ctx: Context, from: F::Inode, from_handle: F::Handle, from_offset: u64, to: F::Inode,
            to_handle: F::Handle, to_offset: u64, length: u64, flags: u64
        ) -> io::Result<usize>;
        fn syncfs(ctx: Context, inode: F::Inode) -> io::Result<()>;
        fn tmpfile() -> io::Result<(Entry, Option<F::Handle>, OpenOptions)>;
    }
}

/// Such a device is never migrated.
impl<F> SerializableFileSystem for Eager<F> {}
