//! docker/two-apps: nginx, two Flask apps on uWSGI and MongoDB.
