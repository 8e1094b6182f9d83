//! Device memory in regions: one for what is computed in, one for what lasts longer, and one for each network. A region is a
//! stretch of addresses of its own that gets memory as it is needed and gives it back; its tensors keep their addresses while
//! the memory is away.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cudarc::driver::{CudaContext, CudaStream, result, sys};

use super::error::{Share, Shortage};
use super::{CudaError, Pinned};
use crate::PoolUse;
use crate::space::{Block, Space};

/// Tensors begin on such a border: cuBLASLt knows no better alignment than half of it.
const GRAIN: usize = 512;

/// The most that stands or falls together: one small tensor that stays keeps no more from being given back.
const PIECE: usize = 128 << 20;

/// What the regions of a device share.
pub(super) struct Ground {
    context: Arc<CudaContext>,
    /// All work is given to it in order, so that what is freed can be used again by what comes after.
    stream: Arc<CudaStream>,
    /// Copies between host and device that nothing on the other stream waits for.
    copies: Arc<CudaStream>,
    page: usize,
    /// Bytes of the device, and of each region's addresses.
    total: usize,
    counts: Mutex<Counts>,
}

/// What the tensors of a region are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Comes and goes within a layer.
    Computing,
    /// Made while a clip is worked on, and kept for longer than the layer.
    Lasting,
    /// Weights.
    Network,
}

/// Of all regions together.
#[derive(Default)]
struct Counts {
    computing: Share,
    lasting: Share,
    networks: Share,
    used_peak: u64,
    reserved_peak: u64,
    /// The most that may be reserved.
    limit: Option<u64>,
}

impl Counts {
    fn share(&mut self, purpose: Purpose) -> &mut Share {
        match purpose {
            Purpose::Computing => &mut self.computing,
            Purpose::Lasting => &mut self.lasting,
            Purpose::Network => &mut self.networks,
        }
    }

    fn pool(&self) -> PoolUse {
        let shares = [self.computing, self.lasting, self.networks];
        PoolUse {
            used: shares.iter().map(|share| share.used).sum(),
            reserved: shares.iter().map(|share| share.reserved).sum(),
            used_peak: self.used_peak,
            reserved_peak: self.reserved_peak,
        }
    }

    fn shortage(&self, wanted: usize, free: usize) -> CudaError {
        let Self { computing, lasting, networks, limit, .. } = *self;
        CudaError::OutOfMemory(Box::new(Shortage { wanted, free, computing, lasting, networks, limit }))
    }
}

impl Ground {
    pub(super) fn new(context: &Arc<CudaContext>, stream: &Arc<CudaStream>) -> Result<Self, CudaError> {
        let mut page = 0;
        let properties = properties(context);
        let smallest = sys::CUmemAllocationGranularity_flags::CU_MEM_ALLOC_GRANULARITY_MINIMUM;
        // SAFETY: writes one integer.
        unsafe { sys::cuMemGetAllocationGranularity(&raw mut page, &raw const properties, smallest) }
            .result()?;
        let (_, total) = context.mem_get_info()?;
        Ok(Self {
            context: context.clone(),
            stream: stream.clone(),
            copies: context.new_stream()?,
            page: page.max(1),
            total: total.next_multiple_of(page.max(1)),
            counts: Mutex::default(),
        })
    }

    /// Copies between host and device go through it.
    pub(super) fn copies(&self) -> &Arc<CudaStream> {
        &self.copies
    }

    pub(super) fn pool(&self) -> PoolUse {
        lock(&self.counts).pool()
    }

    pub(super) fn forget_peak(&self) {
        let counts = &mut *lock(&self.counts);
        let PoolUse { used, reserved, .. } = counts.pool();
        (counts.used_peak, counts.reserved_peak) = (used, reserved);
    }

    pub(super) fn limit(&self, bytes: Option<u64>) {
        lock(&self.counts).limit = bytes;
    }

    /// That there is no room for `wanted` bytes, and who has it.
    pub(super) fn shortage(&self, wanted: usize, free: usize) -> CudaError {
        lock(&self.counts).shortage(wanted, free)
    }

    /// Reserves, or says that the limit stands in the way.
    fn reserve(&self, purpose: Purpose, bytes: usize) -> Result<(), CudaError> {
        let counts = &mut *lock(&self.counts);
        let before = counts.pool().reserved;
        let after = before + bytes as u64;
        if let Some(limit) = counts.limit.filter(|limit| after > *limit) {
            return Err(counts.shortage(bytes, limit.saturating_sub(before) as usize));
        }
        counts.share(purpose).reserved += bytes as u64;
        counts.reserved_peak = counts.reserved_peak.max(after);
        Ok(())
    }

    fn unreserve(&self, purpose: Purpose, bytes: usize) {
        lock(&self.counts).share(purpose).reserved -= bytes as u64;
    }

