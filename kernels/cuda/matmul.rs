//! Matrix products through cuBLASLt: plans are looked up once per shape and kept.
//! Row-major `y[m,n] = x[m,k] · w` is asked for as the column-major product of the transposes.

use std::{
    collections::{HashMap, hash_map::Entry},
    ffi::c_void,
    mem::size_of_val,
    sync::{Arc, Mutex, PoisonError},
};

use cudarc::{
    cublaslt::{result as lt, sys},
    driver::{CudaStream, result},
};

use super::{CudaError, Device, address};
use crate::{DType, Tensor};

/// What NVIDIA recommends on Hopper, and enough everywhere else.
const WORKSPACE: usize = 32 << 20;
/// cuBLASLt knows no better alignment than this.
const BEST_ALIGNMENT: u64 = 256;

/// What happens to the sum before it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Epilogue {
    Plain,
    /// Tanh form.
    Gelu,
}

/// One matrix: its address, its elements, and how many of them lie from the beginning of one row to that of the next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operand {
    address: u64,
    dtype: DType,
    row: usize,
}

impl Operand {
    /// The rows of `tensor`, whatever dimensions count them. Fails unless it is of `dtype` and on a GPU.
    pub(crate) fn of(operator: &'static str, tensor: &Tensor, dtype: DType) -> crate::Result<Self> {
        let row = tensor.shape().last().copied().unwrap_or(1);
        Ok(Self { address: address(operator, tensor, dtype)?, dtype, row })
    }

    /// What lies in it from the element `first` on, in rows that are as far apart.
    pub(crate) fn from(self, first: usize) -> Self {
        Self { address: self.address + (first * self.dtype.size()) as u64, ..self }
    }
}

/// Float32 factors, one a row of `x` and one a row of `w`, for float8 inputs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scales {
    pub(crate) x: u64,
    pub(crate) w: u64,
}

/// `out[m,n] = epilogue(factor · x[m,k] · wᵀ + bias)`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matmul {
    pub(crate) m: usize,
    pub(crate) n: usize,
    pub(crate) k: usize,
    pub(crate) x: Operand,
    /// `[n,k]`, or `[k,n]` with `w_is_kn`, of elements as in `x`.
    pub(crate) w: Operand,
    pub(crate) w_is_kn: bool,
    pub(crate) out: Operand,
    /// Address of `n` elements as in `out`, or 0.
    pub(crate) bias: u64,
    /// Address of a matrix like `out` that is added to the product, or 0.
    pub(crate) residual: u64,
    pub(crate) epilogue: Epilogue,
    pub(crate) factor: f32,
    pub(crate) scales: Option<Scales>,
}

impl Matmul {
    /// `out[m,n] = x[m,k] · w[n,k]ᵀ`, and nothing else.
    pub(crate) fn new([m, n, k]: [usize; 3], x: Operand, w: Operand, out: Operand) -> Self {
        let (bias, residual, epilogue, factor, scales) = (0, 0, Epilogue::Plain, 1.0, None);
        Self { m, n, k, x, w, w_is_kn: false, out, bias, residual, epilogue, factor, scales }
    }
}

/// The library's handle, its workspace and the plans made so far.
pub(super) struct Library {
    handle: sys::cublasLtHandle_t,
    workspace: u64,
    stream: Arc<CudaStream>,
    /// Nothing for what the library has no algorithm for.
    plans: Mutex<Plans>,
}

type Plans = HashMap<Key, Option<Plan>>;

// SAFETY: cuBLASLt handles may be used from any thread; plans are changed under the lock.
unsafe impl Send for Library {}
// SAFETY: as above.
unsafe impl Sync for Library {}

impl Device {
    /// Gives one matrix product to the device.
    ///
    /// # Safety
    /// The operands must be valid for the shape, on this device, and the output not read or written elsewhere meanwhile.
    pub(crate) unsafe fn matmul(&self, product: &Matmul) -> Result<(), CudaError> {
        if product.m == 0 || product.n == 0 {
            return Ok(());
        }
        self.bind()?;
        let Matmul { m, n, k, x, .. } = product;
        let name = || format!("matmul {:?} {m}x{n}x{k}", x.dtype);
        self.watched(name, || self.library().run(product))
    }

    /// Whether the library has an algorithm for one matrix product.
    pub(crate) fn multiplies(&self, product: &Matmul) -> Result<bool, CudaError> {
        self.bind()?;
        self.library().knows(product)
    }
}

impl Library {
    pub(super) fn open(stream: &Arc<CudaStream>) -> Result<Self, CudaError> {
        stream.context().bind_to_thread()?;
        // SAFETY: freed in drop.
        let workspace = unsafe { result::malloc_sync(WORKSPACE)? };
        Ok(Self { handle: lt::create_handle()?, workspace, stream: stream.clone(), plans: Mutex::default() })
    }

