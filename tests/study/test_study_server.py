import http.client
import io
import json
import threading
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from styletransfer.core.errors import OutputError, SettingsError
from styletransfer.study.experiment import catch_results, has_failed
from styletransfer.study.server import serving
from styletransfer.study.votes import Vote, catch_path, read_votes


class Client:
    """A browser without a screen."""

    def __init__(self, address):
        self.place = urlsplit(address).netloc

    def send(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection(self.place, timeout=10)
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        connection.request(method, path, data, {"Content-Type": "application/json"} | (headers or {}))
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, content, answer.headers

    def ask(self, path, **body):
        status, content, _ = self.send("POST", path, body)
        assert status == 200, content
        return json.loads(content)

    def vote(self, state, selected="left", **other):
        known = {"observer": state["observer"], "session": state["session"], "trial": state["trial"]["id"]}
        return state | self.ask("/vote", **(known | {"selected": selected} | other))

    def answer_all(self, state):
        """Vote for the brighter picture of each pair, as these conditions are ordered; the trials seen."""
        seen = []
        while state["trial"]:
            brightness = {side: self.picture(state, side).mean() for side in ("left", "right")}
            seen.append(state["trial"]["id"])
            state = self.vote(state, max(brightness, key=brightness.get))
        return seen

    def picture(self, state, which):
        status, content, headers = self.send("GET", f"/picture/{state['observer']}/{state['trial']['id']}/{which}")
        assert (status, headers["Content-Type"]) == (200, "image/png")
        return np.array(Image.open(io.BytesIO(content)))


@pytest.fixture
def errors():
    return []


@pytest.fixture
def client(make_experiment, errors):
    with serving(make_experiment(), on_error=errors.append) as address:
        yield Client(address)


def test_the_page_comes_alone_and_may_load_nothing_from_elsewhere(client):
    status, page, headers = client.send("GET", "/")
    assert status == 200
    assert b"http" not in page.replace(b"http-equiv", b"")
    assert "default-src 'none'" in headers["Content-Security-Policy"]


def test_an_observer_sees_all_pairs_and_the_file_says_what_was_chosen(client, votes_file):
    seen = client.answer_all(client.ask("/start", observer="anna"))
    votes = read_votes(votes_file)[0]
    assert len(set(seen)) == 7
    assert len(votes) == 6
    for vote in votes:  # alpha is brighter than beta, beta than gamma
        assert vote.is_a_selected == (vote.condition_a < vote.condition_b)
    assert {vote.observer for vote in votes} == {"anna"}
    assert len({vote.session for vote in votes}) == 1
    (caught,) = read_votes(catch_path(votes_file))[0]
    assert {caught.condition_a, caught.condition_b} == {"reference", "spoilt reference"}


def test_the_spoilt_reference_is_clearly_worse_and_the_other_candidate_is_the_reference(make_experiment):
    experiment = make_experiment(per_observer=1)
    with serving(experiment) as address:
        client = Client(address)
        state = client.vote(client.ask("/start", observer="anna"))
        left, right, reference = (client.picture(state, which).astype(int) for which in ("left", "right", "reference"))
    apart = sorted(np.abs(side - reference).mean() for side in (left, right))
    assert apart[0] == 0
    assert apart[1] > 5


def test_addresses_and_answers_do_not_tell_the_conditions(client):
    status, content, headers = client.send("POST", "/start", {"observer": "anna"})
    assert status == 200
    assert not any(name in content for name in (b"alpha", b"beta", b"gamma", b"harbour", b"meadow"))
    assert not any(name in str(headers) for name in ("alpha", "beta", "gamma"))


def test_a_killed_server_goes_on_where_each_observer_was(make_experiment, votes_file):
    with serving(make_experiment()) as address:
        client = Client(address)
        state = client.ask("/start", observer="anna")
        for _ in range(5):  # past the catch trial in the middle
            state = client.vote(state)
        open_page = state
    with serving(make_experiment()) as address:  # no goodbye was said: only the files are left
        client = Client(address)
        assert client.picture(open_page, "left").shape == (30, 40, 3)
        state = client.vote(open_page)  # the page that stayed open
        assert (state["done"], state["total"]) == (6, 7)
        state = client.ask("/start", observer="anna")
        assert state["done"] == 6
        assert state["session"] != open_page["session"]
        assert len(client.answer_all(state)) == 1
        assert client.ask("/start", observer="anna")["trial"] is None
        assert client.ask("/start", observer="bert")["done"] == 0
    pairs = [(vote.scene, frozenset((vote.condition_a, vote.condition_b))) for vote in read_votes(votes_file)[0]]
    assert len(pairs) == len(set(pairs)) == 6
    assert len(read_votes(catch_path(votes_file))[0]) == 1


def test_a_vote_sent_twice_counts_once(client, votes_file):
    state = client.ask("/start", observer="anna")
    once = client.vote(state, "left")
    twice = client.vote(state, "right")
    assert once == twice
    assert len(read_votes(votes_file)[0]) == 1


def test_many_observers_at_once_lose_nothing(client, votes_file):
    threads = [
        threading.Thread(target=lambda n=n: client.answer_all(client.ask("/start", observer=f"o{n}"))) for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_votes(votes_file)[0]) == 36


def test_observers_without_a_name_get_one_each(client):
    names = {client.ask("/start", observer="  ")["observer"] for _ in range(5)}
    assert len(names) == 5


@pytest.mark.parametrize("name", ["=cmd()", "a\nb,c", "../x", "x" * 65, 'a"b', "<b>"])
def test_names_that_could_harm_a_table_are_refused(client, name):
    status, content, _ = client.send("POST", "/start", {"observer": name})
    if name == "a\nb,c":
        name = "a b,c"
    assert status == 400
    assert "letters, digits" in json.loads(content)["error"]


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/picture/anna/..%2f..%2f..%2fetc%2fpasswd/left",
        "/picture/anna/{trial}/..%2freference.png",
        "/picture/anna/{trial}/gamma",
        "/picture/anna/0123456789abcdef/left",
        "/picture/bert/{trial}/left",
        "/picture/%00/{trial}/left",
        "/harbour/alpha.png",
        "/page.html",
        "/favicon.ico",
    ],
)
def test_only_pictures_of_the_observers_own_trials_are_given_out(client, path):
    trial = client.ask("/start", observer="anna")["trial"]["id"]
    status, content, _ = client.send("GET", path.format(trial=trial))
    assert status == 404
    assert b"error" in content


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/vote", {"trial": "0123456789abcdef"}, 404),
        ("/vote", {"session": "?"}, 404),
        ("/vote", {"observer": "=x"}, 404),
        ("/vote", {"selected": "both"}, 400),
        ("/vote", {"selected": None}, 400),
        ("/vote", {"trial": ["x"]}, 400),
        ("/vote", b"not json", 400),
        ("/vote", b"[1]", 400),
        ("/vote", b"\xff", 400),
        ("/vote", b"{" + b" " * 10_000 + b"}", 400),
        ("/elsewhere", {}, 404),
        ("/", {}, 404),
    ],
)
def test_what_is_no_vote_is_refused_and_not_written(client, votes_file, path, body, status):
    state = client.ask("/start", observer="anna")
    good = {"observer": "anna", "session": state["session"], "trial": state["trial"]["id"], "selected": "left"}
    assert client.send("POST", path, good | body if isinstance(body, dict) else body)[0] == status
    assert read_votes(votes_file)[0] == []
    assert client.vote(state)["done"] == 1


