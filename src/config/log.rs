//! `[log]`: what goes to standard error.

use super::setting::Setting;
use super::sources::Section;

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// The log.
#[derive(Debug, Clone)]
pub struct Log {
    /// `text` or `json`. `WANSERVE_LOG_FORMAT`, default `text`: the first reader is a person.
    pub format: LogFormat,
    /// Levels, by target if wanted, such as `info,wanserve::scheduler=debug`. `WANSERVE_LOG_FILTER`, default `info`.
    pub filter: String,
}

impl Log {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            format: section.field("format", LogFormat::Text),
            filter: section.field("filter", "info".to_owned()),
        }
    }
}

impl Setting for LogFormat {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(format!("{text:?} is neither text nor json")),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Text => "`text`".to_owned(),
            Self::Json => "`json`".to_owned(),
        }
    }
}
