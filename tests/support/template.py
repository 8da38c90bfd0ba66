"""The template and the state machine as plain data."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "template.yaml"
STATE_MACHINE = ROOT / "statemachines" / "track_import.asl.json"


class _Loader(yaml.SafeLoader):
    """Reads CloudFormation's short tags as the functions they represent."""


def _function(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        return {name: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    raise TypeError(f"!{suffix} stands before something unexpected")


_Loader.add_multi_constructor("!", _function)


@cache
def template() -> dict[str, Any]:
    """Return template.yaml, `!Ref x` as `{"Ref": "x"}` and so on."""
    with TEMPLATE.open(encoding="utf-8") as file:
        loaded: dict[str, Any] = yaml.load(file, _Loader)  # noqa: S506  a child of SafeLoader
    return loaded


def of_type(kind: str) -> dict[str, Any]:
    """Return the properties of every resource of a type, by logical id."""
    return {
        name: resource.get("Properties", {})
        for name, resource in template()["Resources"].items()
        if resource["Type"] == kind
    }


def state_machine() -> dict[str, Any]:
    """Return the definition of track_import."""
    loaded: dict[str, Any] = json.loads(STATE_MACHINE.read_text(encoding="utf-8"))
    return loaded


def following(state: Mapping[str, Any]) -> Iterator[str]:
    """Yield the states that can follow a state, as it names them."""
    for way in (state, *state.get("Choices", []), *state.get("Catch", [])):
        yield from (way[name] for name in ("Next", "Default") if name in way)


def statements_of(role: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the statements of all policies of a role."""
    policies = role["Properties"]["Policies"]
    return [one for policy in policies for one in policy["PolicyDocument"]["Statement"]]


def listed(value: Any) -> list[Any]:  # noqa: ANN401  one of anything, or a list of it
    """Return what may be one value or a list as a list."""
    return value if isinstance(value, list) else [value]


def actions_of(role: dict[str, Any]) -> set[str]:
    """Return every action that a role allows."""
    return {action for statement in statements_of(role) for action in listed(statement["Action"])}
