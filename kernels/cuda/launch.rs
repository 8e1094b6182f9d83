//! Starting a kernel. Only the operators' `cuda.rs` call it, one typed function a kernel.

use std::ffi::c_void;

use cudarc::driver::{result, sys};

use super::{CudaError, Device, TensorMap};

/// Above this a kernel must be told that it may use more shared memory.
const SHARED_WITHOUT_ASKING: usize = 48 * 1024;

/// Blocks, threads in each, and bytes of shared memory asked at launch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grid {
    pub(crate) blocks: (usize, usize, usize),
    pub(crate) threads: usize,
    pub(crate) shared: usize,
}

impl Grid {
    /// Threads of a block that does one thing per element, or shares a row.
    const THREADS: usize = 256;

    /// A thread for each of `count` elements.
    pub(crate) fn elements(count: usize) -> Self {
        Self::rows(count.div_ceil(Self::THREADS))
    }

    /// A block for each of `count` rows.
    pub(crate) fn rows(count: usize) -> Self {
        Self { blocks: (count, 1, 1), threads: Self::THREADS, shared: 0 }
    }

    /// A warp for each of `count` rows.
    pub(crate) fn warps(count: usize) -> Self {
        Self::rows(count.div_ceil(Self::THREADS / 32))
    }
}

/// One argument of a kernel, as its parameter list has it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Argument {
    /// A device address; 0 is a null pointer.
    Pointer(u64),
    I32(i32),
    I64(i64),
    F32(f32),
    /// By value.
    Map(TensorMap),
}

impl Argument {
    /// `n` as a kernel's `int`.
    pub(crate) fn int(n: usize) -> Self {
        Self::I32(i32::try_from(n).expect("sizes were checked to fit 31 bits"))
    }

    /// `n` as a kernel's `long long`.
    pub(crate) fn long(n: usize) -> Self {
        Self::I64(i64::try_from(n).expect("a size fits 63 bits"))
    }

    /// Where the value stands; the driver reads as many bytes as the parameter has.
    fn place(&self) -> *mut c_void {
        match self {
            Self::Pointer(address) => std::ptr::from_ref(address).cast_mut().cast(),
            Self::I32(n) => std::ptr::from_ref(n).cast_mut().cast(),
            Self::I64(n) => std::ptr::from_ref(n).cast_mut().cast(),
            Self::F32(x) => std::ptr::from_ref(x).cast_mut().cast(),
            Self::Map(map) => std::ptr::from_ref(map).cast_mut().cast(),
        }
    }
}

impl Device {
    /// Starts `function` of `image` (`folder/kernel`) on the device's stream.
    ///
    /// # Safety
    /// The arguments must be those of the kernel, in order and kind, and the buffers as large as it takes them to be.
    pub(crate) unsafe fn launch(
        &self,
        image: &'static str,
        function: &'static str,
        grid: Grid,
        arguments: &[Argument],
    ) -> Result<(), CudaError> {
        if [grid.blocks.0, grid.blocks.1, grid.blocks.2].contains(&0) {
            return Ok(());
        }
        let kernel = self.function(image, function)?;
        self.bind()?;
        if grid.shared > SHARED_WITHOUT_ASKING {
            let bytes = i32::try_from(grid.shared).expect("shared memory is far below 2 GiB");
            // SAFETY: the function was just loaded.
            unsafe {
                result::function::set_function_attribute(
                    kernel.cu_function(),
                    sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                    bytes,
                )?;
            }
        }
        let mut places: Vec<*mut c_void> = arguments.iter().map(Argument::place).collect();
        let narrow = |n: usize| u32::try_from(n).expect("a grid fits 32 bits");
        let blocks = (narrow(grid.blocks.0), narrow(grid.blocks.1), narrow(grid.blocks.2));
        // SAFETY: the caller vouches for the arguments.
        let mut launch = || unsafe {
            result::launch_kernel(
                kernel.cu_function(),
                blocks,
                (narrow(grid.threads), 1, 1),
                narrow(grid.shared),
                self.stream().cu_stream(),
                &mut places,
            )
        };
        self.watched(|| function.to_owned(), || Ok(launch()?))
    }
}
