# make run    the server, with its data in ./data
# make test   every test, with what it needs installed from Debian if you are root
# make help   the other targets
GOLANGCI = go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.PHONY: run test lint vuln fuzz soak bench build help

run: ## run the server on localhost
	go run ./cmd/packagecloud serve

test: ## run every test, real package managers included
	scripts/test

lint: ## check style, layers and common mistakes
	$(GOLANGCI) run ./...

vuln: ## look for known vulnerabilities
	scripts/vulncheck

fuzz: ## run every fuzz target on some thousand new inputs
	scripts/fuzz

soak: ## the long drill: ten rounds of torture and kill -9
	PACKAGECLOUD_SOAK=1 scripts/test -run TestKinds ./internal/sign
	PACKAGECLOUD_SOAK=1 scripts/test -timeout 120m -count 10 -run "TestTorture|TestKill" ./e2e
	PACKAGECLOUD_JUDGED=600 PACKAGECLOUD_SEED=$$(date +%s) scripts/test -timeout 60m -run TestJudges ./internal/format/python
	PACKAGECLOUD_JUDGED=20000 PACKAGECLOUD_SEED=$$(date +%s) scripts/test -timeout 60m -run TestJudges ./internal/format/rpm
	PACKAGECLOUD_JUDGED=10000 PACKAGECLOUD_SEED=$$(date +%s) scripts/test -timeout 60m -run TestJudges ./internal/format/deb
	PACKAGECLOUD_JUDGED=5000 PACKAGECLOUD_SEED=$$(date +%s) scripts/test -timeout 60m -run TestJudges ./internal/format/npm
	PACKAGECLOUD_SOAK=1 scripts/test -timeout 60m -run "TestNpmCorpus|TestOddVersions|TestClientsRedirected/npm" ./e2e

bench: ## measure, and print the table of the README
	scripts/bench

build: ## build the three programs into ./bin
	go build -o bin/ ./cmd/...

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 10