    fn knows(&self, product: &Matmul) -> Result<bool, CudaError> {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(self.plan(&mut plans, product)?.is_some())
    }

    fn plan<'a>(&self, plans: &'a mut Plans, product: &Matmul) -> Result<Option<&'a Plan>, CudaError> {
        let plan = match plans.entry(Key::of(product)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(free) => {
                let plan = Plan::make(self.handle, product, free.key())?;
                free.insert(plan)
            }
        };
        Ok(plan.as_ref())
    }

    fn run(&self, product: &Matmul) -> Result<(), CudaError> {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(plan) = self.plan(&mut plans, product)? else {
            return Err(CudaError::Unsupported(format!("matmul {:?}", Key::of(product))));
        };
        plan.aim(product)?;
        let residual = product.residual != 0;
        let (alpha, beta) = (product.factor, if residual { 1f32 } else { 0f32 });
        let added = if residual { product.residual } else { product.out.address };
        // SAFETY: the plan was made for these layouts; alpha and beta are host floats; C is not read where beta is 0.
        unsafe {
            lt::matmul(
                self.handle,
                plan.description,
                (&raw const alpha).cast(),
                (&raw const beta).cast(),
                product.w.address as *const c_void,
                plan.w,
                product.x.address as *const c_void,
                plan.x,
                added as *const c_void,
                plan.out,
                product.out.address as *mut c_void,
                plan.out,
                &raw const plan.algorithm,
                self.workspace as *mut c_void,
                WORKSPACE,
                self.stream.cu_stream().cast(),
            )?;
        }
        Ok(())
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        let context = self.stream.context();
        if context.bind_to_thread().is_ok() {
            // SAFETY: made in `open`, used by nobody after.
            unsafe {
                context.record_err(result::free_sync(self.workspace));
                if lt::destroy_handle(self.handle).is_err() {
                    // The process is ending; there is nobody left to tell.
                }
            }
        }
    }
}

/// All that the choice of an algorithm depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    sizes: [usize; 3],
    rows: [usize; 3],
    alignments: [u32; 3],
    residual: bool,
    w_is_kn: bool,
    input: DType,
    output: DType,
    epilogue: Epilogue,
    bias: bool,
    scaled: bool,
}

impl Key {
    fn of(p: &Matmul) -> Self {
        let alignment = |address: u64| {
            let best = 1 << address.trailing_zeros().min(BEST_ALIGNMENT.trailing_zeros());
            best as u32
        };
        Self {
            sizes: [p.m, p.n, p.k],
            rows: [p.x.row, p.w.row, p.out.row],
            alignments: [alignment(p.x.address), alignment(p.w.address), alignment(p.out.address)],
            residual: p.residual != 0,
            w_is_kn: p.w_is_kn,
            input: p.x.dtype,
            output: p.out.dtype,
            epilogue: p.epilogue,
            bias: p.bias != 0,
            scaled: p.scales.is_some(),
        }
    }
}

struct Plan {
    description: sys::cublasLtMatmulDesc_t,
    w: sys::cublasLtMatrixLayout_t,
    x: sys::cublasLtMatrixLayout_t,
    out: sys::cublasLtMatrixLayout_t,
    algorithm: sys::cublasLtMatmulAlgo_t,
}

impl Plan {
    /// Nothing if the library has no algorithm.
    fn make(handle: sys::cublasLtHandle_t, p: &Matmul, key: &Key) -> Result<Option<Self>, CudaError> {
        use sys::cublasLtMatmulDescAttributes_t as Attribute;
        let description = lt::create_matmul_desc(
            sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
            sys::cudaDataType_t::CUDA_R_32F,
        )?;
        let transpose_w = i32::from(!p.w_is_kn);
        describe(description, Attribute::CUBLASLT_MATMUL_DESC_TRANSA, &transpose_w)?;
        use sys::cublasLtEpilogue_t as E;
        let epilogue = match (p.epilogue, p.bias != 0) {
            (Epilogue::Plain, false) => E::CUBLASLT_EPILOGUE_DEFAULT,
            (Epilogue::Plain, true) => E::CUBLASLT_EPILOGUE_BIAS,
            (Epilogue::Gelu, false) => E::CUBLASLT_EPILOGUE_GELU,
            (Epilogue::Gelu, true) => E::CUBLASLT_EPILOGUE_GELU_BIAS,
        };
        describe(description, Attribute::CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue)?;
        if p.scales.is_some() {
            let mode = sys::cublasLtMatmulMatrixScale_t::CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F;
            describe(description, Attribute::CUBLASLT_MATMUL_DESC_A_SCALE_MODE, &mode)?;
            describe(description, Attribute::CUBLASLT_MATMUL_DESC_B_SCALE_MODE, &mode)?;
            describe(description, Attribute::CUBLASLT_MATMUL_DESC_FAST_ACCUM, &1i8)?;
        }
        let (w_rows, w_cols) = if p.w_is_kn { (p.n, p.k) } else { (p.k, p.n) };
        let w = layout((w_rows, w_cols), p.w)?;
        let x = layout((p.k, p.m), p.x)?;
        let out = layout((p.n, p.m), p.out)?;
        let mut plan = Self { description, w, x, out, algorithm: sys::cublasLtMatmulAlgo_t { data: [0; 8] } };
        plan.aim(p)?;
        // For a few rows of e4m3 it wants to share out the sums, and then finds nothing; without the memory for that it does.
        let mut algorithm = plan.choose(handle, key, WORKSPACE)?;
        if algorithm.is_none() {
            algorithm = plan.choose(handle, key, 0)?;
        }
        let Some(algorithm) = algorithm else { return Ok(None) };
        plan.algorithm = algorithm;
        Ok(Some(plan))
    }

