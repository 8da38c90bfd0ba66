"""What documents say of the template is what the template says."""

import re
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from deployment.guarded import MINUTES, WATCHED
from email_accounts_cli.main import commands
from tests.support.template import ROOT, of_type, state_machine, template
from tools.docs.commands import every_command, options_of
from tools.docs.picture import PAGE as ARCHITECTURE
from tools.docs.picture import SHAPES, senders
from tools.docs.picture import renewed as drawn_anew

README = (ROOT / "README.md").read_text("utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
DEPLOYMENT = (ROOT / "docs/deployment.md").read_text("utf-8")
PAGES = (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")))
WRITTEN = (
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "local/fake_api/README.md",
)
"""The pages for readers. Decisions and the changelog keep the words of their day."""
MOST_WORDS = 13_400
PRIVATE_WORDS = re.compile(
    r"""(?ix) \b (?:
        mend(?:s|ed|ing)? | cures? | judg(?:e[sd]?|ing) | care | stand-in | tally | egress
        | the\ remote | remote\ API | looked\ at | looks?\ (?:at\ it|them\ over|it\ over)
        | left\ out | stands\ in | nobody\ knows | known\ besides | besides
        | taken\ in | take(?:s|n)?\ \w+(?:\ \w+)?\ up\ again | took\ .*\ up\ again
        | the\ whole\ way | found\ out | known\ holes | typed\ unseen | kept\ free
        | rings?\b | says?\ so | said\ so | (?:is|are|was|were)\ told | lies\ in | lie\ in
        | somebody\ else | in\ hands | all\ the\ same | by\ itself\ alone | wants\ (?:to|an?)
        | does\ not\ know\ you | take\ themselves\ back | takes\ nobody
        | larger\ plan | sees\ to | at\ work | a\ matter\ of
        | anew | whoever | broken\ off | broke\ off | to\ be\ had | for\ ever
        | (?:becomes|became)\ of | as\ it\ stands | goes\ on | taken\ on | lies | lay | lain
        | walk(?:s|ed|ing)? | looks?\ at\ (?:a|an|all|them)
        | (?:a|one|first|next|second|each)\ looks?
        | looks?\ for\ it | look(?:s|ed)?\ (?:over|through|around) | tell(?:s|ing)? | told
        | stands? | stood | standing | troubles? | pacing | patience | gather(?:s|ed|ing)?
        | journeys? | stations? | somewhere\ else | as\ the\ like | in\ passing
        | takes?\ nobody | nowhere\ else | in\ hand | going\ on | thereby | whither
        | drop(?:ped)?\ (?:it|them|the\ new\ file)\ again | not\ to\ the\ letter
    ) \b"""
)
"""Words and phrases that only this project would use."""
OLD_WORDS = re.compile(
    r"""(?ix) \b (?:
        mend(?:s|ed|ing)? | cures? | judg(?:e[sd]?|ing) | egress | stand-in | the\ remote | anew
        | whoever | the\ whole\ way | for\ ever | patience | troubles? | walk(?:s|ed|ing)? | pacing
    ) \b"""
)
"""Words that the project used before it took the terms of its field; also not in tests."""
ALLOWED = re.compile(
    r"\.tell\(\)|def tell\(self\)|os\.walk\(|ast\.walk\(|asyncio\.gather\(|stand-alone"
)
"""Their uses as names of the standard library, and terms of the field."""
TEXTS = (
    *(
        path
        for name in ("cli", "layers", "functions", "deployment", "local", "tools")
        for path in (ROOT / name).rglob("*.py")
    ),
    *(ROOT / "layers").rglob("*.jinja"),
    *(ROOT / "tests/golden").iterdir(),
    *(ROOT / name for name in ("template.yaml", "samconfig.toml", "Makefile")),
    *(ROOT / "docs").glob("*.schema.json"),
)
"""Every text of the product, docstrings and comments included."""
WORKFLOWS = sorted((ROOT / ".github/workflows").iterdir())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def rows(text: str, heading: str) -> list[list[str]]:
    """Return the cells of the table under a heading, without its head."""
    section = text.partition(f"{heading}\n")[2].partition("\n#")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_parameters() -> None:
    """The table names every parameter, in the order of the template, with its default."""
    parameters = template()["Parameters"]
    documented = {name: default for name, default, _ in rows(DEPLOYMENT, "## Parameters")}
    assert documented == {
        name: str(parameter["Default"]) or "empty" for name, parameter in parameters.items()
    }


def test_commands() -> None:
    """The table of commands names every target that `make help` shows, and no other."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    section = CONTRIBUTING.partition("## Commands\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"`make (\w+)", section)) == set(
        re.findall(r"^([a-z]+):.*## ", makefile, re.MULTILINE)
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links(page: Path) -> None:
    """What a document leads to in this repository is there, headings included."""
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text("utf-8")):
        path, _, heading = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        titles = (
            re.findall(r"^#+ (.+)$", target.read_text("utf-8"), re.MULTILINE) if heading else []
        )
        assert not heading or heading in {_anchor(title) for title in titles}, link


def _anchor(title: str) -> str:
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def by_hand(page: Path) -> str:
    """Return a page without what is generated."""
    return re.sub(r"<!-- \w+: .*?<!-- end -->", "", page.read_text("utf-8"), flags=re.DOTALL)


def prose(page: Path) -> str:
    """Return a page without code and without what is generated."""
    return re.sub(r"`[^`\n]*`", "", without_code(by_hand(page)))


def without_code(text: str) -> str:
    """Return a text without its blocks of code."""
    return re.sub(r"^ *```.*?^ *```$", "", text, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.parent.name + "/" + page.name)
def test_documents_use_plain_words(page: Path) -> None:
    """None has a word or a phrase that only this project would use."""
    assert private_words(prose(page)) == []


@pytest.mark.parametrize("file", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_product_uses_plain_words(file: Path) -> None:
    """Neither what people read nor what maintainers read has such a word."""
    assert private_words(file.read_text("utf-8")) == []


def test_tests_use_no_old_words() -> None:
    """Docstrings and names of tests use the words of the code."""
    files = {*(ROOT / "tests").rglob("*.py")} - {Path(__file__)}
    found = {
        file.name: OLD_WORDS.findall(ALLOWED.sub("", file.read_text("utf-8"))) for file in files
    }
    assert {name: words for name, words in found.items() if words} == {}


def private_words(text: str) -> list[str]:
    """Return the private words of a text."""
    return PRIVATE_WORDS.findall(ALLOWED.sub("", text))


@pytest.mark.parametrize(
    "text",
    ["7 need care", "How to mend it", "left out", "it rings", "what became of it", "is told"],
)
def test_private_words_are_found(text: str) -> None:
    """The search finds them."""
    assert private_words(text)


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.parent.name + "/" + page.name)
def test_documents_name_commands_and_options_that_exist(page: Path) -> None:
    """What a reader copies is understood by the command line."""
    known = {name: str(options_of(one)) for name, one in every_command()}
    lines = re.findall(r"email-accounts ((?:workspace )?[a-z]+)([^`\n#|]*)", by_hand(page))
    for name, rest in lines:
        assert name in known
        assert [one for one in re.findall(r" (--[a-z-]+)", rest) if one not in known[name]] == []


def test_modules_that_documents_run_are_installed() -> None:
    """`make setup` installs each, or it is the project's own."""
    texts = "".join(page.read_text("utf-8") for page in WRITTEN)
    named = set(re.findall(r"python -m ([\w.]+)", texts))
    assert named
    assert [name for name in named if not find_spec(name)] == []


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_no_document_keeps_a_conflict(page: Path) -> None:
    """A merge leaves its marks in documents as well, where no tool stumbles over them."""
    assert not re.search(r"^(?:<{7}|={7}|>{7})(?: |$)", page.read_text("utf-8"), re.MULTILINE)


def test_documents_are_short() -> None:
    """All pages together can be read in an afternoon.

    Generated tables do not count: they are there to find one line in, and grow with the code.
    """
    pages = (without_code(page.read_text("utf-8")) for page in WRITTEN)
    texts = [re.sub(r"<!-- table: .*?<!-- end -->", "", page, flags=re.DOTALL) for page in pages]
    words = [word for text in texts for word in text.split() if re.search(r"\w", word)]
    assert len(words) <= MOST_WORDS


def test_the_file_of_the_readme_is_accepted(tmp_path: Path) -> None:
    """A newcomer can copy it and have every row accepted."""
    (shown,) = re.findall(r"```csv\n(.+?)```", README, re.DOTALL)
    file = tmp_path / "accounts.csv"
    file.write_text(shown, encoding="utf-8")
    assert CliRunner().invoke(commands, ["check", str(file)]).exit_code == 0


def test_the_readme_has_the_costs_of_the_costs() -> None:
    """It names what an idle deployment costs, as the page works it out."""
    page = (ROOT / "docs/costs.md").read_text("utf-8")
    (idle,) = re.findall(r"idle, with one workspace.+?\*\*(\$[\d.]+)\*\*", page)
    assert f"costs {idle} a month" in README


def pictures() -> list[str]:
    """Return the pictures of the architecture: resources and states."""
    page = ARCHITECTURE.read_text("utf-8")
    return re.findall(r"```mermaid\n(.*?)```", page, re.DOTALL)


def test_pictures_are_drawn_anew() -> None:
    """`make docs` would change nothing."""
    page = ARCHITECTURE.read_text("utf-8")
    assert drawn_anew(page) == page


def test_picture_of_the_resources() -> None:
    """Each resource is in the picture or in the table below it, and no other."""
    resources, _ = pictures()
    boxes = set(re.findall(r"^ +(\w+)[\[({>]", resources, re.MULTILINE)) - {"people", "remote"}
    rest = rows(ARCHITECTURE.read_text("utf-8"), "<!-- picture: rest -->")
    below = {name.strip(" `") for _, names in rest for name in names.split(",")}
    known = {name: one["Type"] for name, one in template()["Resources"].items()}
    assert boxes == {name for name in known if known[name] in SHAPES}
    assert below == {name for name in known if known[name] not in SHAPES}


def test_nothing_in_the_picture_stands_alone() -> None:
    """Each box is one that an arrow leads to or from, and each arrow ends at boxes."""
    resources, _ = pictures()
    arrows = re.findall(r"^  (\w+) -[-.] .+ [-.]+> (\w+)$", resources, re.MULTILINE)
    ends = {name for arrow in arrows for name in arrow}
    boxes = set(re.findall(r"^  (\w+)[\[({>]", resources, re.MULTILINE))
    assert ends == boxes


def test_senders_of_events() -> None:
    """Events of AWS come from the resource that they tell of, all others from outside."""
    detail = {"bucket": {"name": [{"Ref": "InboxBucket"}]}}
    assert senders({"source": ["aws.s3"], "detail": detail}) == ["InboxBucket"]
    assert senders({"source": ["another-system"], "detail": detail}) == ["people"]
    assert senders({"detail": detail}) == ["people"]


def test_picture_of_the_states() -> None:
    """It has every state of the machine, and no other."""
    _, states = pictures()
    ends = set(re.findall(r"(\w+) -->", states)) | set(re.findall(r"--> (\w+)", states))
    assert ends == state_machine()["States"].keys()


def test_what_is_promised_is_tested() -> None:
    """Every test that a page names stands in the file it leads to."""
    named = [
        (name, path)
        for page in PAGES
        for name, path in re.findall(r"\[`([Tt]est\w+)`\]\(../([\w/.]+)\)", page.read_text("utf-8"))
    ]
    assert named
    for name, path in named:
        text = (ROOT / path).read_text("utf-8")
        assert re.search(rf"^(def {name}\(|{name} = )", text, re.MULTILINE), name


def test_roles() -> None:
    """The table of permissions names every role."""
    documented = [name for name, *_ in rows(DEPLOYMENT, "## Permissions of the stack")]
    assert sorted(documented) == sorted(of_type("AWS::IAM::Role"))


def test_policies_for_people() -> None:
    """The table names every policy that is attached by hand, and each command that needs one."""
    table = rows(DEPLOYMENT, "## Policies for people and programs")
    assert [name for name, *_ in table] == list(of_type("AWS::IAM::ManagedPolicy"))
    named = set(
        re.findall(r"`(?:email-accounts |workspace )?(\w+)`", str([may for _, may, _ in table]))
    )
    needing = {
        name.rpartition(" ")[2]
        for name, one in every_command()
        if "--stack" in str(options_of(one))
    }
    assert named & needing == needing


def test_what_the_checks_leave_out() -> None:
    """The table has every check that is left out with the reason beside it, and there is no other.

    Nothing is left out where a reader would not look: for a resource, a line, or a run of lint.
    """
    settings = (ROOT / ".checkov.yaml").read_text("utf-8").partition("skip-check:")[2]
    left_out = re.findall(r"((?:^  # .+\n)+)  - (\w+)$", settings, re.MULTILINE)
    reasons = {name: " ".join(re.findall(r"# (.+)", reason)) for reason, name in left_out}
    assert (
        list(reasons) == yaml.safe_load((ROOT / ".checkov.yaml").read_text("utf-8"))["skip-check"]
    )
    documented = rows((ROOT / "docs/threat-model.md").read_text("utf-8"), "## Skipped checks")
    assert {name: why for name, _, why in documented} == reasons
    for resource in template()["Resources"].values():
        assert resource.get("Metadata", {}).keys() <= {"BuildMethod"}
    assert template()["Metadata"].keys() == {
        "AWS::CloudFormation::Interface",
        "AWS::ServerlessRepo::Application",
    }
    text = (ROOT / "template.yaml").read_text("utf-8") + (ROOT / "Makefile").read_text("utf-8")
    assert not re.search("checkov:skip|ignore-check|skip-check|soft-fail|cfn-lint:", text)
    assert not list(ROOT.glob("*cfnlintrc*"))


def test_attempts_before_the_dead_letters() -> None:
    """Alarm, runbook and architecture have the numbers of the queues."""
    queues = of_type("AWS::SQS::Queue")
    upload, failure = (queues[f"{one}Queue"] for one in ("Upload", "Failure"))
    attempts = [one["RedrivePolicy"]["maxReceiveCount"] for one in (upload, failure)]
    said = "{} attempts to process an upload, or {} to answer a failed import".format(*attempts)
    alarm = of_type("AWS::CloudWatch::Alarm")["DeadLetterAlarm"]
    runbook = (ROOT / "docs/runbook.md").read_text("utf-8")
    assert said in alarm["AlarmDescription"]
    assert said in runbook
    for many, one in zip(attempts, (upload, failure), strict=True):
        hours = f"for {many * one['VisibilityTimeout'] / 3600} hours"
        assert hours in runbook
        assert hours in ARCHITECTURE.read_text("utf-8")


def test_watched_alarms() -> None:
    """The alarms that take an update back are alarms of the template, and are named."""
    (sentence,) = re.findall(r"watches the alarms (.+) during .+ for (\d+) minutes", DEPLOYMENT)
    assert re.findall(r"`(\w+)`", sentence[0]) == list(WATCHED)
    assert int(sentence[1]) == MINUTES
    assert set(WATCHED) <= of_type("AWS::CloudWatch::Alarm").keys()


def test_published_application() -> None:
    """What the application repository shows is the project's, and its files are there."""
    shown = template()["Metadata"]["AWS::ServerlessRepo::Application"]
    assert shown["SemanticVersion"] == PROJECT["version"]
    assert shown["SpdxLicenseId"] == PROJECT["license"]
    for name in ("LicenseUrl", "ReadmeUrl"):
        assert (ROOT / shown[name]).is_file()


@pytest.mark.parametrize("environment", ["dev", "staging", "production"])
def test_environments(environment: str) -> None:
    """Each has a stack of its own, asks before it changes anything, and sets what there is."""
    settings = tomllib.loads((ROOT / "samconfig.toml").read_text("utf-8"))[environment]
    deploy = settings["deploy"]["parameters"]
    names = re.findall(r"(\w+)=", deploy["parameter_overrides"])
    assert settings["global"]["parameters"]["stack_name"] == f"email-accounts-{environment}"
    assert deploy["confirm_changeset"] is True
    assert deploy["capabilities"] == "CAPABILITY_IAM"
    assert set(names) <= template()["Parameters"].keys()


# Workflows


def jobs(name: str) -> dict[str, Any]:
    """Return the jobs of a workflow."""
    loaded: dict[str, Any] = yaml.safe_load((ROOT / ".github/workflows" / name).read_text("utf-8"))
    return dict(loaded["jobs"])


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_an_action_is_named_by_its_hash(workflow: Path) -> None:
    """A tag can be moved to other code; a hash cannot. The version stands beside it."""
    used = re.findall(r"uses: (?!\$/)(.+)", workflow.read_text("utf-8"))
    assert used
    for action in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action)


def test_an_action_is_of_one_generation() -> None:
    """All workflows use the same version of an action."""
    texts = "".join(workflow.read_text("utf-8") for workflow in WORKFLOWS)
    used = set(re.findall(r"uses: ([\w-]+/[\w-]+)(@.+)", texts))
    assert len(used) == len(dict(used))


def test_every_lock_is_proposed_new_versions() -> None:
    """Dependabot looks into each folder of locks, and finds in their heads how to compile them."""
    settings = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text("utf-8"))
    (packages,) = (one for one in settings["updates"] if one["package-ecosystem"] == "uv")
    wanted = [*ROOT.glob("requirements/*.in"), *ROOT.glob("layers/*/*.in")]
    folders = {f"/{one.parent.relative_to(ROOT)}" for one in wanted}
    assert folders == set(packages["directories"])
    for one in wanted:
        head = one.with_suffix(".txt").read_text("utf-8").partition("==")[0]
        assert "--universal --python-version 3.11" in head


