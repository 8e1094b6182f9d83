//! The few-step sampler of the distilled models. Moves numbers on the host in float64; never calls a network.
//!
//! With `x_t = (1 − t)·x₀ + t·ε` the network predicts `v = ε − x₀`, so `x₀ = x − t·v`. A step goes from `t` to the next
//! time `s` either along the velocity, `x − (t − s)·v`, or to a fresh mixture, `(1 − s)·x₀ + s·noise`.

use half::bf16;
use rayon::prelude::*;

/// Fewer numbers are not worth another thread.
const NUMBERS_A_THREAD: usize = 1 << 15;

/// Times of the second, third and fourth step as angles of the trigonometric flow; fewer steps use the first of them.
const LATER_ANGLES: [f64; 3] = [1.5, 1.4, 1.0];

/// When the network is asked: falling times in `(0, 1)`, then 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    times: Vec<f64>,
}

impl Schedule {
    /// `steps` of 1 to 4; `sigma_max` is the noise level of the first.
    pub fn new(steps: usize, sigma_max: f64) -> Self {
        let angles = std::iter::once(sigma_max.atan()).chain(LATER_ANGLES).take(steps);
        let times = angles.map(|angle| angle.sin() / (angle.cos() + angle.sin()));
        Self { times: times.chain(std::iter::once(0.0)).collect() }
    }

    /// Times of all steps and the final 0.
    pub fn times(&self) -> &[f64] {
        &self.times
    }

    /// Number of steps.
    pub fn steps(&self) -> usize {
        self.times.len() - 1
    }

    /// The time of a step as the networks were trained to see it: times 1000, rounded to bfloat16.
    pub fn network_timestep(&self, step: usize) -> f32 {
        bf16::from_f32(1000.0 * self.times[step] as f32).to_f32()
    }

    /// Whether the low-noise expert runs the step: once a time was under `boundary`, it stays, even where the next time
    /// is later (a `sigma_max` under 14.1 starts below the second step).
    pub fn is_low_noise(&self, step: usize, boundary: Option<f64>) -> bool {
        boundary.is_some_and(|boundary| self.times[..=step].iter().any(|&time| time < boundary))
    }
}

/// The state of one clip.
#[derive(Debug, Clone)]
pub struct Rcm {
    schedule: Schedule,
    x: Vec<f64>,
    step: usize,
}

impl Rcm {
    /// Starts from standard normal noise.
    pub fn new(schedule: Schedule, noise: &[f32]) -> Self {
        let first = schedule.times[0];
        Self { x: noise.iter().map(|&value| f64::from(value) * first).collect(), schedule, step: 0 }
    }

    /// The latent as it goes into the network.
    pub fn latent(&self) -> Vec<f32> {
        self.x.par_iter().with_min_len(NUMBERS_A_THREAD).map(|&value| value as f32).collect()
    }

    /// Takes one step with the network's velocity: with fresh standard normal `noise`, or along the velocity without.
    pub fn advance(&mut self, velocity: &[f32], noise: Option<&[f32]>) {
        let (time, next) = (self.schedule.times[self.step], self.schedule.times[self.step + 1]);
        let numbers = self.x.par_iter_mut().with_min_len(NUMBERS_A_THREAD).zip(velocity);
        match noise {
            Some(noise) => numbers.zip(noise).for_each(|((x, &v), &noise)| {
                *x = (1.0 - next) * (*x - time * f64::from(v)) + next * f64::from(noise);
            }),
            None => numbers.for_each(|(x, &v)| *x -= (time - next) * f64::from(v)),
        }
        self.step += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_the_published_ones() {
        let cases = [
            (80.0, 0.987_654_320_988, 988.0),
            (200.0, 0.995_024_875_622, 996.0),
            (1600.0, 0.999_375_390_381, 1000.0),
        ];
        for (sigma_max, time, timestep) in cases {
            let schedule = Schedule::new(1, sigma_max);
            assert!((schedule.times()[0] - time).abs() < 1e-12);
            assert_eq!(schedule.network_timestep(0), timestep);
        }
        let schedule = Schedule::new(4, 80.0);
        let later = [0.933_781_061_417, 0.852_895_394_824, 0.608_979_049_230, 0.0];
        assert!(schedule.times()[1..].iter().zip(later).all(|(a, b)| (a - b).abs() < 1e-12));
        assert_eq!([1, 2, 3].map(|step| schedule.network_timestep(step)), [932.0, 852.0, 608.0]);
    }

    #[test]
    fn experts_switch_as_published() {
        let low_steps = |steps: usize, boundary: f64| {
            let schedule = Schedule::new(steps, 200.0);
            (0..steps).filter(|&step| schedule.is_low_noise(step, Some(boundary))).count()
        };
        assert_eq!([1, 2, 3, 4].map(|steps| low_steps(steps, 0.9)), [0, 0, 1, 2]);
        assert_eq!(low_steps(4, 0.7), 1);
        assert!(!Schedule::new(4, 200.0).is_low_noise(3, None));
    }

    #[test]
    fn the_high_noise_expert_never_comes_back() {
        let schedule = Schedule::new(4, 5.0);
        assert!(schedule.times()[0] < 0.9 && schedule.times()[1] > 0.9);
        assert_eq!([0, 1, 2, 3].map(|step| schedule.is_low_noise(step, Some(0.9))), [true; 4]);
    }

    #[test]
    fn the_true_velocity_leads_to_the_clean_latent_either_way() {
        let (clean, noise) = (0.25f32, -1.5f32);
        for fresh in [None, Some(&[0.7f32][..])] {
            let mut state = Rcm::new(Schedule::new(4, 80.0), &[noise]);
            // Starting at t0·ε means that a part 1 − t0 of the clean latent is missing; from then on the velocity is exact.
            for step in 0..4 {
                let time = state.schedule.times()[step];
                let velocity = (f64::from(state.latent()[0]) - f64::from(clean)) / time;
                state.advance(&[velocity as f32], fresh);
            }
            assert!((state.latent()[0] - clean).abs() < 1e-5);
        }
    }
}
