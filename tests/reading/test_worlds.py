"""Generated texts: the pattern files, the parser, the exact law, and what the generator makes of them."""

import itertools
import re
from importlib.resources import files

import numpy as np
import pytest
from scipy.stats import chi2

from llma_tutorial.reading import corpora
from llma_tutorial.reading.corpora import grammar, worlds

FOLDER = files("llma_tutorial.reading.corpora").joinpath("patterns")
WORLDS = [name for name in worlds.SETTINGS if FOLDER.joinpath(f"{name}.txt").is_file()]
in_every_world = pytest.mark.parametrize("name", WORLDS)

LINES = """
[loud yes]
It roars in a {room}.
[loud no]
{room}: silent, all day.
[heavy yes]
My back hurts.
[heavy no]
A feather weighs more.
[loud no, heavy no]
Neither noise nor weight.
[filler]
Bought on a Monday.
[ambiguous]
Well, the sound.
[word room]
kitchen, attic
[loud yes | held-out]
My ears ring.
[loud no | held-out]
The {room} stays calm with it.
[heavy yes | held-out]
Two men carried it.
[heavy no | held-out]
One finger lifts this.
[loud no, heavy no | held-out]
Quiet, light.
[filler | held-out]
Blue box.
[ambiguous | held-out]
It has a motor.
[word room | held-out]
study
"""
YES, NO, UNSAID = 0, 1, 2


def tiny(**changes) -> worlds.World:
    settings = {
        "name": "tiny",
        "states": ("a", "b", "c"),
        "questions": ("loud", "heavy"),
        "rates": [[0.5, 0.2], [0.1, 0.6], [0.9, 0.9]],
        "training_rates": [0.5, 0.5],
        "denial": 0.25,
        "longest": 2,
        "grammar": grammar.parse(LINES, ["loud", "heavy"]),
    }
    return worlds.World(**settings | changes)


# --- The pattern files ----------------------------------------------------------------------------------------------


def test_there_are_three_worlds_with_a_thousand_patterns():
    assert WORLDS == ["reviews", "comments", "headlines"]
    grammars = [corpora.world(name).grammar for name in WORLDS]
    assert sum(len(lines) for g in grammars for lines in g.patterns.values()) >= 1_000
    assert sum(len(set(words)) for g in grammars for words in g.words.values()) >= 250


def too_similar(patterns: list[str]) -> list[tuple[str, str]]:
    """Pairs whose skeletons have a token Jaccard of 0.8 or more."""
    skeletons = [grammar.skeleton(pattern) for pattern in patterns]
    number = {token: i for i, token in enumerate(sorted(set().union(*skeletons)))}
    table = np.zeros((len(skeletons), len(number)), dtype=np.float32)
    for row, skeleton in enumerate(skeletons):
        table[row, [number[token] for token in skeleton]] = 1
    shared, sizes = table @ table.T, table.sum(axis=1)
    jaccard = shared / (sizes[:, None] + sizes - shared)
    return [(patterns[i], patterns[j]) for i, j in zip(*np.nonzero(np.triu(jaccard >= 0.8, 1)), strict=True)]


def test_no_two_patterns_of_any_worlds_are_alike():
    patterns = [line for name in WORLDS for lines in corpora.world(name).grammar.patterns.values() for line in lines]
    assert too_similar(patterns) == []


def test_similar_patterns_are_found():
    # 4 of 5 tokens shared: Jaccard 4/5. Slots, case, punctuation and repetition do not tell sentences apart.
    alike = ["The lid broke off.", "The lid broke right off!"], ["A {part} fell.", "a {time} fell, fell"]
    for pair in alike:
        assert too_similar(list(pair)) == [pair := tuple(pair)]
    assert too_similar(["The lid broke off.", "The lid came off."]) == []


