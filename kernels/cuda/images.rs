//! The embedded kernel images and the functions taken from them, loaded at first use.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use cudarc::{
    driver::{CudaContext, CudaFunction, CudaModule},
    nvrtc::Ptx,
};

use super::CudaError;

mod table {
    include!(concat!(env!("OUT_DIR"), "/images.rs"));

    pub(super) fn any(ending: &str) -> bool {
        IMAGES.iter().any(|(name, _)| name.ends_with(ending))
    }

    pub(super) fn find(name: &str) -> Option<&'static [u8]> {
        IMAGES.iter().find(|(n, _)| *n == name).map(|(_, b)| *b)
    }
}

/// Whether this build holds the images of Hopper's own instructions.
pub(super) fn built_for_hopper() -> bool {
    table::any("_sm90")
}

/// Functions by image and name.
#[derive(Default)]
pub(super) struct Images {
    loaded: Mutex<Loaded>,
}

#[derive(Default)]
struct Loaded {
    modules: HashMap<&'static str, Arc<CudaModule>>,
    functions: HashMap<(&'static str, &'static str), CudaFunction>,
}

impl Images {
    /// The function `name` of `image` (`folder/kernel`).
    pub(super) fn function(
        &self,
        context: &Arc<CudaContext>,
        image: &'static str,
        name: &'static str,
    ) -> Result<CudaFunction, CudaError> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(function) = loaded.functions.get(&(image, name)) {
            return Ok(function.clone());
        }
        let missing = CudaError::NoKernel { image, function: name };
        let module = match loaded.modules.get(image) {
            Some(module) => module.clone(),
            None => {
                let bytes = table::find(image).ok_or(missing)?;
                let module = context.load_module(Ptx::from_binary(bytes.to_vec()))?;
                loaded.modules.insert(image, module.clone());
                module
            }
        };
        let function =
            module.load_function(name).map_err(|_| CudaError::NoKernel { image, function: name })?;
        loaded.functions.insert((image, name), function.clone());
        Ok(function)
    }
}
