import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from widenet.experiments.comparison import Plan, compare
from widenet.experiments.methods import chosen_methods
from widenet.experiments.report import render_report, write_report
from widenet.experiments.tables import split_target

VOID = {"meta", "br", "img", "link", "input"}


class Balance(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.addresses, self.texts = [], [], []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "srcset")]

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def comparison_of(task):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=60), "<b>": rng.choice(["p", "<script>"], 60)})
    if task == "regression":
        frame["y"] = frame["a"] + 0.1 * rng.normal(size=60)
        names = ["Laplace", "ridge", "mean"]
    else:
        frame["y"] = np.where(frame["a"] > 0, "<up>", "down")
        names = ["Laplace", "logistic", "most frequent"]
    return compare(split_target(frame, "y", name="<table>.csv"), chosen_methods(task, names), Plan(folds=4))


@pytest.fixture(scope="module", params=["regression", "classification"])
def page(request):
    comparison = comparison_of(request.param)
    return comparison, render_report(comparison, "widenet compare '<table>.csv' --target y")


def test_the_page_is_whole_and_needs_nothing_else(page):
    _, html = page
    parser = Balance()
    parser.feed(html)
    assert parser.open == []
    assert parser.addresses == []
    assert not re.search(r"url\(|@import|<script|https?:", html)


def test_the_page_says_what_was_found(page):
    comparison, html = page
    parser = Balance()
    parser.feed(html)
    text = " ".join(" ".join(parser.texts).split())
    best = comparison.best
    assert f"{comparison.mean(best, comparison.metric):.3f}" in text
    for result in comparison.results:
        assert result.method.name in text
    assert "widenet compare '<table>.csv' --target y" in text
    assert "nan" not in text.lower().split()
    assert "Leave-one-out error over the ridge" in text


def test_words_from_the_data_are_escaped(page):
    _, html = page
    assert "<b>" not in re.sub(r"<b>\d+</b>|<b>widenet</b>", "", html)
    assert "&lt;table&gt;.csv" in html


def test_the_file_is_written_whole(tmp_path, page):
    comparison, _ = page
    write_report(comparison, tmp_path / "report.html", "widenet compare")
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_text().rstrip().endswith("</html>")
