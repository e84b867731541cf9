"""Checks of the project's layers, sizes and forbidden calls, by reading its source (ast).

By hand, as import-linter takes no modules outside a package, which the scripts are, and ruff has
no rule for numpy's allow_pickle or a pickle module under another name; it does ban print (T20).
"""

import ast

FLOORS = {
    "BO_tools": 4,
    "samplers": 3,
    "data_generators": 2,
    "opendomain_utils": 2,
    "generalNAS_tools.inference": 3,
    "generalNAS_tools.load_model": 2,
    "darts_tools": 1,
    "randomSearch_and_Hyperband_Tools": 1,
    "BONAS_search_space": 1,
    "predictors": 1,
    "baseline_models": 1,
    "generalNAS_tools.training": 0.6,
    "generalNAS_tools.workers": 0.6,
    "generalNAS_tools.runs": 0.5,
    "generalNAS_tools.pictures": 0.4,
    "generalNAS_tools.data": 0.4,
    "generalNAS_tools.files": 0.3,
    "generalNAS_tools.networks": 0.2,
    "generalNAS_tools.networks.cnn": 0.1,
    "generalNAS_tools.networks.rhn": 0.1,
    "generalNAS_tools.networks.matrix_product": 0.05,
    "generalNAS_tools.search_space": 0,
}
"""Floors of folders; below 1 the rooms of the trunk, bottom up."""
SCRIPT_FLOOR = 5
FINAL_SCRIPTS = {
    "generalNAS_tools.train_finalArchitecture",
    "generalNAS_tools.test_finalArchitecture",
    "generalNAS_tools.predict_sequences",
    "generalNAS_tools.score_variants",
    "generalNAS_tools.mutate_sequences",
}
SKIPPED = {"tests", "benchmarks", "build", "data", "results"}
PICKLE_READER = "generalNAS_tools.files.pickled_genotypes"
PICKLE_MODULES = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve"}
PICKLE_ERRORS = {"UnpicklingError", "PicklingError", "PickleError"}
"""What any module may use of `pickle`, to catch what torch.load raises."""
MAX_FUNCTION, MAX_MODULE, MAX_PROJECT = 40, 250, 10300
"""The house asks for 6,000 lines of code at most; this holds the project until it gets there."""


def read_project(root):
    """Source of every module outside tests and hidden folders, by dotted name."""
    modules = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).parts
        if parts[0] in SKIPPED or any(part.startswith(".") for part in parts):
            continue
        modules[".".join([*parts[:-1], path.stem])] = path.read_text(encoding="utf-8")
    return modules


def is_script(name):
    """Whether the module is a script of floor 5, which nothing imports."""
    scripts = FINAL_SCRIPTS | {"baseline_models.train_baseline"}
    return name.startswith("train_genomic") or name in scripts


def folder_of(name):
    """The floor or room that a module belongs to, by its longest name; None if there is none."""
    parts = name.split(".")
    prefixes = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((prefix for prefix in prefixes if prefix in FLOORS), None)


def floor(name):
    """Floor of a module; None where DESIGN's table has no place for it."""
    return SCRIPT_FLOOR if is_script(name) else FLOORS.get(folder_of(name))


def imports(name, source, modules):
    """Modules of the project that a module imports, wherever the statement stands."""
    targets = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            targets |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = name.split(".")[: -node.level] if node.level else []
            base = ".".join([*package, *([node.module] if node.module else [])])
            targets |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    folders = {module.split(".")[0] for module in modules}
    found = {target for target in targets if target in modules}
    strays = {target for target in targets if target.split(".")[0] in folders} - found
    strays -= {target.rpartition(".")[0] for target in found}  # a package, of whose modules
    return found | {s for s in strays if s.rpartition(".")[0] not in found and "." in s}


