//! Norm and product in float32, some thousand rows at a time: the whole in float32 would be twice the network's stream.

use super::NAME;
use crate::cuda::{Argument, Device, Grid, Matmul, Operand, address, cast, empty, pointer};
use crate::linear::Linear;
use crate::{DType, Error, Matrix, Result, Tensor};

/// Enough rows to fill the card, few enough that their float32 copy stays near the L2 cache.
const ROWS: usize = 8192;

pub(super) fn head(
    device: &Device,
    x: &Tensor,
    modulation: &Tensor,
    projection: &Linear,
    epsilon: f32,
) -> Result<Tensor> {
    let Matrix::Plain(weight) = &projection.weight else {
        return Err(Error::argument(NAME, "a quantised projection"));
    };
    let (rows, width, outputs) = (x.dim(0), x.dim(1), projection.outputs());
    let weight = cast(NAME, weight, DType::F32)?;
    let bias = projection.bias.as_ref().map(|bias| cast(NAME, bias, DType::F32)).transpose()?;
    let modulation = cast(NAME, modulation, DType::F32)?;
    let out = empty(device, &[rows, outputs], DType::F32)?;
    let normed = empty(device, &[rows.min(ROWS), width], DType::F32)?;
    let norm = match x.dtype() {
        DType::BF16 => "layer_norm_modulate_f32",
        DType::F32 => "layer_norm_modulate_f32_of_f32",
        other @ (DType::I8 | DType::U32 | DType::F8E4M3) => {
            return Err(Error::argument(NAME, format!("rows of {other:?}")));
        }
    };
    for first in (0..rows).step_by(ROWS) {
        let count = ROWS.min(rows - first);
        let arguments = [
            pointer(NAME, &x.rows(first..first + count)?, x.dtype())?,
            pointer(NAME, &modulation.row(0)?, DType::F32)?,
            pointer(NAME, &modulation.row(1)?, DType::F32)?,
            pointer(NAME, &normed, DType::F32)?,
            Argument::int(width),
            Argument::F32(1.0),
            Argument::F32(epsilon),
        ];
        let matrix = |tensor: &Tensor| Operand::of(NAME, tensor, DType::F32);
        let sums = matrix(&out.rows(first..first + count)?)?;
        let product = Matmul {
            bias: bias.as_ref().map_or(Ok(0), |bias| address(NAME, bias, DType::F32))?,
            ..Matmul::new([count, outputs, width], matrix(&normed)?, matrix(&weight)?, sums)
        };
        let grid = Grid { shared: width * size_of::<f32>(), ..Grid::rows(count) };
        // SAFETY: `normed` holds `count` rows of `width`; the product reads them in stream order.
        unsafe {
            device.launch("layer_norm_modulate/kernel", norm, grid, &arguments)?;
            device.matmul(&product)?;
        }
    }
    Ok(out)
}
