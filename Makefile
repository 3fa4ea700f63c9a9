# Everything that is done with this tree has its name here: `make help`.
# What needs packages installs what is missing (Debian, Ubuntu; as root).

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
export CARGO_TERM_COLOR ?= auto

# The kernel-facing tests run real servers.
PACKAGES_DEMO  := nginx gunicorn python3-flask
PACKAGES_UWSGI := uwsgi-core uwsgi-plugin-python3
PACKAGES_DATABASES := mariadb-server mariadb-client mariadb-backup tzdata postgresql python3 gzip xz-utils zstd strace e2fsprogs
PACKAGES_TEST  := $(PACKAGES_DEMO) $(PACKAGES_UWSGI) $(PACKAGES_DATABASES) util-linux procps strace shellcheck busybox

# As root a test that finds no namespaces fails; as anyone else it skips, loudly.
ifeq ($(shell id -u),0)
export MINISUP_REQUIRE_NAMESPACES ?= 1
endif

.PHONY: help
help: ## this list
	@awk 'BEGIN { FS = ":.*## " } \
	    /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	    /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ Use
.PHONY: build demo demo-uwsgi dist images
build: packages-build ## the binary for trying things: target/debug/minisup
	@cargo build --locked

demo: packages-build packages-demo build ## nginx + gunicorn + Flask on http://127.0.0.1:8080; Ctrl-C stops
	@exec conf/demo/run gunicorn

demo-uwsgi: packages-build packages-demo packages-uwsgi build ## the same with uWSGI
	@exec conf/demo/run uwsgi

dist: packages-build ## the static binary that ships: target/dist/minisup, proved static and small
	@tests/setup/dist

images: dist ## with a Docker engine: the images minisup (just the binary) and web
	@tests/setup/images

##@ Check
.PHONY: test lint fmt golden bench bench-quick
test: packages-build packages-test lint ## everything that takes minutes: lint, unit, namespace and server tests
	@tests/setup/test

lint: ## formatting, clippy without warnings, shell scripts
	@tests/setup/toolchain clippy rustfmt
	@tests/setup/lint

fmt: ## format the code
	@cargo fmt

golden: packages-build ## write the generated tables anew; read the difference before you commit it
	@MINISUP_WRITE_GOLDEN=1 cargo test --locked

bench: dist ## measure against installed peers and the bare minimum; writes docs/benchmarks.md
	@benches/run

bench-quick: dist ## the same in two minutes, writing nothing: does it work here?
	@benches/run --quick

##@ Slow
.PHONY: containers soak
containers: dist ## real Docker engine: build, run, stop under load, every way of running
	@tests/setup/containers

.PHONY: stacks
stacks: dist ## real Docker engine: every stack of docker/ in one container and per tier, killed, stopped, without its database
	@tests/setup/stacks

soak: dist ## 100,000 simulated containers (SOAK_SEEDS=N), crashes, orphans, 20,000 restarts, 100,000 requests, log storms: nothing left over, nobody waits
	@tests/setup/soak

.PHONY: soak-servers
soak-servers: dist packages-demo packages-uwsgi ## nginx, gunicorn, uWSGI replaced, each under 200,000 requests, none of which fails; supervisord beside; SOAK_REQUESTS=N
	@tests/setup/soak-servers

.PHONY: versions
versions: packages-build ## presets with PyPI's newest gunicorn, uWSGI and nginx, and an old gunicorn: ready, reload, logs, stop, replacement
	@tests/setup/versions

.PHONY: soak-databases
soak-databases: dist packages-databases ## databases' first starts killed at 200 moments, at each step, by power loss; SOAK_KILLS=N
	@tests/setup/soak-databases

.PHONY: import-databases
import-databases: dist packages-databases ## employees at full scale (167 MB) into PostgreSQL and MariaDB, against the clients by hand
	@MINISUP=$(CURDIR)/target/dist/minisup cargo test --locked --test init -- --ignored --nocapture --test-threads 1 all_of_employees

.PHONY: first-start-mysql
first-start-mysql: packages-build ## first starts of a real MySQL, which only Debian's unstable has: in a root of its own (500 MB)
	@tests/setup/first-start-mysql

.PHONY: aarch64
aarch64: packages-build ## the static binary of 64-bit ARM as process 1 of a real kernel, emulated; needs Rust's library for that target
	@tests/setup/aarch64

##@ Rest
.PHONY: clean
clean: ## remove what was built
	@cargo clean

.PHONY: packages-build packages-demo packages-uwsgi packages-test packages-databases
packages-build:
	@tests/setup/toolchain
packages-demo:
	@tests/setup/packages $(PACKAGES_DEMO)
packages-uwsgi:
	@tests/setup/packages $(PACKAGES_UWSGI)
packages-test:
	@tests/setup/packages $(PACKAGES_TEST)
packages-databases:
	@tests/setup/packages $(PACKAGES_DATABASES)
