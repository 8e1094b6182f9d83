//! The engine against outputs of the reference implementation, as `examples/parity` runs them.

#[path = "../../examples/parity/array.rs"]
pub(crate) mod array;
#[path = "../../examples/parity/case.rs"]
mod case;

use std::path::Path;

use case::Case;

/// Every case must be there: a test that finds nothing proves nothing.
const CASES: [&str; 4] = ["int8-linear", "sampler-i2v-ode-4", "sampler-t2v-4", "umt5"];

#[test]
fn outputs_equal_those_of_the_reference() {
    for name in CASES {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(name);
        let report = Case::open(&folder).and_then(|case| case.run(&kernels::Device::Cpu)).unwrap();
        assert!(!report.0.is_empty(), "{name} has no output");
        for line in &report.0 {
            assert!(line.passes(), "{name} {line}");
        }
    }
}
