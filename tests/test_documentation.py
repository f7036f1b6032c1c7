"""Every page is true: its Python runs and prints what it says, and its commands exist with their options."""

import doctest
import re
from pathlib import Path

import pytest
import typer
import typer.core

from widenet.cli.main import commands

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
CONSOLE = re.compile(r"^\$ (widenet|make) ?([^#\n]*)", re.MULTILINE)


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _console_lines() -> list[tuple[str, str, str]]:
    return [(_name(page), match[1], match[2]) for page in PAGES for match in CONSOLE.finditer(page.read_text())]


@pytest.mark.parametrize("page", [page for page in PAGES if ">>>" in page.read_text()], ids=_name)
def test_the_python_of_a_page_prints_what_it_says(page: Path):
    # Fences become blank lines, so that the last output of a block ends there; line numbers stay.
    text = re.sub(r"^```.*$", "", page.read_text(), flags=re.MULTILINE)
    test = doctest.DocTestParser().get_doctest(text, {}, _name(page), str(page), 0)
    failures: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE, verbose=False)
    results = runner.run(test, out=failures.append)
    assert results.attempted > 0
    assert results.failed == 0, "".join(failures)


@pytest.mark.parametrize(("page", "program", "line"), _console_lines())
def test_a_command_of_a_page_exists(page: str, program: str, line: str):
    words = line.split()
    if program == "make":
        assert words[0].rstrip(":") in re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        return
    command = typer.main.get_command(commands)
    for word in words:
        if word.startswith("-") or not isinstance(command, typer.core.TyperGroup):
            break
        command = command.commands[word]
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    assert {word for word in words if word.startswith("--")} <= known


def test_links_between_pages_lead_somewhere():
    found = [
        (page, target)
        for page in PAGES
        for target in re.findall(r"\]\(([^)#]+)", page.read_text())
        if not target.startswith("http")
    ]
    assert found
    assert [(_name(page), target) for page, target in found if not (page.parent / target).exists()] == []
