//! A matrix product over slices with strides, bounds checked once.

use gemm::Parallelism;

/// Whether a product may use all cores; inside a parallel loop it must not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Threads {
    One,
    All,
}

/// `out = factor · lhs · rhs (+ out where accumulate)`; `(row, column)` strides in elements.
pub(crate) struct Gemm<'a> {
    /// Rows and columns of `out`, and the extent that is summed over.
    pub(crate) size: (usize, usize, usize),
    pub(crate) lhs: &'a [f32],
    pub(crate) lhs_strides: (usize, usize),
    pub(crate) rhs: &'a [f32],
    pub(crate) rhs_strides: (usize, usize),
    pub(crate) out_row: usize,
    pub(crate) factor: f32,
    pub(crate) accumulate: bool,
    pub(crate) threads: Threads,
}

impl Gemm<'_> {
    /// Writes the product; columns of `out` are adjacent.
    pub(crate) fn run(&self, out: &mut [f32]) {
        let (m, n, k) = self.size;
        if m == 0 || n == 0 {
            return;
        }
        let last = |rows: usize, columns: usize, strides: (usize, usize)| match (rows, columns) {
            (0, _) | (_, 0) => 0,
            (rows, columns) => (rows - 1) * strides.0 + (columns - 1) * strides.1 + 1,
        };
        assert!(last(m, k, self.lhs_strides) <= self.lhs.len(), "left matrix out of bounds");
        assert!(last(k, n, self.rhs_strides) <= self.rhs.len(), "right matrix out of bounds");
        assert!(last(m, n, (self.out_row, 1)) <= out.len(), "product out of bounds");
        assert!(n <= self.out_row || m == 1, "rows of the product overlap");
        let threads = match self.threads {
            Threads::One => Parallelism::None,
            Threads::All => Parallelism::Rayon(0),
        };
        // SAFETY: every index that the strides and sizes reach was checked against its slice above, and `out` is
        // borrowed mutably, so it does not alias the inputs.
        unsafe {
            gemm::gemm(
                m,
                n,
                k,
                out.as_mut_ptr(),
                1,
                self.out_row as isize,
                self.accumulate,
                self.lhs.as_ptr(),
                self.lhs_strides.1 as isize,
                self.lhs_strides.0 as isize,
                self.rhs.as_ptr(),
                self.rhs_strides.1 as isize,
                self.rhs_strides.0 as isize,
                1.0,
                self.factor,
                false,
                false,
                false,
                threads,
            );
        }
    }
}
