"""Words counted: as scikit-learn counts them, from a vocabulary that went through JSON."""

import json

import numpy as np
import pytest
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer

from mycroft_fl.encoders.embeddings import embeddings_of
from mycroft_fl.encoders.word_counts import MOST_TERMS, Vocabulary, is_known, know
from mycroft_fl.errors import DataError, SettingError
from mycroft_fl.texts import as_bytes

TEXTS = [
    "please move money from savings to checking",
    "move my money",
    "what is the weather in Zürich",
    "is the weather good for a trip to Zürich",
    "I need money for the trip",
]
NEW = ["the weather in Paris", "nothing known", "Money MONEY money"]


def test_tfidf_agrees_with_scikit_learn_after_a_way_through_json():
    vocabulary = Vocabulary.from_dict(json.loads(json.dumps(Vocabulary.fitted(TEXTS).as_dict())))
    know(vocabulary)
    theirs = TfidfVectorizer(
        ngram_range=(1, 2), min_df=2, sublinear_tf=True, token_pattern=r"(?u)\b\w+\b"
    ).fit(TEXTS)
    assert list(vocabulary.terms) == theirs.get_feature_names_out().tolist()
    found = embeddings_of(vocabulary.name).of(as_bytes(NEW)[0])
    np.testing.assert_allclose(found, theirs.transform(NEW).toarray(), atol=1e-6)


def test_no_word_of_one_text_alone_travels():
    assert not {"savings", "checking", "good"} & set(Vocabulary.fitted(TEXTS).terms)


def test_hashing_is_scikit_learns_and_needs_no_vocabulary():
    theirs = HashingVectorizer(ngram_range=(1, 2), n_features=64, token_pattern=r"(?u)\b\w+\b")
    found = embeddings_of("hashing:64").of(as_bytes(NEW)[0])
    np.testing.assert_allclose(found, theirs.transform(NEW).toarray(), atol=1e-6)


def test_equal_vocabularies_have_one_name_and_others_another():
    whole, part = Vocabulary.fitted(TEXTS), Vocabulary.fitted(TEXTS[:4])
    assert Vocabulary.fitted(TEXTS).name == whole.name != part.name


def test_a_vocabulary_that_no_task_brought_is_said():
    assert not is_known("tfidf:0123456789abcdef")
    assert is_known("hashing:64")
    with pytest.raises(SettingError, match="needs the vocabulary of a task of texts"):
        embeddings_of("tfidf:0123456789abcdef")


def test_texts_without_a_common_word_are_said():
    with pytest.raises(DataError, match="no word that stands in 2 of the trainer's 2 texts"):
        Vocabulary.fitted(["one", "two"])


def test_images_have_no_words():
    with pytest.raises(DataError, match="is for texts; these examples are uint8 of shape"):
        embeddings_of("hashing").of(np.zeros((1, 1, 4, 4), np.uint8))


@pytest.mark.parametrize(
    "content",
    [
        None,
        {},
        {"terms": ["a"], "weights": [1.0], "more": 1},
        {"terms": ["a", "a"], "weights": [1.0, 1.0]},
        {"terms": ["a"], "weights": [1.0, 2.0]},
        {"terms": ["a"], "weights": [float("nan")]},
        {"terms": ["a"], "weights": [0]},
        {"terms": ["a"], "weights": [1e30]},
        {"terms": ["a"], "weights": ["1"]},
        {"terms": [1], "weights": [1.0]},
        {"terms": ["a" * 1000], "weights": [1.0]},
        {"terms": list(map(str, range(MOST_TERMS + 1))), "weights": [1.0] * (MOST_TERMS + 1)},
        {"terms": [], "weights": []},
        {"terms": [["a"]], "weights": [1.0]},
    ],
)
def test_a_hostile_vocabulary_is_refused(content):
    with pytest.raises(DataError, match="this is not a vocabulary"):
        Vocabulary.from_dict(content)


def test_no_text_has_no_vector_of_the_same_length():
    vocabulary = Vocabulary.fitted(TEXTS)
    know(vocabulary)
    nothing = as_bytes(TEXTS)[0][:0]
    assert embeddings_of(vocabulary.name).of(nothing).shape == (0, len(vocabulary.terms))
    assert embeddings_of("hashing:64").of(nothing).shape == (0, 64)
