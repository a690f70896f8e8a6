# The commands that CI runs. Go, gcc, make and git are required; everything else is
# downloaded as Go modules. Tests on a real containerd need root.
LINT_VERSION := v2.15.0
DURATION ?= 1m
FUZZTIME ?= 10s

.PHONY: build image test test-unit lint demo fuzz torture torture-peer bench bench-compare measure clean

build: ## bin/logwatch, static
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o bin/logwatch ./cmd/logwatch

image: ## dist/logwatch-image.tar, the container image for amd64 and arm64 (with buildah; IMAGE=its name)
	./hack/image

test: ## everything, with real runtimes, systemd and browser (as root)
	hack/test-deps
	go run ./hack/slowest -race -timeout 20m -parallel 8 $$(go list ./... | grep -v /test)
	go run ./hack/slowest -race -timeout 20m -p 1 ./test/... # one at a time: runtimes, systemd and browser fill the machine

test-unit: ## no root, no network
	go test -race -short ./...

lint: bin/golangci-lint-$(LINT_VERSION)
	$< run ./...

bin/golangci-lint-$(LINT_VERSION):
	GOFLAGS= GOBIN=$(CURDIR)/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
	mv bin/golangci-lint $@

demo: ## ten seconds of bursty containers on the embedded runtime, no root
	go run ./cmd/logwatch demo --duration 10s

fuzz: ## each fuzz target for FUZZTIME
	./hack/fuzz $(FUZZTIME)

torture: ## kill, stop and starve logwatch for DURATION per mode, on a real containerd (as root)
	go test -count=1 -timeout 24h -v -run TestTorture ./test/ -torture=$(DURATION)

torture-peer: ## the same for kubelet's own log manager, for comparison (as root)
	cd bench && go build -o ../bin/kubelet-rotator ./kubelet-rotator
	go test -count=1 -timeout 24h -v -run 'TestTorturePeer|TestTortureKill' ./test/ -torture=$(DURATION) -peer=$(CURDIR)/bin/kubelet-rotator

bench: ## every measure, compared with other rotators, into bench/results (as root, about 50 minutes; BENCHFLAGS=-short: 10)
	command -v logrotate >/dev/null || [ -x /usr/sbin/logrotate ] || apt-get install -y --no-install-recommends logrotate || true
	cd bench && go run -mod=mod ./cmd/bench $(BENCHFLAGS)

bench-compare: ## micro-benchmarks of two revisions: BASE=<rev>
	BASE=$(BASE) bench/compare

measure: ## overshoot on a real containerd (as root), 60 s per row
	go test -count=1 -timeout 20m -v -run TestOvershoot ./test/ -measure=60s

clean:
	rm -rf bin dist

.PHONY: measure-shippers
measure-shippers: ## real log shippers beside each rotator (as root, about 90 s per row; ROWS=otel/kubelet runs some)
	go test -count=1 -timeout 24h -v -run 'TestMatrix/$(ROWS)' ./test/shippers/ -measure

.PHONY: deb rpm tarball
deb rpm tarball: ## packages in dist, for amd64 and arm64, reproducible
	./hack/package $@
