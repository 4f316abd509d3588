# VirtualGhost: `make run` builds whatever is missing and starts a VM; `make check` is for every change; `make test` is what
# CI runs.
# Settings: ARCH=x86_64|aarch64  FLAVOUR=debian|arch  SUITE=trixie|sid  GHOSTTY=FILE|URL|none  GUEST=FILE  CONTAINER=docker|podman|buildah  CARGO=…
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:

CARGO ?= cargo
# The flavour of the guest; found once, and only for the targets that build it.
FLAVOUR ?= $(eval FLAVOUR := $(shell scripts/default-flavour.sh))$(FLAVOUR)

# The guest's architecture. If it is not this machine's, the outputs and the executable (which runs here, with TCG) are in
# folders of their own: nothing is built twice when ARCH= changes. So are those of a guest of another suite of Debian.
HOST_ARCH := $(patsubst arm64,aarch64,$(shell uname -m))
ARCH ?= $(HOST_ARCH)
SUITE ?= trixie
export ARCH SUITE
OTHER := $(if $(filter-out $(HOST_ARCH),$(ARCH)),/$(ARCH))$(if $(filter-out trixie,$(SUITE)),/$(SUITE))

BUILD := assets/build$(OTHER)
KERNEL := $(BUILD)/kernel/manifest.json
AGENT := $(BUILD)/agent/manifest.json
ROOTFS := $(BUILD)/rootfs/manifest.json
QEMU := $(BUILD)/qemu/manifest.json
SETTINGS := $(BUILD)/.settings
# The Ghostty that was passed in last, until another one is (GHOSTTY=FILE|URL), or the usual one (GHOSTTY=), or none
# (GHOSTTY=none).
ifeq ($(origin GHOSTTY),undefined)
GHOSTTY := $(shell sed -n 1p $(BUILD)/.ghostty 2>/dev/null)
GHOSTTY_SHA256 := $(shell sed -n 2p $(BUILD)/.ghostty 2>/dev/null)
endif
ghostty_settings = GHOSTTY='$(GHOSTTY)' GHOSTTY_SHA256='$(GHOSTTY_SHA256)'
TARGET := $(or $(CARGO_TARGET_DIR),target)
EXECUTABLE := $(TARGET)$(OTHER)/release/virtualghost
# Cargo, for an executable with its assets.
cargo_build = $(if $(OTHER),VIRTUALGHOST_ASSETS=$(abspath $(BUILD))) $(CARGO) build --release

.PHONY: help
help: ## List the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 24

.PHONY: run
run: build ## Build whatever is missing, then start a VM (ARGS="--memory 4096")
	@exec $(EXECUTABLE) $(ARGS)

.PHONY: build
build: deps assets package-qemu ## Build the executable, with kernel, root filesystem and QEMU inside
	$(cargo_build) --target-dir $(TARGET)$(OTHER)

.PHONY: dist
dist: deps assets package-qemu audit ## Build the executable at its smallest, with checksums, in dist/
	CARGO='$(CARGO)' scripts/dist.sh $(BUILD) dist$(OTHER)

# A release, step by step: .github/workflows/release.yml runs these, and each works by hand. RELEASE is the folder of the
# files to publish, of every platform. PROJECT_URL=https://… is the project's address.
RELEASE ?= dist/release
.PHONY: guest release-files deb packages publish release-dry-run
guest: assets ## Pack kernel and root filesystem into one file, for `make dist GUEST=FILE` elsewhere
	scripts/guest.sh pack $(BUILD) dist/guest.tar.zst
release-files: dist ## Make this machine's part of a release, signed where keys are given
	scripts/release-files.sh dist $(RELEASE)
deb: ## Make the .deb of what `make dist` made
	CARGO='$(CARGO)' scripts/package-deb.sh dist $(RELEASE)
packages: ## Make install files (Homebrew, winget, AUR) and checksums of a complete release
	. scripts/lib.sh && scripts/packaging.sh "$$(project_version)" $(RELEASE) dist/packages
publish: ## Upload the release (TAG=vVERSION; DRY_RUN=1 only prints)
	scripts/publish.sh '$(TAG)' $(RELEASE)
release-dry-run: ## Run the Linux steps of the release workflow here
	scripts/release-dry-run.py

.PHONY: deps deps-test deps-gpu-pack
deps:
	@scripts/install-deps.sh build cross
deps-test:
	@scripts/install-deps.sh build test
deps-gpu-pack:
	@scripts/install-deps.sh build gpu-pack

# The executable's components. One script makes each of them, as a folder with a manifest.json. The script looks in the build
# cache first, so a new clone does not build them again. Without apt, and for Arch, the same script runs in a container.
.PHONY: assets package-qemu docker-build
assets: $(KERNEL) $(ROOTFS) ## Build the guest's kernel and root filesystem (FLAVOUR=, GHOSTTY=)
package-qemu: $(QEMU) ## Make a QEMU that runs from any folder

