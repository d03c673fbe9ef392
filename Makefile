# The verbs of this repository. The work is done by small scripts, so that each can be read and run alone.

GO       ?= go
# The version that the binary tells. Override it for a release: make build VERSION=v1.2.3
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# How long each fuzz target runs in `make soak`.
FUZZTIME ?= 10m

# The race detector watches our code, not the engine that a program translated from C: that takes five times as long. The
# locks between the two are watched all the same.
RACE     ?= -gcflags=modernc.org/...=-race=false

export GO VERSION FUZZTIME

.DEFAULT_GOAL := help
.PHONY: help build pkcs11 run dev test check bench soak docs cross clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## /{printf "  make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/keyturn: static, stripped, reproducible
	@scripts/build.sh bin/keyturn

pkcs11: ## build bin/keyturn-pkcs11, the helper that lets the server use an HSM; needs a C compiler
	@cd cmd/keyturn-pkcs11 && CGO_ENABLED=1 $(GO) build -trimpath -buildvcs=false -ldflags "-s -w" -o ../../bin/keyturn-pkcs11 .

run: build ## build and start a server with its data under .run/; run it again to continue
	@exec scripts/run.sh

dev: ## like run, and again after every change of the source
	@exec scripts/dev.sh

test: ## install what the tests need from Debian, then run all tests with the race detector
	@scripts/testdeps.sh
	@CGO_ENABLED=1 $(GO) test -race $(RACE) -shuffle=on -timeout 25m ./...

check: ## format, vet, staticcheck, import shape, cross compile, reproducibility, known vulnerabilities
	@scripts/check.sh

bench: ## measure against a floor and a peer in the same run
	@scripts/bench.sh

soak: ## long simulations, then every fuzz target for FUZZTIME each (default 10m)
	@scripts/testdeps.sh
	$(GO) test -tags soak -run 'Soak' -timeout 0 ./...
	@scripts/fuzz.sh

docs: ## write the reference pages and the OpenAPI files from the source
	@$(GO) test ./internal/httpapi -run OpenAPIDescriptions -update
	@$(GO) test ./internal/httpapi -run OpenAPIDocument -update
	@$(GO) run ./internal/reference/cmd

cross: ## build for Linux, macOS and Windows on amd64 and arm64 into bin/cross/
	@scripts/cross.sh bin/cross

clean: ## remove what the other verbs built; the data under .run/ stays
	rm -rf bin coverage bench/out
