# VirtualGhost: `make run` builds whatever is missing and launches; `make test` is what CI runs.
# Settings: ARCH=x86_64|aarch64  FLAVOUR=debian|arch  GHOSTTY=FILE  GUEST=FILE  CONTAINER=docker|podman|buildah  CARGO=…
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:

CARGO ?= cargo
# The flavour of the guest; asked for once, and only by the targets that build it.
FLAVOUR ?= $(eval FLAVOUR := $(shell scripts/default-flavour.sh))$(FLAVOUR)

# The guest's architecture. One that is not this machine's has its outputs and its executable, which runs here by TCG,
# in folders of its own: nothing is built twice when ARCH= changes.
HOST_ARCH := $(patsubst arm64,aarch64,$(shell uname -m))
ARCH ?= $(HOST_ARCH)
export ARCH
OTHER := $(if $(filter-out $(HOST_ARCH),$(ARCH)),/$(ARCH))

BUILD := assets/build$(OTHER)
KERNEL := $(BUILD)/kernel/manifest.json
AGENT := $(BUILD)/agent/manifest.json
ROOTFS := $(BUILD)/rootfs/manifest.json
QEMU := $(BUILD)/qemu/manifest.json
SETTINGS := $(BUILD)/.settings
# The Ghostty that was handed in last, until another is, or none (GHOSTTY=).
GHOSTTY ?= $(shell cat $(BUILD)/.ghostty 2>/dev/null)
TARGET := $(or $(CARGO_TARGET_DIR),target)
EXECUTABLE := $(TARGET)$(OTHER)/release/virtualghost
# Cargo for an executable, with the assets that it gets.
cargo_build = $(if $(OTHER),VIRTUALGHOST_ASSETS=$(abspath $(BUILD))) $(CARGO) build --release

.PHONY: help
help: ## List the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 24

.PHONY: run
run: build ## Build whatever is missing, then launch (ARGS="--memory 4096")
	@exec $(EXECUTABLE) $(ARGS)

.PHONY: build
build: deps assets package-qemu ## The release executable, with kernel, root filesystem and QEMU inside
	$(cargo_build) --target-dir $(TARGET)$(OTHER)

.PHONY: dist
dist: deps assets package-qemu ## The release executable at its smallest, with checksum, in dist/
	CARGO='$(CARGO)' scripts/dist.sh $(BUILD) dist$(OTHER)

# A release, step by step: .github/workflows/release.yml calls these, each works by hand. RELEASE has the files that are
# given away, of every platform. PROJECT_URL=https://… is where the project is.
RELEASE ?= dist/release
.PHONY: guest release-files deb packages publish release-dry-run
guest: assets ## Kernel and root filesystem as one file, for `make dist GUEST=FILE` elsewhere
	scripts/guest.sh pack $(BUILD) dist/guest.tar.zst
release-files: dist ## This machine's part of a release, signed where keys are given
	scripts/release-files.sh dist $(RELEASE)
deb: ## The .deb of what `make dist` made
	CARGO='$(CARGO)' scripts/package-deb.sh dist $(RELEASE)
packages: ## Install files (Homebrew, winget, AUR) and checksums of a release whose files are all there
	. scripts/lib.sh && scripts/packaging.sh "$$(project_version)" $(RELEASE) dist/packages
publish: ## Upload the release (TAG=vVERSION; DRY_RUN=1 prints what it would do)
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

# What goes into the executable. Each component is one folder made by one script, with a manifest.json;
# the script asks the build cache first, so a new clone rebuilds nothing that was built before. Where there
# is no apt, and for Arch, the same script runs in a container.
.PHONY: assets package-qemu docker-build
assets: $(KERNEL) $(ROOTFS) ## The guest's kernel and root filesystem (FLAVOUR=, GHOSTTY=)
package-qemu: $(QEMU) ## The relocatable QEMU

# Where a launch with --gpu looks for it, unless `gpu_pack` says otherwise.
GPU_PACK ?= $(or $(XDG_DATA_HOME),$(HOME)/.local/share)/virtualghost/gpu-pack
.PHONY: gpu-pack
gpu-pack: deps-gpu-pack $(KERNEL) $(ROOTFS) ## Drivers and firmware of physical GPUs for --gpu (GPU_DRIVERS=, GPU_PACK=FOLDER)
	scripts/build-gpu-pack.sh $(dir $(KERNEL)) $(dir $(ROOTFS)) '$(GPU_PACK)'

docker-build: $(AGENT) $(SETTINGS) ## Kernel, root filesystem and QEMU in a container (CONTAINER=, FLAVOUR=arch by default)
	scripts/docker-build.sh $(BUILD)

# Changes when a setting does, and only then: what was built for other settings is built anew.
.PHONY: FORCE
$(SETTINGS): FORCE
	@mkdir -p $(@D)
	@$(if $(GHOSTTY),realpath -- '$(GHOSTTY)' >$(BUILD)/.ghostty,rm -f $(BUILD)/.ghostty)
	@now='$(FLAVOUR) $(if $(GHOSTTY),$(shell sha256sum <"$(GHOSTTY)"))'; \
	    [ "$$(cat $@ 2>/dev/null)" = "$$now" ] || echo "$$now" >$@

