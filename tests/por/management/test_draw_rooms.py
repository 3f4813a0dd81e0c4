from __future__ import annotations

from pathlib import Path

from por.management.commands.draw_rooms import FILE, drawn_into, picture, rooms


def test_picture_of_the_rooms_is_up_to_date() -> None:
    document = FILE.read_text(encoding="utf-8")
    assert document == drawn_into(document), "run manage.py draw_rooms"


def test_rooms_are_found_from_imports(tmp_path: Path) -> None:
    for name, text in {
        "por/urls.py": "from por.web import pages",
        "por/web/pages.py": "from por.db.locks import advisory_lock\nimport django",
        "por/db/locks.py": "def held():\n    from por import errors",
        "por/db/migrations/0001_initial.py": "from por.web import pages",
        "por/errors.py": "from por import texts",
        "por/texts.py": "",
        "associations/apps.py": "from associations.record import actions",
        "associations/record/actions.py": "from por.web.pages import render\nfrom associations.record import locking",
        "associations/record/locking.py": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert rooms(tmp_path) == {
        "por": {"por.web"},
        "por.web": {"por.db"},
        "por.db": {"por.errors"},
        "por.errors": {"por.texts"},
        "por.texts": set(),
        "associations": {"associations.record"},
        "associations.record": {"por.web"},
    }


def test_import_that_follows_from_others_is_not_drawn_and_a_circle_shares_a_box() -> None:
    graph = {"top": ["one", "ground"], "one": ["two", "ground"], "two": ["one"]}
    assert picture(graph).splitlines()[2:-1] == [
        '    top["top"]',
        '    one__two["one ⇄ two"]',
        '    ground["ground"]',
        "    top --> one__two",
        "    one__two --> ground",
    ]
