//! Whole servers in one process, seen through their API as clients see them. One binary, a module for each subject.

mod atoll_server;
mod controllers;
mod custom;
mod sync;
