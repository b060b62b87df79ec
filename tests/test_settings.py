import json
import re
import tomllib
from pathlib import Path

import pytest

from tgdav.errors import SettingsRefused
from tgdav.settings import (
    FILE,
    Settings,
    _variables,
    load,
    options,
    variable,
    with_database_url,
)


def test_without_anything_the_defaults_stand(tmp_path: Path):
    assert load(tmp_path, {}) == Settings()


def test_flags_win_over_variables_and_these_over_the_file(tmp_path: Path):
    (tmp_path / FILE).write_text('[server]\nhost = "a"\nport = 1\nthreads = 3\n')
    environment = {"TGDAV_SERVER_HOST": "b", "TGDAV_SERVER_PORT": "2"}
    server = load(tmp_path, environment, {("server", "host"): "c"}).server
    assert (server.host, server.port, server.threads) == ("c", 2, 3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[server]\nprot = 1", "prot in [server] is not an option; the nearest is port"),
        ("[sever]\nport = 1", "[sever] is not an option; the nearest is server"),
        ("port = 1", "[port] is not an option"),
        ("server = 1", "server is a section"),
        ("[server", "is not TOML"),
        ("[server]\nport = 99999", "server.port: input should be less than or equal to 65535"),
        ("[store]\npack_size = '1 KiB'", "store.pack_size"),
        ("[telegram]\nserver = 'example.org'", "telegram.server: string should match pattern"),
        ("[telegram]\nsenders = 9", "telegram.senders: input should be less than or equal to 8"),
        ("[telegram]\nchannel_messages = 9", "telegram.channel_messages"),
        ("[store]\ndurability = 'none'", "store.durability: input should be 'disk' or 'store'"),
    ],
)
def test_what_cannot_be_understood_is_refused_in_a_sentence(tmp_path: Path, text: str, said: str):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(SettingsRefused) as raised:
        load(tmp_path, {})
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_unreadable_file_is_not_an_empty_one(tmp_path: Path):
    (tmp_path / FILE).mkdir()
    with pytest.raises(SettingsRefused, match="cannot be read"):
        load(tmp_path, {})
    (tmp_path / FILE).rmdir()
    (tmp_path / FILE).write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsRefused, match="cannot be read"):
        load(tmp_path, {})


def test_an_unknown_variable_is_refused_with_the_nearest(tmp_path: Path):
    with pytest.raises(SettingsRefused, match=r"TGDAV_SERVER_PORTS.*nearest is TGDAV_SERVER_PORT$"):
        load(tmp_path, {"TGDAV_SERVER_PORTS": "1"})


def test_variables_of_the_tests_are_no_settings(tmp_path: Path):
    assert load(tmp_path, {"TGDAV_TEST_REQUIRE_ALL": "1", "TGDAV_DATA": "/"}) == Settings()


def test_every_option_can_be_said_by_its_variable(tmp_path: Path):
    for section, name, _ in options():
        assert _variables({variable(section, name): "x"}) == {(section, name): "x"}
    url = load(tmp_path, {"TGDAV_DATABASE_URL": "postgresql://x"}).database.url
    assert url == "postgresql://x"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("10.0.0.1", ("10.0.0.1",)),
        ("10.0.0.1,192.0.2.0/24", ("10.0.0.1", "192.0.2.0/24")),
        (" 10.0.0.1 , ::1,", ("10.0.0.1", "::1")),
        ("", ()),
    ],
)
def test_lists_have_commas_in_variables_and_flags(
    tmp_path: Path, written: str, read: tuple[str, ...]
):
    environment = {"TGDAV_SERVER_TRUSTED_PROXIES": written}
    assert load(tmp_path, environment).server.trusted_proxies == read
    flags = {("server", "trusted_proxies"): written}
    assert load(tmp_path, {}, flags).server.trusted_proxies == read


def test_lists_are_lists_in_the_file(tmp_path: Path):
    (tmp_path / FILE).write_text('[server]\ntrusted_proxies = ["10.0.0.1", "::1"]\n')
    assert load(tmp_path, {}).server.trusted_proxies == ("10.0.0.1", "::1")


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e300", "-1"])
def test_every_time_and_share_has_an_end(tmp_path: Path, number: str):
    for section, name, field in options():
        if field.annotation is float:
            with pytest.raises(SettingsRefused, match=f"{section}.{name}: input should be"):
                load(tmp_path, {variable(section, name): number})


def test_sizes_are_read_with_their_units(tmp_path: Path):
    (tmp_path / FILE).write_text('[cache]\nmemory = "3 MiB"\n')
    assert load(tmp_path, {}).cache.memory == 3 << 20


URL = 'postgresql://u:p"\\ä@h/x'


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("", "\n[database]\nurl = URL\n"),
        ("[log]\nlevel = 'info'", "[log]\nlevel = 'info'\n[database]\nurl = URL\n"),
        ("[database]\nurl = ''", "[database]\nurl = URL"),
        ('[database]\n# url = "x"\n', '[database]\nurl = URL\n# url = "x"\n'),
        ("[ database ] # no\n[gc]", "[ database ] # no\nurl = URL\n[gc]"),
        (' database.url = "" # no\n[gc]', " database.url = URL # no\n[gc]"),
    ],
)
def test_a_database_is_written_where_it_belongs(text: str, written: str):
    result = with_database_url(text, URL)
    assert result == written.replace("URL", json.dumps(URL, ensure_ascii=False))
    assert tomllib.loads(result)["database"] == {"url": URL}


@pytest.mark.parametrize(
    "text", ['database = {url = ""}', '["database"]', '[database]\n"url" = ""', "database = {}"]
)
def test_a_database_that_has_no_place_is_to_be_written_by_hand(text: str):
    with pytest.raises(SettingsRefused, match="by hand"):
        with_database_url(text, URL)


def test_secrets_are_not_shown(tmp_path: Path):
    environment = {"TGDAV_TELEGRAM_API_HASH": "secret", "TGDAV_DATABASE_URL": "secret"}
    assert "secret" not in repr(load(tmp_path, environment))


@pytest.mark.parametrize("server", ["", "127.0.0.1:443", "mt.example.org:80", "[::1]:4430"])
def test_a_server_is_a_host_and_a_port(tmp_path: Path, server: str):
    assert load(tmp_path, {"TGDAV_TELEGRAM_SERVER": server}).telegram.server == server


def test_every_option_says_what_it_is_and_has_one_spelling():
    spelled = [variable(section, name) for section, name, _ in options()]
    assert len(set(spelled)) == len(spelled)
    assert all(field.description for _, _, field in options())


def test_the_readme_has_every_option_and_no_other():
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    told = set(re.findall(r"^\| `(\w+\.(?!py`)\w+)` \|", readme, re.MULTILINE))
    assert told == {f"{section}.{name}" for section, name, _ in options()}
