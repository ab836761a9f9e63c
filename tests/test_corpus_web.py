"""Pages as browsers read them: encodings, bodies as HTTP transfers them, lists inside table cells."""

# ruff: noqa: RUF001 - texts of other scripts are meant
import gzip
import zlib

import pyarrow as pa
import pytest

from tokenworth.corpus.corpus_settings import Source
from tokenworth.corpus.readers.http_body import BodyError, decoded_body
from tokenworth.corpus.readers.main_text import extract_text
from tokenworth.corpus.readers.page_encoding import declared, decoded_page, encoding_of
from tokenworth.corpus.readers.plain_files import read_html
from tokenworth.corpus.readers.refusals import Refused
from tokenworth.corpus.readers.warc import read_warc

WESTERN = "The council’s report – out “today” – says it costs €5, naïve as that is. "
GERMAN = "Über die Brücke fährt künftig größerer Verkehr, sagte der Bürgermeister. "
RUSSIAN = "Городской совет сообщил, что старый мост не будет открыт до весны. "
CHINESE = "市议会说，这座桥在春天以前不会修好。镕基大桥每天有很多人经过。"
JAPANESE = "市議会は月曜日に、橋の修理は春まで始まらないと発表した。①髙い費用。"
KOREAN = "시의회는 다리가 봄 이전에는 수리되지 않을 것이라고 밝혔다. 똠방각하. "
THAI = "สภาเมืองแจ้งว่าสะพานจะไม่ได้รับการซ่อมแซมก่อนฤดูใบไม้ผลิ "

PAGES = {
    "latin1 is windows-1252": ('<meta charset="iso-8859-1">', WESTERN, "cp1252"),
    "ascii is windows-1252": ("<meta charset=us-ascii>", WESTERN, "cp1252"),
    "http-equiv": ("<META content='text/html; charset=windows-1251' HTTP-EQUIV='Content-Type'>", RUSSIAN, "cp1251"),
    "gb2312 with characters of gbk": ('<meta charset="gb2312">', CHINESE, "gbk"),
    "gbk is gb18030": ('<meta charset="gbk">', CHINESE + "㐀", "gb18030"),
    "x-sjis is windows-31j": ('<meta charset="x-sjis">', JAPANESE, "cp932"),
    "iso-2022-jp is all ascii": ('<meta charset="iso-2022-jp">', JAPANESE.replace("①髙", ""), "iso2022_jp"),
    "euc-kr is windows-949": ('<meta charset="ks_c_5601-1987">', KOREAN, "cp949"),
    "tis-620 is windows-874": ('<meta charset="tis-620">', THAI + "“–”", "cp874"),
    "latin5 is windows-1254": ('<meta charset="iso-8859-9">', "“Köprü” kadar onarılmayacak, dedi şef. ", "cp1254"),
    "XML declaration": ('<?xml version="1.0" encoding="ISO-8859-1"?><!DOCTYPE html>', GERMAN, "latin1"),
    "another charset before": ('<script src="a.js" charset="utf-8"></script><meta charset="windows-1251">', RUSSIAN,
        "cp1251"),
    "charset in a comment": ('<!-- <meta charset="koi8-r"> --><meta charset="windows-1251">', RUSSIAN, "cp1251"),
    "charset in a description": ('<meta name="d" content="charset=koi8-r"><meta charset="windows-1251">', RUSSIAN,
        "cp1251"),
    "behind 5 kB": ("<style>" + "p { margin: 0 } " * 400 + '</style><meta charset="windows-1251">', RUSSIAN, "cp1251"),
    "UTF-16 with its mark": ('<meta charset="utf-16">', GERMAN, "utf-16"),
    "UTF-8 that claims to be latin1": ('<meta charset="latin1">', WESTERN, "utf-8"),
    "UTF-16 claimed and UTF-8 meant": ('<meta charset="utf-16">', WESTERN, "utf-8"),
    "nothing said, western": ("", WESTERN * 4, "cp1252"),
    "nothing said, Russian": ("", RUSSIAN * 4, "koi8-r"),
    "nothing said, Japanese in seven bits": ("", JAPANESE.replace("①髙", ""), "iso2022_jp"),
    "nothing said, Korean": ("", KOREAN * 4, "cp949"),
    "nothing said, Japanese": ("", JAPANESE * 4, "euc_jis_2004"),
    "a wrong label": ('<meta charset="ascii-of-my-own">', GERMAN * 4, "cp1252"),
    "a label that does not fit": ('<meta charset="euc-jp">', RUSSIAN * 4, "cp1251"),
}  # fmt: skip


