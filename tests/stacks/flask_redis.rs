//! docker/flask-redis: Flask, Redis and nginx on a Docker network.