@in_every_world
def test_sections_are_filled(name):
    world = corpora.world(name)
    counts = {section: len(lines) for section, lines in world.grammar.patterns.items()}
    training, held_out = (sum(n for (_, held), n in counts.items() if held == split) for split in (False, True))
    assert 0.25 <= held_out / (training + held_out) <= 0.42
    for question, answer, (split, least) in itertools.product(world.questions, ["yes", "no"], [(False, 12), (True, 6)]):
        # A sentence that answers two questions counts for both.
        n = sum(n for (section, held), n in counts.items() if held == split and (question, answer) in [*section])
        assert n >= least, f"[{question} {answer}] has {n} lines with held-out {split}"


@in_every_world
def test_words_of_the_two_splits_differ(name):
    words = corpora.world(name).grammar.words
    for slot, held_out in words:
        assert len(set(words[slot, held_out])) == len(words[slot, held_out]) >= (2 if held_out else 3), slot
        assert not set(words[slot, held_out]) & set(words[slot, not held_out]), slot


@in_every_world
def test_every_slot_is_used(name):
    g = corpora.world(name).grammar
    used = {slot for lines in g.patterns.values() for line in lines for slot in re.findall(r"\{(\w+)\}", line)}
    assert used == {slot for slot, _ in g.words}


# --- The parser -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[loud yes]\n", "[loudness yes]\n", r"the questions are loud, heavy. Got \[loudness yes\] in line 2"),
        ("[loud yes]\n", "[loud maybe]\n", r"with yes or no.*Got \[loud maybe\]"),
        ("[loud yes]\n", "[fillers]\n", r"Got \[fillers\]"),
        ("[loud yes]\n", "[loud yes | test]\n", r"must read \[section\] or \[section \| held-out\]"),
        ("It roars in a {room}.\n", "", r"must hold lines. Got none under \[loud yes\] in line 2"),
        ("{room}: silent", "{rooms}: silent", r"Every slot must have words.*Got {rooms} in line 5"),
        ("{room}: silent", "{room: silent", "Got a stray bracket in line 5"),
        ("[word room]\nkitchen, attic\n", "", r"Got {room}"),
        ("[word room | held-out]\nstudy\n", "", "Got no held-out lines for 'room'"),
        ("[loud no | held-out]\n", "[loud yes | held-out]\n", r"Got no held-out lines for \(\('loud', 'no'\),\)"),
        ("[filler]\nBought on a Monday.\n", "", "Got no training lines for 'filler'"),
        ("My back hurts.", "My ears ring.", "No sentence may stand twice.*Got line 19, as 7"),
        ("[loud yes]", "Before any section.\n[loud yes]", "must begin with a section"),
    ],
)
def test_what_does_not_fit_is_refused(old, new, message):
    assert old in LINES
    with pytest.raises(ValueError, match=message):
        grammar.parse(LINES.replace(old, new, 1), ["loud", "heavy"])


def test_comments_and_continued_sections_are_read():
    more = "# by hand\n\n[word room]\nhall, attic room\n"
    assert grammar.parse(LINES + more, ["loud", "heavy"]).words["room", False] == [
        "kitchen", "attic", "hall", "attic room",
    ]  # fmt: skip


# --- The exact law --------------------------------------------------------------------------------------------------


def test_attributes_are_independent_where_statements_answer_one_question():
    singles = LINES.replace("[loud no, heavy no", "[loud no")
    world = tiny(grammar=grammar.parse(singles, ["loud", "heavy"]))
    expected = np.ones((3, 9))
    for q in range(2):
        rate = world.rates[:, q]
        by_answer = np.array([rate, (1 - rate) * world.denial, (1 - rate) * (1 - world.denial)])
        expected *= by_answer[world.answers[:, q]].T
    np.testing.assert_allclose(world.answer_probabilities, expected, atol=1e-14)
    np.testing.assert_allclose(world.yes_probabilities, world.rates)
    # A statement that answers two questions ties them together.
    assert not np.allclose(tiny().answer_probabilities, expected, atol=0.01)