@pytest.mark.parametrize("case", PAGES)
def test_pages_are_read_as_browsers_read_them(tmp_path, case):
    head, text, encoding = PAGES[case]
    page = f"{head}<title>Bridge</title><p>{text}</p>" if head.startswith("<?") else f"<html>{head}<p>{text}</p>"
    if case == "nothing said, Japanese":
        page, encoding = page.replace("①髙", ""), "euc_jp"
    (tmp_path / "a.html").write_bytes(page.encode(encoding))
    (document,) = read_html(Source(name="s", path=str(tmp_path)), tmp_path / "a.html", 10**6)
    assert document.text == page


def test_the_servers_word_goes_before_the_pages():
    assert decoded_page('<meta charset="windows-1251">Zażółć gęślą'.encode("iso8859-2"), "ISO-8859-2").endswith("gęślą")
    assert decoded_page("<p>ü</p>".encode("utf-16-le"), "utf-16le") == "<p>ü</p>"


def test_bytes_without_a_letter_become_control_characters():
    assert decoded_page(b'<meta charset="latin1">\x81\xe9') == '<meta charset="latin1">\x81é'


def test_few_wrong_bytes_are_replaced_and_many_disprove_the_label():
    page = b'<meta charset="euc-jp">' + ("市議会は月曜日に" * 30).encode("euc_jp") + b"\xff"
    assert decoded_page(page).endswith("に\ufffd")


def test_labels_that_are_none_and_pages_that_name_none():
    assert encoding_of("no-such-thing") is None
    assert encoding_of(" UTF8 ") == "utf-8"
    for page in (b"", b"<meta name=a>", b"<!-- <meta charset=utf-8>", b"<script>'<meta charset=big5>'", b"<meta "):
        assert declared(page) == ""


def test_a_refused_page_says_how_to_convert_it(tmp_path):
    (tmp_path / "a.html").write_bytes(b"<p>" + bytes(range(128, 256)) * 3)
    (item,) = read_html(Source(name="s", path=str(tmp_path)), tmp_path / "a.html", 10**6)
    assert isinstance(item, Refused) == (decoded_page((tmp_path / "a.html").read_bytes()) is None)
    (tmp_path / "b.tex").write_bytes((RUSSIAN * 5).encode("cp1251"))
    from tokenworth.corpus.readers.plain_files import read_latex

    (item,) = read_latex(Source(name="s", path=str(tmp_path)), tmp_path / "b.tex", 10**6)
    assert "iconv -f windows-1251 -t utf-8 b.tex > utf8-b.tex" in item.sentence


BODY = b"<p>" + b"hello world " * 200 + b"</p>"


def chunks(data, size=100):
    parts = (data[i : i + size] for i in range(0, len(data), size))
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def raw_deflate(data):
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def brotli(data):
    return pytest.importorskip("brotli").compress(data)


BODIES = {
    "plain": ("", "", lambda body: body),
    "gzip": ("", "gzip", gzip.compress),
    "x-gzip in capitals": ("", "X-GZIP", gzip.compress),
    "deflate": ("", "deflate", zlib.compress),
    "deflate without its frame": ("", "deflate", raw_deflate),
    "br": ("", "br", brotli),
    "zstd": ("", "zstd", lambda body: pa.compress(body, codec="zstd", asbytes=True)),
    "chunked": ("Chunked", "", chunks),
    "chunked with an extension and a trailer": ("chunked", "",
        lambda body: b"%x;name=value\r\n%b\r\n0\r\nX-Sum: 1\r\n\r\n" % (len(body), body)),
    "gzip in chunks": ("chunked", "gzip", lambda body: chunks(gzip.compress(body), 11)),
    "gzip as a transfer coding": ("gzip, chunked", "", lambda body: chunks(gzip.compress(body))),
    "br in chunks": ("chunked", "br", lambda body: chunks(brotli(body), 7)),
    "two codings": ("", "deflate, gzip", lambda body: gzip.compress(zlib.compress(body))),
    "said gzip, archived plain": ("", "gzip", lambda body: body),
    "said br, archived plain": ("", "br", lambda body: body),
    "said chunked, archived whole": ("chunked", "", lambda body: body),
    "an unknown coding, archived plain": ("", "magic", lambda body: body),
    "identity": ("identity", "none", lambda body: body),
}  # fmt: skip