# The default of the setting `gpu_pack`.
GPU_PACK ?= $(or $(XDG_DATA_HOME),$(HOME)/.local/share)/virtualghost/gpu-pack
.PHONY: gpu-pack
gpu-pack: deps-gpu-pack $(KERNEL) $(ROOTFS) ## Build drivers and firmware of physical GPUs for --gpu (GPU_DRIVERS=, GPU_PACK=FOLDER)
	scripts/build-gpu-pack.sh $(dir $(KERNEL)) $(dir $(ROOTFS)) '$(GPU_PACK)'

.PHONY: fetch-ghostty update-ghostty
fetch-ghostty: ## Download the pinned Ghostty into the build cache, for builds without a network
	scripts/fetch-ghostty.sh
update-ghostty: ## Pin another Ghostty (VERSION=1.3.1-0-ppa2, as the release is named)
	scripts/update-ghostty.sh '$(VERSION)'

.PHONY: update-qemu
update-qemu: ## Pin the newest QEMU of its Debian suite (SUITE_OF_QEMU=trixie)
	scripts/update-qemu.sh $(SUITE_OF_QEMU)

docker-build: $(AGENT) $(SETTINGS) ## Build kernel, root filesystem and QEMU in a container (CONTAINER=, FLAVOUR=arch by default)
	$(ghostty_settings) scripts/docker-build.sh $(BUILD)

# This file changes only when a setting does; then components that depend on it are built again.
.PHONY: FORCE
$(SETTINGS): FORCE
	@FLAVOUR='$(FLAVOUR)' $(ghostty_settings) scripts/settings.sh $(BUILD)

APT := $(shell command -v apt-get)
COMMON := scripts/lib.sh
ifdef GUEST
$(KERNEL) $(ROOTFS) &: FORCE # GUEST may be older than what is in BUILD
	scripts/guest.sh unpack '$(GUEST)' $(BUILD)
