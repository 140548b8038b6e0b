use super::digest::HashingReader;
use crate::error::ModelError;
use crate::matrix::WeightFormat;
use crate::reward_head::is_reward_head;
use crate::weight::Weight;
use critic_kernels::quantized;
use critic_types::atomic_file;
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

/// Bytes of header above which a file is no safetensors file (the format's own limit).
const MAX_HEADER: u64 = 100_000_000;

/// Numbers that are written at once.
const PART: usize = 1 << 16;

/// Reads every array of a safetensors file into `weights`, in one pass, and returns the file's SHA-256.
///
/// A matrix of f16 or bf16 stays in these, but for reward heads; everything else is held in f32.
/// Only one array is held twice, so the peak is the model and its largest array.
///
/// # Errors
/// [`ModelError`] when the file is torn, holds other numbers than f32, f16 and bf16, or an array that
/// `weights` has already.
pub fn read_arrays(
    path: &Path,
    weights: &mut BTreeMap<String, Weight>,
) -> Result<String, ModelError> {
    read_arrays_as(path, WeightFormat::Source, weights)
}

/// As [`read_arrays`], each matrix in the form in which a decoder of this format holds it.
///
/// # Errors
/// As [`read_arrays`].
pub(crate) fn read_arrays_as(
    path: &Path,
    format: WeightFormat,
    weights: &mut BTreeMap<String, Weight>,
) -> Result<String, ModelError> {
    let io = |source: io::Error| ModelError::Read { path: path.to_owned(), source };
    let torn = |reason: String| ModelError::Safetensors { path: path.to_owned(), reason };
    let file = File::open(path).map_err(io)?;
    let n_bytes = file.metadata().map_err(io)?.len();
    if n_bytes < 8 {
        return Err(torn(format!(
            "it has {n_bytes} bytes, the length of the header alone needs 8"
        )));
    }
    let mut reader = HashingReader::new(BufReader::with_capacity(1 << 20, file));
    let mut length = [0; 8];
    reader.read_exact(&mut length).map_err(io)?;
    let header_length = u64::from_le_bytes(length);
    if header_length > MAX_HEADER || header_length > n_bytes - 8 {
        return Err(torn(format!(
            "its header should have {header_length} bytes, the file has {n_bytes}"
        )));
    }
    let mut header = vec![0; header_length as usize];
    reader.read_exact(&mut header).map_err(io)?;
    let metadata: Metadata = serde_json::from_slice(&header)
        .map_err(|error| torn(format!("its header is broken: {error}")))?;
    let promised = 8 + header_length + metadata.data_len() as u64;
    if promised != n_bytes {
        return Err(torn(format!("its header promises {promised} bytes, the file has {n_bytes}")));
    }
    for name in metadata.offset_keys() {
        let Some(info) = metadata.info(&name) else { continue };
        let mut bytes = vec![0; info.data_offsets.1 - info.data_offsets.0];
        reader.read_exact(&mut bytes).map_err(io)?;
        let weight = match halves(&name, info, &bytes) {
            Some(blocks) => Weight::from_blocks(blocks),
            None => {
                let values = to_f32(info.dtype, &bytes).ok_or_else(|| ModelError::DataType {
                    path: path.to_owned(),
                    name: name.clone(),
                    found: format!("{:?}", info.dtype),
                })?;
                Weight::new(info.shape.as_slice(), values)?
            }
        };
        if weights.insert(name.clone(), format.hold(&name, weight)).is_some() {
            return Err(torn(format!("the tensor {name} stands in another shard as well")));
        }
    }
    Ok(reader.finish())
}

/// A matrix of halves as it is; `None` for everything else, for reward heads, which are small, and where a
/// number is not finite, which is for whoever computes with it.
fn halves(name: &str, info: &TensorInfo, bytes: &[u8]) -> Option<quantized::Weight> {
    let &[n_out, n_in] = info.shape.as_slice() else { return None };
    if is_reward_head(name) {
        return None;
    }
    let format = match info.dtype {
        Dtype::F16 => quantized::Format::F16,
        Dtype::BF16 => quantized::Format::Bf16,
        _ => return None,
    };
    quantized::Weight::from_gguf_blocks(format, n_out, n_in, bytes).ok()
}

fn to_f32(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    let halves = bytes.as_chunks::<2>().0;
    match dtype {
        Dtype::F32 => {
            Some(bytes.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect())
        }
        Dtype::F16 => Some(halves.iter().map(|&b| half::f16::from_le_bytes(b).to_f32()).collect()),
        Dtype::BF16 => {
            Some(halves.iter().map(|&b| half::bf16::from_le_bytes(b).to_f32()).collect())
        }
        _ => None,
    }
}

/// Writes arrays (shape and numbers, row by row) as a safetensors file in f32, whole or not at all.
///
/// # Errors
/// [`ModelError`] when the file cannot be written.
pub fn write_arrays(
    path: &Path,
    arrays: &BTreeMap<&str, (&[usize], &[f32])>,
) -> Result<(), ModelError> {
    write(path, arrays.iter().map(|(&name, &(shape, values))| (name, shape, move || values.into())))
}

/// As [`write_arrays`]; the numbers of a weight that is not held in f32 are made when its turn comes.
///
/// # Errors
/// [`ModelError`] when the file cannot be written.
pub(crate) fn write_weights(
    path: &Path,
    weights: &BTreeMap<&str, &Weight>,
) -> Result<(), ModelError> {
    write(
        path,
        weights.iter().map(|(&name, &weight)| (name, weight.shape(), move || weight.values())),
    )
}

