//! A piece of device memory, and the copies between it and the host. Knows bytes; shapes belong to [`crate::Tensor`].

use std::{ops::Range, sync::Arc};

use cudarc::driver::result;
use half::bf16;
use rayon::prelude::*;

use super::device::Allocation;
use super::{Arrival, CudaError, Device};
use crate::DType;

/// Fewer are not worth another thread.
const FLOATS_A_THREAD: usize = 1 << 16;

/// Device memory, or a part of it; clones share it. Written by the operator that made it and never changed after.
#[derive(Clone)]
pub struct Buffer {
    memory: Arc<Memory>,
    /// Bytes of the allocation that are this buffer's.
    range: Range<usize>,
}

struct Memory {
    device: Device,
    allocation: Allocation,
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} bytes on {}", self.range.len(), self.memory.device)
    }
}

impl Buffer {
    /// Memory for `bytes` that an operator is about to fill.
    pub(crate) fn empty(device: &Device, bytes: usize) -> Result<Self, CudaError> {
        let allocation = device.allocate(bytes)?;
        Ok(Self { memory: Arc::new(Memory { device: device.clone(), allocation }), range: 0..bytes })
    }

    /// Copies raw bytes to the device.
    pub fn from_bytes(device: &Device, bytes: &[u8]) -> Result<Self, CudaError> {
        let buffer = Self::empty(device, bytes.len())?;
        if bytes.is_empty() {
            return Ok(buffer);
        }
        // SAFETY: lengths agree; the source lives until the wait below.
        unsafe { result::memcpy_htod_async(buffer.address(), bytes, device.stream().cu_stream())? };
        device.synchronize()?;
        Ok(buffer)
    }

    /// Copies floats, rounded to `dtype`, which is `F32` or `BF16`.
    pub fn from_f32(device: &Device, values: &[f32], dtype: DType) -> Result<Self, CudaError> {
        match dtype {
            DType::F32 => Self::from_bytes(device, bytes_of(values)),
            DType::BF16 => {
                let rounded: Vec<bf16> = values.iter().map(|&v| bf16::from_f32(v)).collect();
                Self::from_bytes(device, bytes_of(&rounded))
            }
            DType::I8 | DType::U32 | DType::F8E4M3 => {
                Err(CudaError::Unsupported(format!("floats stored as {dtype:?}")))
            }
        }
    }

    /// Copies bfloat16 bit patterns as `dtype` (`F32` or `BF16`).
    pub fn from_bf16_bits(device: &Device, bits: &[u16], dtype: DType) -> Result<Self, CudaError> {
        if dtype == DType::BF16 {
            return Self::from_bytes(device, bytes_of(bits));
        }
        let wide: Vec<f32> = bits.iter().map(|&b| bf16::from_bits(b).to_f32()).collect();
        Self::from_f32(device, &wide, dtype)
    }

    /// Copies int8 values.
    pub fn from_i8(device: &Device, values: &[i8]) -> Result<Self, CudaError> {
        Self::from_bytes(device, bytes_of(values))
    }

    /// Copies unsigned integers.
    pub fn from_u32(device: &Device, values: &[u32]) -> Result<Self, CudaError> {
        Self::from_bytes(device, bytes_of(values))
    }

    /// All bytes on the host.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CudaError> {
        Ok(Arrival::begin(self)?.wait()?.to_vec())
    }

    /// All elements, which are of `dtype`, as float32 on the host.
    pub fn to_f32(&self, dtype: DType) -> Result<Vec<f32>, CudaError> {
        let arrival = Arrival::begin(self)?;
        let bytes = arrival.wait()?;
        match dtype {
            DType::F32 => Ok(floats(bytes, |b: [u8; 4]| f32::from_ne_bytes(b))),
            DType::BF16 => Ok(floats(bytes, |b: [u8; 2]| bf16::from_ne_bytes(b).to_f32())),
            DType::F8E4M3 => Ok(floats(bytes, |[code]: [u8; 1]| float_of_e4m3(code))),
            DType::I8 | DType::U32 => Err(CudaError::Unsupported(format!("{dtype:?} read as floats"))),
        }
    }

    /// All elements of an int8 buffer on the host.
    pub fn to_i8(&self) -> Result<Vec<i8>, CudaError> {
        Ok(self.to_bytes()?.into_iter().map(u8::cast_signed).collect())
    }

    /// All elements of a uint32 buffer on the host.
    pub fn to_u32(&self) -> Result<Vec<u32>, CudaError> {
        Ok(self.to_bytes()?.chunks_exact(4).map(word).collect())
    }

    /// Bytes `range` of this buffer, sharing memory.
    pub fn slice(&self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.range.len(), "a slice lies inside its buffer");
        let start = self.range.start;
        Self { memory: self.memory.clone(), range: start + range.start..start + range.end }
    }

    /// The buffers one after another, copied.
    pub fn concat(buffers: &[&Self]) -> Result<Self, CudaError> {
        let Some(first) = buffers.first() else {
            return Err(CudaError::Unsupported("joining no buffers".to_owned()));
        };
        let device = &first.memory.device;
        let joined = Self::empty(device, buffers.iter().map(|b| b.range.len()).sum())?;
        let mut at = joined.address();
        for buffer in buffers {
            let bytes = buffer.range.len();
            if bytes > 0 {
                // SAFETY: the target holds the sum of the lengths.
                unsafe {
                    result::memcpy_dtod_async(at, buffer.address(), bytes, device.stream().cu_stream())?;
                }
            }
            at += bytes as u64;
        }
        Ok(joined)
    }

    /// The device that holds the memory.
    pub fn device(&self) -> Device {
        self.memory.device.clone()
    }

    /// Length in bytes.
    pub fn bytes(&self) -> usize {
        self.range.len()
    }

    /// Address of the first byte on the device.
    pub(crate) fn address(&self) -> u64 {
        self.memory.allocation.pointer + self.range.start as u64
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.device.free(&self.allocation);
    }
}

/// Numbers that may be looked at as bytes: no padding, every byte set.
trait Plain: Copy {}
impl Plain for f32 {}
impl Plain for bf16 {}
impl Plain for u16 {}
impl Plain for u32 {}
impl Plain for i8 {}

fn bytes_of<T: Plain>(values: &[T]) -> &[u8] {
    // SAFETY: `Plain` types have no padding, and any memory may be read as bytes.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

/// A float of every `N` bytes, by all cores: what a step gives is millions of them, and the device waits.
fn floats<const N: usize>(bytes: &[u8], float: impl Fn([u8; N]) -> f32 + Sync) -> Vec<f32> {
    bytes.as_chunks().0.par_iter().with_min_len(FLOATS_A_THREAD).map(|&bytes| float(bytes)).collect()
}

/// A whole number of eighths of a power of two.
fn float_of_e4m3(code: u8) -> f32 {
    let (exponent, eighths) = (i32::from(code >> 3 & 15), f32::from(code & 7));
    let size = if exponent == 0 {
        eighths * (-9f32).exp2()
    } else {
        (8.0 + eighths) * ((exponent - 10) as f32).exp2()
    };
    if code & 0x80 == 0 { size } else { -size }
}

fn word(bytes: &[u8]) -> u32 {
    u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}
