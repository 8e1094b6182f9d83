//! One GPU: its context, its one compute stream and its memory.
//! Calls come from the one thread that owns the card; nothing here is async.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cudarc::{
    cublaslt,
    driver::{CudaContext, CudaEvent, CudaFunction, CudaStream, result, sys},
};

use super::images::{self, Images};
use super::region::{Ground, Purpose, Region};
use super::{CudaError, Pinned, matmul::Library, timing::Watched};
use crate::PoolUse;

/// The bindings and the toolkit are of CUDA 13.0, which driver 580 brought.
const DRIVER_NEEDED: i32 = 13_000;
/// The one generation that runs images of sm_90a.
const HOPPER: (i32, i32) = (9, 0);
/// A float whose every byte is this is a NaN in bfloat16 and float32 alike.
const POISON: u8 = 0xff;
/// Two copies arrive at a time: the frames of one chunk while those of the chunk before are read.
const LANDINGS_KEPT: usize = 2;
/// Pinning takes longer than copying: small ones are made large enough for most, and the largest are not kept.
const SMALLEST_LANDING: usize = 2 << 20;
const LARGEST_LANDING: usize = 64 << 20;
/// Kernels read 16 bytes at a time: allocations end on such a border.
const GRAIN: usize = 16;

/// A GPU, cheap to clone.
#[derive(Clone)]
pub struct Device {
    inner: Arc<Inner>,
    /// Kernels with Hopper's own instructions are used.
    hopper: bool,
}

struct Inner {
    // Before the stream and the context: its handle and workspace are freed while both live.
    library: Library,
    images: Images,
    /// What is computed in.
    work: Arc<Region>,
    /// What is made between and stays longer: among what comes and goes it would leave holes.
    lasting: Arc<Region>,
    /// Where memory is taken from while it is not from `work`.
    within: Mutex<Option<Arc<Region>>>,
    /// Memory of the host in which copies arrive, while none does.
    landings: Mutex<Vec<Pinned>>,
    ground: Arc<Ground>,
    stream: Arc<CudaStream>,
    context: Arc<CudaContext>,
    /// Fresh buffers hold NaN and stand alone, so that tools see an access beside them.
    poison: bool,
    /// Kernels that are being watched.
    watched: Mutex<Option<Watched>>,
}

/// Compute capability, for example 9.0 for Hopper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Capability {
    pub major: i32,
    pub minor: i32,
}

/// A piece of device memory, and the region that it is from.
pub(super) struct Allocation {
    pub(super) pointer: sys::CUdeviceptr,
    region: Option<Arc<Region>>,
}

/// Bytes of device memory.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    pub free: usize,
    pub total: usize,
}

impl Device {
    /// Opens GPU `ordinal`. Errors when a library, the driver or the card is missing; never panics for that.
    pub fn open(ordinal: usize) -> Result<Self, CudaError> {
        Self::open_with(ordinal, false)
    }

    /// As [`Device::open`], but fresh buffers hold NaN, so that an element nobody wrote shows.
    pub fn open_poisoned(ordinal: usize) -> Result<Self, CudaError> {
        Self::open_with(ordinal, true)
    }

    /// Number of GPUs here; 0 without a driver.
    pub fn count() -> usize {
        // SAFETY: only tries to open the library.
        if !unsafe { sys::is_culib_present() } || result::init().is_err() {
            return 0;
        }
        result::device::get_count().map_or(0, |n| usize::try_from(n).unwrap_or(0))
    }

    /// The card's name, for example "NVIDIA H200".
    pub fn name(&self) -> Result<String, CudaError> {
        Ok(self.inner.context.name()?)
    }

    /// Its number among the GPUs of this machine.
    pub fn ordinal(&self) -> usize {
        self.inner.context.ordinal()
    }

    /// Number of multiprocessors.
    pub fn multiprocessors(&self) -> Result<usize, CudaError> {
        let attribute = sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT;
        Ok(usize::try_from(self.inner.context.attribute(attribute)?).unwrap_or(1))
    }

    /// The card's generation.
    pub fn capability(&self) -> Result<Capability, CudaError> {
        let (major, minor) = self.inner.context.compute_capability()?;
        Ok(Capability { major, minor })
    }

