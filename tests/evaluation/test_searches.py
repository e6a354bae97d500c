"""Queries that are answered before and after: which are drawn, and how they are counted."""

from clearir.data.rows import Row
from clearir.evaluation.searches import FoundPassage, Search, first_places, first_places_in_words, held_out, one_each
from clearir.settings import SearchExample

ROWS = [Row(f"q{i}", f"p{i}", f"t{i} {language}", language) for i in range(9) for language in ("hi", "om")]


def found(language: str, before: bool, after: bool, right: str | None = "p") -> Search:
    hits = [[FoundPassage("p", 0.5, "q", side), FoundPassage("other", 0.4)] for side in (before, after)]
    return Search(language, "t", *hits, meaning="q", right=right)


def test_held_out_queries_come_with_their_meaning_and_their_passage():
    drawn = held_out(ROWS, 4)
    assert [one.language for one in drawn] == ["hi"] * 4 + ["om"] * 4
    for one in drawn:
        number = one.query[1]
        assert one == SearchExample(
            language=one.language, query=f"t{number} {one.language}", meaning=f"q{number}", right=f"p{number}"
        )


def test_the_draw_depends_on_the_seed_and_not_on_the_order():
    assert held_out(ROWS[::-1], 4) == held_out(ROWS, 4)
    assert held_out(ROWS, 4, seed=1) != held_out(ROWS, 4)


def test_a_row_that_goes_changes_the_draw_for_itself_alone():
    before = held_out(ROWS, 9)
    assert held_out([row for row in ROWS if row.query != "q3"], 9) == [one for one in before if one.meaning != "q3"]


def test_a_query_that_is_asked_twice_is_drawn_once():
    assert len(held_out(ROWS + ROWS, 9)) == 18


def test_a_number_beyond_the_rows_takes_all():
    assert len(held_out([*ROWS, Row("no target", "p")], 100)) == 18


def test_first_places_count_the_searches_whose_answer_is_known():
    searches = [found("hi", False, True), found("hi", True, True), found("om", False, False), found("om", True, True)]
    assert first_places(searches) == (4, 2, 3)
    assert first_places([*searches, found("om", True, True, right=None)]) == (4, 2, 3)
    assert first_places_in_words(searches) == (
        "the right passage ranks first for 2 of 4 held-out queries before training, for 3 after"
    )


def test_where_no_answer_is_known_nothing_is_said():
    assert first_places([found("hi", False, False, right=None)]) is None
    assert first_places_in_words([]) is None


def test_one_search_of_each_language_is_the_first():
    searches = [found("hi", False, True), found("hi", True, True), found("om", False, False)]
    assert one_each(searches) == [searches[0], searches[2]]
