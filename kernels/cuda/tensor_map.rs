//! A tensor in device memory as Hopper's copy engine sees it: extents, and the box that one copy brings into shared
//! memory. What lies outside the extents arrives as zeros.

use cudarc::driver::sys;

use super::CudaError;

/// Bytes of a row of a box, whose 16-byte chunks the engine permutes so that products meet no bank conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BoxRow {
    Bytes64,
    Bytes128,
}

/// A map, passed to a kernel by value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TensorMap(#[expect(dead_code, reason = "a kernel reads it")] sys::CUtensorMap);

impl TensorMap {
    /// A contiguous bfloat16 tensor at `address` of `extents`, innermost first. A copy brings `count` elements along each
    /// axis, `step` apart; along the innermost they fill a row of the box.
    pub(crate) fn new<const AXES: usize>(
        address: u64,
        extents: [usize; AXES],
        count: [usize; AXES],
        step: [usize; AXES],
        row: BoxRow,
    ) -> Result<Self, CudaError> {
        const ELEMENT: u64 = 2;
        let wide = extents.map(|n| n as u64);
        let mut strides = [0; AXES];
        let mut bytes = ELEMENT;
        for (stride, extent) in strides.iter_mut().zip(wide) {
            bytes *= extent;
            *stride = bytes;
        }
        let narrow = |n: usize| u32::try_from(n).expect("a box is small");
        let step = step.map(narrow);
        let mut spans = [0; AXES];
        for ((span, count), step) in spans.iter_mut().zip(count).zip(step) {
            *span = narrow(count) * step;
        }
        let swizzle = match row {
            BoxRow::Bytes64 => sys::CUtensorMapSwizzle::CU_TENSOR_MAP_SWIZZLE_64B,
            BoxRow::Bytes128 => sys::CUtensorMapSwizzle::CU_TENSOR_MAP_SWIZZLE_128B,
        };
        let mut map = sys::CUtensorMap { opaque: [0; 16] };
        // SAFETY: the arrays are as long as the rank says (strides one less) and live through the call; the address is
        // not read but written into the map.
        unsafe {
            sys::cuTensorMapEncodeTiled(
                &raw mut map,
                sys::CUtensorMapDataType::CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
                narrow(AXES),
                address as *mut std::ffi::c_void,
                wide.as_ptr(),
                strides.as_ptr(),
                spans.as_ptr(),
                step.as_ptr(),
                sys::CUtensorMapInterleave::CU_TENSOR_MAP_INTERLEAVE_NONE,
                swizzle,
                sys::CUtensorMapL2promotion::CU_TENSOR_MAP_L2_PROMOTION_L2_128B,
                sys::CUtensorMapFloatOOBfill::CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE,
            )
            .result()?;
        }
        Ok(Self(map))
    }
}
