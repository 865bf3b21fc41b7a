"""What is drawn is written down; what is listed is all that happens."""

from switch.simulation.chance import Choice, Choices, Steady, stream


def test_what_is_drawn_happens_and_is_written_down() -> None:
    choices = Choices()
    assert choices.of("net/1", "reset", (3.0,)) == ("reset", (3.0,))
    assert choices.of("net/2", "", (5.0,)) == ("", (5.0,))
    assert choices.made == [Choice("net/1", "reset", (3.0,))]


def test_what_is_listed_happens_whatever_is_drawn() -> None:
    choices = Choices([Choice("net/2", "stall", (7.0,))])
    assert choices.of("net/1", "reset", (3.0,)) == ("", (3.0,))
    assert choices.of("net/2", "", (5.0,)) == ("stall", (7.0,))
    assert choices.made == [Choice("net/2", "stall", (7.0,))]


def test_an_empty_list_is_a_world_without_faults() -> None:
    assert Choices([]).told
    assert not Choices().told
    assert Choices([]).of("net/1", "reset") == ("", ())


def test_a_room_of_the_list_in_order() -> None:
    listed = [Choice("world/kill/1", "kill"), Choice("net/1", "reset"), Choice("world/kill/0", "x")]
    assert [one.what for one in Choices(listed).under("world/")] == ["x", "kill"]


def test_matters_have_streams_of_their_own() -> None:
    assert stream(7, "a").random() == stream(7, "a").random()
    assert len({stream(7, "a").random(), stream(7, "b").random(), stream(8, "a").random()}) == 3


def test_a_steady_stream_never_varies() -> None:
    steady = Steady()
    assert {steady.random() for _ in range(5)} == {0.5}
    assert len({steady.randint(1, 100) for _ in range(5)}) == 1
