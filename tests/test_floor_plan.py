"""The picture of the rooms is true: the order of the architecture, the folders of the store, nothing that is gone."""

import re
import xml.etree.ElementTree as ElementTree

import floor_plan
import pytest
from test_architecture import CORE, ORDER

ROOT = CORE.parent
SVG = "{http://www.w3.org/2000/svg}"


def words(style=None):
    """The texts of the committed picture from the top and the left, of one style or all."""
    found = ElementTree.parse(floor_plan.PICTURE).iter(f"{SVG}text")
    placed = sorted((float(each.get("y", 0)), float(each.get("x", 0)), each.text) for each in found
                    if style in (None, each.get("class")))  # fmt: skip
    return [text for _, _, text in placed]


def test_picture_is_the_one_drawn_from_the_tree():
    drawn = floor_plan.drawn()
    assert floor_plan.PICTURE.read_text("utf-8") == drawn, "run `python tests/test_docs.py --write`"


def test_picture_has_every_room_in_the_order_of_the_imports():
    assert tuple(words("name")) == ORDER


@pytest.mark.parametrize("beside", [floor_plan.ENTERS, floor_plan.LEAVES], ids=["enters", "leaves"])
def test_picture_says_what_passes_of_rooms_that_exist(beside):
    assert set(beside) <= set(ORDER)
    assert set(beside.values()) <= set(words())


def test_picture_and_pages_name_every_folder_of_the_store():
    folders = set(re.findall(r'self\.root / "(\w+)"', (CORE / "store/layout.py").read_text("utf-8")))
    assert {"skills", "compositions", "reports"} <= folders
    shown = " ".join(words("code"))
    listed = (ROOT / "docs/concepts/store.md").read_text("utf-8")
    for folder in folders:
        assert f"{folder}/" in shown, f"say in tests/floor_plan.py what leaves {folder}/"
        assert f"{folder}/" in listed, f"docs/concepts/store.md lacks {folder}/"


def test_picture_names_no_folder_that_the_store_has_not():
    layout = (CORE / "store/layout.py").read_text("utf-8")
    named = set(re.findall(r"\b([a-z-]+)/", " ".join(words("code")))) - {"mdkif-store"}
    assert {name for name in named if f'"{name}"' not in layout} == set()


def test_page_has_the_picture_and_is_linked_from_where_strangers_begin():
    assert "](architecture.svg)" in (ROOT / "docs/architecture.md").read_text("utf-8")
    for page, link in {"README.md": "docs/", "CONTRIBUTING.md": "docs/", "docs/index.md": ""}.items():
        assert f"]({link}architecture.md)" in (ROOT / page).read_text("utf-8"), page