else
$(KERNEL): scripts/build-kernel.sh scripts/kernel.sh scripts/check-kernel-config.sh $(COMMON) $(wildcard docker/kernel/*.config docker/kernel/$(ARCH)/*)
	$(if $(APT),scripts/build-kernel.sh $(@D),scripts/docker-build.sh $(BUILD) kernel)
$(AGENT): scripts/build-agent.sh scripts/cross.sh scripts/requirements/zig.txt $(COMMON) Cargo.toml Cargo.lock src/lib.rs src/bin/ghostly-agent.rs $(shell find src/agent src/protocol src/tree -type f)
	CARGO='$(CARGO)' scripts/build-agent.sh $(@D)
$(ROOTFS): scripts/build-rootfs.sh $(wildcard scripts/rootfs/*) $(COMMON) $(SETTINGS) $(AGENT) $(shell find assets/guest -type f)
	FLAVOUR='$(FLAVOUR)' $(ghostty_settings) \
	    $(if $(filter arch,$(FLAVOUR)),scripts/docker-build.sh $(BUILD) rootfs,scripts/build-rootfs.sh $(@D))
endif
$(QEMU): scripts/package-qemu.sh $(wildcard scripts/qemu/*) scripts/qemu-bundle.conf scripts/fetch.sh $(wildcard docker/qemu/*) $(wildcard assets/qemu/*) $(COMMON)
	scripts/package-qemu.sh $(@D)

# Tests, fastest first. Each tier includes the one before it; `make check` needs only Rust. Tests that this machine
# cannot run are skipped, and counted at the end (scripts/skipped.sh).
check check-portable lint test lab: export VIRTUALGHOST_SKIPPED := $(abspath $(TARGET))/skipped
.PHONY: check static lint test-build test-components test lab
check: static ## Format, lints, layers and all tests that need no VM: the test for every change
	tests/build/layers.sh
	tests/build/paths.sh
	tests/build/bench.sh
	tests/build/window.sh
	tests/build/audit.sh
	tests/build/login-environment.sh
	$(CARGO) test
	CARGO='$(CARGO)' tests/build/skipped.sh
	tests/build/readme.sh $(TARGET)/debug/virtualghost
	@scripts/skipped.sh report 'make check'

# On macOS and Windows no build script and no fallback of Linux is tested.
.PHONY: check-portable check-oldest-rust
check-portable: ## The part of `check` that runs on macOS and Windows too
	@scripts/skipped.sh reset
	CARGO='$(CARGO)' scripts/check-rust.sh
	$(CARGO) test --lib --test cli --test supervise
	@scripts/skipped.sh report 'make check-portable'

check-oldest-rust: ## Compile with the oldest supported Rust (rust-version in Cargo.toml), by rustup
	scripts/check-oldest-rust.sh

static:
	@scripts/skipped.sh reset
	scripts/check-layers.sh
	scripts/check-paths.sh
	scripts/check-specification.sh
	scripts/check-shell.sh
	CARGO='$(CARGO)' scripts/check-rust.sh

lint: deps-test static ## Static checks: those of `check`, and the crates' licences and dependencies
	scripts/check-licences.sh
	scripts/check-dependencies.sh

test-build: test-components
	tests/build/licences.sh
	tests/build/ghostty-source.sh
	tests/build/ghostty.sh
	tests/build/ghostty-image.sh
	tests/build/arch.sh
	tests/build/docker.sh
	tests/build/qemu-other.sh
	CARGO='$(CARGO)' tests/build/packaging.sh
	tests/build/launcher.sh $(EXECUTABLE)

test-components: deps-test build
	ARCH=x86_64 tests/build/kernel.sh
	ARCH=aarch64 tests/build/kernel.sh
	tests/build/qemu-bundle.sh $(BUILD)/qemu
	tests/build/rootfs.sh $(BUILD)/rootfs

# Instant starts are not available for an aarch64 guest.
boot_test = VIRTUALGHOST_EXECUTABLE=$(abspath $(EXECUTABLE)) VIRTUALGHOST_BUILT=$(abspath $(BUILD)) \
    $(CARGO) test --test boot -- --test-threads=1 --nocapture $(if $(filter aarch64,$(ARCH)),--skip instant)

.PHONY: test-boot
test-boot: deps-test build ## Run the tests that boot VMs
	$(boot_test)

# It has its own target folder, because this launcher has fail points and a payload that does not boot.
kill_matrix = CARGO='$(CARGO)' tests/kill/run.sh $(or $(CARGO_TARGET_DIR),target)/kill

.PHONY: kill-matrix
kill-matrix: deps-test ## Kill the launcher and QEMU at every step, and print the results (LENGTH=short|long)
	$(kill_matrix) $(or $(LENGTH),long)

test: deps-test check lint build ## Everything that CI runs: `check`, then the build, VMs, other platforms and fuzzing
	$(CARGO) test --no-default-features --features agent
	$(CARGO) test --features agent --test remote
	CARGO='$(CARGO)' scripts/check-platforms.sh --lint
	CARGO='$(CARGO)' tests/wine.sh --short
	CARGO='$(CARGO)' scripts/fuzz.sh 5
	$(kill_matrix) short
	$(MAKE) test-build
	$(boot_test)
	@scripts/skipped.sh report 'make test'

.PHONY: check-platforms
check-platforms: deps-test ## Run clippy and link for macOS, Windows and other Linuxes
	CARGO='$(CARGO)' scripts/check-platforms.sh

.PHONY: wine
wine: deps-test ## Run the Windows program and its tests under wine
	CARGO='$(CARGO)' tests/wine.sh

lab: test ## `test`, then the long tests
	$(MAKE) check-platforms
	CARGO='$(CARGO)' tests/wine.sh
	CARGO='$(CARGO)' scripts/fuzz.sh 120
	$(kill_matrix) long
	tests/build/rootfs.sh --rebuild
	tests/build/qemu-other.sh --mutants
	LAB=1 tests/build/docker.sh
	$(MAKE) ARCH=aarch64 test-components test-boot
	$(MAKE) SUITE=sid test-components test-boot
	tests/lab/warnings.sh $(EXECUTABLE)
	tests/lab/warnings.sh $(TARGET)/sid/release/virtualghost
	$(MAKE) dist
	tests/lab/hosts.sh dist/virtualghost
	tests/lab/fallback.sh $(EXECUTABLE)
	tests/lab/jail.sh $(EXECUTABLE)
	tests/lab/scope.sh $(EXECUTABLE)
	tests/lab/places.sh $(EXECUTABLE)
	tests/lab/typing.sh $(EXECUTABLE)
	tests/lab/remote.sh $(EXECUTABLE)
	tests/lab/long-use.sh $(EXECUTABLE)
	CARGO='$(CARGO)' tests/lab/network.sh
	tests/lab/vsock.sh $(EXECUTABLE)
	tests/lab/kvm.sh $(EXECUTABLE)
	tests/lab/vfio.sh $(EXECUTABLE)
	@scripts/skipped.sh report 'make lab'

.PHONY: lab-kvm
lab-kvm: build ## Test VMs under a KVM that works, in a VM whose processor has SVM
	tests/lab/kvm.sh $(EXECUTABLE)

.PHONY: lab-vfio
lab-vfio: build ## Test GPU passthrough, in a VM with an emulated IOMMU
	tests/lab/vfio.sh $(EXECUTABLE)

.PHONY: audit
audit: assets package-qemu ## Compare what the executable carries with its distribution's fixes and RustSec (scripts/audit.waivers)
	CARGO='$(CARGO)' scripts/audit.sh $(BUILD)

.PHONY: advisories
advisories: ## Check the crates for known vulnerabilities (needs the network)
	CARGO='$(CARGO)' scripts/check-advisories.sh

.PHONY: bench
bench: dist ## Measure the executable against its goals, into docs/BENCHMARKS.md (RUNS=5, GROUPS="launcher boot")
	WRITE=1 scripts/bench.sh target/dist/$(HOST_ARCH)-unknown-linux-gnu/release/virtualghost $(GROUPS)

.PHONY: clean
clean: ## Remove build outputs (not the build cache, not VMs' files)
	$(CARGO) clean
	rm -rf $(BUILD) dist
