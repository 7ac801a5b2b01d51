# sorad: everything starts here. `make` alone prints the list.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

SWIFT ?= swift
SWIFT_NEEDED := 6.3
CONFIGURATION ?= release
BUILD := .build/$(CONFIGURATION)
STATIC := .build/static/release
ARM_SDK := .build/arm-sdk
ARM_BUILD := .build/arm/aarch64-unknown-linux-gnu/release
# A folder with the packages swiftlang and libswiftlang for arm64, where Debian has no fitting ones; see scripts/arm-sdk.
ARM_DEBS ?=
VENV := .venv
# The folder of a training of sorad-mini, and the Python that it uses; see quantization/README.md.
WORK ?= .train
TRAINING_PYTHON ?= $(VENV)/training/bin/python
TRAINING = PYTHONPATH=quantization/training OMP_NUM_THREADS=1 $(TRAINING_PYTHON) -m
SIZES ?=
CREATED ?= $(shell git log -1 --format=%ct 2>/dev/null || date +%s)
MODEL ?= quantization/models/sorad-mini.gguf
PROMPT ?= a red ball bounces on green grass on a sunny day
CLIP ?= clip.mp4
# As one word of the shell, whatever is in it.
quoted = '$(subst ','\'',$(1))'
PREFIX ?= /usr/local
SYSTEMD_DIR ?= /etc/systemd/system
USER_UNIT_DIR ?= /etc/systemd/user
SYSUSERS_DIR ?= /etc/sysusers.d
TMPFILES_DIR ?= /etc/tmpfiles.d
DESTDIR ?=
PACKAGES := ffmpeg libsqlite3-dev python3 python3-venv curl binutils libsimde-dev libvulkan-dev mesa-vulkan-drivers vulkan-validationlayers glslang-tools spirv-tools
CLIENT_PACKAGES := nodejs
MEDIA_PACKAGES := imagemagick libimage-exiftool-perl webp libavif-bin libheif-examples libjxl-tools gifsicle mkvtoolnix python3-pil
ARM_PACKAGES := libsimde-dev gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static
CONTRACT_SECONDS ?= 900
KILLS ?= 300
POINTS ?= 500
JOBS ?= 10000
FILES ?= 2000
SDK_TESTS = SORAD_BUILD=$(abspath $(BUILD)) SORAD_MODEL=$(abspath $(MODEL)) SORAD_SDK2_PYTHON=$(abspath $(VENV))/sdk2/bin/python \
	SORAD_LITELLM_PYTHON=$(abspath $(VENV))/litellm/bin/python SORAD_C2PA_PYTHON=$(abspath $(VENV))/c2pa/bin/python
ARM_INSTRUCTIONS = Tests/arm/instructions.py --emulator qemu-aarch64-static --program .build/kernels-fuzz/arm-shipped/count --document docs/ARM.md
TSAN = --sanitize thread --scratch-path .build/tsan -Xlinker $(abspath .build/tsan/mutex.o)
# What people call, and what the daemon and measurements call.
USED := sorad sorad-ctl sorad-quantize
INNER := sorad-worker sorad-bench sorad-fleet
PROGRAMS := $(USED) $(INNER)
UNITS := sorad.socket sorad-admin.socket sorad-tcp.socket sorad-metrics.socket sorad-fleet.socket
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo '  make run PROMPT="a blue cube spins in the snow" CLIP=cube.mp4'

# $(1): Debian packages; installs those that are missing.
install_packages = missing=; for package in $(1); do dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$package"; done; \
	if [ -n "$$missing" ]; then echo "Installing$$missing"; $(SUDO) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends $$missing >/dev/null; fi

toolchain:
	@command -v $(SWIFT) >/dev/null || { echo "make: the Swift toolchain is not on PATH; install $(SWIFT_NEEDED) or newer from swift.org" >&2; exit 69; }
	@version=$$($(SWIFT) --version 2>/dev/null | sed -n 's/.*Swift version \([0-9.]*\).*/\1/p' | head -n 1); \
	[ "$$(printf '%s\n' $(SWIFT_NEEDED) "$$version" | sort -V | head -n 1)" = $(SWIFT_NEEDED) ] || \
	{ echo "make: Swift $${version:-of unknown version} does not build sorad; install $(SWIFT_NEEDED) or newer from swift.org" >&2; exit 69; }

