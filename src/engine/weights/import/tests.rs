//! Imports of the bundled model's weights, written as torch would, and of what is wrong with them. Test code only.

use std::path::{Path, PathBuf};

use super::*;
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
    use crate::engine::models::wan::{LinearFormat, WanConfig, expected_tensors};
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
