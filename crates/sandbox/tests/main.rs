//! The sandbox against repositories and programs that mean harm, with the real git and the real kernel.

mod hostile_repositories;
mod support;
mod working_with_git;