def test_a_form_of_another_site_cannot_vote(client, votes_file):
    state = client.ask("/start", observer="anna")
    good = {"observer": "anna", "session": state["session"], "trial": state["trial"]["id"], "selected": "left"}
    assert client.send("POST", "/vote", good, {"Content-Type": "text/plain"})[0] == 400
    assert read_votes(votes_file)[0] == []


def test_a_full_disk_is_told_to_both_and_the_vote_can_be_sent_again(client, errors, monkeypatch):
    state = client.ask("/start", observer="anna")

    def fail(self, lines):
        raise OutputError("votes.csv: the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("styletransfer.study.votes.VoteLog._write", fail)
        known = {"observer": "anna", "session": state["session"], "trial": state["trial"]["id"], "selected": "left"}
        assert client.send("POST", "/vote", known)[0] == 507
    assert errors == ["votes.csv: the disk is full"]
    assert client.vote(state)["done"] == 1


def test_a_picture_that_is_gone_is_told(client, errors, folder):
    state = client.ask("/start", observer="anna")
    for path in folder.rglob("reference.png"):
        path.unlink()
    assert client.send("GET", f"/picture/anna/{state['trial']['id']}/reference")[0] == 404
    assert "reference.png is gone" in errors[0]


def test_an_address_that_is_taken_is_one_clear_error(make_experiment):
    with serving(make_experiment()) as address:
        port = urlsplit(address).port
        with (
            pytest.raises(SettingsError, match=f"127.0.0.1 port {port} cannot be opened"),
            serving(make_experiment(), port=port),
        ):
            pass
    with (
        pytest.raises(SettingsError, match=r"no\.such\.host\.invalid port 0 cannot be opened"),
        serving(make_experiment(), host="no.such.host.invalid"),
    ):
        pass


def test_who_takes_the_spoilt_picture_for_the_reference_has_failed():
    right = Vote("anna", "s", "m", "reference", "spoilt reference", True)
    wrong = Vote("bert", "s", "m", "spoilt reference", "reference", True)
    results = catch_results([right, right, wrong, Vote("bert", "s", "m", "spoilt reference", "reference", False)])
    assert results == {"anna": (2, 0), "bert": (2, 1)}
    assert [has_failed(*results[name]) for name in ("anna", "bert")] == [False, True]
    assert not has_failed(4, 1)  # one slip of the finger


def test_nobody_is_called_what_tables_take_for_no_value(make_experiment):
    experiment = make_experiment()
    with pytest.raises(SettingsError, match="tables take the name Nan for no value"):
        experiment.start("Nan")
    assert experiment.start("Nanette")["trial"]