# Installs nothing: a build says what is missing, and `make deps` installs it.
ready: toolchain
	@[ -e /usr/include/sqlite3.h ] || pkg-config --exists sqlite3 || { echo "make: the header of SQLite is missing; run: make deps" >&2; exit 69; }
	@[ -e /usr/include/vulkan/vulkan_core.h ] || { echo "make: the headers of Vulkan are missing; run: make deps" >&2; exit 69; }

deps: toolchain ## install the Debian packages that build and tests need (asks sudo)
	@$(call install_packages,$(PACKAGES))

deps-media: deps
	@$(call install_packages,$(MEDIA_PACKAGES))

deps-clients: deps
	@$(call install_packages,$(CLIENT_PACKAGES))

deps-arm: ## install what the targets for ARM need on an x86 machine
	@$(call install_packages,$(ARM_PACKAGES))

build: ready ## build all programs
	$(SWIFT) build -c $(CONFIGURATION)

build-arm: ready deps-arm $(ARM_SDK)/environment ## build all programs for 64-bit ARM on an x86 machine (fetches 0.6 GB of Debian's packages, once)
	. $(ARM_SDK)/environment; $(SWIFT) build -c release $$ARM_SDK --scratch-path .build/arm

$(ARM_SDK)/environment:
	scripts/arm-sdk $(ARM_SDK) $(if $(ARM_DEBS),--debs $(ARM_DEBS))

static: ready ## build the programs as `make install` copies them: without Swift's shared libraries
	$(SWIFT) build -c release --static-swift-stdlib --scratch-path .build/static

run: deps build ## install the packages, build, make a clip of PROMPT, leave it in CLIP
	@./scripts/first-clip $(BUILD) $(MODEL) $(call quoted,$(CLIP)) $(call quoted,$(PROMPT))

test: deps test-swift test-kernels test-service test-page test-checks ## everything CI runs, from a clean clone

test-swift: deps-media ## unit and service tests in Swift
	$(SWIFT) build -c $(CONFIGURATION) --build-tests
	$(SWIFT) test -c $(CONFIGURATION) --skip-build

test-kernels: deps ## the C kernels of every instruction set against the scalar reference, emulated where the CPU lacks it
	$(MAKE) --no-print-directory -j2 -C Tests/kernels-fuzz test

test-arm: test-arm-kernels build build-arm $(VENV)/.installed ## 64-bit ARM whole, emulated, next to x86: kernels, frames, checkpoints, pages, package, service (a quarter of an hour; PARTS="frames pages")
	Tests/arm/whole.py --native $(BUILD) --arm $(ARM_BUILD) --sdk $(ARM_SDK) --model $(MODEL) --python $(abspath $(VENV))/bin/python $(PARTS)

test-arm-kernels: deps-arm ## the NEON kernels, emulated, against the scalar reference, that one against x86, their instructions against docs/ARM.md
	$(MAKE) --no-print-directory -j2 -C Tests/kernels-fuzz arm count
	$(ARM_INSTRUCTIONS)

arm-instructions: deps-arm ## write the instructions that each NEON kernel executes into docs/ARM.md
	$(MAKE) --no-print-directory -j2 -C Tests/kernels-fuzz count
	$(ARM_INSTRUCTIONS) --write

test-service: deps deps-clients build $(VENV)/.installed $(VENV)/sdk2/.installed $(VENV)/litellm/.installed $(VENV)/c2pa/.installed ## the real daemon, worker and model, driven by the official SDKs and curl
	$(SDK_TESTS) $(VENV)/bin/python -m pytest -q Tests/sdk Tests/load

test-service-fleet: deps deps-clients build $(VENV)/.installed $(VENV)/sdk2/.installed $(VENV)/litellm/.installed $(VENV)/c2pa/.installed ## the same, while sorad-fleet and a pool make every clip (a fake HTCondor, the real worker)
	$(SDK_TESTS) SORAD_FLEET=1 $(VENV)/bin/python -m pytest -q Tests/sdk

test-contract: deps build $(VENV)/.installed $(VENV)/sdk2/.installed ## schemathesis against the daemon from docs/openapi.yaml, CONTRACT_SECONDS long
	$(SDK_TESTS) SORAD_CONTRACT_SECONDS=$(CONTRACT_SECONDS) $(VENV)/bin/python -m pytest -q -s Tests/sdk/test_contract.py

