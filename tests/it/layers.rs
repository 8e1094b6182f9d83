//! Holds the code to the map: who may use whom (`ARCHITECTURE.md`), and how long a file may be.
//! It reads the sources with `syn`; nothing is built or run.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::Visit;

/// Longest allowed file, in lines; the aim is 100 to 250.
const MAX_LINES: usize = 500;

/// `(module, modules of ours that it may use)`. `app`, `cli`, `main.rs` and `lib.rs` may use all.
const ALLOWED: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("metrics", &[]),
    ("config", &["domain"]),
    ("engine", &["domain"]),
    ("media", &["domain"]),
    ("store", &["domain"]),
    ("storage", &["domain"]),
    ("net", &["domain"]),
    ("webhooks", &["domain", "store", "net", "metrics"]),
    ("scheduler", &["domain", "store", "storage", "metrics"]),
    ("worker", &["domain", "engine", "media", "net"]),
    ("jobs", &["domain", "store", "storage", "scheduler", "metrics"]),
    ("api", &["domain", "jobs", "webhooks", "store", "media", "net", "metrics"]),
];

/// `(module, packages that it never uses)`.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("domain", &["actix_web", "candle_core", "cudarc", "kernels", "sqlx", "tokio"]),
    ("metrics", &["actix_web", "candle_core", "cudarc", "kernels", "sqlx", "tokio"]),
    ("engine", &["actix_web", "reqwest", "sqlx", "tokio"]),
    ("media", &["actix_web", "sqlx"]),
    ("store", &["actix_web", "kernels"]),
    ("storage", &["actix_web", "kernels", "sqlx"]),
    ("worker", &["actix_web", "sqlx"]),
    ("jobs", &["actix_web", "kernels", "sqlx"]),
    ("api", &["candle_core", "kernels", "sqlx"]),
];

#[test]
fn every_arrow_between_modules_is_in_the_table() {
    let root = root().join("src");
    let ours: BTreeSet<String> = ALLOWED.iter().map(|(module, _)| (*module).to_owned()).collect();
    let mut wrong = Vec::new();
    for file in rust_files(&root) {
        let Some(module) = top_module(&root, &file) else { continue };
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == module) else { continue };
        let forbidden = FORBIDDEN.iter().find(|(name, _)| *name == module).map_or(&[][..], |(_, list)| *list);
        let used = uses(&file);
        for target in used.of_crate.intersection(&ours) {
            if *target != module && !allowed.contains(&target.as_str()) {
                wrong.push(format!("{} uses crate::{target}", file.display()));
            }
        }
        for package in used.packages.iter().filter(|package| forbidden.contains(&package.as_str())) {
            wrong.push(format!("{} uses {package}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "arrows that are not on the map:\n{}", wrong.join("\n"));
}

#[test]
fn every_module_is_on_the_map() {
    let known = ["app", "cli", "telemetry"];
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let listed = ALLOWED.iter().any(|(module, _)| *module == name) || known.contains(&name.as_str());
        assert!(listed || name == "lib" || name == "main", "src/{name} is not in the table of {}", file!());
    }
}

#[test]
fn no_file_is_too_long_to_read() {
    let long: Vec<String> = ["src", "kernels", "tests", "benches", "examples", "models"]
        .iter()
        .map(|folder| root().join(folder))
        .filter(|folder| folder.exists())
        .flat_map(|folder| source_files(&folder))
        .filter_map(|file| {
            let lines = fs::read_to_string(&file).unwrap().lines().count();
            (lines > MAX_LINES).then(|| format!("{}: {lines} lines", file.display()))
        })
        .collect();
    assert!(long.is_empty(), "longer than {MAX_LINES} lines:\n{}", long.join("\n"));
}

#[test]
fn every_rust_file_says_what_it_is_for() {
    let silent: Vec<String> = rust_files(&root().join("src"))
        .into_iter()
        .chain(rust_files(&root().join("kernels")))
        .filter(|file| !fs::read_to_string(file).unwrap().starts_with("//!"))
        .map(|file| file.display().to_string())
        .collect();
    assert!(silent.is_empty(), "files without an opening `//!`:\n{}", silent.join("\n"));
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn top_module(root: &Path, file: &Path) -> Option<String> {
    let first = file.strip_prefix(root).ok()?.components().next()?;
    Path::new(first.as_os_str()).file_stem().and_then(|stem| stem.to_str()).map(str::to_owned)
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    source_files(folder).into_iter().filter(|file| file.extension().is_some_and(|e| e == "rs")).collect()
}

fn source_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && name != "target" && name != "node_modules" && !name.starts_with('.') {
            found.extend(source_files(&path));
        } else if path
            .extension()
            .is_some_and(|e| ["rs", "cu", "cuh", "py", "mjs"].iter().any(|known| e == *known))
        {
            found.push(path);
        }
    }
    found
}

/// What one file names: first segments after `crate::`, and first segments that may be packages.
#[derive(Default)]
struct Uses {
    of_crate: BTreeSet<String>,
    packages: BTreeSet<String>,
}

fn uses(file: &Path) -> Uses {
    let parsed = syn::parse_file(&fs::read_to_string(file).unwrap())
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut uses = Uses::default();
    uses.visit_file(&parsed);
    uses
}

impl<'ast> Visit<'ast> for Uses {
    /// Tests at the foot of a file may use anything.
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let test_only = item.attrs.iter().any(|attribute| {
            attribute.path().is_ident("cfg")
                && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
        });
        if !test_only {
            syn::visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let mut segments = path.segments.iter().map(|segment| segment.ident.to_string());
        self.note(segments.next(), segments.next());
        syn::visit::visit_path(self, path);
    }
}

impl Uses {
    fn tree(&mut self, tree: &syn::UseTree) {
        match tree {
            syn::UseTree::Path(path) => {
                let first = path.ident.to_string();
                for second in heads(&path.tree) {
                    self.note(Some(first.clone()), Some(second));
                }
            }
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.tree(item)),
            syn::UseTree::Name(_) | syn::UseTree::Rename(_) | syn::UseTree::Glob(_) => {}
        }
    }

    fn note(&mut self, first: Option<String>, second: Option<String>) {
        match (first.as_deref(), second) {
            (Some("crate"), Some(module)) => {
                self.of_crate.insert(module);
            }
            (Some("self" | "super"), _) | (None, _) => {}
            (Some(package), _) => {
                self.packages.insert(package.to_owned());
            }
        }
    }
}

fn heads(tree: &syn::UseTree) -> Vec<String> {
    match tree {
        syn::UseTree::Path(path) => vec![path.ident.to_string()],
        syn::UseTree::Name(name) => vec![name.ident.to_string()],
        syn::UseTree::Rename(rename) => vec![rename.ident.to_string()],
        syn::UseTree::Glob(_) => Vec::new(),
        syn::UseTree::Group(group) => group.items.iter().flat_map(heads).collect(),
    }
}

#[test]
fn the_reader_of_use_trees_sees_nested_groups() {
    let mut uses = Uses::default();
    let file = syn::parse_file(
        "use crate::{domain::id, store}; use tokio::sync; fn f() { crate::engine::run(); sqlx::query(1); }
         #[cfg(test)] mod tests { use crate::api; }",
    )
    .unwrap();
    uses.visit_file(&file);
    assert_eq!(uses.of_crate, ["domain", "engine", "store"].map(str::to_owned).into());
    assert!(uses.packages.contains("tokio") && uses.packages.contains("sqlx"));
}