    /// Whether the kernels written for Hopper run here.
    pub(crate) fn hopper(&self) -> bool {
        self.hopper
    }

    /// The same card by the kernels that run on every generation, for their tests.
    #[cfg(test)]
    pub(crate) fn common(&self) -> Self {
        Self { hopper: false, ..self.clone() }
    }

    /// Free and total memory as the driver sees them; what regions keep counts as used.
    pub fn memory(&self) -> Result<Memory, CudaError> {
        let (free, total) = self.inner.context.mem_get_info()?;
        Ok(Memory { free, total })
    }

    /// What tensors hold and have held, and what was taken from the device for them.
    pub fn pool(&self) -> PoolUse {
        self.inner.ground.pool()
    }

    /// The peaks start again from what is held now.
    pub fn forget_peak(&self) {
        self.inner.ground.forget_peak();
    }

    /// No more than this is taken from the device for tensors.
    pub fn limit_memory(&self, bytes: Option<u64>) {
        self.inner.ground.limit(bytes);
    }

    /// Gives back what no tensor is in now, networks apart.
    pub fn trim(&self) -> Result<(), CudaError> {
        self.inner.work.trim()?;
        self.inner.lasting.trim()
    }

    /// Memory for tensors that come and go together.
    pub(crate) fn region(&self) -> Result<Arc<Region>, CudaError> {
        Ok(Arc::new(Region::new(&self.inner.ground, Purpose::Network)?))
    }

    /// Tensors that `work` makes stand apart from those that come and go.
    pub(crate) fn apart<T>(&self, work: impl FnOnce() -> T) -> T {
        self.within(&self.inner.lasting, work)
    }

    /// Tensors that `work` makes stand in `region`.
    pub(crate) fn within<T>(&self, region: &Arc<Region>, work: impl FnOnce() -> T) -> T {
        let set = |region| std::mem::replace(&mut *lock(&self.inner.within), region);
        let before = set(Some(region.clone()));
        let done = work();
        set(before);
        done
    }

    /// Times every kernel from now on.
    pub(crate) fn watch_kernels(&self) {
        *lock(&self.inner.watched) = Some(Vec::new());
    }

    pub(super) fn is_watching(&self) -> bool {
        lock(&self.inner.watched).is_some()
    }

    pub(super) fn note(&self, kernel: (String, CudaEvent, CudaEvent)) {
        if let Some(kernels) = lock(&self.inner.watched).as_mut() {
            kernels.push(kernel);
        }
    }

    pub(super) fn stop_watching(&self) -> Watched {
        lock(&self.inner.watched).take().unwrap_or_default()
    }

    /// Waits until all work given so far is done, and reports its errors.
    pub fn synchronize(&self) -> Result<(), CudaError> {
        Ok(self.inner.stream.synchronize()?)
    }

    /// Makes the device's context the calling thread's.
    pub(super) fn bind(&self) -> Result<(), CudaError> {
        Ok(self.inner.context.bind_to_thread()?)
    }

    pub(super) fn stream(&self) -> &Arc<CudaStream> {
        &self.inner.stream
    }

    /// Work that goes on beside the other: copies between host and device.
    pub(super) fn copies(&self) -> &Arc<CudaStream> {
        self.inner.ground.copies()
    }

    /// Pinned memory of at least `bytes`, to be handed back with [`Device::keep_landing`].
    pub(super) fn landing(&self, bytes: usize) -> Result<Pinned, CudaError> {
        let mut kept = lock(&self.inner.landings);
        let fitting = kept.iter().position(|landing| landing.bytes().len() >= bytes);
        if let Some(fitting) = fitting {
            return Ok(kept.swap_remove(fitting));
        }
        kept.clear();
        Pinned::new(&self.inner.context, bytes.max(SMALLEST_LANDING))
    }

    pub(super) fn keep_landing(&self, landing: Pinned) {
        let mut kept = lock(&self.inner.landings);
        if kept.len() < LANDINGS_KEPT && landing.bytes().len() <= LARGEST_LANDING {
            kept.push(landing);
        }
    }

    pub(super) fn library(&self) -> &Library {
        &self.inner.library
    }

