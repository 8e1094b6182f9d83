//! The committed OpenAPI document is the one that the code makes.
//! To renew it: `cargo run -- openapi > openapi/openapi.json`.

use std::fs;
use std::path::Path;

#[test]
fn the_committed_document_equals_the_codes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi/openapi.json");
    let made =
        format!("{}\n", wanserve::api::openapi().to_pretty_json().expect("the document is plain data"));
    let committed = fs::read_to_string(&path).unwrap_or_default();
    if committed != made {
        let fresh = path.with_extension("json.new");
        fs::write(&fresh, made).expect("the folder can be written");
        panic!("openapi/openapi.json is out of date; the document of the code is in {}", fresh.display());
    }
}
