"""Lines of files that grow are found without reading all of the file again."""

import io
from pathlib import Path

import pytest

from service.jobs.lines import LineIndex, index_of, lines_from


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rows"


def write(path: Path, count: int, mode: str = "w") -> None:
    with path.open(mode) as file:
        file.writelines(f"row {n}\n" for n in range(count))


class Counting(io.FileIO):
    """Counts the bytes that are read."""

    counted = 0

    def readall(self) -> bytes:
        raise AssertionError("reads without a bound")

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        read = super().readinto(buffer) or 0
        Counting.counted += read
        return read


def test_each_line_is_found_where_it_begins(path: Path) -> None:
    write(path, 1000)
    for line in (0, 1, 63, 64, 65, 128, 999):
        assert lines_from(path, line, 2)[0] == b"row %d\n" % line
    assert lines_from(path, 1000, 2) == lines_from(path, 5000, 2) == []
    assert len(lines_from(path, 990, None)) == 10


def test_no_file_has_no_lines(path: Path) -> None:
    assert lines_from(path, 0, None) == lines_from(path, 7, None) == []


def test_a_line_without_its_end_is_not_counted(path: Path) -> None:
    path.write_bytes(b"a\nb\nc")
    assert lines_from(path, 1, None) == [b"b\n"]
    with path.open("ab") as file:
        file.write(b"d\n")
    assert lines_from(path, 2, None) == [b"cd\n"]


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("count", [70, 300])
def test_a_file_that_is_replaced_is_counted_anew(path: Path, count: int, in_place: bool) -> None:
    write(path, 200)
    assert lines_from(path, 150, 1) == [b"row 150\n"]
    other = path if in_place else path.with_suffix(".new")
    with other.open("w") as file:
        file.writelines(f"other row {n}\n" for n in range(count))
    other.replace(path)
    expected = [f"other row {n}\n".encode() for n in range(count)]
    for line in (0, 65, 69, 150):
        assert lines_from(path, line, None) == expected[line:]


def test_polling_a_file_that_grows_reads_it_once_over(path: Path) -> None:
    index, size = LineIndex(), 0
    Counting.counted = 0
    for done in range(0, 20_000, 50):
        write(path, 50, "a")
        with io.BufferedReader(Counting(str(path)), 512) as file:
            assert index.find(file, done) is not None
        size = path.stat().st_size
    # 400 looks; from the start each time, it would be 200 times the file.
    assert Counting.counted < 8 * size


def test_indexes_are_kept_for_a_bounded_number_of_files(tmp_path: Path) -> None:
    for number in range(1000):
        index_of(tmp_path / str(number))
    assert index_of.cache_info().currsize <= 256