    fn use_more(&self, purpose: Purpose, bytes: usize) {
        let counts = &mut *lock(&self.counts);
        counts.share(purpose).used += bytes as u64;
        counts.used_peak = counts.used_peak.max(counts.pool().used);
    }

    fn use_less(&self, purpose: Purpose, bytes: usize) {
        lock(&self.counts).share(purpose).used -= bytes as u64;
    }
}

/// A stretch of addresses and the memory behind it.
pub(crate) struct Region {
    ground: Arc<Ground>,
    purpose: Purpose,
    base: sys::CUdeviceptr,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    space: Space,
    /// The memory of each block.
    handles: BTreeMap<usize, sys::CUmemGenericAllocationHandle>,
    /// Bytes taken.
    used: usize,
    /// What stands behind the addresses when the memory is here.
    away: Option<Vec<Block>>,
}

impl Region {
    pub(super) fn new(ground: &Arc<Ground>, purpose: Purpose) -> Result<Self, CudaError> {
        let mut base = 0;
        ground.context.bind_to_thread()?;
        // SAFETY: addresses alone; freed in drop.
        unsafe { sys::cuMemAddressReserve(&raw mut base, 2 * ground.total, ground.page, 0, 0) }.result()?;
        Ok(Self { ground: ground.clone(), purpose, base, state: Mutex::default() })
    }

    /// Memory for `bytes`. Fails if the device or the limit leaves no room for them.
    pub(super) fn allocate(&self, bytes: usize) -> Result<sys::CUdeviceptr, CudaError> {
        let bytes = bytes.max(1).next_multiple_of(GRAIN);
        let state = &mut *lock(&self.state);
        let start = match state.space.take(bytes) {
            Some(start) => start,
            None => {
                let Block { start, bytes: all } = state.space.growth(bytes, self.ground.page);
                // In pieces, each of which can be given back when nothing is in it.
                for from in (0..all).step_by(PIECE) {
                    let block = Block { start: start + from, bytes: PIECE.min(all - from) };
                    self.map(state, block)?;
                    state.space.add(block);
                }
                state.space.take(bytes).ok_or_else(|| self.ground.shortage(bytes, 0))?
            }
        };
        state.used += bytes;
        self.ground.use_more(self.purpose, bytes);
        Ok(self.base + start as u64)
    }

    /// Frees what [`Self::allocate`] gave; work that was given to the stream before may still use it.
    pub(super) fn free(&self, pointer: sys::CUdeviceptr) {
        let state = &mut *lock(&self.state);
        if let Some(bytes) = state.space.give((pointer - self.base) as usize) {
            state.used -= bytes;
            if state.away.is_none() {
                self.ground.use_less(self.purpose, bytes);
            }
        }
    }

    /// Gives memory back that nothing is in. Waits for all work first.
    pub(super) fn trim(&self) -> Result<(), CudaError> {
        let state = &mut *lock(&self.state);
        let idle = state.space.idle();
        if !idle.is_empty() {
            self.ground.stream.synchronize()?;
        }
        for block in idle {
            self.unmap(state, block)?;
            state.space.remove(block);
        }
        Ok(())
    }

    /// Bytes of memory that are here or would be.
    pub(crate) fn bytes(&self) -> usize {
        lock(&self.state).space.memory()
    }

    /// A copy of everything on the host.
    pub(crate) fn copy(&self) -> Result<Pinned, CudaError> {
        let state = lock(&self.state);
        self.ground.stream.synchronize()?;
        let mut copy = Pinned::new(&self.ground.context, state.space.memory())?;
        let mut at = 0;
        for Block { start, bytes } in state.space.blocks() {
            let to = &mut copy.bytes_mut()[at..at + bytes];
            let from = self.base + start as u64;
            // SAFETY: the block is mapped; the copy lives until the wait below.
            unsafe { result::memcpy_dtoh_async(to, from, self.ground.copies.cu_stream())? };
            at += bytes;
        }
        self.ground.copies.synchronize()?;
        Ok(copy)
    }

    /// Gives all memory back. The tensors keep their addresses; what reads them before [`Self::come_back`] fails.
    pub(crate) fn leave(&self) -> Result<(), CudaError> {
        let state = &mut *lock(&self.state);
        if state.away.is_some() {
            return Ok(());
        }
        self.ground.stream.synchronize()?;
        let blocks: Vec<Block> = state.space.blocks().collect();
        for &block in &blocks {
            self.unmap(state, block)?;
        }
        self.ground.use_less(self.purpose, state.used);
        state.away = Some(blocks);
        Ok(())
    }

