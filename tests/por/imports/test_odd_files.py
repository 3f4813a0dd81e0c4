"""Files as other programs and spreadsheets write them are read, or refused with the true reason."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest

from por.directory.models import Customer
from por.imports.opening import Columns, Opened
from por.imports.reading import Unfit
from por.imports.sampling import Table
from tests.estates import OTHER_TENANT, TENANT, Loaded, load

WANTED = Columns(("tenant_id", "name", "country"), ("tenant_id", "name"))


def load_bytes(directory: Path, content: bytes) -> Loaded:
    (directory / "customers.csv").write_bytes(content)
    return load(directory)


def rows(directory: Path, content: bytes | str, columns: Columns = WANTED) -> list[list[str] | str | None]:
    """Return the cells of each line below the header, None for an empty one, and the code of a refused one."""
    path = directory / "file.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    found: list[list[str] | str | None] = []
    with Opened(path, columns) as opened:
        for line, raw in enumerate(opened.lines(), opened.header.lines + 1):
            try:
                cells = opened.cells(line, raw)
            except Unfit as unfit:
                found.append(unfit.code)
            else:
                found.append([cells.written(one) for one in columns.every] if cells else None)
    return found


def test_titles_and_empty_lines_above_the_header_are_skipped(tmp_path):
    text = "Customers of Alm;;\r\n\r\nPrinted on 29 Nov 2026;;\r\nName;Tenant ID;Country\r\nAlm AB;1;SE\r\n"
    assert rows(tmp_path, text) == [["1", "Alm AB", "SE"]]


def test_fault_of_the_first_line_is_told_if_no_line_is_a_header(tmp_path):
    with pytest.raises(Unfit, match="We do not know the column tenant_ids"):
        rows(tmp_path, "tenant_ids;name\n1;Alm AB\n2;Ek AB\n")


def test_bad_row_below_a_wrong_header_does_not_hide_its_fault(tmp_path):
    with pytest.raises(Unfit, match="We do not know the column tenant_ids"):
        rows(tmp_path, "tenant_ids;name\n1;Västerhamn\n".encode("cp1252"))


def test_bad_row_does_not_hide_the_columns_of_a_file_that_nobody_knows(tmp_path):
    path = tmp_path / "file.csv"
    path.write_bytes('a;b\n1;2\n3;"4\n5;ö\n6;7\n'.encode("cp1252"))
    assert (Table(path).names, list(Table(path).rows())) == (["a", "b"], [["1", "2"], ["5", "ö"], ["6", "7"]])


def test_byte_order_mark_may_be_there_twice_before_quotes(tmp_path):
    assert rows(tmp_path, codecs.BOM_UTF8 * 2 + b'"Tenant ID","Name"\n"1","Alm AB"\n') == [["1", "Alm AB", ""]]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_with_tabs_is_read(tmp_path, encoding):
    mark = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}[encoding]
    text = 'tenant_id\tname\tcountry\r\n1\tÅngström & Söner AB\tSE\r\n2\t"Ek\r\nog Alm"\tNO\r\n'
    assert rows(tmp_path, mark + text.encode(encoding)) == [
        ["1", "Ångström & Söner AB", "SE"],
        ["2", "Ek\nog Alm", "NO"],
        None,
    ]


def test_separators_at_the_end_of_lines_are_no_cells(tmp_path):
    assert rows(tmp_path, "tenant_id;name;country\n1;Alm AB;SE;;\n2;Ek AB;NO;x\n") == [
        ["1", "Alm AB", "SE"],
        "wrong_number_of_cells",
    ]


def test_line_breaks_within_quotes_belong_to_the_cell_and_lines_keep_their_numbers(tmp_path):
    text = 'tenant_id,name,country,"Prepaid\r\nUnits"\r\n1,Alm AB,SE,"class {\r\n  Enabled: 25\r\n}"\r\n2,Ek AB,,x\r\n'
    assert rows(tmp_path, text) == [["1", "Alm AB", "SE"], None, None, ["2", "Ek AB", ""]]


def test_open_quote_costs_its_own_line_only(tmp_path):
    text = 'tenant_id,name,country\n1,"Alm AB,SE\n2,Ek AB,NO\n3,"Bo AB,SE\n4,"Eva\nAB",SE\n'
    assert rows(tmp_path, text) == ["bad_quoting", ["2", "Ek AB", "NO"], "bad_quoting", ["4", "Eva\nAB", "SE"], None]


@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r"])
def test_row_over_several_lines_is_read_across_the_blocks_of_a_file(tmp_path, end):
    one = b'%d,"A' + end + b'B",SE'
    count = 30_000
    content = end.join([b"tenant_id,name,country", *(one % number for number in range(count))])
    found = [row for row in rows(tmp_path, content) if row]
    assert len(found) == count
    assert found[-1] == [str(count - 1), "A\nB", "SE"]


def test_total_at_the_end_is_refused_and_the_rows_are_taken(tmp_path):
    text = f"tenant_id;name;country\r\n{TENANT};Alm AB;SE\r\n{OTHER_TENANT};Ek AB;NO\r\n;;\r\nTotal;2;\r\n;;\r\n"
    loaded = load_bytes(tmp_path, text.encode())
    assert loaded.codes == [("5", "tenant_id", "malformed_guid")]
    assert Customer.objects.count() == 2


def test_name_in_the_code_page_of_a_machine_is_refused_with_the_reason(tmp_path):
    text = f"tenant_id;name\r\n{TENANT};Västerhamn AB\r\n{OTHER_TENANT};Ek AB\r\n"
    loaded = load_bytes(tmp_path, text.encode("cp1252"))
    assert loaded.codes == [("2", "", "not_utf8")]
    assert "Save the file as UTF-8." in loaded.errors[0]["reason"]


@pytest.mark.parametrize(
    ("text", "names", "count"),
    [
        ("Report of licences\n\nProduct Title;Total Licenses;Expired\nMicrosoft 365 E3;1 250;0\n", 3, 1),
        ("sep=;\nProduct;Total\nE3;5\n", 2, 1),
        ("Product,Total,Total,\nE3,5,6,\nE5,7,8,\n", 4, 2),
        ('#TYPE Deserialized\n"SkuId","PrepaidUnits"\n"x","class LicenseUnitsDetail {\n  Enabled: 25\n}\n"\n', 2, 1),
        ("ObjectId\tSkuPartNumber\n1\tSPE_E3\n", 2, 1),
    ],
)
def test_columns_of_a_file_that_nobody_knows_are_found(tmp_path, text, names, count):
    path = tmp_path / "file.csv"
    path.write_text(text, encoding="utf-8")
    table = Table(path)
    assert (len(table.names), len(list(table.rows()))) == (names, count)
    assert "Total" not in table.choosable or table.names.count("Total") == 1
