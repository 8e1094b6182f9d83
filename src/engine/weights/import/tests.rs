//! Imports of the bundled model's weights, written as torch would, and of what is wrong with them. Test code only.

use std::path::{Path, PathBuf};

use kernels::quantize_int8::quantize_int8;
use kernels::{DType, Device, Tensor};

use super::*;
use crate::engine::Pipeline;
use crate::engine::models::wan::LinearFormat;
use crate::engine::weights::pth::write::{Checkpoint as Pth, Stored};
use crate::engine::weights::{
    ElementType, Expert, Library, Model, SafetensorsFile, WeightSource, WeightType, verify,
};

struct Bench {
    folder: tempfile::TempDir,
    import: Import,
}

fn bundled() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/wan-tiny")
}

/// The tensors of a network of the bundled model.
fn tensors(name: &str) -> Vec<Stored> {
    let file = SafetensorsFile::open(&bundled().join(name)).unwrap();
    let stored = |(name, dtype, shape): (String, WeightType, Vec<usize>)| {
        let element =
            ElementType::ALL.into_iter().find(|element| element.weight_type() == Some(dtype)).unwrap();
        Stored::contiguous(&name, element, &shape, file.tensor(&name, &shape).unwrap().data.into_owned())
    };
    file.tensors().unwrap().into_iter().map(stored).collect()
}

fn write(path: &Path, tensors: Vec<Stored>) {
    let mut checkpoint = Pth::new().on_device("cuda:0").with_metadata();
    tensors.into_iter().for_each(|tensor| checkpoint.push(tensor));
    std::fs::write(path, checkpoint.bytes()).unwrap();
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        write(&at("dit.pth"), tensors("transformer.safetensors"));
        write(&at("t5.pth"), tensors("text_encoder.safetensors"));
        let manifest = Manifest::read(&bundled()).unwrap();
        let description = serde_json::json!({
            "transformer": manifest.transformer.config, "vae": manifest.vae.config,
            "text_encoder": manifest.text_encoder.config, "max_tokens": manifest.text_encoder.max_tokens,
            "capabilities": manifest.capabilities,
        });
        std::fs::write(at("shapes.json"), description.to_string()).unwrap();
        let import = Import {
            transformer: at("dit.pth"),
            low_transformer: None,
            vae: bundled().join("vae.safetensors"),
            text_encoder: at("t5.pth"),
            tokenizer: bundled().join("tokenizer.json"),
            description: Some(at("shapes.json")),
            id: ModelId::new("copy"),
            models_folder: at("models"),
            created: 1_795_392_000,
        };
        Self { folder, import }
    }

    fn refused(&self) -> String {
        let message = self.import.run().unwrap_err().to_string();
        let left = std::fs::read_dir(&self.import.models_folder).map_or(0, Iterator::count);
        assert_eq!(left, 0, "a refused import leaves nothing behind");
        message
    }
}

#[test]
fn an_imported_model_is_the_bundled_one_again() {
    let bench = Bench::new();
    bench.import.run().unwrap();
    let model = Library::new(vec![bench.import.models_folder.clone()]).find("copy").unwrap();
    assert!(verify(&model).iter().all(|file| file.outcome.is_ok()));
    let original = Model::in_folder(&bundled()).unwrap();
    let (copy, original) =
        (model.transformer(Expert::High).unwrap(), original.transformer(Expert::High).unwrap());
    for tensor in model.architecture().transformer_tensors() {
        let [a, b] = [&copy, &original].map(|source| source.tensor(&tensor.name, &tensor.shape).unwrap());
        assert_eq!((a.dtype, a.data), (b.dtype, b.data), "{}", tensor.name);
    }
    assert!(bench.import.run().unwrap_err().to_string().contains("exists already"));
}

