//! The memory of the machine itself.

/// Gives what this process has freed back to the system: the allocator of glibc keeps it otherwise, for the next time.
/// Costs milliseconds, and the next allocations cost more; so it is for the end of something large.
pub fn give_back_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it may be called at any time from any thread; it takes no pointer.
    unsafe {
        libc::malloc_trim(0);
    }
}