test-durability: deps build $(VENV)/.installed $(VENV)/durability/.installed ## as root: KILLS deaths, POINTS power cuts, a failing disk at every operation of a job (an hour)
	$(SDK_TESTS) $(VENV)/durability/bin/python Tests/durability/crash.py --kills $(KILLS)
	$(SDK_TESTS) $(VENV)/durability/bin/python Tests/durability/crash.py --kills $$(($(KILLS) / 3)) --workers 2
	$(SDK_TESTS) $(VENV)/durability/bin/python Tests/durability/machine_faults.py --deaths $$(($(KILLS) * 4 / 3))
	$(SDK_TESTS) $(VENV)/durability/bin/python Tests/durability/faults.py
	$(SDK_TESTS) $(VENV)/durability/bin/python Tests/durability/powercut.py --points $(POINTS)
	$(SDK_TESTS) SORAD_FLEET_POINTS=1 $(VENV)/bin/python -m pytest -q -s Tests/sdk/test_fleet_points.py

test-systemd: deps static ## as root: the installed units on a small Debian that boots in a container (debootstrap, systemd-nspawn)
	@$(call install_packages,debootstrap systemd-container)
	rm -rf .build/boot/installed
	$(MAKE) --no-print-directory install DESTDIR=$(abspath .build/boot/installed) PREFIX=/usr
	python3 Tests/systemd/boot.py --tree .build/boot/root --installed .build/boot/installed

test-fleet: deps static $(VENV)/.installed ## as root: a head and three boxes with the real HTCondor, on Debian 13 in network namespaces (debootstrap, 20 minutes; ARM=1 after `make deb-arm` for an emulated ARM box; FLEET="--full --results FILE" for a release)
	@$(call install_packages,debootstrap iproute2)
	rm -rf .build/fleet/installed
	$(MAKE) --no-print-directory install DESTDIR=$(abspath .build/fleet/installed) PREFIX=/usr
	$(VENV)/bin/python Tests/fleet/network.py --tree .build/fleet/root --installed .build/fleet/installed \
	  $(if $(ARM),--arm-tree .build/fleet/arm --arm-sdk $(ARM_SDK) --arm-debs .build/deb) $(FLEET)

test-fleet-guide: deb ## as root: the commands of docs/FLEET.md on three bare Debian 13 that boot: from nothing to a pool of two boxes
	@$(call install_packages,debootstrap iproute2 systemd-container)
	python3 Tests/fleet/guide.py --tree .build/fleet/bare --debs .build/deb

test-media: deps build $(VENV)/.installed ## FILES damaged or odd pictures and clips (default 2000): only clips and refusals, nothing left behind
	$(SDK_TESTS) SORAD_DAMAGED=$(FILES) $(VENV)/bin/python -m pytest -q -s Tests/sdk/test_damaged_files.py

test-packages: deb ## as root: the packages on a small Debian that boots: first clip, port, upgrade in the middle of a job, purge
	@$(call install_packages,debootstrap systemd-container)
	python3 Tests/systemd/packages.py --tree .build/boot/packages --debs .build/deb

test-page: deps build $(VENV)/page/.installed ## the page in a headless Chromium: clips, cancel, reload, two users, foreign pages
	$(SDK_TESTS) $(VENV)/page/bin/python -m pytest -q Tests/page

test-load: deps build ## 1,000 clients, 500 slow senders, long bodies, an idle daemon: four minutes, on a machine that does nothing else
	$(SDK_TESTS) python3 Tests/load/crowd.py
	$(SDK_TESTS) python3 Tests/load/slow.py
	$(SDK_TESTS) python3 Tests/load/bodies.py
	$(SDK_TESTS) python3 Tests/load/idle.py

test-soak: deps build ## JOBS jobs of the shipped model at its smallest, and whether anything grows
	$(SDK_TESTS) python3 Tests/load/soak.py --jobs $(JOBS)

bench-jobs: deps build $(VENV)/durability/.installed ## measure what checkpoints cost and how long a cancel takes in every phase
	$(SDK_TESTS) $(VENV)/durability/bin/python Tests/durability/checkpoint_cost.py
	$(SDK_TESTS) $(VENV)/durability/bin/python Tests/durability/cancel.py

