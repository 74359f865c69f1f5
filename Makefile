# make        builds bin/keypost
# make run    builds and starts a daemon to try
# make install  puts what was built under PREFIX (/usr/local), below DESTDIR if set
# make check  the gate before a commit
# make test   all tests, with what they need brought along
# make bench  writes docs/benchmarks.md

SQLC    = go run github.com/sqlc-dev/sqlc/cmd/sqlc@v1.31.1
# The client is a module of its own, which ./... passes over.
PACKAGES = ./... ./activation/client/...
# go mod tidy knows nothing of go.work, by which the tests find the client: it
# checks a copy of go.mod that names it.
CLIENT  = github.com/keypost/keypost/activation/client
TIDY    = t=$$(mktemp -d) && cp go.mod $$t/go.mod && cp go.sum $$t/go.sum && \
	go mod edit -require=$(CLIENT)@v0.0.0 -replace=$(CLIENT)=./activation/client $$t/go.mod && \
	GOWORK=off go mod tidy -diff -modfile=$$t/go.mod && rm -r $$t
VERSION = $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)

.PHONY: build run install check generate test test-long bench parts

build:
	CGO_ENABLED=0 go build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/keypost ./cmd/keypost

run: build
	./bin/keypost serve

PREFIX = /usr/local

# The binary, a systemd unit that starts it, and examples for a proxy. What was
# built is installed, so that root needs no Go: make && sudo make install
install:
	@[ -x bin/keypost ] || $(MAKE) build
	install -d '$(DESTDIR)$(PREFIX)/bin' '$(DESTDIR)$(PREFIX)/lib/systemd/system' '$(DESTDIR)$(PREFIX)/share/doc/keypost'
	install -m 755 bin/keypost '$(DESTDIR)$(PREFIX)/bin/keypost'
	sed 's|/usr/local/bin/keypost|$(PREFIX)/bin/keypost|' docs/deploy/keypost.service >'$(DESTDIR)$(PREFIX)/lib/systemd/system/keypost.service'
	chmod 644 '$(DESTDIR)$(PREFIX)/lib/systemd/system/keypost.service'
	install -m 644 docs/deploy/Caddyfile docs/deploy/nginx.conf '$(DESTDIR)$(PREFIX)/share/doc/keypost/'

# The gate: format, vet, staticcheck, tidy, generated equals committed, race
# tests of what is quick.
check:
	@unformatted=$$(go tool gofumpt -l .) || exit 1; if [ -n "$$unformatted" ]; then \
		echo "not formatted (go tool gofumpt -w .):" $$unformatted; exit 1; fi
	go vet $(PACKAGES)
	staticcheck=$$(GOWORK=off go tool -n staticcheck) && $$staticcheck $(PACKAGES)
	$(TIDY)
	cd activation/client && GOWORK=off go mod tidy -diff
	cd store && $(SQLC) diff
	go test -race -short -timeout 20m $(PACKAGES)

generate:
	cd store && $(SQLC) generate

# All tests. What they need of Debian's packages is installed first (root) or
# named; KEYPOST_TEST_REQUIRE=all makes leaving anything out a failure.
test: parts
	go test -timeout 20m $(PACKAGES)

# The kills and races of make test, for longer, and the store's suite on a cluster.
test-long: parts
	go test -count=1 -timeout 90m ./cmd/torture -rounds 50 -mailrounds 50 -galerarounds 50
	go test -count=1 -timeout 30m ./store -galera

# The same work with and without keypost, side by side; writes docs/benchmarks.md.
bench: parts build
	go run ./cmd/bench

# Servers among them (Exim, MariaDB, Dovecot) are not started: policy-rc.d forbids
# it while they are installed, and is afterwards as it was.
parts:
	@missing=; \
	command -v curl >/dev/null || missing="$$missing curl"; \
	command -v openssl >/dev/null || missing="$$missing openssl"; \
	command -v python3 >/dev/null || missing="$$missing python3"; \
	command -v node >/dev/null || missing="$$missing nodejs"; \
	command -v cc >/dev/null || missing="$$missing gcc libc6-dev"; \
	{ python3 -c "import cryptography" || /usr/bin/python3 -c "import cryptography"; } 2>/dev/null || missing="$$missing python3-cryptography"; \
	echo "#include <sodium.h>" | cc -fsyntax-only -x c - 2>/dev/null || missing="$$missing libsodium-dev"; \
	{ command -v mcs && command -v mono; } >/dev/null || missing="$$missing mono-mcs mono-runtime libmono-system-core4.0-cil"; \
	command -v clang >/dev/null || missing="$$missing clang"; \
	command -v wasm-ld >/dev/null || missing="$$missing lld"; \
	[ -e /usr/include/wasm32-wasi/stdio.h ] || missing="$$missing wasi-libc"; \
	[ -n "$$(find /usr/lib/llvm-*/lib/clang -name 'libclang_rt.builtins*wasm32*' 2>/dev/null)" ] || missing="$$missing libclang-rt-dev-wasm32"; \
	command -v exim4 >/dev/null || missing="$$missing exim4-daemon-light"; \
	command -v mariadbd >/dev/null || missing="$$missing mariadb-server"; \
	[ -e /usr/lib/galera/libgalera_smm.so ] || missing="$$missing galera-4"; \
	command -v systemd-analyze >/dev/null || missing="$$missing systemd"; \
	command -v rsync >/dev/null || missing="$$missing rsync"; \
	command -v dovecot >/dev/null || missing="$$missing dovecot-imapd"; \
	command -v mbsync >/dev/null || missing="$$missing isync"; \
	perl -MDigest::MD2 -e 1 2>/dev/null || missing="$$missing libdigest-md2-perl"; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "installing what the tests need:$$missing"; \
		policy=/usr/sbin/policy-rc.d; \
		if [ -e $$policy ] || [ -L $$policy ]; then mv $$policy $$policy.keypost || exit 1; fi; \
		trap "rm -f $$policy; [ ! -e $$policy.keypost ] || mv $$policy.keypost $$policy" EXIT; trap 'exit 1' INT TERM HUP; \
		printf '#!/bin/sh\nexit 101\n' >$$policy && chmod 755 $$policy || exit 1; \
		apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$missing; \
	elif [ "$$KEYPOST_TEST_REQUIRE" = all ]; then \
		echo "the tests need:$$missing (install them, or run as root on Debian)"; exit 1; \
	else \
		echo "LEFT OUT: the tests that need$$missing (install them, or run as root on Debian)"; \
	fi
