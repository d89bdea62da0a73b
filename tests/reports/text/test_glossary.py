"""The words of a report are explained for any data."""

from reports.text.glossary import GLOSSARY


def test_every_word_is_explained_once():
    terms = [term for term, _ in GLOSSARY]
    assert len(terms) == len(set(terms))
    assert all(meaning.endswith(".") for _, meaning in GLOSSARY)


def test_the_words_on_test_frames_do_not_promise_other_trajectories():
    meaning = dict(GLOSSARY)["Test frames"]
    assert "Where the split is by trajectory" in meaning
    assert "Other splits are by frame" in meaning
