//! How much one project, one organisation or one stranger may ask of the server, and the windows in which seconds count.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::clock::UnixMillis;
use super::id::ProjectId;
use super::model::ModelId;

const DAY_MILLIS: u64 = 86_400_000;

/// What the server keeps to unless an administrator said otherwise; `None` is unlimited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Of each project.
    pub project: Allowance,
    /// Requests of an administrator a minute, of each organisation.
    pub admin_per_minute: Option<NonZeroU32>,
    /// Wrong keys a minute from one address.
    pub wrong_keys_per_minute: Option<NonZeroU32>,
}

/// What a project may do; `None` is unlimited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Requests a minute that make videos.
    pub creates_per_minute: Option<NonZeroU32>,
    pub creates_per_day: Option<NonZeroU32>,
    /// Other requests a minute, without downloads.
    pub reads_per_minute: Option<NonZeroU32>,
    /// Downloads a minute.
    pub content_per_minute: Option<NonZeroU32>,
    /// Jobs that are queued or running at once.
    pub active_jobs: Option<NonZeroU32>,
    /// Jobs that run at once; more wait.
    pub running_jobs: Option<NonZeroU32>,
    /// Charged seconds of a device, per UTC day.
    pub gpu_seconds_per_day: Option<NonZeroU32>,
    /// The same per UTC month.
    pub gpu_seconds_per_month: Option<NonZeroU32>,
}

/// A number that an administrator set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cap {
    Unlimited,
    At(NonZeroU32),
}

/// Numbers that an administrator set; `None` leaves what the server has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caps {
    pub creates_per_minute: Option<Cap>,
    pub creates_per_day: Option<Cap>,
    pub reads_per_minute: Option<Cap>,
    pub content_per_minute: Option<Cap>,
    pub active_jobs: Option<Cap>,
    pub running_jobs: Option<Cap>,
    pub gpu_seconds_per_day: Option<Cap>,
    pub gpu_seconds_per_month: Option<Cap>,
}

/// What an administrator set for a project, or for one model in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimit {
    pub project: ProjectId,
    /// `None`: for all models together.
    pub model: Option<ModelId>,
    pub caps: Caps,
}

/// Seconds that the jobs of an organisation may be charged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrganizationLimits {
    pub gpu_seconds_per_day: Option<NonZeroU32>,
    pub gpu_seconds_per_month: Option<NonZeroU32>,
}

/// A span of UTC days that ends with the current day or month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Days since the Unix epoch.
    pub first_day: u32,
    /// When a new one begins.
    pub until: UnixMillis,
}

impl Caps {
    /// The allowance with these numbers in place of those that were set.
    pub fn over(self, base: Allowance) -> Allowance {
        let put = |cap: Option<Cap>, base: Option<NonZeroU32>| match cap {
            None => base,
            Some(Cap::Unlimited) => None,
            Some(Cap::At(number)) => Some(number),
        };
        Allowance {
            creates_per_minute: put(self.creates_per_minute, base.creates_per_minute),
            creates_per_day: put(self.creates_per_day, base.creates_per_day),
            reads_per_minute: put(self.reads_per_minute, base.reads_per_minute),
            content_per_minute: put(self.content_per_minute, base.content_per_minute),
            active_jobs: put(self.active_jobs, base.active_jobs),
            running_jobs: put(self.running_jobs, base.running_jobs),
            gpu_seconds_per_day: put(self.gpu_seconds_per_day, base.gpu_seconds_per_day),
            gpu_seconds_per_month: put(self.gpu_seconds_per_month, base.gpu_seconds_per_month),
        }
    }

    /// These, with what `changes` sets in their place.
    #[must_use]
    pub fn changed_by(self, changes: Self) -> Self {
        Self {
            creates_per_minute: changes.creates_per_minute.or(self.creates_per_minute),
            creates_per_day: changes.creates_per_day.or(self.creates_per_day),
            reads_per_minute: changes.reads_per_minute.or(self.reads_per_minute),
            content_per_minute: changes.content_per_minute.or(self.content_per_minute),
            active_jobs: changes.active_jobs.or(self.active_jobs),
            running_jobs: changes.running_jobs.or(self.running_jobs),
            gpu_seconds_per_day: changes.gpu_seconds_per_day.or(self.gpu_seconds_per_day),
            gpu_seconds_per_month: changes.gpu_seconds_per_month.or(self.gpu_seconds_per_month),
        }
    }
}

impl Window {
    /// The UTC day of `now`.
    pub fn day(now: UnixMillis) -> Self {
        let first_day = day_of(now);
        Self { first_day, until: start_of(first_day + 1) }
    }

    /// The UTC month of `now`.
    pub fn month(now: UnixMillis) -> Self {
        let day = day_of(now);
        let date = OffsetDateTime::from_unix_timestamp(start_of(day).seconds() as i64)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let first_day = day - u32::from(date.day() - 1);
        let length = date.month().length(date.year());
        Self { first_day, until: start_of(first_day + u32::from(length)) }
    }
}

/// The UTC day of a moment, in days since the Unix epoch.
pub fn day_of(moment: UnixMillis) -> u32 {
    (moment.0 / DAY_MILLIS) as u32
}

fn start_of(day: u32) -> UnixMillis {
    UnixMillis(u64::from(day) * DAY_MILLIS)
}

/// Charged seconds as they are counted: whole milliseconds, so that sums do not depend on their order.
pub fn millis_of(gpu_seconds: f64) -> u64 {
    Duration::try_from_secs_f64(gpu_seconds).map_or(0, |time| {
        let micros = time.as_micros() as u64;
        (micros + 500) / 1000
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_months_begin_at_midnight() {
        // 2026-11-23T09:40:00Z
        let now = UnixMillis(1_795_426_800_000);
        let (day, month) = (Window::day(now), Window::month(now));
        assert_eq!((start_of(day.first_day).seconds(), day.until.seconds()), (1_795_392_000, 1_795_478_400));
        assert_eq!(
            (start_of(month.first_day).seconds(), month.until.seconds()),
            (1_793_491_200, 1_796_083_200)
        );
    }

    #[test]
    fn a_cap_stands_in_front_of_what_the_server_has() {
        let base = Allowance { active_jobs: NonZeroU32::new(20), ..Allowance::default() };
        let caps = Caps { active_jobs: Some(Cap::Unlimited), ..Caps::default() };
        assert_eq!(caps.over(base).active_jobs, None);
        let again = caps.changed_by(Caps { active_jobs: NonZeroU32::new(3).map(Cap::At), ..Caps::default() });
        assert_eq!(again.over(base).active_jobs, NonZeroU32::new(3));
        assert_eq!(Caps::default().over(base), base);
    }

    #[test]
    fn seconds_are_counted_in_whole_milliseconds() {
        assert_eq!([1.5, 0.0004, 0.0005, -1.0, f64::NAN].map(millis_of), [1500, 0, 1, 0, 0]);
    }
}
