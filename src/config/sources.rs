//! Where settings come from, and in which order. Collects mistakes instead of stopping at the first.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::setting::Setting;

/// What every variable of ours begins with.
const PREFIX: &str = "WANSERVE_";

/// What containers and machines tell their credentials by.
const CREDENTIALS_PREFIX: &str = "AWS_";

/// Names the file; the flag `--config` wins.
const FILE_VARIABLE: &str = "WANSERVE_CONFIG";

/// All that is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
#[error("the configuration has {} mistake(s):{}", mistakes.len(), mistakes.iter().map(|one| format!("\n  {one}")).collect::<String>())]
pub struct ConfigError {
    mistakes: Vec<String>,
}

/// Settings given on the command line, by `section.field`.
#[derive(Debug, Clone, Default)]
pub struct Flags(BTreeMap<&'static str, String>);

impl Flags {
    /// Adds a flag if it was given.
    pub fn set(mut self, setting: &'static str, value: Option<String>) -> Self {
        if let Some(value) = value {
            self.0.insert(setting, value);
        }
        self
    }
}

/// The raw material of a configuration.
#[derive(Debug, Default)]
pub struct Sources {
    file: Option<(PathBuf, Result<String, String>)>,
    environment: BTreeMap<String, String>,
    flags: Flags,
}

impl Sources {
    /// The process's environment, the file that `file` or `WANSERVE_CONFIG` names (if any), and `flags`.
    pub fn of_process(file: Option<PathBuf>, flags: Flags) -> Self {
        let environment: BTreeMap<_, _> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let file = file.or_else(|| environment.get(FILE_VARIABLE).map(PathBuf::from));
        let file = file.map(|path| {
            let text = std::fs::read_to_string(&path).map_err(|error| error.to_string());
            (path, text)
        });
        Self { file, environment, flags }
    }

    /// With the text of a file in memory.
    pub fn with_file(self, name: &str, text: &str) -> Self {
        Self { file: Some((name.into(), Ok(text.to_owned()))), ..self }
    }

    /// With these variables.
    pub fn with_environment(self, variables: Vec<(String, String)>) -> Self {
        Self { environment: variables.into_iter().collect(), ..self }
    }

    /// With these flags.
    pub fn with_flags(self, flags: Flags) -> Self {
        Self { flags, ..self }
    }

    /// Fails if the file cannot be read or is not TOML.
    pub(super) fn open(self) -> Result<Reader, ConfigError> {
        let (path, table) = match self.file {
            None => (PathBuf::new(), Table::new()),
            Some((path, text)) => {
                let table = text.and_then(|text| parse(&text));
                let table = table
                    .map_err(|why| ConfigError { mistakes: vec![format!("{}: {why}", path.display())] })?;
                (path, table)
            }
        };
        Ok(Reader {
            path,
            table,
            environment: self.environment,
            flags: self.flags,
            known: BTreeSet::from([FILE_VARIABLE.to_owned()]),
            settings: Vec::new(),
            mistakes: Vec::new(),
        })
    }
}

/// Hands out settings and remembers what was asked for and what was wrong.
pub(super) struct Reader {
    path: PathBuf,
    /// What is left of the file: settings are taken out as they are read.
    table: Table,
    environment: BTreeMap<String, String>,
    flags: Flags,
    known: BTreeSet<String>,
    settings: Vec<(String, String)>,
    mistakes: Vec<String>,
}

impl Reader {
    /// Reads one section with the function that knows its fields.
    pub(super) fn section<T>(&mut self, name: &'static str, read: impl FnOnce(&mut Section<'_>) -> T) -> T {
        let table = match self.table.remove(name) {
            None => Table::new(),
            Some(Value::Table(table)) => table,
            Some(_) => {
                self.mistakes.push(in_file(&self.path, name, "is a section, not a value"));
                Table::new()
            }
        };
        let mut section = Section { reader: self, name, table };
        let value = read(&mut section);
        let unknown: Vec<_> = section.table.keys().map(|field| format!("{name}.{field}")).collect();
        for setting in unknown {
            self.mistakes.push(in_file(&self.path, &setting, "no such setting"));
        }
        value
    }

    /// Variable and default of each setting asked for so far.
    #[cfg(test)]
    pub(super) fn settings(&self) -> &[(String, String)] {
        &self.settings
    }

    /// The names in the environment that begin like ours or like those of a bucket's credentials.
    pub(super) fn variables(&self) -> Vec<String> {
        let ours = |name: &&String| name.starts_with(PREFIX) || name.starts_with(CREDENTIALS_PREFIX);
        self.environment.keys().filter(ours).cloned().collect()
    }

    /// The warnings, or all mistakes.
    pub(super) fn finish(mut self) -> Result<Vec<String>, ConfigError> {
        for name in self.table.keys() {
            self.mistakes.push(in_file(&self.path, name, "no such section"));
        }
        if !self.mistakes.is_empty() {
            return Err(ConfigError { mistakes: self.mistakes });
        }
        // A cluster injects variables named after its services, so a stranger is not a mistake.
        let ours = self.environment.keys().filter(|name| name.starts_with(PREFIX));
        let strangers = ours.filter(|name| !self.known.contains(*name));
        Ok(strangers.map(|name| format!("{name} is not a setting")).collect())
    }
}

/// One section while it is read.
pub(super) struct Section<'a> {
    reader: &'a mut Reader,
    name: &'static str,
    table: Table,
}

impl Section<'_> {
    /// Notes what no single setting shows.
    pub(super) fn mistake(&mut self, field: &str, why: &str) {
        self.reader.mistakes.push(format!("{}.{field}: {why}", self.name));
    }

    /// The setting's value, or its default.
    pub(super) fn field<T: Setting>(&mut self, field: &'static str, default: T) -> T {
        let setting = format!("{}.{field}", self.name);
        let variable = format!("{PREFIX}{}_{}", self.name.to_uppercase(), field.to_uppercase());
        self.reader.known.insert(variable.clone());
        self.reader.settings.push((variable.clone(), default.show()));
        let in_file_value = self.table.remove(field);
        let (place, read) = if let Some(text) = self.reader.flags.0.get(setting.as_str()) {
            (format!("the flag for {setting}"), T::parse(text))
        } else if let Some(text) = self.reader.environment.get(&variable) {
            (variable, T::parse(text))
        } else if let Some(value) = in_file_value {
            (format!("{}: {setting}", self.reader.path.display()), from_file(&value))
        } else {
            return default;
        };
        read.unwrap_or_else(|why| {
            self.reader.mistakes.push(format!("{place}: {why}"));
            default
        })
    }
}

fn parse(text: &str) -> Result<Table, String> {
    text.parse::<Table>().map_err(|error| {
        // The message and the line only: toml's own rendering would print the line, which may hold a secret.
        let start = error.span().map_or(0, |span| span.start).min(text.len());
        let line = text.as_bytes()[..start].iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("line {line}: not valid TOML")
    })
}

fn from_file<T: Setting>(value: &Value) -> Result<T, String> {
    if let Value::Array(items) = value {
        let texts: Option<Vec<_>> = items.iter().map(plain).collect();
        return T::parse_list(&texts.ok_or("a list holds plain values only")?);
    }
    T::parse(&plain(value).ok_or("is not a section")?)
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(flag) => Some(flag.to_string()),
        Value::Datetime(time) => Some(time.to_string()),
        Value::Array(_) | Value::Table(_) => None,
    }
}

fn in_file(path: &Path, setting: &str, why: &str) -> String {
    format!("{}: {setting}: {why}", path.display())
}
