//! Whole servers, seen as clients see them: in this process, or as the built binary. One binary, a module for each subject.

mod actions;
mod admission;
mod aggregation;
mod answers;
mod atoll_server;
mod bad_input;
mod binary;
mod clusters;
mod controllers;
mod conversion;
mod custom;
mod etcd;
mod examples;
mod isolation;
mod kill;
mod kubectl;
mod lifecycle;
mod linearizable;
mod replicas;
mod requests;
mod restart;
mod server;
mod sync;
mod webhook;
mod wildcard;
