//! A process that promises things and is killed: this test binary, started again with one test as its main function.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// Tells the child test that it is meant, and where its folder is.
pub(super) const FOLDER: &str = "CRASH_TEST_FOLDER";

/// What a victim says once it is durable.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Promise {
    Admitted(String),
    Completed(String),
}

impl Promise {
    /// Says it on a line of its own, in one write.
    pub(super) fn make(&self) {
        let line = match self {
            Self::Admitted(video) => format!("promise admitted {video}\n"),
            Self::Completed(video) => format!("promise completed {video}\n"),
        };
        std::io::stdout().write_all(line.as_bytes()).unwrap();
    }

    fn parse(line: &str) -> Option<Self> {
        let (kind, video) = line.strip_prefix("promise ")?.split_once(' ')?;
        match kind {
            "admitted" => Some(Self::Admitted(video.to_owned())),
            "completed" => Some(Self::Completed(video.to_owned())),
            _ => None,
        }
    }
}

/// A running victim.
pub(super) struct Victim {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Victim {
    /// Starts the test of that full name in a new process.
    pub(super) fn start(test: &str, folder: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture"])
            .env(FOLDER, folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Reads promises until there are `enough`, kills the process and reads what it had still said.
    pub(super) fn kill_after(mut self, enough: usize) -> Vec<Promise> {
        let mut promises: Vec<Promise> = self.promises().take(enough).collect();
        self.child.kill().unwrap();
        promises.extend(self.promises());
        self.child.wait().unwrap();
        promises
    }

    /// Lets it end by itself.
    pub(super) fn finish(mut self) -> Vec<Promise> {
        let promises = self.promises().collect();
        assert!(self.child.wait().unwrap().success());
        promises
    }

    /// Whole lines only: a killed process may leave half a line.
    fn promises(&mut self) -> impl Iterator<Item = Promise> {
        self.lines.by_ref().map_while(Result::ok).filter_map(|line| Promise::parse(&line))
    }
}
