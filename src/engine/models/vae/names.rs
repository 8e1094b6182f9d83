//! Every tensor of an autoencoder under its published name.

use super::VaeConfig;
use super::layout::{self, Layer, Layout};
use crate::engine::models::{ExpectedTensor, TensorKind};

/// What a checkpoint of this shape holds.
pub fn expected_tensors(config: &VaeConfig) -> Vec<ExpectedTensor> {
    let z = config.z_dim;
    let mut tensors = List(Vec::new());
    tensors.half(&layout::encoder(config));
    tensors.convolution("conv1", &[2 * z, 2 * z, 1, 1, 1]);
    tensors.convolution("conv2", &[z, z, 1, 1, 1]);
    tensors.half(&layout::decoder(config));
    tensors.0
}

struct List(Vec<ExpectedTensor>);

impl List {
    fn half(&mut self, half: &Layout) {
        let Layout { prefix, path, middle, .. } = *half;
        let (inputs, outputs) = half.first;
        self.convolution(&format!("{prefix}.conv1"), &[outputs, inputs, 3, 3, 3]);
        for (index, layer) in half.layers.iter().enumerate() {
            self.layer(&format!("{prefix}.{path}.{index}"), layer);
        }
        self.residual(&format!("{prefix}.middle.0"), middle, middle);
        self.norm(&format!("{prefix}.middle.1.norm"), &[middle, 1, 1]);
        self.convolution(&format!("{prefix}.middle.1.to_qkv"), &[3 * middle, middle, 1, 1]);
        self.convolution(&format!("{prefix}.middle.1.proj"), &[middle, middle, 1, 1]);
        self.residual(&format!("{prefix}.middle.2"), middle, middle);
        let (inputs, outputs) = half.last;
        self.norm(&format!("{prefix}.head.0"), &[inputs, 1, 1, 1]);
        self.convolution(&format!("{prefix}.head.2"), &[outputs, inputs, 3, 3, 3]);
    }

    fn layer(&mut self, name: &str, layer: &Layer) {
        match *layer {
            Layer::Residual { inputs, outputs } => self.residual(name, inputs, outputs),
            Layer::Downsample { channels, time } => {
                self.convolution(&format!("{name}.resample.1"), &[channels, channels, 3, 3]);
                if time {
                    self.convolution(&format!("{name}.time_conv"), &[channels, channels, 3, 1, 1]);
                }
            }
            Layer::Upsample { channels, time } => {
                self.convolution(&format!("{name}.resample.1"), &[channels / 2, channels, 3, 3]);
                if time {
                    self.convolution(&format!("{name}.time_conv"), &[2 * channels, channels, 3, 1, 1]);
                }
            }
        }
    }

    fn residual(&mut self, name: &str, inputs: usize, outputs: usize) {
        self.norm(&format!("{name}.residual.0"), &[inputs, 1, 1, 1]);
        self.convolution(&format!("{name}.residual.2"), &[outputs, inputs, 3, 3, 3]);
        self.norm(&format!("{name}.residual.3"), &[outputs, 1, 1, 1]);
        self.convolution(&format!("{name}.residual.6"), &[outputs, outputs, 3, 3, 3]);
        if inputs != outputs {
            self.convolution(&format!("{name}.shortcut"), &[outputs, inputs, 1, 1, 1]);
        }
    }

    fn norm(&mut self, name: &str, shape: &[usize]) {
        self.0.push(ExpectedTensor::new(format!("{name}.gamma"), shape, TensorKind::Norm));
    }

    fn convolution(&mut self, name: &str, shape: &[usize]) {
        self.0.push(ExpectedTensor::new(format!("{name}.weight"), shape, TensorKind::Weight));
        self.0.push(ExpectedTensor::new(format!("{name}.bias"), &shape[..1], TensorKind::Bias));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_those_of_the_published_file() {
        let tensors = expected_tensors(&VaeConfig::wan21());
        assert_eq!(tensors.iter().map(ExpectedTensor::count).sum::<usize>(), 126_892_531);
    }
}
