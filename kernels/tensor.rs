//! The one tensor type of the networks: a contiguous row-major block on a device. Never converts between devices
//! by itself; operators refuse tensors of different devices.

use std::ops::{Deref, Range};
use std::sync::Arc;

use candle_core::Storage as CandleStorage;

use crate::{Device, Error, Result};

/// Number format of the elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DType {
    F32,
    /// On a GPU only; the CPU widens to [`DType::F32`].
    BF16,
    I8,
    U32,
    /// On a GPU only.
    F8E4M3,
}

impl DType {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Self::F32 | Self::U32 => 4,
            Self::BF16 => 2,
            Self::I8 | Self::F8E4M3 => 1,
        }
    }
}

/// A contiguous row-major tensor. Cloning shares the memory; tensors never change once made.
#[derive(Debug, Clone)]
pub struct Tensor {
    shape: Vec<usize>,
    dtype: DType,
    storage: Storage,
}

#[derive(Debug, Clone)]
enum Storage {
    /// float32 or uint32.
    Cpu(candle_core::Tensor),
    /// candle has no int8.
    CpuInt8(Arc<Vec<i8>>),
    #[cfg(feature = "cuda")]
    Cuda(crate::cuda::Buffer),
}

impl Tensor {
    /// Copies `data` to `device` as `dtype` (`F32` or `BF16`). The CPU keeps float32 in either case.
    pub fn from_f32(data: Vec<f32>, shape: &[usize], dtype: DType, device: &Device) -> Result<Self> {
        check_count(data.len(), shape)?;
        if !matches!(dtype, DType::F32 | DType::BF16) {
            return Err(Error::argument("from_f32", format!("{dtype:?} is not a format of activations")));
        }
        match device {
            Device::Cpu => Self::from_candle(candle_core::Tensor::from_vec(data, shape, &CPU)?),
            #[cfg(feature = "cuda")]
            Device::Cuda(device) => {
                Ok(Self::from_cuda(crate::cuda::Buffer::from_f32(device, &data, dtype)?, shape, dtype))
            }
        }
    }

    /// Copies bfloat16 bit patterns to `device` as `dtype` (`F32` or `BF16`).
    pub fn from_bf16_bits(bits: &[u16], shape: &[usize], dtype: DType, device: &Device) -> Result<Self> {
        match device {
            Device::Cpu => {
                let wide = bits.iter().map(|&bits| f32::from_bits(u32::from(bits) << 16)).collect();
                Self::from_f32(wide, shape, dtype, device)
            }
            #[cfg(feature = "cuda")]
            Device::Cuda(device) => {
                check_count(bits.len(), shape)?;
                Ok(Self::from_cuda(crate::cuda::Buffer::from_bf16_bits(device, bits, dtype)?, shape, dtype))
            }
        }
    }

    /// Copies little-endian bfloat16, as files have it, to `device` as `dtype` (`F32` or `BF16`).
    pub fn from_bf16_bytes(bytes: &[u8], shape: &[usize], dtype: DType, device: &Device) -> Result<Self> {
        #[cfg(all(feature = "cuda", target_endian = "little"))]
        if let (Device::Cuda(device), DType::BF16) = (device, dtype) {
            check_count(bytes.len() / 2, shape)?;
            return Ok(Self::from_cuda(crate::cuda::Buffer::from_bytes(device, bytes)?, shape, dtype));
        }
        let bits: Vec<u16> = bytes.as_chunks().0.iter().map(|&pair| u16::from_le_bytes(pair)).collect();
        Self::from_bf16_bits(&bits, shape, dtype, device)
    }

    /// Copies int8 values to `device`.
    pub fn from_i8(data: Vec<i8>, shape: &[usize], device: &Device) -> Result<Self> {
        check_count(data.len(), shape)?;
        match device {
            Device::Cpu => Ok(Self {
                shape: shape.to_vec(),
                dtype: DType::I8,
                storage: Storage::CpuInt8(Arc::new(data)),
            }),
            #[cfg(feature = "cuda")]
            Device::Cuda(device) => {
                Ok(Self::from_cuda(crate::cuda::Buffer::from_i8(device, &data)?, shape, DType::I8))
            }
        }
    }