def test_law_of_reviews():
    """Independent attributes, but for defects with or without a long life, which one sentence or two can tell."""
    world = corpora.world("reviews")
    expected = np.ones((2, len(world.answers)))
    for q in range(4):
        rate = world.rates[:, q]
        by_answer = np.array([rate, (1 - rate) * world.denial, (1 - rate) * (1 - world.denial)])
        expected *= by_answer[world.answers[:, q]].T
    defects, durable = world.answers[:, :2].T
    expected *= 1 + ((defects == YES) & (durable == NO)) + ((defects == NO) & (durable == YES))
    expected /= expected.sum(axis=1, keepdims=True)
    assert len(world.answers) == 3**4
    np.testing.assert_allclose(world.answer_probabilities, expected, atol=1e-14)


def test_law_by_hand():
    # Odds in state a: loud yes 0.5/(0.5 * 0.75) = 4/3; heavy yes 0.2/(0.8 * 0.75) = 1/3; each of the three no 1/3.
    # Loud excludes heavy, so a text that says loud cannot say heavy, and denies it even in silence.
    world = tiny(excludes={"loud": ("heavy",)})
    weights = {
        (YES, NO): 4 / 3 * (1 + 1 / 3),  # alone, or with its own denial of heavy
        (NO, YES): 1 / 3 * 1 / 3,
        (UNSAID, YES): 1 / 3,
        (NO, UNSAID): 1 / 3,
        (UNSAID, NO): 1 / 3,
        (NO, NO): 1 / 3 + 1 / 9,  # in one sentence, in two
        (UNSAID, UNSAID): 1,
    }
    found = {tuple(a): p for a, p in zip(world.answers.tolist(), world.answer_probabilities[0], strict=True)}
    total = sum(weights.values())
    assert found == pytest.approx({answers: weight / total for answers, weight in weights.items()})


@in_every_world
def test_law_agrees_with_drawing_attributes_and_rejecting(name):
    """The second route: draw each statement on its own, throw away texts that are too long or contradict themselves."""
    world = corpora.world(name)
    rng, state, n = np.random.default_rng(5), len(world.states) - 1, 100_000
    statements = world.grammar.statements
    yes = dict(zip(world.questions, world.rates[state], strict=True))
    kept = []
    odds = [
        np.prod([yes[q] / (1 - yes[q]) / (1 - world.denial) for q, answer in s if answer == "yes"])
        * (world.denial / (1 - world.denial) if "no" in dict(s).values() else 1)
        for s in statements
    ]
    said = rng.random((n, len(statements))) < np.array(odds) / (1 + np.array(odds))
    for row in said[said.sum(axis=1) <= world.longest]:
        told = [pair for i in np.flatnonzero(row) for pair in statements[i]]
        if len(dict(told)) < len(told):
            continue
        pairs = set(told)
        pairs |= {(other, "no") for q, answer in pairs if answer == "yes" for other in world.excludes.get(q, ())}
        if len(dict(pairs)) == len(pairs):
            kept.append(tuple(grammar.ANSWERS.index(dict(pairs).get(q, "unsaid")) for q in world.questions))
    frequencies = (np.array(kept) == YES).mean(axis=0)
    margin = 4.5 * np.sqrt(0.25 / len(kept))
    np.testing.assert_allclose(frequencies, world.yes_probabilities[state], atol=margin)
    both = np.mean([answers.count(UNSAID) for answers in kept])
    exact = world.answer_probabilities[state] @ (world.answers == UNSAID).sum(axis=1)
    assert both == pytest.approx(exact, abs=2 * margin * len(world.questions) ** 0.5)


