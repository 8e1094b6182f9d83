//! Tensors that leave a GPU together and come back: the GPU's memory is free meanwhile, a copy waits on the host, and the
//! tensors keep their addresses. On the CPU there is nowhere to go. Never decides when.

use crate::{Device, Error, Result};

/// A value with all its tensors, here or away.
pub struct Movable<T> {
    value: T,
    place: Place,
}

enum Place {
    /// Always here.
    Cpu,
    #[cfg(feature = "cuda")]
    Cuda {
        device: crate::cuda::Device,
        region: std::sync::Arc<crate::cuda::Region>,
        here: bool,
        /// What is on the device never changes, so a copy stays good.
        copy: Option<crate::cuda::Pinned>,
    },
}

impl Device {
    /// Makes a value whose tensors move together: all that `make` keeps.
    pub fn movable<T, E: From<Error>>(
        &self,
        make: impl FnOnce() -> std::result::Result<T, E>,
    ) -> std::result::Result<Movable<T>, E> {
        match self {
            Self::Cpu => Ok(Movable { value: make()?, place: Place::Cpu }),
            #[cfg(feature = "cuda")]
            Self::Cuda(device) => {
                let region = device.region().map_err(Error::from)?;
                let value = device.within(&region, make)?;
                let device = device.clone();
                Ok(Movable { value, place: Place::Cuda { device, region, here: true, copy: None } })
            }
        }
    }
}

impl<T> Movable<T> {
    /// The value; `None` while it is away.
    pub fn here(&mut self) -> Option<&mut T> {
        self.is_here().then_some(&mut self.value)
    }

    pub fn is_here(&self) -> bool {
        match &self.place {
            Place::Cpu => true,
            #[cfg(feature = "cuda")]
            Place::Cuda { here, .. } => *here,
        }
    }

    /// Bytes of the device when it is here; `None` where memory is not counted.
    pub fn bytes(&self) -> Option<u64> {
        match &self.place {
            Place::Cpu => None,
            #[cfg(feature = "cuda")]
            Place::Cuda { region, .. } => Some(region.bytes() as u64),
        }
    }

    /// Bytes of its copy on the host.
    pub fn copied_bytes(&self) -> u64 {
        match &self.place {
            Place::Cpu => 0,
            #[cfg(feature = "cuda")]
            Place::Cuda { copy, .. } => copy.as_ref().map_or(0, |copy| copy.bytes().len() as u64),
        }
    }

    /// Copies to the host what was not copied before, and frees the device of it. Fails on the CPU.
    pub fn leave(&mut self) -> Result<()> {
        match &mut self.place {
            Place::Cpu => Err(Error::argument("leave", "the CPU's memory is all there is")),
            #[cfg(feature = "cuda")]
            Place::Cuda { region, here, copy, .. } => {
                if copy.is_none() {
                    *copy = Some(region.copy()?);
                }
                *here = false;
                Ok(region.leave()?)
            }
        }
    }

    /// Brings it to the device again; the copy stays.
    pub fn come_back(&mut self) -> Result<()> {
        match &mut self.place {
            Place::Cpu => Ok(()),
            #[cfg(feature = "cuda")]
            Place::Cuda { device, region, here, copy } => {
                if let Some(copy) = copy.as_ref().filter(|_| !*here) {
                    match region.come_back(copy) {
                        Err(crate::cuda::CudaError::OutOfMemory(_)) => {
                            // What others were in before may lie idle.
                            device.trim()?;
                            region.come_back(copy)?;
                        }
                        done => done?,
                    }
                    *here = true;
                }
                Ok(())
            }
        }
    }

    /// Lets go of the copy, if the value is not needed from it.
    pub fn forget_copy(&mut self) {
        match &mut self.place {
            Place::Cpu => {}
            #[cfg(feature = "cuda")]
            Place::Cuda { here, copy, .. } => {
                if *here {
                    *copy = None;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(feature = "cuda")]
    use crate::DType;
    use crate::Tensor;

    #[test]
    fn on_the_cpu_it_stays() {
        let made = Device::Cpu.movable(|| Tensor::from_cpu(vec![1.0, 2.0], &[2]));
        let mut pair: Movable<Tensor> = made.unwrap();
        assert!(pair.leave().is_err() && pair.is_here());
        pair.come_back().unwrap();
        assert_eq!((pair.bytes(), pair.copied_bytes()), (None, 0));
        assert_eq!(pair.here().unwrap().to_f32().unwrap(), [1.0, 2.0]);
    }

    #[cfg(feature = "cuda")]
    #[test]
    fn what_leaves_a_gpu_frees_it_and_comes_back_as_it_was() {
        let Ok(device) = "cuda:0".parse::<Device>() else { return eprintln!("skipped: no GPU") };
        let numbers = |seed: usize| (0..3_000_000).map(|at| (at * 7 + seed) as f32).collect::<Vec<_>>();
        let make = |seed| Tensor::from_f32(numbers(seed), &[3_000_000], DType::F32, &device);
        let mut pair = device.movable(|| Ok::<_, Error>([make(1)?, make(2)?])).unwrap();
        let bytes = pair.bytes().unwrap();
        assert!((24_000_000..30_000_000).contains(&bytes), "{bytes}");
        let used = || device.pool().unwrap().unwrap();
        let before = used();
        for _ in 0..2 {
            pair.leave().unwrap();
            assert!(pair.here().is_none() && pair.copied_bytes() == bytes);
            assert_eq!(before.reserved - used().reserved, bytes);
            // What was there is written over by others meanwhile.
            let others = make(3).unwrap();
            pair.come_back().unwrap();
            let [first, second] = pair.here().unwrap();
            assert_eq!(first.to_f32().unwrap(), numbers(1));
            assert_eq!(second.to_f32().unwrap(), numbers(2));
            assert_eq!(others.to_f32().unwrap(), numbers(3));
            drop(others);
            device.trim().unwrap();
        }
        pair.forget_copy();
        assert_eq!(pair.copied_bytes(), 0);
        drop(pair);
        device.trim().unwrap();
        assert_eq!(used().reserved, before.reserved - bytes);
    }
}
