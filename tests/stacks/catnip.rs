//! docker/catnip: one Flask file.
