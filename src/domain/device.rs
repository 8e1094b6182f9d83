//! The name of a device that a worker runs on.

use std::fmt;
use std::str::FromStr;

/// One device of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeviceName {
    Cpu,
    /// The GPU with this number, as the driver counts.
    Cuda(u32),
}

/// A text that names no device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a device is cpu or cuda:<number>")]
pub struct BadDevice;

impl fmt::Display for DeviceName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => out.write_str("cpu"),
            Self::Cuda(number) => write!(out, "cuda:{number}"),
        }
    }
}

impl FromStr for DeviceName {
    type Err = BadDevice;

    fn from_str(text: &str) -> Result<Self, BadDevice> {
        if text == "cpu" {
            return Ok(Self::Cpu);
        }
        let number = text.strip_prefix("cuda:").and_then(|digits| digits.parse().ok());
        number.map(Self::Cuda).ok_or(BadDevice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_survives_its_text_form() {
        for device in [DeviceName::Cpu, DeviceName::Cuda(3)] {
            assert_eq!(device.to_string().parse(), Ok(device));
        }
        for bad in ["", "gpu", "cuda", "cuda:", "cuda:-1", "CPU"] {
            assert_eq!(bad.parse::<DeviceName>(), Err(BadDevice), "{bad}");
        }
    }
}