def layer_errors(modules):
    """Upward and sideways imports, imported scripts, and modules without a floor."""
    known = [name for name in modules if name != "generalNAS_tools.__init__"]
    errors = [f"{name} has no floor" for name in known if floor(name) is None]
    for name, source in modules.items():
        for target in imports(name, source, modules):
            if is_script(target):
                errors.append(f"{name} imports the script {target}")
            elif folder_of(target) == folder_of(name) and not is_script(name):
                continue
            elif None not in (floor(name), floor(target)) and floor(target) >= floor(name):
                errors.append(f"{name} imports {target}, not below it")
    return errors


def circle_errors(modules):
    """Modules that reach themselves."""
    graph = {name: imports(name, source, modules) for name, source in modules.items()}
    errors = []
    for name in graph:
        reached, front = set(), set(graph[name])
        while front:
            reached |= front
            front = {t for target in front for t in graph.get(target, ())} - reached
        if name in reached:
            errors.append(f"{name} imports itself in a circle")
    return errors


def code_lines(source, tree):
    """Numbers of the lines that hold code: no blank lines, comments, or docstrings."""
    texts = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            texts.update(range(node.lineno, node.end_lineno + 1))
    return {
        number
        for number, line in enumerate(source.splitlines(), start=1)
        if number not in texts and line.strip() and not line.strip().startswith("#")
    }


def size_errors(modules):
    """Functions (lines of code), modules (lines), a project (lines of code) that are too long."""
    errors, total = [], 0
    for name, source in modules.items():
        tree = ast.parse(source)
        code = code_lines(source, tree)
        total += len(code)
        length = len(source.splitlines())
        if length > MAX_MODULE:
            errors.append(f"{name} has {length} lines")
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = len(code & set(range(node.lineno, node.end_lineno + 1)))
                if length > MAX_FUNCTION:
                    errors.append(f"{name}.{node.name} has {length} lines of code")
    if total >= MAX_PROJECT:
        errors.append(f"the project has {total} lines of code")
    return errors


def pickle_errors(modules):
    """Ways to run a pickle: its modules, allow_pickle, torch.load without weights_only."""
    errors = []
    for name, source in modules.items():
        nodes = list(ast.walk(ast.parse(source)))
        if name != PICKLE_READER:
            errors += [f"{name}:{node.lineno} uses a pickle module" for node in _pickling(nodes)]
        for node in nodes:
            if isinstance(node, ast.ImportFrom) and node.module in {"torch", "torch.serialization"}:
                errors += [
                    f"{name}:{node.lineno} hides torch.load" for a in node.names if a.name == "load"
                ]
            if isinstance(node, ast.Call):
                errors += [f"{name}:{node.lineno} {text}" for text in _unsafe(node)]
    return errors


def _pickling(nodes):
    """Nodes that get at more of a pickle module than its errors."""
    harmless = {
        id(node.value)
        for node in nodes
        if isinstance(node, ast.Attribute) and node.attr in PICKLE_ERRORS
    }
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] in PICKLE_MODULES and (
                    alias.asname or alias.name != "pickle"
                ):
                    yield node
        elif isinstance(node, ast.ImportFrom):
            names = {alias.name for alias in node.names}
            if (node.module or "").split(".")[0] in PICKLE_MODULES and names - PICKLE_ERRORS:
                yield node
        elif isinstance(node, ast.Name) and node.id == "pickle" and id(node) not in harmless:
            yield node


def _unsafe(call):
    options = {k.arg: k.value.value for k in call.keywords if isinstance(k.value, ast.Constant)}
    named = {keyword.arg for keyword in call.keywords}
    if "allow_pickle" in named and options.get("allow_pickle") is not False:
        yield "allows pickles"
    loads = ast.unparse(call.func) in {"torch.load", "torch.serialization.load"}
    if loads and options.get("weights_only") is not True:
        yield "loads without weights_only=True"
    if ast.unparse(call.func) in {"np.load", "numpy.load"} and len(call.args) > 2:
        yield "allows pickles"
