# sorad: everything starts here. `make` alone prints the list.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

SWIFT ?= swift
CONFIGURATION ?= release
BUILD := .build/$(CONFIGURATION)
MODEL ?= quantization/models/sorad-mini.gguf
PROMPT ?= a red ball bounces on green grass on a sunny day
CLIP ?= clip.mp4
PREFIX ?= /usr/local
SYSTEMD_DIR ?= /etc/systemd/system
SYSUSERS_DIR ?= /usr/lib/sysusers.d
DESTDIR ?=
PACKAGES := ffmpeg libsqlite3-dev python3 python3-venv curl binutils libsimde-dev
VENV := .venv
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo '  make run PROMPT="a blue cube spins in the snow" CLIP=cube.mp4'

deps: ## install what Debian 12 needs beside the Swift toolchain
	@command -v $(SWIFT) >/dev/null || { echo "The Swift toolchain (6.2 or newer) is not on PATH; install it from swift.org first." >&2; exit 69; }
	@missing=; for package in $(PACKAGES); do dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$package"; done; \
	if [ -n "$$missing" ]; then echo "Installing$$missing"; $(SUDO) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends $$missing >/dev/null; fi

build: deps ## build all programs
	$(SWIFT) build -c $(CONFIGURATION)

run: build ## start sorad, ask it for a clip of PROMPT, leave it in CLIP
	@./.ci/first-clip $(BUILD) $(MODEL) $(CLIP) '$(subst ','\'',$(PROMPT))'

test: deps test-swift test-kernels test-service test-checks ## everything CI runs, from a clean clone

test-swift: deps ## unit and service tests in Swift
	$(SWIFT) build -c $(CONFIGURATION) --build-tests
	$(SWIFT) test -c $(CONFIGURATION) --skip-build

test-kernels: deps ## the C kernels of every instruction set against the scalar reference, emulated where the CPU lacks it
	$(MAKE) -C Tests/kernels-simde test

test-service: build $(VENV)/.installed ## the real daemon, worker and model, driven by the official SDK and curl
	SORAD_BUILD=$(abspath $(BUILD)) SORAD_MODEL=$(abspath $(MODEL)) $(VENV)/bin/python -m pytest -q Tests/sdk

test-checks: build ## import table, what the programs link, formatting
	./.ci/check-imports
	./.ci/check-binaries $(BUILD)
	$(MAKE) --no-print-directory lint

test-asan: deps ## the Swift tests under AddressSanitizer
	$(SWIFT) test -c release --sanitize address --scratch-path .build/asan

bench: build ## measure kernels on this machine (JSON: sorad-bench kernels --json)
	$(BUILD)/sorad-bench kernels

format: ## rewrite the Swift sources in the project's format
	$(SWIFT) format --in-place --recursive --parallel Package.swift Sources Tests

lint: ## check the format without changing anything
	$(SWIFT) format lint --strict --recursive --parallel Package.swift Sources Tests

model: build ## quantise the trained checkpoint in CHECKPOINT (see quantization/README.md) into MODEL
	$(BUILD)/sorad-quantize $(CHECKPOINT) -o $(MODEL) --json $(MODEL:.gguf=.quality.json)

install: deps ## install programs, model and systemd units (PREFIX=/usr/local, DESTDIR=)
	$(SWIFT) build -c release --static-swift-stdlib --scratch-path .build/static
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/libexec/sorad $(DESTDIR)$(PREFIX)/share/sorad/models
	install -m 755 -s .build/static/release/sorad-ctl .build/static/release/sorad-quantize .build/static/release/sorad-bench $(DESTDIR)$(PREFIX)/bin
	install -m 755 -s .build/static/release/sorad .build/static/release/sorad-worker $(DESTDIR)$(PREFIX)/libexec/sorad
	install -m 644 $(MODEL) $(DESTDIR)$(PREFIX)/share/sorad/models
	install -d $(DESTDIR)$(SYSTEMD_DIR) $(DESTDIR)$(SYSUSERS_DIR)
	for unit in systemd/*.service systemd/*.socket; do sed 's,@PREFIX@,$(PREFIX),g' $$unit > $(DESTDIR)$(SYSTEMD_DIR)/$$(basename $$unit); done
	install -m 644 systemd/sorad.sysusers $(DESTDIR)$(SYSUSERS_DIR)/sorad.conf
	@[ -n "$(DESTDIR)" ] || { systemd-sysusers; systemctl daemon-reload; echo "Next: systemctl enable --now sorad.socket"; }

uninstall: ## remove what install put there (the job store in /var/lib/sorad stays)
	rm -f $(DESTDIR)$(PREFIX)/bin/sorad-{ctl,quantize,bench} $(DESTDIR)$(SYSTEMD_DIR)/sorad.{service,socket} $(DESTDIR)$(SYSUSERS_DIR)/sorad.conf
	rm -rf $(DESTDIR)$(PREFIX)/libexec/sorad $(DESTDIR)$(PREFIX)/share/sorad

$(VENV)/.installed: Tests/sdk/requirements.txt
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install -q -r Tests/sdk/requirements.txt
	touch $@

clean: ## remove everything built
	rm -rf .build $(VENV) $(CLIP)

.PHONY: help deps build run test test-swift test-kernels test-service test-checks test-asan bench format lint model install uninstall clean
