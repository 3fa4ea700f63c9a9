//! docker/django: gunicorn, nginx and PostgreSQL.
