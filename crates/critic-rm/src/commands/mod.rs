//! One file a command.

pub(crate) mod bench;
pub(crate) mod contest;
pub(crate) mod data;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod generate;
pub(crate) mod model;
pub(crate) mod report;
pub(crate) mod reward_servers;
pub(crate) mod run;
pub(crate) mod score;
pub(crate) mod study;
mod writer;
