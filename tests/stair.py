"""The stair of docs/design.md: who may import whom, and how large a piece of code may be.

The code is read, not run. `test_imports.py` shows it to the detectors at the end of this page.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Top to bottom; each step imports from those above it. A name stands for the module and all
# below it, the longest that fits decides, and a package's own __init__ stands at its last step.
STAIR: tuple[tuple[str, ...], ...] = (
    ("callable_module",),
    ("machine",),
    ("errors",),
    ("files",),
    ("types",),
    ("classes",),
    ("recipe",),
    ("kernels",),
    ("data.images",),
    ("data.rasters",),
    ("data.windows",),
    ("data.shapes",),
    ("data.masks",),
    ("data.scenes",),
    ("data.layouts",),
    ("data.colours",),
    ("data.labels",),
    ("data.survey",),
    ("data.dataset",),
    ("data.exports",),
    ("doctor.findings",),
    ("doctor.sketches", "doctor.sequences", "doctor.alignment", "doctor.meant", "doctor.drawn"),
    ("doctor.neighbours",),
    ("doctor.twins",),
    ("doctor.observe",),
    (
        "doctor.names",
        "doctor.pictures",
        "doctor.truth",
        "doctor.damage",
        "doctor.copies",
        "doctor.placement",
        "doctor.balance",
        "doctor.card",
    ),
    ("doctor.diagnosis",),
    ("doctor.examination", "doctor.mending", "doctor.grouping"),
    ("doctor.fix",),
    ("doctor",),
    ("weights",),
    ("runs",),
    ("exported.wire",),
    ("exported.manifest",),
    ("exported",),
    ("data.transforms", "data.loading"),
    ("models.layers", "models.vgg", "models.origins", "models.foreign"),
    ("models.encoders",),
    ("models.fcn", "models.deeplab", "models.basic"),
    ("models.reach", "models.calls", "models.tracing"),
    ("models.build", "models.geometry", "models.means"),
    ("models.tiling",),
    ("models.published",),
    ("losses",),
    ("metrics",),
    ("predict.engines",),
    ("predict.flow", "predict.augmentation"),
    ("predict.tiles", "predict.crf", "predict.bilateral_grid"),
    ("predict.postprocess", "predict.shares"),
    ("predict.predictor", "predict.jobs", "predict.video.containers"),
    ("predict.folders", "predict.outputs"),
    ("predict.note",),
    ("predict.raster", "predict.video"),
    ("predict.outcomes",),
    ("predict.cluster",),
    ("predict",),
    ("evaluate",),
    ("tune.halves", "tune.space", "tune.trials"),
    ("tune.answers",),
    ("tune.search",),
    ("tune",),
    ("verify",),
    ("bench",),
    ("train.distributed", "train.optim", "train.interrupts", "train.checkpoint"),
    ("train.step",),
    ("train.probe", "train.events"),
    ("train.start",),
    ("train.loop",),
    ("train",),
    ("export",),
    ("explain",),
    ("study",),
    ("report",),
    ("serve",),
    ("cli", "__main__"),
)
FREE = re.compile(r"(__init__|__main__|cli(\..*)?)")  # may import anything

TORCH = {"torch", "torchvision", "timm", "onnx", "onnxscript"}  # what a plain install lacks
MAY_IMPORT_TORCH = re.compile(  # design, principle 6; a package's name stands for all in it
    r"data\.(transforms|loading)|models|losses|train|predict\.engines(_\w+|\.torch)|explain|export\b"
)
# Those that train or need a trained model's gradients; everybody else must also be without
# torch once all that they import has been imported.
NEEDS_TORCH = re.compile(r"study|cli\.(demo|training)")

HOMELESS = {"utils", "common", "helpers", "base"}
LONGEST_MODULE = 400
LONGEST_FUNCTION = 60  # without its docstring


@dataclass(frozen=True)
class Import:
    """A module of ours, named from atrous on, or a package of others, named by its first word.

    "__init__" is atrous itself; `late` means only when a function runs or a type checker reads.
    """

    target: str
    ours: bool
    line: int
    late: bool


@dataclass(frozen=True)
class Module:
    """`name` is relative to atrous; a package has the name of its folder."""

    name: str
    path: Path
    tree: ast.Module
    is_package: bool


Modules = dict[str, Module]


def read(source: Path) -> Modules:
    """Every module under the folder `source`, which is the package atrous itself."""
    found = {}
    for path in sorted(source.rglob("*.py")):
        parts = path.relative_to(source).with_suffix("").parts
        is_package = parts[-1] == "__init__" and len(parts) > 1
        name = ".".join(parts[:-1] if is_package else parts)
        found[name] = Module(name, path, ast.parse(path.read_text(encoding="utf-8")), is_package)
    return found


def imports(module: Module, modules: Modules) -> Iterator[Import]:
    """What `module` imports, wherever in its text."""
    for node, late in _walk(module.tree, late=False):
        match node:
            case ast.Import(names=names):
                targets = [alias.name for alias in names]
            case ast.ImportFrom(names=names):
                origin = _origin(module, node)
                targets = [_submodule(origin, alias.name, modules) for alias in names]
            case _:
                continue
        for target in dict.fromkeys(targets):
            top, _, rest = target.partition(".")
            ours = top == "atrous"
            yield Import((rest or "__init__") if ours else top, ours, node.lineno, late)


def _walk(node: ast.AST, *, late: bool) -> Iterator[tuple[ast.AST, bool]]:
    for child in ast.iter_child_nodes(node):
        inside = late or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield child, inside
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for statement in child.body:
                yield statement, True
                yield from _walk(statement, late=True)
            for statement in child.orelse:
                yield statement, inside
                yield from _walk(statement, late=inside)
        else:
            yield from _walk(child, late=inside)


def _origin(module: Module, node: ast.ImportFrom) -> str:
    """The absolute name of what stands between `from` and `import`."""
    if not node.level:
        return node.module or ""
    here = ["atrous", *module.name.split(".")]
    package = here if module.is_package else here[:-1]
    package = package[: len(package) - node.level + 1]
    return ".".join([*package, *([node.module] if node.module else [])])


def _submodule(origin: str, name: str, modules: Modules) -> str:
    """`origin.name` if that is a module of ours, else `origin`, which holds that name."""
    inside = f"{origin}.{name}"
    return inside if inside.removeprefix("atrous.") in modules else origin


def step_of(name: str, modules: Modules) -> int | None:
    """The step a module stands at, counted from the top, or None if the stair lacks it."""
    if FREE.fullmatch(name):
        return len(STAIR)
    steps = [
        (len(prefix), step)
        for step, prefixes in enumerate(STAIR)
        for prefix in prefixes
        if _is_in(name, prefix)
    ]
    if steps:
        return max(steps)[1]
    if name in modules and modules[name].is_package:
        inner = [s for s, ps in enumerate(STAIR) for p in ps if _is_in(p, name)]
        return max(inner, default=None)
    return None


def _is_in(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


# The detectors: each gives a line for each thing it does not like.


def off_the_stair(modules: Modules) -> list[str]:
    return [
        f"{name}: stands at no step; give it one in the design's table and in STAIR"
        for name in modules
        if step_of(name, modules) is None
    ]


def downward(modules: Modules) -> list[str]:
    problems = []
    for name, module in modules.items():
        here = step_of(name, modules)
        if here is None or FREE.fullmatch(name):
            continue
        for found in imports(module, modules):
            there = step_of(found.target, modules) if found.ours else None
            inside = found.target.split(".")[0] == name.split(".")[0]
            if there is not None and (there > here or (there == here and not inside)):
                problems.append(f"{name}:{found.line}: imports {found.target}, which is not above")
    return problems


def cycles(modules: Modules) -> list[str]:
    """Modules that need each other before either is there."""
    needs = {name: _needs_at_once(module, modules) for name, module in modules.items()}
    return [
        f"{name}: imports itself by way of {', '.join(sorted(needs[name] & reached))}"
        for name in modules
        if name in (reached := _reach(needs[name], needs))
    ]


def _needs_at_once(module: Module, modules: Modules) -> set[str]:
    return {
        found.target
        for found in imports(module, modules)
        if found.ours and not found.late and found.target in modules and found.target != module.name
    }


def _reach(start: set[str], needs: dict[str, set[str]]) -> set[str]:
    reached, front = set(start), list(start)
    while front:
        fresh = needs.get(front.pop(), set()) - reached
        reached |= fresh
        front.extend(fresh)
    return reached


def torch_elsewhere(modules: Modules) -> list[str]:
    """Imports of torch where prediction, the doctor or a report would then need it."""
    return [
        f"{name}:{found.line}: imports {found.target}"
        for name, module in modules.items()
        if not _may_import_torch(module)
        for found in imports(module, modules)
        if not found.ours and found.target in TORCH
    ]


def torch_by_way_of(modules: Modules) -> list[str]:
    """Modules without torch of their own that get it at once from what they import."""
    needs = {name: _loads(name, module, modules) for name, module in modules.items()}
    with_torch = {
        name
        for name, module in modules.items()
        if any(f.target in TORCH and not (f.ours or f.late) for f in imports(module, modules))
    }
    return [
        f"{name}: loads torch by way of {', '.join(sorted(reached))}"
        for name, module in modules.items()
        if not _may_import_torch(module) and not _under(NEEDS_TORCH, name)
        if (reached := _reach(needs[name], needs) & with_torch)
    ]


def _loads(name: str, module: Module, modules: Modules) -> set[str]:
    """What runs when `module` is imported: its imports, and the packages that they lie in."""
    targets = {name, *_needs_at_once(module, modules)}
    parents = {
        ".".join(t.split(".")[:depth]) for t in targets for depth in range(1, t.count(".") + 1)
    }
    return (targets | parents | {"__init__"}) & set(modules) - {name}


def _may_import_torch(module: Module) -> bool:
    if module.name == "predict.engines":
        return not module.is_package
    return _under(MAY_IMPORT_TORCH, module.name)


def _under(pattern: re.Pattern[str], name: str) -> bool:
    parts = name.split(".")
    return any(pattern.fullmatch(".".join(parts[:n])) for n in range(1, len(parts) + 1))


def too_long(modules: Modules) -> list[str]:
    problems = []
    for name, module in modules.items():
        lines = len(module.path.read_text(encoding="utf-8").splitlines())
        if lines > LONGEST_MODULE:
            problems.append(f"{name}: has {lines} lines, but {LONGEST_MODULE} are allowed")
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = _length(node)
                if lines > LONGEST_FUNCTION:
                    problems.append(
                        f"{name}:{node.lineno}: {node.name} has {lines} lines, "
                        f"but {LONGEST_FUNCTION} are allowed"
                    )
    return problems


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    if ast.get_docstring(node) is not None:
        said = node.body[0]
        lines -= (said.end_lineno or said.lineno) - said.lineno + 1
    return lines


def homeless(modules: Modules) -> list[str]:
    return [
        f"{name}: a name that says nothing; call it after what it owns"
        for name in modules
        if HOMELESS & set(name.split("."))
    ]


def undescribed(modules: Modules) -> list[str]:
    """Package folders whose `__init__` is missing or does not say what the package owns."""
    packages = {name.rpartition(".")[0] for name in modules} - {""} | {"__init__"}
    return [
        f"{name}: the package does not say what it owns"
        for name in sorted(packages | {name for name in modules if modules[name].is_package})
        if name not in modules or not ast.get_docstring(modules[name].tree)
    ]


DETECTORS = (
    off_the_stair,
    downward,
    cycles,
    torch_elsewhere,
    torch_by_way_of,
    too_long,
    homeless,
    undescribed,
)
