//! placeholder
pub mod checks;
pub mod explore;
pub mod history;
pub mod node;
pub mod random;
pub mod scenario;
pub mod scenarios;
pub mod shared;
pub mod step;
pub mod store;
pub mod words;
pub mod world;
