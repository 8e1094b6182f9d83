//! Host memory that stays where it is, so that the device copies to and from it at the full speed of the bus and without
//! holding up the thread that asks for it.

use std::alloc::{Layout, alloc, dealloc};
use std::ptr::NonNull;
use std::sync::Arc;

use cudarc::driver::{CudaContext, sys};
use rayon::prelude::*;

use super::CudaError;

/// Whole large pages, which the system finds and the driver pins fastest.
const BORDER: usize = 2 << 20;
/// Bytes that a thread touches at a time: the first touch of a page is most of what pinning takes.
const PIECE: usize = 16 << 20;

/// Pinned bytes.
pub(crate) struct Pinned {
    context: Arc<CudaContext>,
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: owned memory; nothing about it belongs to a thread.
unsafe impl Send for Pinned {}
// SAFETY: as above.
unsafe impl Sync for Pinned {}

/// An address that threads write different parts of.
#[derive(Clone, Copy)]
struct Start(*mut u8);
// SAFETY: the parts do not overlap.
unsafe impl Send for Start {}
// SAFETY: as above.
unsafe impl Sync for Start {}

impl Start {
    fn at(self, offset: usize) -> *mut u8 {
        self.0.wrapping_add(offset)
    }
}

impl Pinned {
    /// `bytes` zeros.
    pub(crate) fn new(context: &Arc<CudaContext>, bytes: usize) -> Result<Self, CudaError> {
        let none = CudaError::NoHostMemory { wanted: bytes };
        let layout = Layout::from_size_align(bytes.max(1), BORDER).map_err(|_| none)?;
        // SAFETY: the size is not zero.
        let start = NonNull::new(unsafe { alloc(layout) });
        let start = start.ok_or(CudaError::NoHostMemory { wanted: bytes })?;
        let all = Start(start.as_ptr());
        (0..layout.size().div_ceil(PIECE)).into_par_iter().for_each(|piece| {
            let length = PIECE.min(layout.size() - piece * PIECE);
            // SAFETY: the pieces lie inside the memory and do not overlap.
            unsafe { all.at(piece * PIECE).write_bytes(0, length) };
        });
        context.bind_to_thread()?;
        // SAFETY: memory of this length that is kept until it is unregistered in drop.
        let registered = unsafe { sys::cuMemHostRegister_v2(start.as_ptr().cast(), layout.size(), 0) };
        if registered.result().is_err() {
            // SAFETY: as it was allocated, and used by nobody.
            unsafe { dealloc(start.as_ptr(), layout) };
            return Err(CudaError::NoHostMemory { wanted: bytes });
        }
        Ok(Self { context: context.clone(), start, layout })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: all of it was written by `new`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.layout.size()) }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.layout.size()) }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if self.context.bind_to_thread().is_ok() {
            // SAFETY: registered in `new`; copies were waited for by those who began them.
            let done = unsafe { sys::cuMemHostUnregister(self.start.as_ptr().cast()) };
            self.context.record_err(done.result());
        }
        // SAFETY: as it was allocated.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}