fn write<'a, V: Fn() -> Cow<'a, [f32]>>(
    path: &Path,
    arrays: impl Iterator<Item = (&'a str, &'a [usize], V)>,
) -> Result<(), ModelError> {
    let mut offset = 0;
    let (mut infos, mut all) = (Vec::new(), Vec::new());
    for (name, shape, values) in arrays {
        let end = offset + 4 * shape.iter().product::<usize>();
        infos.push((
            name.to_owned(),
            TensorInfo { dtype: Dtype::F32, shape: shape.to_vec(), data_offsets: (offset, end) },
        ));
        all.push(values);
        offset = end;
    }
    let fault = |reason: String| ModelError::Safetensors { path: path.to_owned(), reason };
    // transformers refuses files that do not name their format.
    let format = [("format".to_owned(), "pt".to_owned())].into();
    let metadata = Metadata::new(Some(format), infos).map_err(|error| fault(error.to_string()))?;
    let mut header = serde_json::to_vec(&metadata).map_err(|error| fault(error.to_string()))?;
    header.resize(header.len().next_multiple_of(8), b' ');
    atomic_file::write_with(path, |out| {
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(&header)?;
        let mut bytes = Vec::new();
        for values in all {
            for part in values().chunks(PART) {
                bytes.clear();
                bytes.extend(part.iter().flat_map(|value| value.to_le_bytes()));
                out.write_all(&bytes)?;
            }
        }
        Ok(())
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: &[u8]) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        atomic_file::write(file.path(), bytes).unwrap();
        read_arrays(file.path(), &mut BTreeMap::new()).unwrap_err().to_string()
    }

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(data);
        bytes
    }

    #[test]
    fn every_bit_survives_writing_and_reading() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let values =
            vec![f32::MIN_POSITIVE / 2.0, -0.0, 1.0 / 3.0, f32::MAX, f32::NEG_INFINITY, 7.0];
        let other: Vec<f32> = (0..PART + 6).map(|i| i as f32).collect();
        let shapes = [vec![2, 3], vec![PART / 2 + 3, 2]];
        let arrays =
            BTreeMap::from([("a", (&*shapes[0], &*values)), ("b", (&*shapes[1], &*other))]);
        write_arrays(&path, &arrays).unwrap();
        let mut weights = BTreeMap::new();
        let sum = read_arrays(&path, &mut weights).unwrap();
        assert_eq!(sum, crate::sources::digest::sha256(&path).unwrap());
        let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&weights["a"].values()), bits(&values));
        assert_eq!(bits(&weights["b"].values()), bits(&other));
        assert_eq!(weights["b"].shape(), [PART / 2 + 3, 2]);
        // The reference implementation accepts the file too.
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(
            safetensors::SafeTensors::deserialize(&bytes).unwrap().tensor("a").unwrap().shape(),
            [2, 3]
        );
    }

    #[test]
    fn halves_are_read_exactly_and_matrices_of_them_stay_halves() {
        let numbers = [-1.5, 0.25, f32::INFINITY];
        for (dtype, bits) in [
            ("F16", numbers.map(|x| half::f16::from_f32(x).to_le_bytes())),
            ("BF16", numbers.map(|x| half::bf16::from_f32(x).to_le_bytes())),
        ] {
            let header = format!(
                r#"{{"norm":{{"dtype":"{dtype}","shape":[2],"data_offsets":[0,4]}},
                "odd":{{"dtype":"{dtype}","shape":[1,3],"data_offsets":[4,10]}},
                "score.weight":{{"dtype":"{dtype}","shape":[1,2],"data_offsets":[14,18]}},
                "w":{{"dtype":"{dtype}","shape":[2,1],"data_offsets":[10,14]}}}}"#
            );
            let data = [&bits[..2], &bits[..], &bits[..2], &bits[..2]].concat().concat();
            let file_ = tempfile::NamedTempFile::new().unwrap();
            atomic_file::write(file_.path(), &file(&header, &data)).unwrap();
            let mut weights = BTreeMap::new();
            read_arrays(file_.path(), &mut weights).unwrap();
            assert_eq!(*weights["norm"].values(), numbers[..2]);
            assert_eq!(*weights["odd"].values(), numbers);
            assert_eq!(*weights["w"].values(), numbers[..2]);
            let names = ["norm", "odd", "score.weight", "w"];
            let held = names.map(|name| weights[name].blocks().is_some());
            assert_eq!(held, [false, false, false, true]);
        }
    }

    #[test]
    fn torn_and_hostile_files_are_errors() {
        let info = r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
        assert!(message(b"1234").contains("4 bytes"));
        assert!(message(&u64::MAX.to_le_bytes()).contains("the file has 8"));
        assert!(message(&file(info, &[0; 8])[..40]).contains("its header should have"));
        assert!(message(&file(info, &[0; 5])).contains("promises 70 bytes, the file has 67"));
        assert!(message(&file(info, &[0; 9])).contains("the file has 71"));
        assert!(message(&file("not json", &[])).contains("header is broken"));
        let overflowing =
            r#"{"w":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,8]}}"#;
        assert!(message(&file(overflowing, &[0; 8])).contains("header is broken"));
        let integers = r#"{"w":{"dtype":"I32","shape":[2],"data_offsets":[0,8]}}"#;
        assert!(message(&file(integers, &[0; 8])).contains("I32"));
    }

    proptest::proptest! {
        #[test]
        fn no_header_makes_it_panic(length in 0u64..200, header in ".{0,80}", at in 0usize..54, byte: u8) {
            let mut free = length.to_le_bytes().to_vec();
            free.extend_from_slice(header.as_bytes());
            let mut nearly = file(r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, &[0; 8]);
            nearly[8 + at] = byte;
            for bytes in [free, nearly] {
                let file = tempfile::NamedTempFile::new().unwrap();
                atomic_file::write(file.path(), &bytes).unwrap();
                let _ = read_arrays(file.path(), &mut BTreeMap::new());
            }
        }
    }
}