    /// Copies unsigned integers to `device`.
    pub fn from_u32(data: Vec<u32>, shape: &[usize], device: &Device) -> Result<Self> {
        check_count(data.len(), shape)?;
        match device {
            Device::Cpu => Self::from_candle(candle_core::Tensor::from_vec(data, shape, &CPU)?),
            #[cfg(feature = "cuda")]
            Device::Cuda(device) => {
                Ok(Self::from_cuda(crate::cuda::Buffer::from_u32(device, &data)?, shape, DType::U32))
            }
        }
    }

    /// Wraps a device buffer that holds `shape` elements of `dtype`.
    #[cfg(feature = "cuda")]
    pub(crate) fn from_cuda(buffer: crate::cuda::Buffer, shape: &[usize], dtype: DType) -> Self {
        Self { shape: shape.to_vec(), dtype, storage: Storage::Cuda(buffer) }
    }

    /// The device buffer. Fails on a tensor of the CPU.
    #[cfg(feature = "cuda")]
    pub(crate) fn cuda(&self, operator: &'static str) -> Result<&crate::cuda::Buffer> {
        match &self.storage {
            Storage::Cuda(buffer) => Ok(buffer),
            Storage::Cpu(_) | Storage::CpuInt8(_) => Err(Error::argument(operator, "tensors of two devices")),
        }
    }

    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The extent of axis `axis`.
    pub fn dim(&self, axis: usize) -> usize {
        self.shape[axis]
    }

    pub fn dtype(&self) -> DType {
        self.dtype
    }

    pub fn device(&self) -> Device {
        match &self.storage {
            Storage::Cpu(_) | Storage::CpuInt8(_) => Device::Cpu,
            #[cfg(feature = "cuda")]
            Storage::Cuda(buffer) => Device::Cuda(buffer.device()),
        }
    }

    /// Number of elements.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }

    /// All elements as float32 on the host (bfloat16 is widened). Fails on integers.
    pub fn to_f32(&self) -> Result<Vec<f32>> {
        match &self.storage {
            Storage::Cpu(_) | Storage::CpuInt8(_) => Ok(self.cpu("to_f32")?.to_vec()),
            #[cfg(feature = "cuda")]
            Storage::Cuda(buffer) => Ok(buffer.to_f32(self.dtype)?),
        }
    }

    /// The same floats in the format of the device's activations; itself if they are already.
    pub fn to_activations(&self) -> Result<Self> {
        match &self.storage {
            Storage::Cpu(_) | Storage::CpuInt8(_) => Ok(self.clone()),
            #[cfg(feature = "cuda")]
            Storage::Cuda(_) => crate::cuda::cast("to_activations", self, self.device().activations()),
        }
    }

    /// All elements of an int8 tensor on the host.
    pub fn to_i8(&self) -> Result<Vec<i8>> {
        match &self.storage {
            Storage::CpuInt8(values) => Ok(values.to_vec()),
            Storage::Cpu(_) => Err(Error::argument("to_i8", format!("the tensor is {:?}", self.dtype))),
            #[cfg(feature = "cuda")]
            Storage::Cuda(buffer) => Ok(buffer.to_i8()?),
        }
    }

    /// All elements of a uint32 tensor on the host.
    pub fn to_u32(&self) -> Result<Vec<u32>> {
        match &self.storage {
            Storage::Cpu(tensor) => Ok(tensor.flatten_all()?.to_vec1()?),
            Storage::CpuInt8(_) => Err(Error::argument("to_u32", "the tensor is I8")),
            #[cfg(feature = "cuda")]
            Storage::Cuda(buffer) => Ok(buffer.to_u32()?),
        }
    }

