//! int8 through our own kernels, as no library knows its block scales: on Hopper with everything that follows the product in
//! its store, elsewhere the product with bias and GELU.

use super::{Epilogue, NAME};
use crate::cuda::{Argument, BoxRow, Device, Grid, TensorMap, address, cast, empty, optional, pointer};
use crate::quantize_int8::BLOCK;
use crate::{DType, Matrix, Result, Tensor};

/// Rows of a tile on Hopper.
const ROWS: usize = 256;
/// Thread blocks of a cluster, which share the rows of a tile.
const CLUSTER: usize = 2;
/// Steps of rows and weights in shared memory.
const STAGES: usize = 4;
/// It stores eight outputs at a time.
const GRAIN: usize = 8;

/// A product of int8, its scales and its bias.
pub(super) struct Int8<'a> {
    pub(super) x: &'a Tensor,
    pub(super) x_scale: &'a Tensor,
    pub(super) weight: &'a Tensor,
    pub(super) weight_scale: &'a Tensor,
    pub(super) bias: Option<&'a Tensor>,
}

impl Int8<'_> {
    /// Whether the kernels written for Hopper take it.
    pub(super) fn on_hopper(&self, device: &Device) -> bool {
        device.hopper() && self.weight.dim(0).is_multiple_of(GRAIN)
    }

    /// The whole of `epilogue`, on Hopper.
    pub(super) fn hopper(&self, device: &Device, epilogue: Epilogue) -> Result<Tensor> {
        let out = empty(device, &self.shape(), DType::BF16)?;
        let (function, gate, residual) = match epilogue {
            Epilogue::None => ("linear_int8_plain", None, None),
            Epilogue::GeluTanh => ("linear_int8_gelu", None, None),
            Epilogue::Residual(residual) => ("linear_int8_residual", None, Some(residual)),
            Epilogue::GatedResidual { gate, residual } => {
                ("linear_int8_residual", Some(cast(NAME, gate, DType::F32)?), Some(residual))
            }
        };
        let rest = [
            optional(NAME, gate.as_ref(), DType::F32)?,
            optional(NAME, residual, DType::BF16)?,
            pointer(NAME, &out, DType::BF16)?,
        ];
        self.launch_hopper(device, function, &rest)?;
        Ok(out)
    }

    /// With GELU, in blocks of int8 again, on Hopper.
    pub(super) fn hopper_gelu(&self, device: &Device) -> Result<Matrix> {
        let [rows, outputs] = self.shape();
        let values = empty(device, &[rows, outputs], DType::I8)?;
        let scale = empty(device, &[rows.div_ceil(BLOCK), outputs.div_ceil(BLOCK)], DType::F32)?;
        let rest = [pointer(NAME, &values, DType::I8)?, pointer(NAME, &scale, DType::F32)?];
        self.launch_hopper(device, "linear_int8_gelu_quantised", &rest)?;
        Ok(Matrix::Int8 { values, scale })
    }

    /// With bias and GELU where asked, on every generation.
    pub(super) fn common(&self, device: &Device, gelu: bool) -> Result<Tensor> {
        let [rows, outputs] = self.shape();
        let bias = self.bias()?;
        let out = empty(device, &[rows, outputs], DType::BF16)?;
        let arguments = [
            pointer(NAME, self.x, DType::I8)?,
            pointer(NAME, self.x_scale, DType::F32)?,
            pointer(NAME, self.weight, DType::I8)?,
            pointer(NAME, self.weight_scale, DType::F32)?,
            optional(NAME, bias.as_ref(), DType::BF16)?,
            pointer(NAME, &out, DType::BF16)?,
            Argument::int(rows),
            Argument::int(outputs),
            Argument::int(self.x.dim(1)),
            Argument::I32(i32::from(gelu)),
        ];
        let blocks = (outputs.div_ceil(BLOCK), rows.div_ceil(BLOCK), 1);
        // Two stages of one block of `x` and one of the weights, a byte an element.
        let grid = Grid { blocks, threads: 256, shared: 2 * 2 * BLOCK * BLOCK };
        // SAFETY: inputs are whole blocks; values and scales have the shapes the operator checked.
        unsafe { device.launch("linear/kernel_int8", "linear_int8", grid, &arguments)? };
        Ok(out)
    }

    fn launch_hopper(&self, device: &Device, function: &'static str, rest: &[Argument]) -> Result<()> {
        let [rows, outputs] = self.shape();
        let inputs = self.x.dim(1);
        let bias = self.bias()?;
        // Two values are a bfloat16 to the copy engine.
        let map = |tensor: &Tensor, rows: usize| -> Result<Argument> {
            let (address, extents) = (address(NAME, tensor, DType::I8)?, [inputs / 2, tensor.dim(0)]);
            let map = TensorMap::new(address, extents, [BLOCK / 2, rows], [1, 1], BoxRow::Bytes128)?;
            Ok(Argument::Map(map))
        };
        let mut arguments = vec![
            map(self.x, ROWS / CLUSTER)?,
            map(self.weight, BLOCK)?,
            pointer(NAME, self.x_scale, DType::F32)?,
            pointer(NAME, self.weight_scale, DType::F32)?,
            optional(NAME, bias.as_ref(), DType::BF16)?,
        ];
        arguments.extend(rest);
        arguments.extend([rows, outputs, inputs].map(Argument::int));
        let units = rows.div_ceil(ROWS) * outputs.div_ceil(CLUSTER * BLOCK);
        let clusters = units.min(device.multiprocessors()? / CLUSTER);
        // Tiles begin at 1024 bytes; two barriers a stage.
        let shared = 1024 + STAGES * ((ROWS + BLOCK) * BLOCK + 16);
        let grid = Grid { blocks: (clusters * CLUSTER, 1, 1), threads: 384, shared };
        // SAFETY: inputs are whole blocks; values and scales have the shapes the operator checked, what comes after the
        // product those of its outcome.
        unsafe { device.launch("linear/kernel_int8_sm90", function, grid, &arguments)? };
        Ok(())
    }

    fn bias(&self) -> Result<Option<Tensor>> {
        self.bias.map(|bias| cast(NAME, bias, DType::BF16)).transpose()
    }

    /// Of the outcome.
    fn shape(&self) -> [usize; 2] {
        [self.x.dim(0), self.weight.dim(0)]
    }
}