/// A `-quant` file: the matrices of the blocks as int8 with a scale for each 128×128, the rest as it was.
fn quantised(tensors: Vec<Stored>) -> Vec<Stored> {
    let is_quantised = |name: &str| {
        let layer = name.strip_suffix(".weight").unwrap_or_default();
        let tail = layer.rsplit('.').take(2).collect::<Vec<_>>();
        layer.starts_with("blocks.")
            && matches!(tail[..], ["q" | "k" | "v" | "o", "self_attn" | "cross_attn"] | ["0" | "2", "ffn"])
    };
    let mut out = Vec::new();
    for tensor in tensors {
        if !is_quantised(&tensor.name) {
            out.push(tensor);
            continue;
        }
        let bits: Vec<u16> =
            tensor.bytes.as_chunks().0.iter().map(|&pair| u16::from_le_bytes(pair)).collect();
        let wide = Tensor::from_bf16_bits(&bits, &tensor.shape, DType::F32, &Device::Cpu).unwrap();
        let (values, scale) = quantize_int8(&wide).unwrap();
        let values = values.to_i8().unwrap().into_iter().map(|value| value as u8).collect();
        let factors = scale.to_f32().unwrap().into_iter().flat_map(f32::to_le_bytes).collect();
        let layer = tensor.name.trim_end_matches("weight");
        out.push(Stored::contiguous(&format!("{layer}int8_weight"), ElementType::I8, &tensor.shape, values));
        out.push(Stored::contiguous(&format!("{layer}scale"), ElementType::F32, scale.shape(), factors));
    }
    out
}

#[test]
fn a_quantised_checkpoint_keeps_its_int8_and_opens() {
    let bench = Bench::new();
    let stored = quantised(tensors("transformer.safetensors"));
    let types = |element| stored.iter().filter(|tensor| tensor.element == element).count();
    assert_eq!(types(ElementType::I8), 100, "ten matrices in each of ten blocks");
    assert!(types(ElementType::BF16) > 0 && types(ElementType::F32) > 100, "norms beside scales");
    write(&bench.import.transformer, stored.clone());
    let manifest = bench.import.run().unwrap();
    assert_eq!(manifest.transformer.linear_format, LinearFormat::Int8);
    let model = Library::new(vec![bench.import.models_folder.clone()]).find("copy").unwrap();
    let source = model.transformer(Expert::High).unwrap();
    for tensor in &stored {
        assert_eq!(source.tensor(&tensor.name, &tensor.shape).unwrap().data, tensor.bytes, "{}", tensor.name);
    }
    assert!(Pipeline::open(&model, &Device::Cpu).is_ok());
}

#[test]
fn norms_may_be_bf16_as_the_weights() {
    let bench = Bench::new();
    let mut stored = tensors("transformer.safetensors");
    for norm in stored.iter_mut().filter(|tensor| tensor.element == ElementType::F32) {
        let upper: Vec<u8> =
            norm.bytes.as_chunks::<4>().0.iter().flat_map(|word| [word[2], word[3]]).collect();
        *norm = Stored::contiguous(&norm.name, ElementType::BF16, &norm.shape, upper);
    }
    write(&bench.import.transformer, stored);
    bench.import.run().unwrap();
    let model = Library::new(vec![bench.import.models_folder.clone()]).find("copy").unwrap();
    assert!(Pipeline::open(&model, &Device::Cpu).is_ok());
}

#[test]
fn a_transposed_tensor_is_written_in_order() {
    let bench = Bench::new();
    let mut stored = tensors("transformer.safetensors");
    let name = "blocks.0.ffn.0.weight";
    let tensor = stored.iter_mut().find(|tensor| tensor.name == name).unwrap();
    let (rows, columns, pairs) = (tensor.shape[0], tensor.shape[1], tensor.bytes.as_chunks::<2>().0);
    let in_columns = |at: usize| pairs[at % rows * columns + at / rows];
    let bytes = (0..rows * columns).flat_map(in_columns).collect();
    let shape = tensor.shape.clone();
    *tensor = Stored { stride: vec![1, rows], ..Stored::contiguous(name, ElementType::BF16, &shape, bytes) };
    write(&bench.import.transformer, stored);
    bench.import.run().unwrap();
    let read = |folder: &Path| {
        let source = Model::in_folder(folder).unwrap().transformer(Expert::High).unwrap();
        source.tensor(name, &shape).unwrap().data.into_owned()
    };
    assert_eq!(read(&bench.import.models_folder.join("copy")), read(&bundled()));
}

#[test]
fn a_pair_becomes_two_files_of_one_model() {
    let mut bench = Bench::new();
    bench.import.low_transformer = Some(bench.import.transformer.clone());
    let manifest = bench.import.run().unwrap();
    assert_eq!(manifest.architecture().experts, [Expert::High, Expert::Low]);
    assert_ne!(manifest.transformer_file(Expert::High), manifest.transformer_file(Expert::Low));
}

