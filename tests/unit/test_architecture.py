"""The order of the folders: what may import what."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "layers/email_accounts/email_accounts"
LEVELS: tuple[frozenset[str], ...] = (
    frozenset({"errors", "resolving", "text"}),
    frozenset({"models"}),
    frozenset({"ports"}),
    frozenset({"parsing"}),
    frozenset({"intake"}),
    frozenset({"saleshandy"}),
    frozenset({"sign_in"}),
    frozenset({"submission", "tracking"}),
    frozenset({"delivery"}),
    frozenset({"aws"}),
    frozenset({"lambda_runtime"}),
)
"""The folders and single modules of the package. Each may import those above it."""
LEVEL = {name: level for level, names in enumerate(LEVELS) for name in names}
BOTOCORE = {"botocore.config", "botocore.exceptions"}
HANDLERS = sorted((ROOT / "functions").glob("*/*.py"))
LONGEST_HANDLER = 40
"""Lines of all functions in one handler's module."""


def modules(*folders: str) -> list[Path]:
    """List the modules of some folders."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def imported(module: Path) -> Iterator[str]:
    """Yield the full names a module imports, those inside functions included."""
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{one.name}" for one in node.names)


def named(module: Path) -> str:
    """Name a module in the names of tests."""
    return str(module.relative_to(ROOT))


def folder_of(module: Path) -> str:
    """Return the folder of the package that a module is in, or its name if it is in none."""
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_every_folder_has_its_level() -> None:
    """A new folder needs a level, and a level names nothing that is gone."""
    assert {folder_of(path) for path in PACKAGE.rglob("*.py")} - {"__init__"} == LEVEL.keys()


@pytest.mark.parametrize("module", modules("layers/email_accounts/email_accounts"), ids=named)
def test_imports_point_one_way(module: Path) -> None:
    """A module imports its own folder and lower levels, so there is no circle of folders."""
    here = folder_of(module)
    used = {name.split(".")[1] for name in imported(module) if name.startswith("email_accounts.")}
    assert {name for name in used - {here} if LEVEL[name] >= LEVEL[here]} == set()


def test_no_modules_import_each_other() -> None:
    """Not by way of others either, nor for their types alone."""
    roots = (ROOT / "layers/email_accounts", ROOT / "cli", ROOT)
    dotted: dict[str, Path] = {}
    for module in modules("layers/email_accounts/email_accounts", "cli", "local", "tools"):
        root = next(one for one in roots if module.is_relative_to(one))
        name = ".".join(module.relative_to(root).with_suffix("").parts)
        dotted[name.removesuffix(".__init__")] = module
    uses = {
        name: {
            used if used in dotted else used.rpartition(".")[0]
            for used in imported(module)
            if used != name
        }
        - {name}
        for name, module in dotted.items()
    }
    TopologicalSorter(uses).prepare()


@pytest.mark.parametrize("module", modules("layers", "cli", "functions"), ids=named)
def test_the_product_imports_no_tools(module: Path) -> None:
    """What is deployed or installed needs neither the tests nor the local cloud.

    Functions keep nothing in files: their disk is small, and outlives the invocation.
    """
    others = {name.split(".")[0] for name in imported(module)}
    assert others.isdisjoint({"tests", "local", "tools", "deployment"})
    if "cli" not in module.relative_to(ROOT).parts:
        assert others.isdisjoint({"email_accounts_cli", "tempfile"})


@pytest.mark.parametrize("handler", HANDLERS, ids=named)
def test_a_handler_is_an_adapter(handler: Path) -> None:
    """A handler parses, makes one call and returns: it is short and reaches AWS through others."""
    body = ast.parse(handler.read_text("utf-8")).body
    functions = [node for node in body if isinstance(node, ast.FunctionDef)]
    lines = sum((one.end_lineno or 0) - one.lineno + 1 for one in functions)
    assert lines <= LONGEST_HANDLER
    used = {name.split(".")[0] for name in imported(handler)}
    assert used.isdisjoint({"boto3", "botocore"})


def test_clients_of_aws_are_made_by_boto3_in_one_place() -> None:
    """Everything else gets its clients; of botocore it uses only settings and errors."""
    used = {module: set(imported(module)) for module in modules("functions", "layers")}
    assert [named(module) for module, names in used.items() if "boto3" in names] == [
        "layers/email_accounts/email_accounts/lambda_runtime/container.py"
    ]
    of_botocore = {name for names in used.values() for name in names if "botocore." in name}
    assert {name.rpartition(".")[0] for name in of_botocore} == BOTOCORE
    wanted = (ROOT / "layers/email_accounts/requirements.in").read_text("utf-8").split()
    assert "boto3" in wanted
    assert "botocore" not in wanted


@pytest.mark.parametrize("module", modules("tests"), ids=named)
def test_no_test_imports_a_test(module: Path) -> None:
    """What tests share is in tests/support; conftest modules have fixtures only."""
    parts = {part for name in imported(module) for part in name.split(".") if "tests." in name}
    assert not {part for part in parts if part.startswith("test_") or part == "conftest"}
