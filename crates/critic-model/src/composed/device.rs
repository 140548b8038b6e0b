use crate::error::ModelError;
use candle_core::Device;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Where a model is trained: `cpu`, `cuda`, `cuda:1` and so on, or `metal`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum TrainDevice {
    /// The kernels of [`backprop`](crate::backprop).
    #[default]
    Cpu,
    /// An NVIDIA GPU, counted from 0.
    Cuda {
        /// Which.
        ordinal: usize,
    },
    /// An Apple GPU.
    Metal,
}

impl TrainDevice {
    /// Whether this build can use it.
    ///
    /// # Errors
    /// [`ModelError::DeviceNotBuilt`] with the cargo feature that is missing.
    pub fn check_built(self) -> Result<(), ModelError> {
        let (feature, is_built) = match self {
            Self::Cpu => return Ok(()),
            Self::Cuda { .. } => ("cuda", cfg!(feature = "cuda")),
            Self::Metal => ("metal", cfg!(feature = "metal")),
        };
        if is_built { Ok(()) } else { Err(ModelError::DeviceNotBuilt { device: self, feature }) }
    }

    /// The device of candle; nothing for the CPU, which the kernels train on.
    ///
    /// # Errors
    /// As [`check_built`](Self::check_built), and [`ModelError::Device`] when there is no such device.
    pub fn open(self) -> Result<Option<Device>, ModelError> {
        self.check_built()?;
        let opened = match self {
            Self::Cpu => return Ok(None),
            Self::Cuda { ordinal } => Device::new_cuda(ordinal),
            Self::Metal => Device::new_metal(0),
        };
        opened.map(Some).map_err(|source| ModelError::Device { device: self, source })
    }
}

impl fmt::Display for TrainDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda { ordinal: 0 } => f.write_str("cuda"),
            Self::Cuda { ordinal } => write!(f, "cuda:{ordinal}"),
            Self::Metal => f.write_str("metal"),
        }
    }
}

impl FromStr for TrainDevice {
    type Err = ModelError;

    fn from_str(name: &str) -> Result<Self, ModelError> {
        let ordinal = match name {
            "cpu" => return Ok(Self::Cpu),
            "metal" => return Ok(Self::Metal),
            "cuda" => Some(0),
            _ => name.strip_prefix("cuda:").and_then(|ordinal| ordinal.parse().ok()),
        };
        let unknown = || ModelError::UnknownDevice { name: name.to_owned() };
        ordinal.map(|ordinal| Self::Cuda { ordinal }).ok_or_else(unknown)
    }
}

impl TryFrom<String> for TrainDevice {
    type Error = ModelError;

    fn try_from(name: String) -> Result<Self, ModelError> {
        name.parse()
    }
}

impl From<TrainDevice> for String {
    fn from(device: TrainDevice) -> Self {
        device.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_read_as_it_is_written() {
        for name in ["cpu", "cuda", "cuda:1", "metal"] {
            assert_eq!(name.parse::<TrainDevice>().unwrap().to_string(), name);
        }
        assert_eq!("cuda:0".parse::<TrainDevice>().unwrap(), TrainDevice::Cuda { ordinal: 0 });
        for name in ["", "gpu", "CUDA", "cuda:", "cuda:-1", "cuda1"] {
            let error = name.parse::<TrainDevice>().unwrap_err();
            assert!(error.to_string().contains("`cuda:1`"), "{error}");
        }
    }

    #[test]
    fn the_cpu_is_no_device_of_candle() {
        assert!(TrainDevice::Cpu.open().unwrap().is_none());
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_device_that_the_build_lacks_names_its_feature() {
        let error = TrainDevice::Cuda { ordinal: 1 }.open().unwrap_err().to_string();
        assert!(error.contains("cuda:1") && error.contains("--features cuda"), "{error}");
    }
}