#[test]
fn a_file_that_another_model_has_takes_its_space_once() {
    use std::os::unix::fs::MetadataExt;
    let mut bench = Bench::new();
    bench.import.run().unwrap();
    bench.import.id = ModelId::new("second");
    bench.import.run().unwrap();
    let inode = |id: &str| {
        std::fs::metadata(bench.import.models_folder.join(id).join("vae.safetensors")).unwrap().ino()
    };
    assert_eq!(inode("copy"), inode("second"));
    let weights = std::fs::metadata(bench.import.models_folder.join("copy/transformer.safetensors")).unwrap();
    assert_eq!(weights.mode() & 0o777, 0o644, "a worker that is another user can read it");
    assert_eq!(std::fs::read_dir(bench.import.models_folder.join("second")).unwrap().count(), 5);
}

#[test]
fn what_is_wrong_with_a_checkpoint_is_named() {
    let bench = Bench::new();
    let dit = &bench.import.transformer;
    let spoiled = |spoil: &dyn Fn(&mut Vec<Stored>)| {
        let mut tensors = tensors("transformer.safetensors");
        spoil(&mut tensors);
        write(dit, tensors);
        bench.refused()
    };
    let norm = "blocks.2.self_attn.norm_q.weight";
    let missing = spoiled(&|tensors| tensors.retain(|tensor| tensor.name != norm));
    assert!(missing.contains(&format!("`{norm}` is missing")) && missing.contains("dit.pth"), "{missing}");
    let extra =
        spoiled(&|tensors| tensors.push(Stored::contiguous("ema.x", ElementType::F32, &[1], vec![0; 4])));
    assert!(extra.contains("`ema.x` is not part"), "{extra}");
    let mis_shaped = spoiled(&|tensors| {
        let tensor = tensors.iter_mut().find(|tensor| tensor.name == norm).unwrap();
        *tensor = Stored::contiguous(norm, ElementType::F32, &[2, 128], vec![0; 1024]);
    });
    assert!(mis_shaped.contains("[2, 128]") && mis_shaped.contains("[256]"), "{mis_shaped}");
    let wrong_type = spoiled(&|tensors| {
        let tensor = tensors.iter_mut().find(|tensor| tensor.name == norm).unwrap();
        *tensor = Stored::contiguous(norm, ElementType::I64, &[256], vec![0; 2048]);
    });
    assert!(wrong_type.contains("i64"), "{wrong_type}");
    let both_norms = spoiled(&|tensors| {
        tensors.retain(|tensor| !tensor.name.contains("norm_k"));
    });
    assert!(both_norms.contains("more faults"), "{both_norms}");
    let shared = spoiled(&|tensors| {
        let is_twin = |tensor: &Stored| tensor.name.ends_with("attn.q.weight");
        let first = tensors.iter().position(is_twin);
        tensors.iter_mut().filter(|tensor| is_twin(tensor)).skip(1).for_each(|tensor| tensor.shares = first);
    });
    assert!(shared.contains("share their numbers") && shared.contains("dit.pth"), "{shared}");
    let whole = std::fs::read(dit).unwrap();
    std::fs::write(dit, &whole[..whole.len() / 2]).unwrap();
    let cut = bench.refused();
    assert!(cut.contains("dit.pth") && cut.contains("truncated"), "{cut}");
}

#[test]
fn shapes_that_are_not_published_need_a_description() {
    let mut bench = Bench::new();
    bench.import.description = None;
    let message = bench.refused();
    assert!(message.contains("width 256") && message.contains("Wan2.1-T2V-1.3B"), "{message}");
    for id in ["", "../x", ".hidden", "a/b", "a b"] {
        bench.import.id = ModelId::new(id);
        assert!(bench.import.run().unwrap_err().to_string().contains("an id is made of"), "{id}");
    }
    assert!(bench.folder.path().exists());
}

#[test]
fn published_files_are_recognised_by_their_shapes() {
    use crate::engine::models::wan::{WanConfig, expected_tensors};
    let cases = [WanConfig::t2v_1_3b(), WanConfig::t2v_14b(), WanConfig::i2v_a14b()];
    for config in cases {
        for format in [LinearFormat::Bf16, LinearFormat::Int8] {
            let tensors = expected_tensors(&config, format, true);
            let shapes = tensors.into_iter().map(|tensor| (tensor.name, tensor.shape)).collect();
            let found = recognise(&shapes).unwrap();
            assert_eq!((found.linear_format, found.sparse_linear), (format, true));
            assert_eq!(found.published().unwrap(), config);
        }
    }
}