APT := $(shell command -v apt-get)
COMMON := scripts/lib.sh
ifdef GUEST
$(KERNEL) $(ROOTFS) &: FORCE # it may be an older file than the guest that is there
	scripts/guest.sh unpack '$(GUEST)' $(BUILD)
else
$(KERNEL): scripts/build-kernel.sh scripts/kernel.sh scripts/check-kernel-config.sh $(COMMON) $(wildcard docker/kernel/*.config docker/kernel/$(ARCH)/*)
	$(if $(APT),scripts/build-kernel.sh $(@D),scripts/docker-build.sh $(BUILD) kernel)
$(AGENT): scripts/build-agent.sh scripts/cross.sh $(COMMON) Cargo.toml Cargo.lock src/lib.rs src/bin/ghostly-agent.rs $(shell find src/agent -type f)
	CARGO='$(CARGO)' scripts/build-agent.sh $(@D)
$(ROOTFS): scripts/build-rootfs.sh $(wildcard scripts/rootfs/*) $(COMMON) $(SETTINGS) $(AGENT) $(shell find assets/guest -type f)
	FLAVOUR='$(FLAVOUR)' GHOSTTY='$(GHOSTTY)' \
	    $(if $(filter arch,$(FLAVOUR)),scripts/docker-build.sh $(BUILD) rootfs,scripts/build-rootfs.sh $(@D))
endif
$(QEMU): scripts/package-qemu.sh $(wildcard scripts/qemu/*) scripts/qemu-bundle.conf $(wildcard assets/qemu/*) $(COMMON)
	scripts/package-qemu.sh $(@D)

# Tests, from the cheapest to the dearest.
.PHONY: lint test-build test-components test lab
lint: deps-test ## Formatting, clippy, shellcheck, the crates' licences
	$(CARGO) fmt --check
	$(CARGO) fmt --check --manifest-path fuzz/Cargo.toml
	$(CARGO) clippy --all-targets -- -D warnings
	$(CARGO) clippy --all-targets --no-default-features --features agent -- -D warnings
	shellcheck -x tests/*.sh scripts/*.sh scripts/boot-chart scripts/bench/*.sh scripts/qemu/*.sh scripts/rootfs/*.sh tests/build/*.sh tests/kill/*.sh tests/lab/*.sh .ci/run
	scripts/check-licences.sh
	scripts/check-dependencies.sh
	scripts/check-specification.sh

test-build: test-components
	tests/build/licences.sh
	tests/build/ghostty.sh
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

# A guest for aarch64 has no instant start.
boot_test = VIRTUALGHOST_EXECUTABLE=$(abspath $(EXECUTABLE)) VIRTUALGHOST_BUILT=$(abspath $(BUILD)) \
    $(CARGO) test --test boot -- --test-threads=1 --nocapture $(if $(filter aarch64,$(ARCH)),--skip instant)

.PHONY: test-boot
test-boot: deps-test build ## The tests that boot VMs
	$(boot_test)

# A target folder of its own: the launcher in it has fault points and a payload that boots nothing.
kill_matrix = CARGO='$(CARGO)' tests/kill/run.sh $(or $(CARGO_TARGET_DIR),target)/kill

.PHONY: kill-matrix
kill-matrix: deps-test ## Kill the launcher and QEMU at every step, and print what came of it (LENGTH=short|long)
	$(kill_matrix) $(or $(LENGTH),long)

test: lint build ## Everything that CI runs
	$(CARGO) test
	$(CARGO) test --no-default-features --features agent
	CARGO='$(CARGO)' scripts/check-platforms.sh --lint
	CARGO='$(CARGO)' tests/wine.sh --short
	CARGO='$(CARGO)' scripts/fuzz.sh 5
	$(kill_matrix) short
	$(MAKE) test-build
	$(boot_test)

.PHONY: check-platforms
check-platforms: deps-test ## clippy and linking for macOS, Windows and other Linuxes
	CARGO='$(CARGO)' scripts/check-platforms.sh

.PHONY: wine
wine: deps-test ## Run the Windows program and its tests under wine
	CARGO='$(CARGO)' tests/wine.sh

lab: test ## The long tests too
	$(MAKE) check-platforms
	CARGO='$(CARGO)' tests/wine.sh
	CARGO='$(CARGO)' scripts/fuzz.sh 120
	$(kill_matrix) long
	tests/build/rootfs.sh --rebuild
	tests/build/qemu-other.sh --mutants
	LAB=1 tests/build/docker.sh
	$(MAKE) ARCH=aarch64 test-components test-boot
	tests/lab/ladder.sh $(EXECUTABLE)
	tests/lab/remote.sh $(EXECUTABLE)
	tests/lab/vsock.sh $(EXECUTABLE)
	tests/lab/vfio.sh $(EXECUTABLE)

.PHONY: lab-vfio
lab-vfio: build ## GPU passthrough, in a VM with an emulated IOMMU
	tests/lab/vfio.sh $(EXECUTABLE)

.PHONY: bench
bench: dist ## Measure the executable against its goals, into README.md (RUNS=5, GROUPS="launcher boot")
	WRITE=1 scripts/bench.sh target/dist/release/virtualghost $(GROUPS)

.PHONY: clean
clean: ## Remove build outputs (the build cache and VMs' files stay)
	$(CARGO) clean
	rm -rf $(BUILD) dist