    /// Puts memory behind the addresses again, with what `copy` holds.
    pub(crate) fn come_back(&self, copy: &Pinned) -> Result<(), CudaError> {
        let state = &mut *lock(&self.state);
        let Some(blocks) = state.away.take() else { return Ok(()) };
        for (nth, &block) in blocks.iter().enumerate() {
            if let Err(error) = self.map(state, block) {
                for &block in &blocks[..nth] {
                    self.unmap(state, block)?;
                }
                state.away = Some(blocks);
                return Err(error);
            }
        }
        self.ground.use_more(self.purpose, state.used);
        let mut at = 0;
        for Block { start, bytes } in blocks {
            let from = &copy.bytes()[at..at + bytes];
            // SAFETY: the block was just mapped; the copy lives until the wait below.
            unsafe {
                result::memcpy_htod_async(self.base + start as u64, from, self.ground.copies.cu_stream())?;
            }
            at += bytes;
        }
        Ok(self.ground.copies.synchronize()?)
    }

    fn map(&self, state: &mut State, block: Block) -> Result<(), CudaError> {
        let Ground { context, .. } = &*self.ground;
        context.bind_to_thread()?;
        self.ground.reserve(self.purpose, block.bytes)?;
        let place = self.base + block.start as u64;
        let made = || -> Result<sys::CUmemGenericAllocationHandle, CudaError> {
            let properties = properties(context);
            let access = sys::CUmemAccessDesc {
                location: properties.location,
                flags: sys::CUmemAccess_flags::CU_MEM_ACCESS_FLAGS_PROT_READWRITE,
            };
            let mut handle = 0;
            // SAFETY: the block lies inside this region's addresses and nothing stands behind it yet.
            unsafe {
                sys::cuMemCreate(&raw mut handle, block.bytes, &raw const properties, 0).result()?;
                let mapped = sys::cuMemMap(place, block.bytes, 0, handle, 0)
                    .result()
                    .and_then(|()| sys::cuMemSetAccess(place, block.bytes, &raw const access, 1).result());
                if let Err(error) = mapped {
                    // Both fail if there is nothing to undo.
                    sys::cuMemUnmap(place, block.bytes).result().ok();
                    sys::cuMemRelease(handle).result().ok();
                    return Err(error.into());
                }
            }
            Ok(handle)
        };
        match made() {
            Ok(handle) => {
                state.handles.insert(block.start, handle);
                Ok(())
            }
            Err(CudaError::Driver(error)) if error.0 == sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY => {
                self.ground.unreserve(self.purpose, block.bytes);
                let free = context.mem_get_info().map_or(0, |(free, _)| free);
                Err(self.ground.shortage(block.bytes, free))
            }
            Err(error) => {
                self.ground.unreserve(self.purpose, block.bytes);
                Err(error)
            }
        }
    }

    fn unmap(&self, state: &mut State, block: Block) -> Result<(), CudaError> {
        let Some(handle) = state.handles.remove(&block.start) else { return Ok(()) };
        self.ground.context.bind_to_thread()?;
        // SAFETY: mapped by `map`, and no work is left that uses it.
        unsafe {
            sys::cuMemUnmap(self.base + block.start as u64, block.bytes).result()?;
            sys::cuMemRelease(handle).result()?;
        }
        self.ground.unreserve(self.purpose, block.bytes);
        Ok(())
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        let state = &mut *self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let blocks: Vec<Block> = state.space.blocks().collect();
        let context = &self.ground.context;
        // An error of work before shows up again at the next call.
        self.ground.stream.synchronize().ok();
        for block in blocks {
            // SAFETY: nothing is left in the region, and no work that uses it.
            let Some(handle) = state.handles.remove(&block.start) else { continue };
            unsafe {
                context.record_err(sys::cuMemUnmap(self.base + block.start as u64, block.bytes).result());
                context.record_err(sys::cuMemRelease(handle).result());
            }
            self.ground.unreserve(self.purpose, block.bytes);
        }
        // SAFETY: reserved in `new`; nothing is mapped there any more.
        context.record_err(unsafe { sys::cuMemAddressFree(self.base, 2 * self.ground.total) }.result());
    }
}

fn properties(context: &CudaContext) -> sys::CUmemAllocationProp {
    sys::CUmemAllocationProp {
        type_: sys::CUmemAllocationType::CU_MEM_ALLOCATION_TYPE_PINNED,
        requestedHandleTypes: sys::CUmemAllocationHandleType::CU_MEM_HANDLE_TYPE_NONE,
        location: sys::CUmemLocation {
            type_: sys::CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE,
            id: i32::try_from(context.ordinal()).unwrap_or(0),
        },
        win32HandleMetaData: std::ptr::null_mut(),
        allocFlags: sys::CUmemAllocationProp_st__bindgen_ty_1 {
            compressionType: 0,
            gpuDirectRDMACapable: 0,
            usage: 0,
            reserved: [0; 4],
        },
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