    /// The same elements under another shape of equal count, sharing memory.
    pub fn reshape(&self, shape: &[usize]) -> Result<Self> {
        check_count(self.count(), shape)?;
        let storage = match &self.storage {
            Storage::Cpu(tensor) => Storage::Cpu(tensor.reshape(shape)?),
            Storage::CpuInt8(values) => Storage::CpuInt8(values.clone()),
            #[cfg(feature = "cuda")]
            Storage::Cuda(buffer) => Storage::Cuda(buffer.clone()),
        };
        Ok(Self { shape: shape.to_vec(), dtype: self.dtype, storage })
    }

    /// Part `range` of axis 0, sharing memory. Fails on int8 and beyond the end.
    pub fn rows(&self, range: Range<usize>) -> Result<Self> {
        if self.shape.is_empty() || range.end > self.shape[0] || range.start > range.end {
            return Err(Error::argument("rows", format!("{range:?} of {:?}", self.shape)));
        }
        let mut shape = self.shape.clone();
        shape[0] = range.len();
        let storage = match &self.storage {
            Storage::Cpu(tensor) => Storage::Cpu(tensor.narrow(0, range.start, range.len())?),
            Storage::CpuInt8(_) => return Err(Error::argument("rows", "an int8 tensor is not cut")),
            #[cfg(feature = "cuda")]
            Storage::Cuda(buffer) => {
                let row = self.count() / self.shape[0].max(1) * self.dtype.size();
                Storage::Cuda(buffer.slice(range.start * row..range.end * row))
            }
        };
        Ok(Self { shape, dtype: self.dtype, storage })
    }

    /// Row `index` of axis 0 without that axis, sharing memory.
    pub fn row(&self, index: usize) -> Result<Self> {
        let row = self.rows(index..index + 1)?;
        row.reshape(&self.shape[1..])
    }

    /// `parts` one after another along axis 0, copied. All must agree in the other axes, type and device.
    pub fn concat(parts: &[&Tensor]) -> Result<Self> {
        let first = parts.first().ok_or_else(|| Error::argument("concat", "no parts"))?;
        if parts.iter().any(|part| part.shape[1..] != first.shape[1..] || part.dtype != first.dtype) {
            return Err(Error::argument("concat", "the parts differ in shape or type"));
        }
        match &first.storage {
            Storage::Cpu(_) => {
                let tensors: Vec<_> =
                    parts.iter().map(|part| part.candle("concat")).collect::<Result<_>>()?;
                Self::from_candle(candle_core::Tensor::cat(&tensors, 0)?)
            }
            Storage::CpuInt8(_) => Err(Error::argument("concat", "int8 tensors are not joined")),
            #[cfg(feature = "cuda")]
            Storage::Cuda(_) => {
                let buffers: Vec<_> = parts.iter().map(|part| part.cuda("concat")).collect::<Result<_>>()?;
                let mut shape = first.shape.clone();
                shape[0] = parts.iter().map(|part| part.shape[0]).sum();
                Ok(Self::from_cuda(crate::cuda::Buffer::concat(&buffers)?, &shape, first.dtype))
            }
        }
    }

    /// A float32 tensor on the CPU.
    pub(crate) fn from_cpu(data: Vec<f32>, shape: &[usize]) -> Result<Self> {
        Self::from_f32(data, shape, DType::F32, &Device::Cpu)
    }

    /// The float32 elements of a tensor on the CPU.
    pub(crate) fn cpu(&self, operator: &'static str) -> Result<CpuView<impl Deref<Target = CandleStorage>>> {
        let tensor = self.candle(operator)?;
        let (guard, layout) = tensor.storage_and_layout();
        let (start, end) = layout
            .contiguous_offsets()
            .ok_or_else(|| Error::argument(operator, "a tensor that is not contiguous"))?;
        let is_f32 = matches!(&*guard, CandleStorage::Cpu(candle_core::CpuStorage::F32(_)));
        if !is_f32 {
            return Err(Error::argument(operator, format!("a {:?} tensor where F32 is needed", self.dtype)));
        }
        Ok(CpuView { guard, range: start..end })
    }

