//! Decides on patches by Rego, and finds the known defects in users' rollout files.