@in_every_world
def test_frequencies_of_generated_answers_follow_the_law(name):
    world = corpora.world(name)
    state = len(world.states) - 1
    n = 8_000
    frame = corpora.generate(world, n, states=[state] * n, rng=np.random.default_rng(11)).frame
    numbers = {tuple(answers): i for i, answers in enumerate(world.answers.tolist())}
    codes = frame[list(world.questions)].map(grammar.ANSWERS.index).to_numpy()
    observed = np.bincount([numbers[tuple(row)] for row in codes.tolist()], minlength=len(numbers))
    expected = n * world.answer_probabilities[state]
    rare = expected < 8
    observed = np.append(observed[~rare], observed[rare].sum())
    expected = np.append(expected[~rare], expected[rare].sum())
    statistic = ((observed - expected) ** 2 / expected)[expected > 0].sum()
    assert statistic < chi2.ppf(0.999, (expected > 0).sum() - 1)


@in_every_world
def test_independent_answers_carry_no_prior(name):
    world = corpora.world(name)
    probabilities = world.text_probabilities(independent=True)
    assert (probabilities == probabilities[0]).all()
    assert np.ptp(world.yes_probabilities, axis=0).min() > 0.01


def test_stars_follow_their_law():
    world = corpora.world("reviews")
    frame = corpora.generate(world, 20_000, rng=np.random.default_rng(2)).frame
    table = frame.groupby("state")["environment"].value_counts(normalize=True).unstack().to_numpy()
    np.testing.assert_allclose(table, world.stars, atol=0.02)
    assert corpora.generate(tiny(), 50, rng=np.random.default_rng(2)).frame["environment"].eq(0).all()


# --- The texts ------------------------------------------------------------------------------------------------------


def matcher(g: grammar.Grammar, held_out_patterns: bool, held_out_words: bool) -> dict[str, list[re.Pattern]]:
    """Regular expressions of the sentences of a split, by what they answer."""
    found = {}
    for (section, held_out), lines in g.patterns.items():
        if held_out == held_out_patterns:
            for line in lines:
                pieces = re.split(r"\{(\w+)\}", line)
                for i in range(1, len(pieces), 2):
                    pieces[i - 1] = re.sub(r"(\b[Aa]) $", r"\1 ", pieces[i - 1])
                parts = [
                    re.escape(piece).replace(r"\ ", " ")
                    if i % 2 == 0
                    else "(?:" + "|".join(map(re.escape, g.words[piece, held_out_words])) + ")"
                    for i, piece in enumerate(pieces)
                ]
                expression = re.sub(r"(\b[Aa]) \(", r"\1n? (", "".join(parts))
                found.setdefault(section, []).append(re.compile(expression, re.IGNORECASE))
    return found


@in_every_world
@pytest.mark.parametrize("held_out", worlds.HELD_OUT)
def test_texts_are_made_of_their_split_and_labelled_by_their_sentences(name, held_out, monkeypatch):
    monkeypatch.setattr(grammar, "TYPO_RATE", 0)
    world = corpora.world(name)
    sections = matcher(world.grammar, *worlds.HELD_OUT[held_out])
    corpus = corpora.generate(world, 150, independent=True, held_out=held_out, rng=np.random.default_rng(3))
    for row in corpus.frame.to_dict("records"):
        rest, answers, sentences = row["text"], {}, 0
        while rest:
            # Some pattern of this split must match what comes next; the longest, as one may begin like another.
            hits = [(m.end(), s) for s, lines in sections.items() for line in lines if (m := line.match(rest))]
            assert hits, f"No sentence of the split begins {rest[:60]!r}"
            end, section = max(hits, key=lambda hit: hit[0])
            answers |= world.said_by(section) if isinstance(section, tuple) else {}
            rest, sentences = rest[end:].lstrip(), sentences + 1
        assert {q: answers.get(q, "unsaid") for q in world.questions} == {q: row[q] for q in world.questions}
        assert 1 <= sentences <= 5