test-checks: build ## import table, shaders, words, paths and sentences in documents, units, linked libraries, man pages, format
	./.ci/check-imports
	./scripts/compile-shaders --check
	./.ci/check-words
	./.ci/check-paths
	./.ci/check-sentences
	./.ci/check-units
	./.ci/check-binaries $(BUILD)
	./scripts/man-pages $(BUILD) .build/manual
	$(MAKE) --no-print-directory lint

test-asan: deps-media ## the Swift tests under AddressSanitizer
	$(SWIFT) test -c release --sanitize address --scratch-path .build/asan

# The linked object makes the waiting half of Swift's Mutex known to it. It also turns vfork(2) into fork(2), so that a child cannot tell
# its parent why it did not start, and takes memory: the two tests of that are left out.
test-tsan: deps ## the daemon's suites, and the daemon that they start, under ThreadSanitizer
	mkdir -p .build/tsan
	$$(dirname $$(readlink -f $$(command -v $(SWIFT))))/clang -O1 -Wall -Wextra -Werror -fPIC -c Tests/tsan/mutex.c -o .build/tsan/mutex.o
	$(SWIFT) build -c release --build-tests $(TSAN)
	$(SWIFT) test -c release --skip-build $(TSAN) --filter '^Sorad(HTTP|Jobs|Service|System|Control)Tests\.' --skip 'aProgramThatCannotStartIsAnErrorWithTheReason|slowReadersHoldNobodyUp'

fuzz: deps ## every fuzz target for SECONDS each (default 60); stops at the first finding and names its input
	Tests/fuzz/run $(or $(SECONDS),60)

fuzz-asan: deps ## the same under AddressSanitizer: the damaged inputs of the tests, and EXECUTIONS of each target (default 100000)
	Tests/fuzz/run asan $(or $(EXECUTIONS),100000)

bench: build ## measure this machine and write the table of docs/PERFORMANCE.md (a minute or two, nothing else running)
	python3 Tests/bench/table.py --sorad $(BUILD)/sorad-bench --model $(MODEL) --document docs/PERFORMANCE.md

bench-cost: build ## measure a forward pass of Wan 2.1 1.3B's blocks over tokens and threads, and draw it (docs/forward_cost.svg)
	python3 Tests/bench/forward_cost.py --sorad $(BUILD)/sorad-bench --json docs/forward_cost.json --svg docs/forward_cost.svg

bench-peers: deps build $(VENV)/bench/.installed ## one forward of Wan 2.1 1.3B's shape next to PyTorch and OpenVINO; gigabytes and minutes (TOKENS="1280 4590")
	$(VENV)/bench/bin/python Tests/peers/bench_peers.py --sorad $(BUILD)/sorad-bench --tokens $(or $(TOKENS),1280) --cache $(VENV)/bench/models --json $(VENV)/bench/peers.json

bench-peers-clip: deps build $(VENV)/bench/.installed ## a whole clip next to PyTorch and OpenVINO (after bench-peers), half an hour: CHECKPOINT=a folder of Wan 2.1 1.3B, MODEL=its model file with taew2_1
	@[ -n "$(CHECKPOINT)" ] || { echo "make bench-peers-clip: name the checkpoint's folder and its model file, CHECKPOINT=FOLDER MODEL=FILE.gguf" >&2; exit 64; }
	$(VENV)/bench/bin/python Tests/peers/bench_clip.py --build $(BUILD) --checkpoint $(CHECKPOINT) --model $(MODEL) --openvino $(VENV)/bench/models/openvino-w8a8.xml $(if $(SD_CLI),--sd-cli "$(SD_CLI)") --json $(VENV)/bench/clip.json

openapi: $(VENV)/.installed ## write docs/openapi.yaml as the JSON that the daemon serves
	$(VENV)/bin/python scripts/openapi-json

settings: build ## write the daemon's settings into docs/CONFIGURATION.md
	{ sed '/^<!-- settings:/q' docs/CONFIGURATION.md; $(BUILD)/sorad --print-settings; sed -n '/^<!-- end of settings/,$$p' docs/CONFIGURATION.md; } > .build/CONFIGURATION.md
	cp .build/CONFIGURATION.md docs/CONFIGURATION.md

pictures: build ## make the pictures of clips in docs/images again, with MODEL
	@$(call install_packages,gifsicle xvfb xterm imagemagick)
	scripts/make-pictures $(BUILD) $(MODEL)

reference: build ## write the commands of sorad-ctl into docs/CLI.md
	{ sed '/^<!-- commands:/q' docs/CLI.md; $(BUILD)/sorad-ctl reference; } > .build/CLI.md
	cp .build/CLI.md docs/CLI.md

