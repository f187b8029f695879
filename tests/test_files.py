import os
import subprocess
import sys
import threading

import pytest

from atrous.errors import RunError
from atrous.files import claimed, remove_leftovers, whole_file, whole_folder, write_whole

HOLD = "from atrous.files import claimed; from pathlib import Path; import sys, time\n"
HOLD += "with claimed(Path(sys.argv[1])): print(flush=True); time.sleep(float(sys.argv[2]))"


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def parts():
        yield b"new"
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_whole(path, parts(), durable=True)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("durable", [False, True])
def test_what_is_written_is_read(tmp_path, durable):
    write_whole(tmp_path / "a", b"bytes", durable=durable)
    assert (tmp_path / "a").read_bytes() == b"bytes"


@pytest.mark.skipif(os.name == "nt", reason="permissions are those of POSIX")
def test_files_have_the_permissions_of_ordinary_ones(tmp_path):
    write_whole(tmp_path / "a", b"")
    (tmp_path / "b").touch()
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_a_durable_write_syncs_the_file_before_the_rename_and_the_folder_after(
    tmp_path, monkeypatch
):
    calls = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (calls.append("fsync"), sync(handle))[1])
    monkeypatch.setattr(os, "replace", lambda a, b: (calls.append("rename"), replace(a, b))[1])
    write_whole(tmp_path / "a", b"x", durable=True)
    assert calls == (["fsync", "rename"] if os.name == "nt" else ["fsync", "rename", "fsync"])


def test_leftovers_of_interrupted_writes_are_removed(tmp_path):
    (tmp_path / ".atrous-abc").touch()
    (tmp_path / "kept").touch()
    remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_what_a_kill_leaves_lies_in_the_folder_named_for_it(tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    with whole_file(tmp_path / "a", within=place) as file:
        file.write(b"..end")
        file.seek(0)
        file.write(b"be")
        assert len([*place.iterdir()]) == 1 and not (tmp_path / "a").exists()
    assert (tmp_path / "a").read_bytes() == b"beend" and not [*place.iterdir()]


def test_a_folder_is_held_by_one_process_and_gone_again_if_left_empty(tmp_path):
    folder = tmp_path / "held"
    command = [sys.executable, "-c", HOLD, str(folder), "0.3"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        assert other.stdout and other.stdout.readline()
        with pytest.raises(RunError, match="is being written by another process"), claimed(folder):
            pass
        with claimed(folder, patience=30):  # it waits until the other is done
            assert other.wait(10) == 0
    assert not folder.exists()


def test_a_folder_is_held_by_one_thread_of_a_process(tmp_path):
    folder, other = tmp_path / "held", [sys.executable, "-c", HOLD, str(tmp_path / "held"), "0"]
    with claimed(folder):
        with (
            pytest.raises(RunError, match="is being written by another thread"),
            claimed(tmp_path / "." / "held"),
        ):
            pass
        asked = subprocess.run(other, capture_output=True, text=True, check=False)
        assert "is being written by another process" in asked.stderr  # the lock was not let go
        order: list[str] = []
        waited = threading.Thread(target=lambda: order.append(_claim(folder)))
        waited.start()
        order.append("first")
    waited.join()
    assert order == ["first", "second"] and not folder.exists()


def _claim(folder):
    with claimed(folder, patience=30):
        return "second"


def test_a_disk_that_refuses_the_last_step_of_a_folder_is_told(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("atrous.files.os.replace", refuse)
    with (
        pytest.raises(RunError, match=r"a\.txt: cannot be written \(Permission denied\)"),
        whole_folder(tmp_path / "out") as place,
    ):
        (place / "a.txt").touch()
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("atrous.files.open", refuse, raising=False)
    with pytest.raises(RunError, match="cannot be written to") as caught, claimed(tmp_path):
        pass
    assert caught.value.where == str(tmp_path)
