//! What the fuzz targets share: an allocator with a limit, and streams that arrive in pieces.

use std::alloc::{GlobalAlloc, Layout, System};

/// The most that one allocation may ask for: no input is longer than 1 MiB, and nothing that is read from one has a
/// reason to be more than a chunk of the payload (4 MiB) and some.
const LIMIT: usize = 32 << 20;

/// Ends the process when an input makes the program ask for much memory at once: libFuzzer's own limit counts only
/// what is touched, and reservations are not.
struct Limited;

#[global_allocator]
static ALLOCATOR: Limited = Limited;

// SAFETY: the system's allocator does all of it; an allocation beyond the limit does not return.
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

/// The input's first byte is the length of the pieces, less one, in which the rest arrives.
pub fn pieces(input: &[u8]) -> Option<(&[u8], std::slice::Chunks<'_, u8>)> {
    let (length, stream) = input.split_first()?;
    Some((stream, stream.chunks(usize::from(*length) + 1)))
}