format: ## rewrite the Swift sources in the project's format
	$(SWIFT) format --in-place --recursive --parallel Package.swift Sources Tests

lint: ## check the format without changing anything
	$(SWIFT) format lint --strict --recursive --parallel Package.swift Sources Tests

model: build $(if $(filter $(VENV)/%,$(TRAINING_PYTHON)),$(VENV)/training/.installed) ## make MODEL from the training in WORK, or where there is none from the repository's state: export, calibrate, quantize; SIZES="128x128 …" offers those alone
	[ -e $(WORK)/transformer.pt ] || $(TRAINING) sorad_mini.snapshot restore --work $(WORK) --state quantization/training/state
	$(TRAINING) sorad_mini.export --work $(WORK) $(if $(SIZES),--sizes $(SIZES))
	$(TRAINING) sorad_mini.calibrate --work $(WORK)
	rm -rf $(WORK)/enhancers
	[ ! -e $(WORK)/upscaler.pt ] && [ ! -e $(WORK)/interpolator.pt ] || $(TRAINING) sorad_mini.enhance export --work $(WORK)
	$(BUILD)/sorad-quantize $(WORK)/export/sorad-mini -o $(MODEL) --int8-decoder --calibration $(WORK)/calibration.safetensors --created $(CREATED) \
	  $$([ ! -e $(WORK)/enhancers ] || echo --enhancers $(WORK)/enhancers) --json $(MODEL:.gguf=.quality.json)
	$(BUILD)/sorad-worker --model $(MODEL) --describe > /dev/null

ship-model: build ## write what follows from another MODEL into documents and page, and make the pictures of clips again
	scripts/ship-model $(BUILD) $(MODEL)
	$(MAKE) --no-print-directory pictures MODEL=$(MODEL)

