//! Files made to break a reader: each must be a clear error, in no time and no memory. Test code only.

use super::read_directory;
use super::write::{Checkpoint, Pickle, Stored, Zip};
use super::{ElementType, FormatError};

fn with_pickle(build: impl FnOnce(&mut Pickle)) -> Vec<u8> {
    let mut pickle = Pickle::default();
    build(&mut pickle);
    let mut zip = Zip::default();
    zip.add("a/data.pkl", &pickle.0);
    zip.add("a/data/0", &[0; 8]);
    zip.finish()
}

fn refused(file: &[u8]) -> FormatError {
    read_directory(file).expect_err("a hostile file was read")
}

fn message(file: &[u8]) -> String {
    refused(file).to_string()
}

fn good() -> Vec<u8> {
    let mut checkpoint = Checkpoint::new();
    checkpoint.push(Stored::contiguous("a", ElementType::F32, &[2], vec![0; 8]));
    checkpoint.bytes()
}

#[test]
fn code_is_never_called_and_its_name_is_told() {
    for (module, name) in
        [("os", "system"), ("builtins", "eval"), ("torch", "load"), ("torch", "QInt8Storage")]
    {
        let file = with_pickle(|out| out.raw(format!("c{module}\n{name}\n(X\x02\0\0\0lstR.").as_bytes()));
        assert_eq!(refused(&file), FormatError::Global(format!("{module}.{name}")));
    }
    let stacked = with_pickle(|out| out.raw(b"\x8c\x02os\x8c\x06system\x93)R."));
    assert_eq!(refused(&stacked), FormatError::Global("os.system".to_owned()));
    for code in [b'i', b'o', 0x81, 0x92, b'P', b'V', b'\x8b'] {
        assert!(matches!(refused(&with_pickle(|out| out.raw(&[code]))), FormatError::Opcode { .. }));
    }
}

#[test]
fn nesting_and_bombs_are_bounded() {
    let deep = with_pickle(|out| (0..1_000_000).for_each(|_| out.raw(b"(")));
    assert!(message(&deep).contains("marks"));
    let tuples = with_pickle(|out| (0..2_000_000).for_each(|_| out.raw(b")0")));
    assert!(message(&tuples).contains("objects"));
    let nested = with_pickle(|out| {
        out.raw(b")");
        (0..900_000).for_each(|_| out.raw(b"\x85"));
        out.raw(b".");
    });
    assert!(message(&nested).contains("not a dictionary"));
    let doubling = with_pickle(|out| {
        out.raw(b")q\x00");
        (0..100_000).for_each(|_| out.raw(b"h\x00h\x00\x86q\x00"));
    });
    assert!(message(&doubling).contains("deep"));
    let memo = with_pickle(|out| {
        out.raw(b"N");
        (0..1_100_000u32).for_each(|key| {
            out.raw(b"r");
            out.raw(&key.to_le_bytes());
        });
    });
    assert!(message(&memo).contains("memo"));
    assert!(message(&with_pickle(|out| out.raw(&vec![b'N'; 9 << 20]))).contains("larger"));
    let itself = with_pickle(|out| out.raw(b"]q\x00h\x00a."));
    assert!(message(&itself).contains("not a dictionary"));
}

#[test]
fn lying_sizes_are_refused() {
    let stored = |change: fn(&mut Stored)| {
        let mut tensor = Stored::contiguous("weight", ElementType::F32, &[2, 2], vec![0; 16]);
        change(&mut tensor);
        let mut checkpoint = Checkpoint::new();
        checkpoint.push(tensor);
        message(&checkpoint.bytes())
    };
    for lie in [
        stored(|tensor| tensor.claimed = 1 << 60),
        stored(|tensor| tensor.claimed = 3),
        stored(|tensor| tensor.offset = 1),
        stored(|tensor| tensor.offset = usize::MAX),
        stored(|tensor| tensor.stride = vec![1 << 62, 4]),
        stored(|tensor| tensor.stride = vec![3, 1]),
        stored(|tensor| tensor.shape = vec![1 << 40, 1 << 40]),
        stored(|tensor| tensor.shape = vec![4, 2]),
    ] {
        assert!(lie.contains("`weight`") || lie.contains("shape") || lie.contains("offset"), "{lie}");
    }
    let long_text = with_pickle(|out| out.raw(&[b'X', 0xff, 0xff, 0xff, 0xff]));
    assert!(message(&long_text).contains("truncated"));
    let wide = with_pickle(|out| out.raw(&[0x8a, 9, 0, 0, 0, 0, 0, 0, 0, 0, 1]));
    assert!(message(&wide).contains("64 bits"));
}

