"""The one file that opens from disk: without a network it passes a true bundle, names changes, shows readings."""

import base64
import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.support.browser import launch
from tests.support.bundles import VECTOR, changed, flipped, printed, write
from tests.support.pages import DESKTOP, PHONE, Visit, visit
from twin_server.pages import STATIC

pytestmark = pytest.mark.browser
PAGE = STATIC / "verify.html"
DROP = """([encoded, name]) => {
  const data = Uint8Array.from(atob(encoded), (c) => c.charCodeAt(0));
  const carried = new DataTransfer();
  carried.items.add(new File([data], name));
  for (const kind of ['dragover', 'drop'])
    document.querySelector('.drop').dispatchEvent(
      new DragEvent(kind, { dataTransfer: carried, bubbles: true, cancelable: true }));
}"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("bundle") / "evidence.zip")


@pytest.fixture(scope="module")
def browser(bundle: Path) -> Iterator[Browser]:
    assert bundle.is_file()  # made before the browser's own event loop runs
    assert PAGE.is_file(), f"no {PAGE}: run ./dev wheel, or install with TWIN_WEB=require"
    with launch() as found:
        yield found


def drop(seen: Visit, path: Path) -> Visit:
    """Drop a file on the page and wait for the verdict."""
    seen.page.evaluate(DROP, [base64.b64encode(path.read_bytes()).decode(), path.name])
    ended = seen.page.locator(".verdict, .problem")
    seen.until(lambda: ended.count() and ended.first.is_visible(), "the check ends")
    return seen


def faults(seen: Visit) -> list[str]:
    return [text.replace("\n", " ") for text in seen.page.locator(".findings li").all_inner_texts()]


@pytest.mark.parametrize(
    ("look", "size", "words"),
    [
        (("en", "light"), DESKTOP, ("All 17 entries hold", "SIMULATED", "not that a value is true")),
        (("zh", "dark"), PHONE, ("17 个条目全部相符", "模拟数据，非实测", "不代表数值真实")),
    ],
)
def test_a_true_bundle_passes_from_disk_without_a_network(
    browser: Browser, bundle: Path, look: tuple[str, str], size: tuple[int, int], words: tuple[str, ...]
) -> None:
    with visit(browser, PAGE.as_uri(), size, offline=True) as seen:
        seen.open("?lang={}&theme={}".format(*look))
        drop(seen, bundle).says(*words)
        assert seen.page.locator(".verdict.bad").count() == 0
        assert seen.page.locator("canvas").count() == 1
        assert not seen.overflows()
        assert seen.violations() == []
        assert not seen.complaints, seen.complaints


def test_its_policy_lets_no_request_leave(browser: Browser) -> None:
    with visit(browser, PAGE.as_uri()) as seen:
        seen.open("")
        tried = "fetch('http://127.0.0.1:9/x').then(() => 'left', () => 'stopped')"
        assert seen.page.evaluate(tried) == "stopped"
        assert any("Content Security Policy" in text for text in seen.complaints), seen.complaints


def test_a_picked_bundle_gives_the_readings_that_its_own_script_prints(browser: Browser) -> None:
    with visit(browser, PAGE.as_uri(), offline=True) as seen:
        seen.open("?lang=en")
        seen.page.locator("input[type=file]").set_input_files(VECTOR)
        seen.says("the gateway itself explains 1 that are missing")
        with seen.page.expect_download() as saved:
            seen.page.get_by_role("button", name="CSV of everything").click()
        ours = list(csv.DictReader(io.StringIO(Path(saved.value.path()).read_text())))
        theirs = list(csv.DictReader(io.StringIO(printed(VECTOR))))
        assert sorted(map(_numbers, ours)) == sorted(map(_numbers, theirs))
        seen.page.get_by_role("button", name="p2").click()
        assert seen.page.get_by_role("img", name="Chart of p2").count() == 1
        assert not seen.complaints, seen.complaints


def _numbers(row: dict[str, str]) -> tuple[str, ...]:
    return tuple(repr(float(value)) if name == "value" and value else value for name, value in row.items())


def test_a_flipped_byte_names_entry_gateway_epoch_and_number(browser: Browser, bundle: Path) -> None:
    bad = changed(bundle, lambda name, data: flipped(data, len(data) - 9) if name == "entries/7.cbor" else data)
    with visit(browser, PAGE.as_uri(), offline=True) as seen:
        seen.open("?lang=en")
        [fault] = faults(drop(seen, bad))
        assert "body altered entry #7 · gateway gw-1 · epoch 1 · number 6" in fault
        assert seen.violations() == []
        assert not seen.complaints, seen.complaints


def test_an_entry_taken_out_and_another_logs_key_are_named(browser: Browser, bundle: Path) -> None:
    bad = changed(bundle, lambda name, data: None if name.startswith("entries/9.") else data)
    with visit(browser, PAGE.as_uri(), offline=True) as seen:
        seen.open("?lang=en")
        said = " | ".join(faults(drop(seen, bad)))
        assert "missing gateway gw-1 · epoch 1 · number 8" in said
        assert "17 promised, 16 here" in said
        seen.page.get_by_label("Log's key, as you have it").fill("mine.example+00000000+AAAA")
        seen.page.get_by_role("button", name="Check again with this key").click()
        seen.says("another key", "not of the log you mean")


def test_what_is_no_bundle_is_said_to_be_none(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"rubbish")
    with visit(browser, PAGE.as_uri(), offline=True) as seen:
        seen.open("?lang=zh")
        drop(seen, tmp_path / "x.zip").says("这不是可核验的证据包")
        assert not seen.complaints, seen.complaints
