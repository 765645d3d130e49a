import pytest

from counterweight.images.near_names import near_names


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("9", "00009.png"),
        ("cat/9", "cat/00009.png"),
        ("Cat/1.JPG", "cat/1.jpg"),
        ("cat\\1.jpg", "cat/1.jpg"),
        ("1.jpg", "cat/1.jpg"),
        ("images/cat/1.jpg", "cat/1.jpg"),
        ("/home/ann/photos/cat/1.jpg", "cat/1.jpg"),
        ("./cat/1.jpg", "cat/1.jpg"),
        ("cat/1.png", "cat/1.jpg"),
        ("cafe\u0301.jpg", "caf\u00e9.jpg"),
        ("v1.2", "v1.2.png"),
        ("0", "000.png"),
    ],
)
def test_the_one_file_that_a_name_may_mean_is_found(name: str, file: str) -> None:
    assert near_names([name], [file, "other/x2.gif"]) == [file]


@pytest.mark.parametrize("name", ["1.jpg", "1", "01.png", ""])
def test_a_name_that_may_mean_several_files_finds_none(name: str) -> None:
    assert near_names([name], ["cat/1.jpg", "dog/1.jpg"]) == [""]


def test_the_name_that_differs_least_wins() -> None:
    assert near_names(["A.jpg", "1.JPG", "01.jpg"], ["a.jpg", "a.png", "1.jpg", "01.png"]) == [
        "a.jpg",
        "1.jpg",
        "01.png",
    ]


def test_a_name_in_another_folder_is_another_image_unless_that_is_asked_for() -> None:
    assert near_names(["dog/1.jpg", "b/1.jpg"], ["cat/1.jpg", "a/b/2.jpg"]) == ["", ""]
    assert near_names(["dog/1.jpg"], ["cat/1.jpg"], other_folders=True) == ["cat/1.jpg"]


def test_files_that_another_name_has_are_not_meant() -> None:
    assert near_names(["7"], ["007.jpg", "07.png"], {"007.jpg"}) == ["07.png"]


def test_the_whole_path_wins_over_its_end() -> None:
    assert near_names(["A.jpg"], ["a.jpg", "x/a.jpg"]) == ["a.jpg"]


@pytest.mark.parametrize("name", ["0.", "00.", "/", ".", "\\", "0/"])
def test_odd_names_find_nothing(name: str) -> None:
    assert near_names([name], ["a.jpg"]) == [""]


def test_leading_folders_are_dropped_one_by_one() -> None:
    assert near_names(["data/cat/1.jpg"], ["cat/1.jpg", "dog/1.jpg"]) == ["cat/1.jpg"]
