//! What a panic of the program prints: where it happened, and nothing of what was being read. Shown in a process of its
//! own, this test binary with one test as its main function, because the way panics are told is a process's own.

use std::io::{self, Read};
use std::panic::catch_unwind;
use std::process::Command;

use wanserve::media::decode_piped;
use wanserve::telemetry::veil_panics;

/// Tells the child test that it is meant.
const VICTIM: &str = "PANICS_TEST_VICTIM";

const SECRET: &str = "canary-bytes-of-a-picture";

/// A picture on its way into the decoder, which quotes it in its panic.
struct Picture;

impl Read for Picture {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        into[..SECRET.len()].copy_from_slice(SECRET.as_bytes());
        panic!("cannot read {:?}", std::str::from_utf8(&into[..SECRET.len()]))
    }
}

/// Runs in a process of its own; alone it does nothing.
#[test]
#[expect(clippy::disallowed_methods, reason = "how a test tells its other process that it is meant")]
fn victim() {
    if std::env::var_os(VICTIM).is_none() {
        return;
    }
    veil_panics();
    catch_unwind(|| decode_piped(Picture, io::sink(), false)).unwrap_err();
    // Rust itself quotes text that is cut in the middle of a letter.
    catch_unwind(|| "canary-prompt: é".split_at(16).1.len()).unwrap_err();
    catch_unwind(|| serde_json::from_str::<u32>("\"canary-value\"").unwrap()).unwrap_err();
    catch_unwind(|| panic!("a text of the program")).unwrap_err();
}

#[test]
fn a_panic_tells_where_and_quotes_nothing() {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["panics::victim", "--exact", "--nocapture"])
        .env(VICTIM, "1")
        .output()
        .unwrap();
    let told = String::from_utf8(child.stderr).unwrap();
    assert!(child.status.success(), "{told}");
    let lines: Vec<&str> = told.lines().filter(|line| line.contains("panicked at ")).collect();
    assert_eq!(lines.len(), 4, "{told}");
    assert!(lines[..3].iter().all(|line| line.contains(".rs:") && line.contains("withheld")), "{told}");
    assert!(lines[3].contains("a text of the program"), "{told}");
    assert!(!told.contains("canary"), "{told}");
}
