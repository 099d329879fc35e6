# The two commands of the README, and what a developer repeats.
BUILD := build/release
JOBS  ?= $(shell nproc)

.PHONY: chat build test bench format
chat: ## build, then serve the bundled model and its page
	setup/install.sh
	$(MAKE) --no-print-directory build TESTS=OFF TARGET=shenhong
	test -e data/graph.kg || $(BUILD)/shenhong kg init
	$(BUILD)/shenhong serve

build:
	cmake --preset release -DSHENHONG_TESTS=$(or $(TESTS),ON) --log-level=WARNING
	cmake --build $(BUILD) -j $(JOBS) --target $(or $(TARGET),all)

test: ## everything that must hold: units, equalities, oracles' goldens, page, pipeline
	setup/install.sh test
	$(MAKE) --no-print-directory build TESTS=ON
	tests/all.sh $(BUILD)

bench:
	setup/install.sh
	$(MAKE) --no-print-directory build TESTS=OFF
	$(BUILD)/bench/bench_kernels
	$(BUILD)/shenhong bench decode

format:
	git ls-files 'src/*.h' 'src/*.cpp' 'tests/*.h' 'tests/*.cpp' 'bench/*.cpp' | xargs clang-format -i
