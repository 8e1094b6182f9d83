//! What the CPU definitions share: matrix products, elementwise functions, softmax over tiles, convolution tiles.

mod convolve;
mod convolve_tile;
mod e4m3;
mod gemm;
mod online_softmax;
mod vector;

pub(crate) use convolve::{Convolution, PackedFilter, Window};
pub(crate) use e4m3::{HIGHEST_E4M3, round_e4m3};
pub(crate) use gemm::{Gemm, Threads};
pub(crate) use online_softmax::{OnlineSoftmax, Rows, attend};
pub(crate) use vector::{
    exp, for_each_row, gelu_tanh, inverse_norm, maximum, mean_square, silu, softmax_row, sum, vectorised,
};