def test_typing_errors_are_rare_and_make_no_known_word(monkeypatch):
    rate = grammar.TYPO_RATE
    world = corpora.world("reviews")
    known = world.grammar.vocabulary

    def unknown_share():
        frame = corpora.generate(world, 1_000, rng=np.random.default_rng(4)).frame
        words = [w for text in frame["text"] for w in re.findall(r"[a-z]+", text.lower()) if len(w) >= 3]
        return np.mean([word not in known for word in words])

    assert 0 < unknown_share() < 2 * rate
    monkeypatch.setattr(grammar, "TYPO_RATE", 0)
    assert unknown_share() == 0
    monkeypatch.setattr(grammar, "TYPO_RATE", 1)
    writer = grammar.Writer(world.grammar, False, False, grammar.uniforms(np.random.default_rng(1)))
    for word in sorted(known):
        typed = re.sub(r"[A-Za-z]{4,}", writer.maybe_mistyped, word)
        assert typed == word or typed not in known
    # A single letter's slip would turn "from" into "form".
    writer.vocabulary = {"from", "form", "fro", "frm", "ffrom", "frrom", "froom", "fom", "fomr", "rfom", "frmo"}
    assert {re.sub(r"[a-z]{4,}", writer.maybe_mistyped, "from") for _ in range(100)} == {"from"}


def test_same_seed_same_texts():
    first, again, other = (
        corpora.generate(tiny(), 40, rng=np.random.default_rng(seed)).frame["text"].tolist() for seed in (1, 1, 2)
    )
    assert first == again != other


def test_corpus_prints_numbers_only():
    corpus = corpora.generate(tiny(), 3, states=[0, 2, 2], rng=np.random.default_rng(1))
    assert "3 read, 3 kept" in str(corpus)
    assert "0: 1, 2: 2" in str(corpus)
    assert not any(text in str(corpus) for text in corpus.frame["text"])
    assert "roars" not in repr(tiny()) + repr(tiny().grammar)
    assert corpus.frame["id"].tolist() == [1, 2, 3]


def test_articles_follow_their_word():
    world, rng = tiny(rates=np.full((3, 2), 0.5), denial=0.01), np.random.default_rng(1)
    texts = " ".join(corpora.generate(world, 300, rng=rng).frame["text"])
    assert "in an attic" in texts
    assert "in a kitchen" in texts
    assert "a attic" not in texts


# --- Refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rates": [[0.5, 0.2]]}, r"`rates` must have shape \(3, 2\). Got \(1, 2\)"),
        ({"rates": np.full((3, 2), 1.0)}, "`rates` must be above 0 and below 1. Got 1"),
        ({"training_rates": [0, 0.5]}, "`training_rates` must be above 0 and below 1. Got 0"),
        ({"denial": 0}, "`denial` must be above 0 and below 1. Got 0"),
        ({"longest": 0}, "`longest` must be a whole number at least 1"),
        ({"excludes": {"wet": ("loud",)}}, "`excludes` must be one of .*Got 'wet'"),
        ({"excludes": {"loud": ("wet",)}}, "`excludes` must be one of .*Got 'wet'"),
        ({"stars": np.full((3, 5), 0.3)}, "`stars` must sum to 1 in every row. Got 1.5"),
    ],
)
def test_impossible_worlds_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        tiny(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n": 0}, "`n` must be a whole number at least 1"),
        ({"states": [0, 1]}, r"`states` must have one entry for each of the 3 texts. Got shape \(2,\)"),
        ({"states": [0, 1, 3]}, "`states` must be from 0 to 2. Got 3"),
        ({"held_out": "all"}, '`held_out` must be one of "none", "patterns", "words", "both"'),
    ],
)
def test_impossible_requests_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        corpora.generate(**{"world": tiny(), "n": 3, "rng": np.random.default_rng(1)} | changes)


def test_seeds_and_unknown_worlds_are_refused():
    with pytest.raises(TypeError, match="`rng` must be a numpy Generator"):
        corpora.generate(tiny(), 3, rng=7)
    with pytest.raises(ValueError, match="`name` must be one of"):
        corpora.world("poems")