install: ## copy what `make static` built, the model and the systemd units into place (PREFIX=/usr/local, DESTDIR=)
	@case $(PREFIX) in /*) ;; *) echo "make install: PREFIX is \"$(PREFIX)\", and must be a whole path, for example /usr/local" >&2; exit 64 ;; esac
	@for program in $(PROGRAMS); do [ -x $(STATIC)/$$program ] || { echo "make install: $(STATIC)/$$program is missing; run first, without sudo: make static" >&2; exit 66; }; done
	@[ -r $(MODEL) ] || { echo "make install: the model $(MODEL) is missing; clone the repository whole" >&2; exit 66; }
	install -d $(addprefix $(DESTDIR),$(PREFIX)/bin $(PREFIX)/libexec/sorad $(PREFIX)/share/sorad/models $(SYSTEMD_DIR) $(USER_UNIT_DIR) $(SYSUSERS_DIR) $(TMPFILES_DIR))
	install -m 755 -s $(addprefix $(STATIC)/,$(USED)) $(DESTDIR)$(PREFIX)/bin
	install -m 755 -s $(addprefix $(STATIC)/,$(INNER)) $(DESTDIR)$(PREFIX)/libexec/sorad
	install -m 644 $(MODEL) $(DESTDIR)$(PREFIX)/share/sorad/models
	for unit in sorad.service sorad-fleet.service; do sed 's,@PREFIX@,$(PREFIX),g' systemd/$$unit > $(DESTDIR)$(SYSTEMD_DIR)/$$unit; done
	sed 's,@PREFIX@,$(PREFIX),g' systemd/user/sorad.service > $(DESTDIR)$(USER_UNIT_DIR)/sorad.service
	install -m 644 $(addprefix systemd/,$(UNITS)) $(DESTDIR)$(SYSTEMD_DIR)
	install -m 644 systemd/user/sorad.socket systemd/user/sorad-admin.socket $(DESTDIR)$(USER_UNIT_DIR)
	install -m 644 systemd/sysusers.d/sorad.conf $(DESTDIR)$(SYSUSERS_DIR)
	install -m 644 systemd/tmpfiles.d/sorad.conf $(DESTDIR)$(TMPFILES_DIR)
	@[ -n "$(DESTDIR)" ] || { systemd-sysusers && systemd-tmpfiles --create && systemctl daemon-reload && echo "Next: systemctl enable --now sorad.socket; a daemon of your own: systemctl --user enable --now sorad.socket"; }

deb: static ## make the Debian packages sorad and sorad-model-mini in .build/deb
	@$(call install_packages,dpkg-dev binutils chrpath)
	scripts/build-deb --build $(STATIC) --model $(MODEL) --out .build/deb

deb-arm: build build-arm ## make the same packages for 64-bit ARM (Debian 13 or newer), with what `make build-arm` built
	@$(call install_packages,dpkg-dev chrpath)
	scripts/build-deb --build $(ARM_BUILD) --arm $(ARM_SDK) --native $(BUILD) --model $(MODEL) --out .build/deb

dist: ## make a tarball of the source as it is committed, in .build
	@version=$$(sed -n 's/.*soradVersion = "\(.*\)"/\1/p' Sources/SoradSystem/Version.swift); mkdir -p .build; \
	git archive --format=tar --prefix=sorad-$$version/ HEAD | gzip -9n > .build/sorad-$$version.tar.gz; sha256sum .build/sorad-$$version.tar.gz

uninstall: ## remove what install put there (the jobs in /var/lib/sorad stay)
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/bin/,$(PROGRAMS)) $(addprefix $(DESTDIR)$(SYSTEMD_DIR)/,sorad.service sorad-fleet.service $(UNITS))
	rm -f $(addprefix $(DESTDIR)$(USER_UNIT_DIR)/,sorad.service sorad.socket sorad-admin.socket)
	rm -rf $(DESTDIR)$(PREFIX)/libexec/sorad
	rm -f $(DESTDIR)$(SYSUSERS_DIR)/sorad.conf $(DESTDIR)$(TMPFILES_DIR)/sorad.conf
	rm -rf $(DESTDIR)$(PREFIX)/share/sorad

$(VENV)/.installed: Tests/sdk/requirements.txt
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install -q -r Tests/sdk/requirements.txt
	touch $@

$(VENV)/sdk2/.installed: Tests/sdk/requirements-sdk2.txt | $(VENV)/.installed
	python3 -m venv $(VENV)/sdk2
	$(VENV)/sdk2/bin/pip install -q -r Tests/sdk/requirements-sdk2.txt
	touch $@

$(VENV)/litellm/.installed: Tests/sdk/requirements-litellm.txt | $(VENV)/.installed
	python3 -m venv $(VENV)/litellm
	$(VENV)/litellm/bin/pip install -q -r Tests/sdk/requirements-litellm.txt
	touch $@

# There is no wheel for every machine; the one test that needs it says so.
$(VENV)/c2pa/.installed: Tests/sdk/requirements-c2pa.txt | $(VENV)/.installed
	python3 -m venv $(VENV)/c2pa
	$(VENV)/c2pa/bin/pip install -q -r Tests/sdk/requirements-c2pa.txt || echo "c2pa-python cannot be installed here: its test is skipped"
	touch $@

$(VENV)/page/.installed: Tests/page/requirements.txt
	@$(call install_packages,chromium)
	python3 -m venv $(VENV)/page
	$(VENV)/page/bin/pip install -q -r Tests/page/requirements.txt
	touch $@

$(VENV)/durability/.installed: Tests/durability/requirements.txt
	@$(call install_packages,fuse3)
	python3 -m venv $(VENV)/durability
	$(VENV)/durability/bin/pip install -q -r Tests/durability/requirements.txt
	touch $@

$(VENV)/training/.installed: quantization/training/requirements.txt
	python3 -m venv $(VENV)/training
	$(VENV)/training/bin/pip install -q -r quantization/training/requirements.txt
	touch $@

$(VENV)/bench/.installed: Tests/peers/requirements.txt
	python3 -m venv $(VENV)/bench
	$(VENV)/bench/bin/pip install -q -r Tests/peers/requirements.txt
	touch $@

clean: ## remove everything built
	rm -rf .build $(VENV)
	rm -f $(call quoted,$(CLIP))

.PHONY: help toolchain ready deps deps-arm build build-arm static run test test-swift test-kernels test-arm test-arm-kernels arm-instructions test-service test-service-fleet test-checks test-contract test-durability test-media bench-jobs test-systemd test-fleet test-fleet-guide test-load test-soak test-asan test-tsan fuzz fuzz-asan bench bench-cost settings pictures reference format lint model ship-model install uninstall clean bench-peers bench-peers-clip openapi test-page test-packages deb deb-arm dist deps-media deps-clients
