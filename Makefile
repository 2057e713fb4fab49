# castellan: make demo runs the main job on real input, make test proves the code. Each says what it installs.
GO            ?= go
STATICCHECK   ?= honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK   ?= golang.org/x/vuln/cmd/govulncheck@v1.8.0
GOLANGCI      ?= github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
FUZZTIME      ?= 20s
VERSION       ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS       := -s -w -X github.com/castellan-project/castellan/internal/cli.version=$(VERSION)

.PHONY: build demo test quick lint generate lab fuzz bench clean

build: bin/castellan

# The binary is static: it runs on any Linux and in a rescue console.
bin/castellan: FORCE
	@echo "building bin/castellan (Go modules are fetched on the first run)"
	@CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o bin/castellan ./cmd/castellan
FORCE:

demo: build
	@./examples/demo.sh

test: generated
	$(GO) vet ./...
	$(GO) test -race -shuffle=on -timeout 30m ./...
	$(GO) vet -tags lab,look ./lab/... ./internal/debian/fail2ban
	$(GO) run $(STATICCHECK) ./...

# What is generated from the catalogue must be what the sources give.
.PHONY: generated
generated:
	$(GO) test -count=1 ./internal/posture -run TestIndexIsFresh

generate:
	$(GO) test -count=1 ./internal/posture -run TestIndexIsFresh -update

quick:
	$(GO) test ./...

lint:
	$(GO) run $(GOLANGCI) run ./...
	$(GO) run $(GOVULNCHECK) ./...

# Real hosts: needs root; installs systemd-container, mmdebstrap and more when they are missing.
lab: build
	./lab/setup.sh
	$(GO) test -tags lab -count=1 -timeout 50m -v ./lab/...
	$(GO) test -tags lab -count=1 ./internal/debian/fail2ban

fuzz:
	./scripts/fuzz.sh $(FUZZTIME)

# Speed and size beside lynis and OpenSCAP, which are installed from Debian for the run.
bench: build
	./scripts/bench.sh

clean:
	rm -rf bin dist
