.DEFAULT_GOAL := help
.PHONY: help run test test-mysql test-cluster services check bench web clean

help: ## list these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "make %-12s %s\n", $$1, $$2 }'

run: ## build everything and serve on http://127.0.0.1:8000 (flags: make run ARGS="--port 9000")
	@scripts/run $(ARGS)

test: ## run every test (one of them: make test ARGS="name_of_the_test")
	@scripts/test $(ARGS)

test-mysql: ## the tests of MySQL on MySQL, where make test has MariaDB (downloads 90 MB, once)
	@scripts/test-mysql

test-cluster: ## three replicas behind nginx, under load while their parts fail: what holds then
	@scripts/test-cluster

services: ## start the databases and the Redis that tests need, and keep them until Ctrl-C
	@scripts/services

check: ## format, lints, documentation, dependency policy, types of the web app
	@scripts/check

bench: ## measure Parlor against a bare floor and a FastAPI baseline (see bench/README.md)
	@scripts/bench $(ARGS)

web: ## build the web app alone
	@scripts/web

clean: ## remove what was built; keeps ./data
	@scripts/clean