#[test]
fn wrong_dictionaries_are_named() {
    let wrapped = with_pickle(|out| out.raw(b"}X\x0a\0\0\0state_dict}s."));
    assert!(message(&wrapped).contains("`state_dict` is not a tensor"));
    assert!(message(&with_pickle(|out| out.raw(b"}K\x01K\x02s."))).contains("key"));
    let mut twice = Checkpoint::new();
    for _ in 0..2 {
        twice.push(Stored::contiguous("a", ElementType::I8, &[1], vec![0]));
    }
    assert!(message(&twice.bytes()).contains("`a`: stands there twice"));
}

#[test]
fn broken_archives_are_refused() {
    let mut overlap = Zip::default();
    overlap.add("a/data.pkl", &[0x80, 2, b'}', b'.']);
    overlap.add("a/data/0", &[0; 64]);
    overlap.point("a/data/1", 60, 30 + 10 + 4);
    assert!(message(&overlap.finish()).contains("overlaps"));

    let mut outside = Zip::default();
    outside.add("a/data.pkl", b"}.");
    outside.point("a/data/0", 8, 1 << 30);
    assert!(message(&outside.finish()).contains("outside"));

    let mut twice = Zip::default();
    twice.add("a/data.pkl", b"}.");
    twice.add("a/data.pkl", b"}.");
    assert!(message(&twice.finish()).contains("twice"));

    let mut two = Zip::default();
    two.add("a/data.pkl", b"}.");
    two.add("b/data.pkl", b"}.");
    assert!(message(&two.finish()).contains("more than one"));

    let mut packed = good();
    let row = packed.windows(4).position(|bytes| bytes == b"PK\x01\x02").expect("a directory row");
    packed[row + 10] = 8;
    assert!(message(&packed).contains("compressed"));
}

#[test]
fn a_cut_or_foreign_file_is_told_from_a_legacy_one() {
    let file = good();
    for cut in 1..file.len() {
        assert!(read_directory(&file[..cut]).is_err(), "{cut} bytes");
    }
    let legacy = [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, b'.'];
    assert_eq!(refused(&legacy), FormatError::Legacy);
    assert_eq!(refused(b"not a checkpoint"), FormatError::NotZip);
}

#[test]
fn a_zip64_directory_is_found() {
    let mut zip = Zip::default();
    zip.add("a/data.pkl", b"\x80\x02}.");
    assert_eq!(read_directory(&zip.finish_64()).map(|tensors| tensors.len()), Ok(0));
}

#[test]
fn long_numbers_of_an_entry_are_read_and_believed_as_little() {
    let build = |bytes: u64, shift: u64| {
        let mut zip = Zip::default();
        let header = zip.position() + shift;
        zip.hide("a/data.pkl", b"\x80\x02}.");
        zip.point_64("a/data.pkl", bytes, header);
        zip.finish()
    };
    assert_eq!(read_directory(&build(4, 0)).map(|tensors| tensors.len()), Ok(0));
    for (bytes, shift) in [(u64::MAX, 0), (1 << 40, 0), (4, 1 << 40), (4, u64::MAX), (400, 0)] {
        assert!(message(&build(bytes, shift)).contains("outside"));
    }
}

#[test]
fn flipped_bytes_never_panic() {
    let file = good();
    for at in 0..file.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut broken = file.clone();
            broken[at] ^= flip;
            drop(read_directory(&broken));
        }
    }
}