    /// The int8 elements of a tensor on the CPU.
    pub(crate) fn cpu_i8(&self, operator: &'static str) -> Result<&[i8]> {
        match &self.storage {
            Storage::CpuInt8(values) => Ok(values),
            Storage::Cpu(_) => Err(Error::argument(operator, "a tensor that is not int8")),
            #[cfg(feature = "cuda")]
            Storage::Cuda(_) => Err(Error::argument(operator, "tensors of two devices")),
        }
    }

    /// The candle tensor of a tensor on the CPU.
    pub(crate) fn candle(&self, operator: &'static str) -> Result<&candle_core::Tensor> {
        match &self.storage {
            Storage::Cpu(tensor) => Ok(tensor),
            Storage::CpuInt8(_) => Err(Error::argument(operator, "an int8 tensor where F32 is needed")),
            #[cfg(feature = "cuda")]
            Storage::Cuda(_) => Err(Error::argument(operator, "tensors of two devices")),
        }
    }

    /// Wraps a contiguous candle tensor of the CPU.
    pub(crate) fn from_candle(tensor: candle_core::Tensor) -> Result<Self> {
        let tensor = tensor.contiguous()?;
        let dtype = if tensor.dtype() == candle_core::DType::U32 { DType::U32 } else { DType::F32 };
        Ok(Self { shape: tensor.dims().to_vec(), dtype, storage: Storage::Cpu(tensor) })
    }

    /// Fails unless the shape is `expected`.
    pub(crate) fn check(
        &self,
        operator: &'static str,
        argument: &'static str,
        expected: &[usize],
    ) -> Result<()> {
        if self.shape == expected {
            return Ok(());
        }
        Err(Error::Shape { operator, argument, expected: format!("{expected:?}"), found: self.shape.clone() })
    }

    /// Fails unless the tensor has `N` axes; gives their extents.
    pub(crate) fn axes<const N: usize>(
        &self,
        operator: &'static str,
        argument: &'static str,
    ) -> Result<[usize; N]> {
        self.shape.clone().try_into().map_err(|found| Error::Shape {
            operator,
            argument,
            expected: format!("a tensor of {N} axes"),
            found,
        })
    }
}

/// A borrowed look at the float32 elements of a CPU tensor.
pub(crate) struct CpuView<G> {
    guard: G,
    range: Range<usize>,
}

impl<G: Deref<Target = CandleStorage>> Deref for CpuView<G> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &*self.guard {
            CandleStorage::Cpu(candle_core::CpuStorage::F32(values)) => &values[self.range.clone()],
            CandleStorage::Cpu(_) | CandleStorage::Cuda(_) | CandleStorage::Metal(_) => {
                unreachable!("`Tensor::cpu` lets float32 tensors of the CPU through only")
            }
        }
    }
}

const CPU: candle_core::Device = candle_core::Device::Cpu;

fn check_count(count: usize, shape: &[usize]) -> Result<()> {
    if count == shape.iter().product::<usize>() {
        return Ok(());
    }
    Err(Error::argument("tensor", format!("{count} elements do not make {shape:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_concat_are_inverse() {
        let whole = Tensor::from_cpu((0..12).map(|v| v as f32).collect(), &[4, 3]).unwrap();
        let joined = Tensor::concat(&[&whole.rows(0..1).unwrap(), &whole.rows(1..4).unwrap()]).unwrap();
        assert_eq!(joined.to_f32().unwrap(), whole.to_f32().unwrap());
        assert_eq!(whole.row(2).unwrap().to_f32().unwrap(), [6.0, 7.0, 8.0]);
        assert!(whole.rows(3..5).is_err());
    }

    #[test]
    fn a_wrong_count_is_refused() {
        assert!(Tensor::from_cpu(vec![0.0; 5], &[2, 3]).is_err());
    }
}