    fn choose(
        &self,
        handle: sys::cublasLtHandle_t,
        key: &Key,
        workspace: usize,
    ) -> Result<Option<sys::cublasLtMatmulAlgo_t>, CudaError> {
        use sys::cublasLtMatmulPreferenceAttributes_t as Attribute;
        let preference = lt::create_matmul_pref()?;
        let [x, w, out] = key.alignments;
        // SAFETY: each attribute is given a value of its own type.
        let found = unsafe {
            let set = |attribute, value: &u32| {
                let pointer = std::ptr::from_ref(value).cast();
                lt::set_matmul_pref_attribute(preference, attribute, pointer, size_of_val(value))
            };
            lt::set_matmul_pref_attribute(
                preference,
                Attribute::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                std::ptr::from_ref(&workspace).cast(),
                size_of_val(&workspace),
            )?;
            set(Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &w)?;
            set(Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &x)?;
            set(Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &out)?;
            set(Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &out)?;
            let found = lt::get_matmul_algo_heuristic(
                handle,
                self.description,
                self.w,
                self.x,
                self.out,
                self.out,
                preference,
            );
            lt::destroy_matmul_pref(preference)?;
            found
        };
        match found {
            Ok(found) => Ok(Some(found.algo)),
            Err(lt::CublasError(sys::cublasStatus_t::CUBLAS_STATUS_NOT_SUPPORTED)) => Ok(None),
            Err(error) => Err(CudaError::Unsupported(format!("matmul {key:?}: {error}"))),
        }
    }

    /// Points the description at this call's bias and scales.
    fn aim(&self, p: &Matmul) -> Result<(), CudaError> {
        use sys::cublasLtMatmulDescAttributes_t as Attribute;
        if p.bias != 0 {
            describe(self.description, Attribute::CUBLASLT_MATMUL_DESC_BIAS_POINTER, &p.bias)?;
            let kind = data_type(p.out.dtype)?;
            describe(self.description, Attribute::CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &kind)?;
        }
        if let Some(scales) = p.scales {
            let a = Attribute::CUBLASLT_MATMUL_DESC_A_SCALE_POINTER;
            describe(self.description, a, &scales.w)?;
            let b = Attribute::CUBLASLT_MATMUL_DESC_B_SCALE_POINTER;
            describe(self.description, b, &scales.x)?;
        }
        Ok(())
    }
}

impl Drop for Plan {
    fn drop(&mut self) {
        // SAFETY: made by this plan, used by nobody else. Errors cannot be acted on here.
        unsafe {
            lt::destroy_matrix_layout(self.w).ok();
            lt::destroy_matrix_layout(self.x).ok();
            lt::destroy_matrix_layout(self.out).ok();
            lt::destroy_matmul_desc(self.description).ok();
        }
    }
}

fn describe<T>(
    description: sys::cublasLtMatmulDesc_t,
    attribute: sys::cublasLtMatmulDescAttributes_t,
    value: &T,
) -> Result<(), CudaError> {
    let pointer = std::ptr::from_ref(value).cast();
    // SAFETY: callers pass a value of the attribute's type; it is copied.
    unsafe { lt::set_matmul_desc_attribute(description, attribute, pointer, size_of_val(value))? };
    Ok(())
}

fn layout(
    (rows, columns): (usize, usize),
    operand: Operand,
) -> Result<sys::cublasLtMatrixLayout_t, CudaError> {
    let kind = data_type(operand.dtype)?;
    Ok(lt::create_matrix_layout(kind, rows as u64, columns as u64, operand.row as i64)?)
}

fn data_type(element: DType) -> Result<sys::cudaDataType_t, CudaError> {
    match element {
        DType::BF16 => Ok(sys::cudaDataType_t::CUDA_R_16BF),
        DType::F32 => Ok(sys::cudaDataType_t::CUDA_R_32F),
        DType::F8E4M3 => Ok(sys::cudaDataType_t::CUDA_R_8F_E4M3),
        DType::I8 | DType::U32 => Err(CudaError::Unsupported(format!("a matmul of {element:?}"))),
    }
}
