//! What is held in memory, and for how long.
//!
//! Large buffers are used again where that is known to pay, and otherwise the allocator is told to give them back. A server that takes
//! uploads makes and drops buffers of some megabytes on every thread. Left to itself, glibc learns from the first one that is dropped to
//! keep such buffers, in an arena for each thread, and comes to hold several times what is in use (measured with eight uploads of 500 MB
//! at once: 544 MB in place of 168 MB).

mod buffers;
mod in_use;

use std::ffi::c_int;

pub use buffers::Buffers;
pub use in_use::InUse;

/// Buffers of at least this many bytes go back to the system when they are dropped.
const LARGE_BYTES: c_int = 512 << 10;
/// How many arenas there are for smaller ones.
const ARENAS: c_int = 2;

/// Sets glibc's allocator up, once, before threads are started; does nothing on other systems.
pub fn give_back_large_buffers() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // glibc's malloc.h.
        const M_TRIM_THRESHOLD: c_int = -1;
        const M_MMAP_THRESHOLD: c_int = -3;
        const M_ARENA_MAX: c_int = -8;
        set(M_ARENA_MAX, ARENAS);
        set(M_MMAP_THRESHOLD, LARGE_BYTES);
        set(M_TRIM_THRESHOLD, LARGE_BYTES);
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "mallopt takes two numbers by value, and any numbers: an unknown one is refused")]
fn set(parameter: c_int, value: c_int) {
    unsafe extern "C" {
        fn mallopt(parameter: c_int, value: c_int) -> c_int;
    }
    // A refusal leaves the allocator as it was, which is slower to give back and no error.
    let _taken = unsafe { mallopt(parameter, value) };
}