    pub(super) fn function(
        &self,
        image: &'static str,
        name: &'static str,
    ) -> Result<CudaFunction, CudaError> {
        self.inner.images.function(&self.inner.context, image, name)
    }

    /// Memory for `bytes`, not initialised unless the device poisons.
    pub(super) fn allocate(&self, bytes: usize) -> Result<Allocation, CudaError> {
        if self.inner.poison {
            return self.allocate_alone(bytes);
        }
        let region = lock(&self.inner.within).clone().unwrap_or_else(|| self.inner.work.clone());
        let pointer = match region.allocate(bytes) {
            Err(CudaError::OutOfMemory(_)) => {
                // What others were in before may lie idle.
                self.trim()?;
                region.allocate(bytes)?
            }
            done => done?,
        };
        Ok(Allocation { pointer, region: Some(region) })
    }

    /// By the driver's own pool.
    fn allocate_alone(&self, bytes: usize) -> Result<Allocation, CudaError> {
        let bytes = bytes.max(1).next_multiple_of(GRAIN);
        let stream = self.inner.stream.cu_stream();
        self.inner.context.bind_to_thread()?;
        // SAFETY: the stream lives as long as the buffer, which holds the device.
        let pointer = unsafe { result::malloc_async(stream, bytes) }.map_err(|error| {
            if error.0 == sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY {
                let free = self.memory().map_or(0, |m| m.free);
                self.inner.ground.shortage(bytes, free)
            } else {
                error.into()
            }
        })?;
        // SAFETY: the memory was just made `bytes` long.
        unsafe { result::memset_d8_async(pointer, POISON, bytes, stream)? };
        Ok(Allocation { pointer, region: None })
    }

    /// Gives memory of [`Device::allocate`] back once the work given so far is done.
    pub(super) fn free(&self, allocation: &Allocation) {
        let context = &self.inner.context;
        match &allocation.region {
            Some(region) => region.free(allocation.pointer),
            None if context.bind_to_thread().is_ok() => {
                let stream = self.inner.stream.cu_stream();
                // SAFETY: allocated on the same stream, and its one owner is being dropped.
                context.record_err(unsafe { result::free_async(allocation.pointer, stream) });
            }
            None => {}
        }
    }

    fn open_with(ordinal: usize, poison: bool) -> Result<Self, CudaError> {
        // SAFETY: the probes only try to open the libraries; a missing one would panic later.
        if !unsafe { sys::is_culib_present() } {
            return Err(CudaError::NoDriver);
        }
        result::init()?;
        let mut found = 0;
        // SAFETY: writes one integer.
        unsafe { sys::cuDriverGetVersion(&raw mut found) }.result()?;
        if found < DRIVER_NEEDED {
            return Err(CudaError::OldDriver { found, needed: DRIVER_NEEDED });
        }
        // SAFETY: as above.
        if !unsafe { cublaslt::sys::is_culib_present() } {
            return Err(CudaError::NoCublasLt);
        }
        let count = result::device::get_count()?;
        if ordinal >= usize::try_from(count).unwrap_or(0) {
            return Err(CudaError::NoDevice { ordinal, count });
        }
        let context = CudaContext::new(ordinal)?;
        // SAFETY: one stream does all the work of this device, so no event is needed to order it.
        unsafe { context.disable_event_tracking() };
        let stream = context.new_stream()?;
        let library = Library::open(&stream)?;
        let ground = Arc::new(Ground::new(&context, &stream)?);
        let work = Arc::new(Region::new(&ground, Purpose::Computing)?);
        let lasting = Arc::new(Region::new(&ground, Purpose::Lasting)?);
        let hopper = context.compute_capability()? == HOPPER && images::built_for_hopper();
        let inner = Inner {
            library,
            images: Images::default(),
            work,
            lasting,
            within: Mutex::default(),
            landings: Mutex::default(),
            ground,
            stream,
            context,
            poison,
            watched: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner), hopper })
    }
}

impl PartialEq for Device {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl std::fmt::Debug for Device {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{self}")
    }
}

impl std::fmt::Display for Device {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "cuda:{}", self.ordinal())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
