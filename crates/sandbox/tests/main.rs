//! The sandbox against repositories and programs that mean harm, with the real git and the real kernel.

mod hostile_programs;
mod hostile_repositories;
mod limits;
mod suites;
mod support;
mod without_privileges;
mod working_with_git;
