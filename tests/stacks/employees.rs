//! docker/employees: nginx, gunicorn and Flask beside a database that is filled at its first start.
