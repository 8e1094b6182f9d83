//! The transformers of a model: one, or one for high and one for low noise. Each reads a prompt once a job.

use kernels::{Device, Tensor};

use super::error::EngineError;
use super::models::wan::{LinearFormat, TextContext, Wan};
use super::weights::{Expert, Model};

/// The transformers of a model on a device.
pub(super) struct Experts {
    high: Reader,
    low: Option<Reader>,
    format: LinearFormat,
    quantised: bool,
}

struct Reader {
    wan: Wan,
    /// The prompt that the expert read last, and what it made of it.
    read: Option<(String, TextContext)>,
}

impl Experts {
    /// Reads every weight; `quantise` turns floating block weights into int8.
    pub(super) fn load(model: &Model, device: &Device, quantise: bool) -> Result<Self, EngineError> {
        let architecture = model.architecture();
        let format = architecture.linear_format;
        let quantise = quantise && format == LinearFormat::Bf16;
        let load = |expert| -> Result<Reader, EngineError> {
            let source = model.transformer(expert)?;
            Ok(Reader { wan: Wan::load(&architecture.transformer, &*source, device, quantise)?, read: None })
        };
        let has_low = architecture.experts.contains(&Expert::Low);
        Ok(Self {
            high: load(Expert::High)?,
            low: has_low.then(|| load(Expert::Low)).transpose()?,
            format,
            quantised: quantise,
        })
    }

    /// Whether a job with or without int8 layers can use these. Weights that are stored as int8 have no other form.
    pub(super) fn serve(&self, quantised: bool) -> bool {
        self.quantised == quantised || self.format == LinearFormat::Int8
    }

    /// The expert for a noise level, and what it makes of a prompt with its embedding.
    pub(super) fn choose(
        &mut self,
        low_noise: bool,
        prompt: &str,
        embedding: &Tensor,
    ) -> Result<(&mut Wan, &TextContext), EngineError> {
        let reader = match &mut self.low {
            Some(low) if low_noise => low,
            _ => &mut self.high,
        };
        if reader.read.as_ref().is_none_or(|(known, _)| known != prompt) {
            reader.read = Some((prompt.to_owned(), reader.wan.read(embedding)?));
        }
        let Some((_, context)) = &reader.read else { unreachable!("read in the line above") };
        Ok((&mut reader.wan, context))
    }
}
