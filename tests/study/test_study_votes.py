import os

import pytest

from styletransfer.core.errors import InputError, OutputError
from styletransfer.study.votes import Vote, VoteLog, read_votes

HEADER = "observer,session,scene,condition_A,condition_B,is_A_selected\n"
VOTE = Vote("anna", "0123abcd", "har, bour", 'al"pha', "beta", True)


def test_votes_come_back_as_they_were_written(votes_file):
    log = VoteLog(votes_file)
    log.append(VOTE)
    log.append(Vote("björn", "s", "meadow", "alpha", "beta", False))
    assert votes_file.read_text().splitlines()[0] == HEADER.strip()
    assert read_votes(votes_file) == (log.votes, False)


def test_every_vote_is_on_the_disk_before_it_counts(votes_file, monkeypatch):
    log, synced = VoteLog(votes_file), []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_size))
    log.append(VOTE)
    assert synced == [votes_file.stat().st_size]


@pytest.mark.parametrize("kept", range(1, 30, 4))
def test_half_a_line_of_a_killed_server_is_removed_and_the_rest_kept(votes_file, kept):
    VoteLog(votes_file).append(VOTE)
    whole = votes_file.read_bytes()
    line = b"bert,s,meadow,alpha,beta,0\n"
    votes_file.write_bytes(whole + line[: min(kept, len(line) - 2)])
    assert read_votes(votes_file) == ([VOTE], True)
    log = VoteLog(votes_file)
    assert log.was_cut
    log.append(Vote("bert", "s", "meadow", "alpha", "beta", False))
    assert votes_file.read_bytes() == whole + line


def test_a_last_line_that_only_lacks_its_end_is_kept(votes_file):
    votes_file.write_text(HEADER + "anna,s,meadow,alpha,beta,1")
    log = VoteLog(votes_file)
    log.append(VOTE)
    assert [vote.observer for vote in read_votes(votes_file)[0]] == ["anna", "anna"]


def test_a_full_disk_loses_no_vote_and_leaves_no_half_line(votes_file, monkeypatch):
    log = VoteLog(votes_file)
    log.append(VOTE)
    before = votes_file.read_bytes()

    def fail(handle):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OutputError, match="disk is full"):
        patch.setattr(os, "fsync", fail)
        log.append(Vote("bert", "s", "meadow", "alpha", "beta", False))
    assert votes_file.read_bytes() == before
    assert log.votes == [VOTE]


def test_columns_may_stand_in_another_order_and_truth_be_written_out(votes_file):
    votes_file.write_bytes(
        "\ufeffscene,is_A_selected,condition_A,condition_B,observer,session\r\nm,True,x,y,o,s\r\n\r\n".encode()
    )
    assert read_votes(votes_file) == ([Vote("o", "s", "m", "x", "y", True)], False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; the first line must be observer,session"),
        ("\n\n", "is empty"),
        ("a,b,c\n1,2,3\n", r"observer, session, .* missing; a, b, c unknown"),
        (HEADER.replace("scene", "image"), "scene missing; image unknown"),
        (HEADER.strip() + ",time\n", "time unknown"),
        (HEADER + "o,s,m,x,y,0.5\n", r"line 2 has is_A_selected '0.5'; allowed: 1"),
        (HEADER + "o,s,m,x,y,nan\n", "line 2 has is_A_selected 'nan'"),
        (HEADER + "o,s,m,x,y,\n", "line 2 has is_A_selected ''"),
        (HEADER + "o,s,m,NaN,y,1\n", "line 2 has no condition_A"),
        (HEADER + ",s,m,x,y,1\n,s,m,x,y,1\n", "line 2 has no observer .and 1 more such lines."),
        (HEADER + "o,s,m,x,x,1\n", "line 2 compares 'x' with itself"),
        (HEADER + "o,s,m,x\no,s,m,x,y,1\n", "line 2 has too few values"),
        (HEADER + "o,s,m,x,y,1,7\n", "line 2 has too many values"),
        (HEADER + 'o,s,m,"x\n', "line 2 has too few values"),
    ],
)
def test_a_file_that_is_none_of_votes_is_refused_by_line(votes_file, text, message):
    votes_file.write_text(text)
    with pytest.raises(InputError, match=message):
        read_votes(votes_file)


def test_binary_files_folders_and_missing_files(votes_file, tmp_path):
    with pytest.raises(InputError, match="no such file of votes"):
        read_votes(votes_file)
    with pytest.raises(InputError, match="is a folder"):
        read_votes(tmp_path)
    votes_file.write_bytes(b"\x89PNG\r\n\x1a\n\xff\x00")
    with pytest.raises(InputError, match="not UTF-8"):
        read_votes(votes_file)
    with pytest.raises(InputError, match="not UTF-8"):
        VoteLog(votes_file)
    assert votes_file.read_bytes().startswith(b"\x89PNG")
