//! Which networks compute in float32 on a device that computes in bfloat16: the residual stream, plain layers and dense
//! attention. The published widths are in bfloat16 there as they were trained.

/// Fewer channels than any published width. Rounded, so few lose what decides where things are in the picture, and in
/// float32 they cost next to nothing.
const NARROW: usize = 1024;

/// Bytes of a float32.
const FLOAT: usize = 4;

/// Whether a network of `dim` channels is one of them.
pub(super) fn is_narrow(dim: usize) -> bool {
    dim < NARROW
}

/// Bytes of a number of such a network's, where activations have `activation`.
pub(super) fn element(dim: usize, activation: usize) -> usize {
    if is_narrow(dim) { FLOAT } else { activation }
}