def test_hooks_run_the_tools_of_make_setup() -> None:
    """Each command of pre-commit is one of `make lint`, so nothing is downloaded."""
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert {one["repo"] for one in hooks} == {"local"}
    for hook in (hook for one in hooks for hook in one["hooks"]):
        assert hook["entry"].removesuffix(" --force-exclude") in makefile


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_as_little_as_it_needs(workflow: Path) -> None:
    """Nothing by default but reading; more is given to one job, and jobs come to an end."""
    loaded = yaml.safe_load(workflow.read_text("utf-8"))
    assert loaded["permissions"] in ({}, {"contents": "read"})
    own = {name: job for name, job in loaded["jobs"].items() if "uses" not in job}
    for job in own.values():
        assert job["timeout-minutes"] <= 45
    for job in loaded["jobs"].values():
        assert set(job.get("permissions", {}).items()) <= {
            ("contents", "read"),
            *({("id-token", "write")} if "environment" in job else set()),
            *({("contents", "write")} if workflow.name == "release.yml" else set()),
        }
    assert "secrets." not in workflow.read_text("utf-8")
    assert workflow.read_text("utf-8").count("persist-credentials: false") == len(own)


def test_production_follows_staging_and_staging_the_check() -> None:
    """What is not green gets nowhere; what was not tried in staging not to production.

    Only what is on `main` runs with rights: an event that tells of a pull request's end would run
    a stranger's code with them.
    """
    workflow = yaml.safe_load((ROOT / ".github/workflows/deploy.yml").read_text("utf-8"))
    deploy = workflow["jobs"]
    # YAML takes the word "on" for a true.
    assert workflow[True] == {"push": {"branches": ["main"]}, "workflow_dispatch": None}
    assert deploy.pop("check")["uses"] == "$/.github/workflows/check.yml"
    assert deploy["staging"]["needs"] == "check"
    assert deploy["production"]["needs"] == "staging"
    assert deploy["production"]["environment"] == "production"
    for environment, job in deploy.items():
        commands = [step.get("run", "") for step in job["steps"]]
        assert f"make deploy ENV={environment}" in commands
        assert commands[-1].startswith("make smoke STACK=email-accounts")


def test_every_python_is_tested_and_built_for() -> None:
    """Tests run on each Python that the template offers, and the layer is compiled for each."""
    offered = [
        one.removeprefix("python") for one in template()["Parameters"]["Runtime"]["AllowedValues"]
    ]
    assert jobs("check.yml")["test"]["strategy"]["matrix"]["python"] == offered
    for workflow in ("deploy.yml", "release.yml"):
        for job in (one for one in jobs(workflow).values() if "steps" in one):
            (python,) = (one for one in job["steps"] if "setup-python" in one.get("uses", ""))
            assert python["with"]["python-version"].split() == offered
    makefile = (ROOT / "layers/email_accounts/Makefile").read_text("utf-8")
    runtimes = [f"python{one}" for one in offered]
    assert f"for python in {' '.join(runtimes)}; do" in makefile
    layer = template()["Resources"]["EmailAccountsLayer"]["Properties"]
    assert layer["CompatibleRuntimes"] == runtimes
