//! The three kinds of metric. The number of labels is part of the type, so a wrong number does not compile.

use prometheus::{CounterVec, GaugeVec, HistogramOpts, HistogramVec, Opts, Registry};

/// Only goes up.
pub struct Counter<const LABELS: usize>(CounterVec);

/// Goes up and down.
pub struct Gauge<const LABELS: usize>(GaugeVec);

/// Counts observations by size.
pub struct Histogram<const LABELS: usize>(HistogramVec);

impl<const LABELS: usize> Counter<LABELS> {
    pub(super) fn register(registry: &Registry, name: &str, help: &str, labels: [&str; LABELS]) -> Self {
        let metric = CounterVec::new(Opts::new(name, help), &labels).expect("a name and labels of the list");
        registry.register(Box::new(metric.clone())).expect("names of the list are distinct");
        Self(metric)
    }

    /// One more.
    pub fn increment(&self, labels: [&str; LABELS]) {
        self.add(labels, 1.0);
    }

    /// `amount` more; a negative or non-finite amount is dropped.
    pub fn add(&self, labels: [&str; LABELS], amount: f64) {
        if amount.is_finite() && amount >= 0.0 {
            self.0.with_label_values(&labels).inc_by(amount);
        }
    }

    /// Makes the series visible before its first event.
    pub fn show(&self, labels: [&str; LABELS]) {
        self.add(labels, 0.0);
    }

    /// The current value.
    pub fn value(&self, labels: [&str; LABELS]) -> f64 {
        self.0.with_label_values(&labels).get()
    }
}

impl<const LABELS: usize> Gauge<LABELS> {
    pub(super) fn register(registry: &Registry, name: &str, help: &str, labels: [&str; LABELS]) -> Self {
        let metric = GaugeVec::new(Opts::new(name, help), &labels).expect("a name and labels of the list");
        registry.register(Box::new(metric.clone())).expect("names of the list are distinct");
        Self(metric)
    }

    /// The value from now on.
    pub fn set(&self, labels: [&str; LABELS], value: f64) {
        self.0.with_label_values(&labels).set(value);
    }

    /// `amount` more, or less if negative.
    pub fn add(&self, labels: [&str; LABELS], amount: f64) {
        self.0.with_label_values(&labels).add(amount);
    }

    /// The current value.
    pub fn value(&self, labels: [&str; LABELS]) -> f64 {
        self.0.with_label_values(&labels).get()
    }

    /// Forgets one series; one that is not there is no error.
    pub fn remove(&self, labels: [&str; LABELS]) {
        self.0.remove_label_values(&labels).ok();
    }

    /// Forgets every series, where the things measured come and go.
    pub fn clear(&self) {
        self.0.reset();
    }
}

impl<const LABELS: usize> Histogram<LABELS> {
    pub(super) fn register(
        registry: &Registry,
        name: &str,
        help: &str,
        labels: [&str; LABELS],
        buckets: &[f64],
    ) -> Self {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        let metric = HistogramVec::new(options, &labels).expect("a name, labels and buckets of the list");
        registry.register(Box::new(metric.clone())).expect("names of the list are distinct");
        Self(metric)
    }

    /// One observation.
    pub fn observe(&self, labels: [&str; LABELS], value: f64) {
        self.0.with_label_values(&labels).observe(value);
    }

    /// Makes the series visible before its first observation.
    pub fn show(&self, labels: [&str; LABELS]) {
        drop(self.0.with_label_values(&labels));
    }

    /// Observations so far.
    pub fn count(&self, labels: [&str; LABELS]) -> u64 {
        self.0.with_label_values(&labels).get_sample_count()
    }
}
