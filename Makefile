GO ?= go
# Lambda bootstraps: small, static, the same wherever they are built.
# Nothing is inlined in the clients of AWS and PostgreSQL: 5 % of the zip, see docs/design.md.
LAMBDA = CGO_ENABLED=0 GOOS=linux $(GO) build -trimpath -ldflags "-s -w" $(CLIENTS:%=-gcflags=%=-l)
CLIENTS = github.com/aws/... github.com/jackc/...
# What is checked is built as it is shipped. Each way of building compiles SQLite and all
# else once more, which takes longer than most of what follows.
STATIC = CGO_ENABLED=0 GOFLAGS="$(shell $(GO) env GOFLAGS) -trimpath"
# The race detector sees nothing in the memory of SQLite, which Go has not allocated, nor
# in hashes, which share none; instrumented, both take four times as long.
UNINSTRUMENTED = modernc.org/sqlite/lib modernc.org/libc modernc.org/memory golang.org/x/crypto/...
RACE = -race -vet=off $(UNINSTRUMENTED:%=-gcflags=%=-race=false)
# A module of its own: what judges the store on DynamoDB needs many others.
DYNAMO = internal/dynamo/minidyn
# They begin first, so that none of them is left to run alone.
LONGEST = ./cmd/latchkey ./internal/sqlstore ./internal/auth
DYNAMO_RACES = 'TestMany[MS]|TestConformance/racing_(lines|settle|for_room|for_several)|TestOneFault/(LoadUsers|Settle)'

.PHONY: run test cover check bench fuzz lambda crash races trials

run: ## the whole system on this machine, see README
	$(GO) run ./cmd/latchkey offline

test: ## every test, with the race detector; `make check` has vetted them
	@$(MAKE) --no-print-directory -j2 test-house test-dynamo # where one waits, the other works

.PHONY: test test-house test-dynamo
test-house test-dynamo: export GORACE = atexit_sleep_ms=20 # not a second for each test binary
test-house:
	$(GO) test $(RACE) $(LONGEST) ./...
test-dynamo:
	cd $(DYNAMO) && $(STATIC) $(GO) test -vet=off -count=1 ./... # the emulator is ten times slower under the detector
	cd $(DYNAMO) && $(GO) test $(RACE) -run $(DYNAMO_RACES) ./...

cover: ## coverage of every package by the tests of all; counting takes longer than the tests
	$(GO) test -coverpkg=./... -coverprofile=coverage.out ./...
	$(GO) tool cover -func=coverage.out | tail -1

# Of the modules govulncheck says little. It asks for the database at once, though, and of
# the packages after 40 s of a core.
AWAY = 'dial tcp|no such host|fetching vulnerabilities|proxyconnect|connection refused|Forbidden'
check: ## formatting, vet, staticcheck, known vulnerabilities
	@bad=$$(gofmt -l .); test -z "$$bad" || { echo "gofmt would change:"; echo "$$bad"; exit 1; }
	$(GO) mod verify
	$(STATIC) $(GO) vet ./...
	cd $(DYNAMO) && $(GO) mod verify && $(STATIC) $(GO) vet ./...
	$(STATIC) $(GO) tool staticcheck ./...
	@$(STATIC) $(GO) tool govulncheck -scan module > govulncheck.out 2>&1; \
	grep -qiE $(AWAY) govulncheck.out || $(STATIC) $(GO) tool govulncheck ./... > govulncheck.out 2>&1 || failed=1; \
	if grep -qiE $(AWAY) govulncheck.out; then echo "govulncheck: skipped, its database is out of reach"; \
	elif test -n "$$failed"; then cat govulncheck.out; exit 1; fi

FUZZTIME ?= 20s
fuzz: ## every fuzz target for FUZZTIME each
	@for p in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
	    echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$p || exit 1; \
	  done; \
	done

bench: ## every figure in docs/performance.md
	$(GO) test -p 1 -run '^$$' -bench . -benchmem ./...

TRIAL = $(GO) test ./cmd/latchkey -v -timeout 120m -trial=full -run
crash: ## kill -9 of latchkey a thousand times, and of PostgreSQL beside it, under load; nothing acknowledged is lost
	$(TRIAL) '^TestTrialCrash$$'

races: ## 200 races of 50 requests each, by one process and by two
	$(TRIAL) '^TestTrialRaces$$'

trials: ## all of these and faults, floods, timing, in full; minutes
	$(TRIAL) '^TestTrial'
	$(GO) test ./internal/gateway ./internal/web ./internal/sqlstore ./internal/dynamo -timeout 60m -trial=full
	cd $(DYNAMO) && $(GO) test -v -timeout 180m -trial=full -run '^TestTrial' .

DIST ?= dist
ARCHS ?= arm64 amd64
lambda: ## bootstraps for AWS Lambda in dist/; the whole program without SQLite
	@mkdir -p $(DIST)
	@for arch in $(ARCHS); do \
	  for name in latchkey authorizer authorizer-remote; do \
	    case $$name in latchkey) tags=nosqlite;; *-remote) tags=remote;; *) tags=;; esac; \
	    GOARCH=$$arch $(LAMBDA) -tags "$$tags" -o $(DIST)/$$name-$$arch/bootstrap ./cmd/$${name%-remote} && \
	    $(GO) run ./internal/lambdazip $(DIST)/$$name-$$arch.zip $(DIST)/$$name-$$arch/bootstrap && \
	    ls -l $(DIST)/$$name-$$arch.zip || exit 1; \
	  done; \
	done

# What a template deploys: the authorizer has its routes beside it, which the template has
# to agree with.
ROUTES ?= deploy/latchkey.yaml
zips: lambda
	$(GO) run ./cmd/latchkey --config $(ROUTES) routes check --against deploy/sam/template.yaml
	$(GO) run ./cmd/latchkey --config $(ROUTES) routes compile -o $(DIST)/routes.json
	@for arch in $(ARCHS); do \
	  $(GO) run ./internal/lambdazip $(DIST)/authorizer-remote-$$arch.zip $(DIST)/authorizer-remote-$$arch/bootstrap $(DIST)/routes.json || exit 1; \
	done

.PHONY: zips

STACK ?= latchkey
deploy: deploy-tools zips ## to AWS by SAM, see docs/guide.md: STACK=latchkey ROUTES=latchkey.yaml PARAMETERS="Demo=false MailFrom=…"
	sam deploy --template-file deploy/sam/template.yaml --stack-name $(STACK) --resolve-s3 --capabilities CAPABILITY_IAM \
	  --no-fail-on-empty-changeset $(if $(PARAMETERS),--parameter-overrides $(PARAMETERS))
	@output() { aws cloudformation describe-stacks --stack-name $(STACK) --query "Stacks[0].Outputs[?OutputKey=='$$1'].OutputValue" --output text; }; \
	aws apigateway create-deployment --rest-api-id "$$(output ApiId)" --stage-name "$$(output StageName)" > /dev/null && \
	echo "deployed: $$(output Url)"

.PHONY: deploy deploy-tools
deploy-tools:
	@for tool in sam aws; do command -v $$tool > /dev/null || { echo "make deploy needs $$tool and credentials of an account: install the AWS SAM CLI and the AWS CLI" >&2; exit 1; }; done
