//! The operators of the networks.
