//! wanserve