@pytest.mark.parametrize("case", BODIES)
def test_bodies_are_decoded_as_http_sends_them(tmp_path, case):
    transfer, content, encode = BODIES[case]
    headers = {
        "content-type": ' TEXT/html ; Charset="UTF-8"',
        "Transfer-Encoding": transfer,
        "Content-Encoding": content,
    }
    pages = [record("http://a.example/1", headers, encode(BODY)),
             record("http://a.example/2", {"Content-Type": "application/xhtml+xml"}, b"<p>next</p>")]  # fmt: skip
    (tmp_path / "a.warc").write_bytes(b"".join(pages))
    found = list(read_warc(Source(name="s", path=str(tmp_path)), tmp_path / "a.warc", 10**6))
    assert [one.text for one in found] == [BODY.decode(), "<p>next</p>"]


def record(address, headers, body):
    lines = [f"{name}: {value}" for name, value in headers.items() if value]
    http = "\r\n".join(["HTTP/1.1 200 OK", *lines, "", ""]).encode() + body
    head = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: {address}\r\n"
    head += f"WARC-Record-ID: <urn:x:{address}>\r\nWARC-Date: 2024-01-01T00:00:00Z\r\n"
    head += f"Content-Type: application/http; msgtype=response\r\nContent-Length: {len(http)}\r\n\r\n"
    return head.encode() + http + b"\r\n\r\n"


def test_a_body_that_cannot_be_decoded_is_told_and_the_next_one_is_read(tmp_path):
    headers = {"Content-Type": "text/html", "Content-Encoding": "br"}
    pages = [record("http://a.example/1", headers, b"\xff\0\xff" * 99),
             record("http://a.example/2", {"Content-Type": "text/html"}, b"<p>next</p>")]  # fmt: skip
    (tmp_path / "a.warc").write_bytes(b"".join(pages))
    refused, page = read_warc(Source(name="s", path=str(tmp_path)), tmp_path / "a.warc", 10**6)
    assert refused.reason == "body that cannot be decoded"
    assert "http://a.example/1: its body cannot be decoded (its br is broken" in refused.sentence
    assert page.text == "<p>next</p>"


@pytest.mark.parametrize("content", ["gzip", "deflate", "br", "zstd"])
def test_a_bomb_is_cut_at_the_limit(content):
    pack = {"gzip": gzip.compress, "deflate": zlib.compress, "br": brotli, "zstd": BODIES["zstd"][2]}[content]
    assert decoded_body(pack(b"x" * 5_000_000), "", content, 1000) == b"x" * 1000


@pytest.mark.parametrize("content", ["gzip", "deflate", "br", "zstd", "magic"])
def test_what_is_no_body_of_its_coding_is_an_error(content):
    with pytest.raises(BodyError):
        decoded_body(b"\x00\xff\x00\x01" * 50, "", content, 1000)


AROUND = (
    "<p>The council said on Monday that the old bridge will be repaired in spring by workers of the region.</p>" * 3
)
CELLS = {
    "items": ("<ul><li>paint walls</li><li>fix <b>doors</b> now</li></ul>", "paint walls fix doors now"),
    "text around and a list inside": ("To do: <ol><li>paint<ul><li>inner one</li></ul></li></ol> after",
        "To do: paint inner one after"),
    "definitions": ("<dl><dt>term</dt><dd>its meaning</dd></dl>", "term its meaning"),
    "a menu": ('<ul><li><a href="/">Home</a></li><li><a href="/a">About</a></li></ul>', ""),
}  # fmt: skip


@pytest.mark.parametrize("case", CELLS)
def test_lists_inside_table_cells_are_kept(case):
    inner, expected = CELLS[case]
    table = f"<table><tr><th>Who</th><th>What</th></tr><tr><td>Alice</td><td>{inner}</td></tr></table>"
    text = extract_text(f"<html><body><article><h1>Bridge</h1>{AROUND}{table}{AROUND}</article></body></html>")
    assert " ".join(f"| Alice | {expected} |".split()) in " ".join(text.split())
