//! Tests of the storage floor that concern more than one file: the contract on every engine, and what happens when the
//! disk or the engine fails.

mod check;
mod contract;
mod etcd;
#[path = "../../../tests/it/etcd.rs"]
mod etcd_server;
mod faulty;
mod files;
mod full_disk;
mod power_loss;
#[cfg(feature = "sqlite")]
mod sqlite;
