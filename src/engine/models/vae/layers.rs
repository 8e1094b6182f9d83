//! What encoder and decoder are made of. The frames in front of a chunk are an argument, so that both can run them: the
//! decoder with what it remembers, the encoder with the zeros before a video.

use kernels::Tensor;
use kernels::causal_conv3d::{Around, Conv3d};
use kernels::channel_norm::channel_norm;
use kernels::frame_attention::frame_attention;
use kernels::linear::{Epilogue, Linear, linear};

use super::layout::{Layer, Layout};
use crate::engine::error::EngineError;
use crate::engine::models::loader::Loader;

/// Who knows the frames in front of each convolution.
pub(super) trait Past {
    /// Runs one 3×3×3 convolution of `x` `[T, H, W, C]` behind its past frames, which `around` leaves out. Residual and
    /// result are of equal length.
    fn convolve(&mut self, x: &Tensor, filter: &Conv3d, around: Around) -> Result<Tensor, EngineError>;
}

/// What encoder and decoder both have, with the layers of their own path between.
pub(super) struct Half<Step> {
    pub(super) conv1: Conv3d,
    pub(super) middle: Middle,
    pub(super) path: Vec<Step>,
    pub(super) head: Head,
}

/// Two convolutions and a way around them.
pub(super) struct Residual {
    norms: [Tensor; 2],
    convolutions: [Conv3d; 2],
    shortcut: Option<Linear>,
}

/// Attention among the positions of each frame.
pub(super) struct Middle {
    first: Residual,
    norm: Tensor,
    to_qkv: Linear,
    proj: Linear,
    last: Residual,
}

/// Norm, SiLU and the last convolution.
pub(super) struct Head {
    norm: Tensor,
    convolution: Conv3d,
}

impl<Step> Half<Step> {
    /// `load` reads one layer of the path.
    pub(super) fn load(
        loader: &Loader,
        layout: &Layout,
        load: impl Fn(&Loader, &Layer) -> Result<Step, EngineError>,
    ) -> Result<Self, EngineError> {
        let half = loader.at(layout.prefix);
        let (inputs, outputs) = layout.first;
        let path = layout.layers.iter().enumerate();
        Ok(Self {
            conv1: half.at("conv1").conv3d([outputs, inputs, 3, 3, 3])?,
            middle: Middle::load(&half.at("middle"), layout.middle)?,
            path: path
                .map(|(index, layer)| load(&half.at(layout.path).at(index), layer))
                .collect::<Result<_, _>>()?,
            head: Head::load(&half.at("head"), layout.last.0, layout.last.1)?,
        })
    }
}

impl Residual {
    pub(super) fn load(loader: &Loader, inputs: usize, outputs: usize) -> Result<Self, EngineError> {
        let part = |index: usize| loader.at("residual").at(index);
        let shortcut = || loader.at("shortcut").pointwise(inputs, outputs, 3);
        Ok(Self {
            norms: [gamma(&part(0), inputs, 3)?, gamma(&part(3), outputs, 3)?],
            convolutions: [
                part(2).conv3d([outputs, inputs, 3, 3, 3])?,
                part(6).conv3d([outputs, outputs, 3, 3, 3])?,
            ],
            shortcut: (inputs != outputs).then(shortcut).transpose()?,
        })
    }

    /// `x` `[T, H, W, inputs]`; gives `[T, H, W, outputs]`.
    pub(super) fn forward(&self, x: &Tensor, past: &mut impl Past) -> Result<Tensor, EngineError> {
        let around =
            self.shortcut.as_ref().map(|shortcut| pointwise(x, shortcut, Epilogue::None)).transpose()?;
        let [first, second] = &self.convolutions;
        let [norm, then] = self.norms.each_ref().map(Some);
        let h = past.convolve(x, first, Around { norm, then, ..Around::NOTHING })?; // (T, H, W, outputs)
        let residual = Some(around.as_ref().unwrap_or(x));
        past.convolve(&h, second, Around { residual, ..Around::NOTHING }) // (T, H, W, outputs)
    }
}

impl Middle {
    pub(super) fn load(loader: &Loader, channels: usize) -> Result<Self, EngineError> {
        let attention = loader.at(1);
        Ok(Self {
            first: Residual::load(&loader.at(0), channels, channels)?,
            norm: gamma(&attention.at("norm"), channels, 2)?,
            to_qkv: attention.at("to_qkv").pointwise(channels, 3 * channels, 2)?,
            proj: attention.at("proj").pointwise(channels, channels, 2)?,
            last: Residual::load(&loader.at(2), channels, channels)?,
        })
    }

    /// `x` `[T, H, W, C]`; gives the same shape.
    pub(super) fn forward(&self, x: &Tensor, past: &mut impl Past) -> Result<Tensor, EngineError> {
        let x = self.first.forward(x, past)?; // (T, H, W, C)
        let x = self.attend(&x)?; // (T, H, W, C)
        self.last.forward(&x, past) // (T, H, W, C)
    }

    fn attend(&self, x: &Tensor) -> Result<Tensor, EngineError> {
        let &[frames, height, width, channels] = x.shape() else {
            return Err(EngineError::Model(format!("frames of {:?}", x.shape())));
        };
        let rows = [frames * height * width, channels];
        let flat = x.reshape(&rows)?; // (T·H·W, C)
        let h = channel_norm(&flat, &self.norm)?; // (T·H·W, C)
        let qkv = linear(&h, &self.to_qkv, Epilogue::None)?; // (T·H·W, 3·C)
        let y = frame_attention(&qkv.reshape(&[frames, height * width, 3 * channels])?)?; // (T, H·W, C)
        let y = linear(&y.reshape(&rows)?, &self.proj, Epilogue::Residual(&flat))?; // (T·H·W, C)
        Ok(y.reshape(x.shape())?)
    }
}

impl Head {
    pub(super) fn load(loader: &Loader, inputs: usize, outputs: usize) -> Result<Self, EngineError> {
        Ok(Self {
            norm: gamma(&loader.at(0), inputs, 3)?,
            convolution: loader.at(2).conv3d([outputs, inputs, 3, 3, 3])?,
        })
    }

    /// `x` `[T, H, W, inputs]`; gives `[T, H, W, outputs]`.
    pub(super) fn forward(&self, x: &Tensor, past: &mut impl Past) -> Result<Tensor, EngineError> {
        past.convolve(x, &self.convolution, Around { norm: Some(&self.norm), ..Around::NOTHING })
    }
}

/// A 1×1×1 convolution of `x` `[T, H, W, inputs]`; gives `[T, H, W, outputs]`.
pub(super) fn pointwise(x: &Tensor, layer: &Linear, epilogue: Epilogue) -> Result<Tensor, EngineError> {
    let mut shape = x.shape().to_vec();
    let channels = shape.pop().unwrap_or(1);
    let flat = x.reshape(&[x.count() / channels, channels])?; // (T·H·W, inputs)
    shape.push(layer.outputs());
    Ok(linear(&flat, layer, epilogue)?.reshape(&shape)?)
}

/// The factors of a norm, stored as `[C, 1, …]` with `axes` ones.
fn gamma(loader: &Loader, channels: usize, axes: usize) -> Result<Tensor, EngineError> {
    let shape: Vec<usize> = std::iter::once(channels).chain(std::iter::repeat_n(1, axes)).collect();
    Ok(loader.float("gamma", &shape)?.reshape(&[channels])?)
}
