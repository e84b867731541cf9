# Two commands do everything: `make demo` and `make test`. Both build .venv by themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CONTROL := data/shuffled
RESULTS := results/demo

.PHONY: demo control test test-long check bench compare clean

$(VENV)/installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; try make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
		|| { echo "python3 -m venv failed; on Debian and Ubuntu: sudo apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

# What the tests need beyond that.
$(VENV)/developing: requirements-dev.txt $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

test: $(VENV)/developing
	$(BIN)/pytest -m "not long"

test-long: $(VENV)/developing
	$(BIN)/pytest -m long

check: $(VENV)/developing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(MAKE) test test-long

bench: $(VENV)/developing
	$(BIN)/python -m benchmarks.bench
	$(BIN)/python -m benchmarks.stages
	$(BIN)/python -m benchmarks.osp_validation

YEAST := --train_directory=data/yeast/train.mat --valid_directory=data/yeast/valid.mat --test_directory=data/yeast/test.mat
DEMO_NETWORK := --init_channels=4 --layers=3 --batch_size=64 --optimizer=adamw --rc_augment
DEMO_SEARCH := --epochs=4 --frozen_epochs=1 --num_steps=25
DEMO_FINAL := --epochs=5 --drop_path_prob=0

demo: $(VENV)/installed
	$(BIN)/python train_genomicDARTS.py $(YEAST) $(DEMO_NETWORK) $(DEMO_SEARCH) \
		--save=darts --save_dir=$(RESULTS)
	$(BIN)/python generalNAS_tools/train_finalArchitecture.py $(YEAST) $(DEMO_NETWORK) $(DEMO_FINAL) \
		--save=final --save_dir=$(RESULTS) --model_path=$(RESULTS)/final.pth \
		--genotype_file=$(RESULTS)/darts_geno-darts.npy
	$(BIN)/python generalNAS_tools/test_finalArchitecture.py $(YEAST) --average_reverse_complement \
		--save=test --save_dir=$(RESULTS) --model=$(RESULTS)/final.pth
	@echo "The found cells: $(RESULTS)/genotype-darts.png"
	@echo "The test metrics: $(RESULTS)/metrics_test-test.json"

# The found network on shuffled labels, in which nothing can be learned: AUROC stays at 0.5.
SHUFFLED := --train_directory=$(CONTROL)/train.mat --valid_directory=$(CONTROL)/valid.mat --test_directory=$(CONTROL)/test.mat
control: $(VENV)/installed
	@test -f $(RESULTS)/darts_geno-darts.npy || { echo "run make demo first"; exit 1; }
	$(BIN)/python data_generators/make_demo_data.py --directory $(CONTROL) --overwrite \
		--num_train=10000 --seq_size=100 --num_targets=8 --shuffle_labels
	$(BIN)/python generalNAS_tools/train_finalArchitecture.py $(SHUFFLED) $(DEMO_NETWORK) $(DEMO_FINAL) \
		--save=control --save_dir=$(RESULTS) --model_path=$(RESULTS)/control.pth \
		--genotype_file=$(RESULTS)/darts_geno-darts.npy
	$(BIN)/python generalNAS_tools/test_finalArchitecture.py $(SHUFFLED) \
		--save=control_test --save_dir=$(RESULTS) --model=$(RESULTS)/control.pth

# Two searches, random search and a baseline on the small real set, at an equal, tiny budget.
compare: $(VENV)/installed
	$(BIN)/python benchmarks/compare_searches.py $(YEAST) --save_dir=results/compare \
		--methods=darts,hyperband,random,random_average --baselines=DanQ --seeds=2 --budget=30 \
		--init_channels=4 --layers=2 --batch_size=32 --num_steps=3 --calibration_steps=3 --workers=2 \
		--search_flags="--clip=1 --cnn_lr=0.1" --baseline_flags="--epochs=6 --num_steps=30" \
		--final_flags="--epochs=6 --num_steps=30 --clip=1 --cnn_lr=0.1 --drop_path_prob=0.1"

clean:
	rm -rf $(VENV) $(CONTROL) $(RESULTS)
