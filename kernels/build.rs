//! Compiles every `*/kernel*.cu` into one fatbin each and writes the table that embeds them.
//! Does nothing without the feature `cuda`; never downloads and never writes into the source tree.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

/// Generations compiled to machine code. An `a` image runs on exactly that generation.
const ARCHITECTURES: [&str; 5] = ["80", "89", "90a", "100a", "120a"];
/// PTX of this generation is the fallback on anything newer than the list.
const PTX_ARCHITECTURE: &str = "80";
/// Names the architectures of a quick build, for example `90a`. Empty or unset: all of them, and PTX.
const ARCHITECTURE_VARIABLE: &str = "WANSERVE_CUDA_ARCH";
/// A file with this ending holds instructions that only Hopper has; it is compiled for that generation alone.
const HOPPER_SUFFIX: &str = "_sm90";
const HOPPER: &str = "90a";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if variable("CARGO_FEATURE_CUDA").is_none() {
        return;
    }
    for variable in ["NVCC", "CUDA_HOME", "PATH", ARCHITECTURE_VARIABLE] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(variable("OUT_DIR").expect("cargo sets it"));
    let nvcc = find_nvcc(&root).unwrap_or_else(|| {
        panic!("the feature `cuda` needs nvcc 13.0: run scripts/cuda-toolkit.sh, or set NVCC or CUDA_HOME")
    });
    let headers = newest(&root.join("include"));
    println!("cargo::rerun-if-changed=include");

    let architectures = architectures();
    let mut sources = sources(&root);
    sources.retain(|source| !source.hopper_only() || architectures.iter().any(|a| a == HOPPER));
    let jobs = Mutex::new(sources.iter());
    let failures = Mutex::new(Vec::new());
    let workers = variable("NUM_JOBS").and_then(|n| n.to_str()?.parse().ok()).unwrap_or(1usize);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let Some(source) = jobs.lock().expect("no worker panics").next() else {
                        return;
                    };
                    if let Err(message) = compile(&nvcc, &root, &out, source, &architectures, headers) {
                        failures
                            .lock()
                            .expect("no worker panics")
                            .push(format!("{}:\n{message}", source.path.display()));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no worker panics");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    write_table(&out, &sources);
}

struct Source {
    /// `folder/stem`, which is also the name of the image.
    name: String,
    path: PathBuf,
}

impl Source {
    fn hopper_only(&self) -> bool {
        self.name.ends_with(HOPPER_SUFFIX)
    }

    fn fatbin(&self, out: &Path) -> PathBuf {
        out.join(format!("{}.fatbin", self.name.replace('/', "-")))
    }
}

fn find_nvcc(root: &Path) -> Option<PathBuf> {
    if let Some(nvcc) = variable("NVCC") {
        return Some(PathBuf::from(nvcc));
    }
    let home = variable("CUDA_HOME").map(|home| PathBuf::from(home).join("bin"));
    let path = variable("PATH").unwrap_or_default();
    let local = root.join("../.cuda/nvidia/cu13/bin");
    home.into_iter()
        .chain(env::split_paths(&path))
        .chain([local, PathBuf::from("/usr/local/cuda/bin")])
        .map(|folder| folder.join("nvcc"))
        .find(|candidate| candidate.is_file())
}

/// The generations asked for, or all.
fn architectures() -> Vec<String> {
    let asked = variable(ARCHITECTURE_VARIABLE).unwrap_or_default();
    match asked.to_string_lossy().as_ref() {
        "" => ARCHITECTURES.map(String::from).to_vec(),
        some => some.split(',').map(String::from).collect(),
    }
}

fn sources(root: &Path) -> Vec<Source> {
    let mut sources = Vec::new();
    let folders = fs::read_dir(root).expect("the package has a folder");
    for folder in folders.flatten().filter(|entry| entry.path().is_dir()) {
        let files = fs::read_dir(folder.path()).expect("a folder can be listed");
        for file in files.flatten() {
            let path = file.path();
            let stem = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
            if stem.starts_with("kernel") && path.extension().is_some_and(|e| e == "cu") {
                let folder = folder.file_name().to_string_lossy().into_owned();
                println!("cargo::rerun-if-changed={folder}/{stem}.cu");
                sources.push(Source { name: format!("{folder}/{stem}"), path });
            }
        }
    }
    sources.sort_by(|a, b| a.name.cmp(&b.name));
    sources
}

fn compile(
    nvcc: &Path,
    root: &Path,
    out: &Path,
    source: &Source,
    architectures: &[String],
    headers: Option<std::time::SystemTime>,
) -> Result<(), String> {
    let chosen = architectures.join(",");
    let fatbin = source.fatbin(out);
    let stamp = fatbin.with_extension("arch");
    let built = modified(&fatbin);
    let same_list = fs::read_to_string(&stamp).is_ok_and(|old| old == chosen);
    if same_list && built > modified(&source.path) && built > headers {
        return Ok(());
    }
    let mut command = Command::new(nvcc);
    command
        .args(["-fatbin", "-std=c++17", "-O3", "-lineinfo"])
        .args(["--compress-mode=size", "-Xptxas", "--warn-on-spills"])
        .arg("-I")
        .arg(root.join("include"));
    for arch in architectures.iter().filter(|&arch| arch == HOPPER || !source.hopper_only()) {
        command.arg(format!("-gencode=arch=compute_{arch},code=sm_{arch}"));
    }
    if architectures.len() == ARCHITECTURES.len() && !source.hopper_only() {
        command.arg(format!("-gencode=arch=compute_{PTX_ARCHITECTURE},code=compute_{PTX_ARCHITECTURE}"));
    }
    let output = command
        .arg("-o")
        .arg(&fatbin)
        .arg(&source.path)
        .output()
        .map_err(|error| format!("{}: {error}", nvcc.display()))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        return Err(said);
    }
    for line in said.lines().filter(|line| line.contains("pill")) {
        println!("cargo::warning={}: {line}", source.name);
    }
    fs::write(&stamp, chosen).map_err(|error| error.to_string())
}

fn write_table(out: &Path, sources: &[Source]) {
    let mut text = String::from("pub(super) static IMAGES: &[(&str, &[u8])] = &[\n");
    for source in sources {
        text += &format!("    ({:?}, include_bytes!({:?})),\n", source.name, source.fatbin(out));
    }
    text += "];\n";
    fs::write(out.join("images.rs"), text).expect("the build folder can be written");
}

fn newest(folder: &Path) -> Option<std::time::SystemTime> {
    let files = fs::read_dir(folder).ok()?;
    files.flatten().filter_map(|f| modified(&f.path())).max()
}

fn modified(path: &Path) -> Option<std::time::SystemTime> {
    fs::metadata(path).ok()?.modified().ok()
}

#[expect(clippy::disallowed_methods, reason = "cargo speaks to build scripts through the environment")]
fn variable(name: &str) -> Option<OsString> {
    env::var_os(name)
}
