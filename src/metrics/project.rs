//! Keeps the number of values of the label `project` bounded.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// Projects with series of their own; a series costs about 3 KiB over all metrics that have the label.
const MAX_PROJECTS: usize = 200;

/// What all further projects are counted under.
const OTHER: &str = "_other";

/// The projects that have series of their own: the first ones active since the start, because a series
/// cannot be taken back without making its counter jump.
#[derive(Default)]
pub(super) struct ProjectLabels(Mutex<HashSet<String>>);

impl ProjectLabels {
    pub(super) fn known(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    pub(super) fn label<'a>(&self, project: &'a str) -> &'a str {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.contains(project) {
            return project;
        }
        if seen.len() >= MAX_PROJECTS {
            return OTHER;
        }
        seen.insert(project.to_owned());
        project
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_projects_does_not_make_a_flood_of_series() {
        let labels = ProjectLabels::default();
        for number in 0..MAX_PROJECTS {
            let project = format!("proj_{number}");
            assert_eq!(labels.label(&project), project);
        }
        assert_eq!(labels.label("proj_late"), OTHER);
        assert_eq!(labels.label("proj_0"), "proj_0");
    }
}
