//! The engine against outputs of the reference implementation, as `examples/parity` runs them.

#[path = "../../examples/parity/array.rs"]
pub(crate) mod array;
#[path = "../../examples/parity/case.rs"]
mod case;

use std::path::{Path, PathBuf};

use case::Case;

/// Every case must be there: a test that finds nothing proves nothing.
const CASES: [&str; 14] = [
    "dit-i2v-original",
    "dit-t2v-original",
    "dit-t2v-sla",
    "dit-t2v-sla-short",
    "i2v-image",
    "int8-linear",
    "int8-ragged",
    "sampler-i2v-ode-4",
    "sampler-low-sigma",
    "sampler-t2v-4",
    "umt5",
    "umt5-ten-buckets",
    "vae",
    "vae-odd",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens")
}

#[test]
fn outputs_equal_those_of_the_reference() {
    for name in CASES {
        let report =
            Case::open(&folder().join(name)).and_then(|case| case.run(&kernels::Device::Cpu)).unwrap();
        assert!(!report.0.is_empty(), "{name} has no output");
        for line in &report.0 {
            assert!(line.passes(), "{name} {line}");
        }
    }
}

#[test]
fn every_folder_is_a_case_that_runs() {
    let entries = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap());
    let folders = entries.filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> = folders.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, CASES);
}

#[test]
fn what_is_not_a_number_is_over_every_tolerance() {
    for (found, expected) in [([f32::NAN, 0.0, 1.0], [0.0; 3]), ([0.0; 3], [0.0, 1.0, f32::NAN])] {
        assert!(array::max_abs(&found, &expected).is_nan());
        assert!(array::rel_l2(&found, &expected).is_nan());
    }
    assert_eq!(array::max_abs(&[0.5, -2.0, 1.0], &[0.0; 3]), 2.0);
}
