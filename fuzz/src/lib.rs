//! Shared by the fuzz targets: an allocator with a limit, and streams that arrive in pieces.

use std::alloc::{GlobalAlloc, Layout, System};

/// The largest allowed allocation: no input is longer than 1 MiB, and nothing that is read from one needs much more than a
/// chunk of the payload (4 MiB).
const LIMIT: usize = 32 << 20;

/// Aborts the process when an input causes a large allocation: libFuzzer's own limit counts only memory that is used, not
/// memory that is reserved.
struct Limited;

#[global_allocator]
static ALLOCATOR: Limited = Limited;

// SAFETY: every call is passed on to the system's allocator; an allocation beyond the limit aborts.
unsafe impl GlobalAlloc for Limited {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        check(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        check(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        check(size);
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn check(size: usize) {
    if size > LIMIT {
        eprintln!("an allocation of {size} bytes; the limit is {LIMIT}");
        std::process::abort();
    }
}

/// The first byte of the input is the length of the pieces, less one, in which the rest arrives.
pub fn pieces(input: &[u8]) -> Option<(&[u8], std::slice::Chunks<'_, u8>)> {
    let (length, stream) = input.split_first()?;
    Some((stream, stream.chunks(usize::from(*length) + 1)))
}
