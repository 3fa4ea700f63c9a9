//! docker/static-site: nginx alone.
