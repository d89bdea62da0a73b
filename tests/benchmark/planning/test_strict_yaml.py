"""YAML is read without surprises: what is no plain, bounded, unambiguous file is refused in words."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from benchmark.planning.strict_yaml import LARGEST_SIZE, load_yaml

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "the key 'a' is given twice"),
        ("a: {b: 1, b: 1}", "the key 'b' is given twice"),
        ("a: " + "[" * 5000 + "]" * 5000, "nested deeper than 50 levels"),
        ("\n".join(" " * i + "a:" for i in range(2000)), "nested deeper than 50 levels"),
        ("a: " + "9" * 5000, "a number of 5000 digits; at most 30"),
        (BOMB, f"more than {LARGEST_SIZE} values"),
        ("a: [" + "1," * (LARGEST_SIZE + 1) + "]", f"more than {LARGEST_SIZE} values"),
        ("a: &a [*a]", "alias 'a' stands for nothing that is complete"),
        ("a: *b", "alias 'b' stands for nothing"),
        ("a: !!python/object/apply:os.system [echo]", "could not determine a constructor"),
        ("a: [1", "expected"),
        ("a: \x00", "special characters are not allowed"),
    ],
)
def test_what_is_refused(text, message):
    with pytest.raises(yaml.YAMLError, match=message):
        load_yaml(text)


def test_aliases_merges_and_numbers_work_as_ever():
    text = "base: &base {a: 1, b: 0x10}\nother: {<<: *base, b: 1_000}\nagain: *base\nbig: 1e12\ndigits: '99'"
    assert load_yaml(text) == yaml.safe_load(text)


PLAIN = st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False) | st.text()


@given(st.recursive(PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20))
def test_plain_values_come_back(content):
    assert load_yaml(yaml.safe_dump(content)) == content


@given(st.text(alphabet="ab1-:[]{}&*!#,|>%@'\"\n <0.?~", max_size=60))
def test_any_text_is_read_or_refused_in_words(text):
    """Never a traceback of another kind; where both read it, the plain loader's value."""
    try:
        content = load_yaml(text)
    except (yaml.YAMLError, ValueError):
        return
    assert content == yaml.safe_load(text)
