//! Runs what is not trusted: git on hostile repositories, their tests in namespaces and limits.
