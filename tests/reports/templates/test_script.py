"""The page in a real browser: nothing is fetched, tables sort, both themes and a phone read well, axe finds nothing.

The browser is the one named by the variable CHROMIUM, else a Chromium or Chrome on the PATH, else the one that
`playwright install chromium` fetched. Without any the tests skip.
"""

import os
import shutil
from pathlib import Path

import pytest

from reports.page.write import build_report
from tests.reports.made_up import primary
from tests.reports.simulated import simulate

pytestmark = pytest.mark.slow

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -e .[dev]")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")

DESK, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OUTCOMES = {
    ("tip3p", model, strategy): {seed: (factor * base + 7 * seed, 4 * factor * base - 5 * seed) for seed in range(3)}
    for model, base in (("egnn", 60.0), ("gns", 210.0))
    for strategy, factor in (("scratch", 2.0), ("scratch-extended", 1.7), ("masked", 1.0), ("denoised", 1.3))
}


def executable(driver):
    """Path of a browser, or None."""
    if named := os.environ.get("CHROMIUM"):
        return named
    found = next((path for path in map(shutil.which, NAMES) if path), None)
    return found or (driver.chromium.executable_path if Path(driver.chromium.executable_path).exists() else None)


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        path = executable(driver)
        if path is None:
            pytest.skip("no Chromium found: install one, or name its path in the variable CHROMIUM")
        with driver.chromium.launch(executable_path=path) as started:
            yield started


@pytest.fixture(scope="module")
def report(run_factory, tmp_path_factory, key_of):
    """A smoke run with two models, four arms, references, simulations, a cell that diverged and one still to come."""
    outcomes = {arm: dict(seeds) for arm, seeds in OUTCOMES.items()}
    outcomes["tip3p", "gns", "denoised"] |= {1: ("diverged", "loss is nan at step 12"), 2: None}
    sweep = {"over": "model", "label": "width", "log": False, "values": {"egnn": 1.0, "gns": 2.0}}
    folder = run_factory(tmp_path_factory.mktemp("browser"))(
        outcomes,
        sweep=sweep,
        scale="smoke",
        primary=[primary(baselines=["scratch", "scratch-extended"])],
        references={"null": (800.0, 900.0), "one molecule": (286.0, 700.0)},
    )
    simulate(folder, key_of, {"scratch": {0: 0.4, 1: 0.5}, "masked": {0: 0.2, 1: None}})
    return build_report(folder).html


@pytest.fixture
def visit(browser, report):
    """Opens the report: `visit(viewport=DESK, color_scheme="dark")`; at the end nothing may have been complained of."""
    contexts, complaints = [], []

    def go(**options):
        context = browser.new_context(**{"viewport": DESK, "color_scheme": "light"} | options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"console {message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("request", lambda request: request.url == report.as_uri() or complaints.append(request.url))
        page.goto(report.as_uri())
        return page

    yield go
    for context in contexts:
        context.close()
    assert complaints == []


def texts(page, table, column):
    """Texts of a column in the first group of rows."""
    rows = page.locator(f"table[data-name={table}] tbody").first.locator("tr:not(.group)")
    return [row.locator("th, td").nth(column).inner_text() for row in rows.all()]


def sort_button(page, table, column):
    return page.locator(f"table[data-name={table}] th[data-column='{column}'] button")


def column_of(page, table, word):
    """Place of the first column whose header has this word."""
    headers = page.locator(f"table[data-name={table}] th[data-column]")
    places = {header.get_attribute("data-column"): header.inner_text() for header in headers.all()}
    return int(next(place for place, text in places.items() if word in text))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESK, PHONE, {"width": 320, "height": 600}], ids=["desk", "phone", "narrow"])
def test_no_request_no_complaint_no_sideways_scrolling(visit, viewport, scheme):
    page = visit(viewport=viewport, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach((element) => { element.open = true })")
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    assert page.locator("figure svg").first.is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_axe_finds_no_violation(visit, viewport, scheme):
    page = visit(viewport=viewport, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach((element) => { element.open = true })")
    results = axe.Axe().run(page)
    assert results.response["passes"], "axe has looked at the page"
    assert results.violations_count == 0, results.generate_report()


def test_a_click_sorts_and_a_third_one_restores(visit):
    page = visit()
    column = column_of(page, "main-rmse", "RMSE")
    before = texts(page, "main-rmse", column)
    numbers = [float(text.split()[0]) for text in before]
    header = page.locator(f"table[data-name=main-rmse] th[data-column='{column}']")
    for state, expected in (("ascending", sorted(numbers)), ("descending", sorted(numbers, reverse=True))):
        sort_button(page, "main-rmse", column).click()
        assert header.get_attribute("aria-sort") == state
        assert [float(text.split()[0]) for text in texts(page, "main-rmse", column)] == expected
    sort_button(page, "main-rmse", column).click()
    assert header.get_attribute("aria-sort") is None
    assert texts(page, "main-rmse", column) == before
    assert numbers not in (sorted(numbers), sorted(numbers, reverse=True)), "sorting changed something"


def test_every_button_of_a_table_has_a_name_of_its_own(visit):
    """Titles repeat under the headings of force and energy; heard alone they must still be told apart."""
    page = visit()
    found = page.evaluate(
        """[...document.querySelectorAll('table.sortable')].map(
            (table) => [...table.querySelectorAll('th button')].map(
                (button) => [button.getAttribute('aria-label') ?? button.textContent, button.textContent]))"""
    )
    assert len(found) > 3
    for table in found:
        names = [name for name, _ in table]
        assert len(set(names)) == len(names), names
        plain = [("".join(name.split()), "".join(shown.split())) for name, shown in table]
        assert all(shown in name for name, shown in plain), "what is seen is part of what is heard"


def test_the_keyboard_sorts(visit):
    page = visit()
    arms = texts(page, "main-rmse", 0)
    sort_button(page, "main-rmse", 0).focus()
    page.keyboard.press("Enter")
    assert texts(page, "main-rmse", 0) == sorted(arms)
    page.keyboard.press("Space")
    assert texts(page, "main-rmse", 0) == sorted(arms, reverse=True)
    assert page.evaluate("document.activeElement.closest('th').ariaSort") == "descending"


def test_every_sortable_column_takes_its_own_cells(visit):
    page = visit()
    wrong = page.evaluate(
        """() => [...document.querySelectorAll("table.sortable")].flatMap((table) => {
            const width = table.tBodies[0].querySelector("tr:not(.group)").cells.length;
            const places = [...table.querySelectorAll("th[data-column]")].map((th) => Number(th.dataset.column));
            places.sort((a, b) => a - b);
            const right = places.length === width && places.every((place, at) => place === at);
            return right ? [] : [table.caption.textContent];
        })"""
    )
    assert wrong == []


def test_the_reader_chooses_what_convergence_shows(visit):
    page = visit()
    figure = page.locator("#convergence-1")
    assert figure.locator(".by-epoch").first.is_visible()
    assert not figure.locator(".by-seconds").first.is_visible()
    page.locator("#by-epoch").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert figure.locator(".by-seconds").first.is_visible()
    assert not figure.locator(".by-epoch").first.is_visible()

    masked = figure.locator(".by-seconds").first.locator(".arm").nth(2)
    scratch = figure.locator(".by-seconds").first.locator(".arm").nth(0)
    counted = [arm.bounding_box()["x"] for arm in (scratch, masked)]
    page.locator("#not-counted").check()
    assert scratch.bounding_box()["x"] == counted[0]
    assert masked.bounding_box()["x"] < counted[1] - 20


def test_an_arm_has_one_colour_everywhere_and_another_in_the_dark(visit):
    found = {}
    for scheme in ("light", "dark"):
        page = visit(color_scheme=scheme)
        found[scheme] = page.evaluate(
            """() => [0, 1, 2, 3].map((i) => [
                getComputedStyle(document.querySelector(`.legend .arm-${i} .line`)).stroke,
                getComputedStyle(document.querySelector(`.panel .arm-${i} .line`)).stroke,
                getComputedStyle(document.querySelector(`th.key.arm-${i}`), "::before").color,
            ])"""
        )
        for colours in found[scheme]:
            assert len(set(colours)) == 1
        assert len({colours[0] for colours in found[scheme]}) == 4
    assert all(light != dark for light, dark in zip(found["light"], found["dark"], strict=True))


def test_points_tell_their_numbers(visit):
    page = visit()
    titles = page.locator("#convergence-1 .by-epoch .mark title").all_text_contents()
    assert any(title.startswith("masked, epoch 4 + 2 of pretraining: ") and "meV/Å" in title for title in titles)


def test_it_reads_without_scripts(visit):
    page = visit(java_script_enabled=False)
    assert page.locator("table[data-name=main-rmse]").is_visible()
    assert page.locator("thead button").count() == 0
    assert page.locator("#convergence-1 .by-epoch").first.is_visible()


def test_on_a_phone_the_changes_of_the_main_table_are_in_sight(visit):
    page = visit(viewport=PHONE)
    table = page.locator("table[data-name=main-rmse]")
    for change in table.locator("td[data-label*=' vs ']:not(.none)").all():
        box = change.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE["width"]
    assert page.evaluate("document.querySelector('table[data-name=main-rmse]').closest('.scroll').scrollWidth") <= 360


def test_at_a_desk_verdict_and_figure_stand_side_by_side_on_the_first_screen(visit):
    page = visit()
    lead, figure = page.locator(".lead").first.bounding_box(), page.locator("#forest").bounding_box()
    assert figure["x"] > lead["x"] + lead["width"] - 1
    assert figure["y"] + figure["height"] <= DESK["height"]
    main = page.locator("table[data-name=main-rmse]").bounding_box()
    assert main["x"] + main["width"] <= DESK["width"]


def test_the_skip_link_comes_first(visit):
    page = visit()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#main"
    assert page.locator(".skip").bounding_box()["x"] >= 0


def test_it_prints(visit):
    """On A4, landscape, less 12 mm at each side: 1030 pixels of 1/96 inch."""
    page = visit(viewport={"width": 1030, "height": 700})
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") <= 1030
    assert not page.locator("nav").is_visible()
    assert page.locator("table[data-name=main-rmse]").is_visible()
    assert page.pdf().startswith(b"%PDF")


def test_paper_shows_what_is_folded_away(visit):
    page = visit()
    table = page.locator("table[data-name=changes]")
    assert not table.is_visible()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert table.is_visible()
    assert not page.locator("details.aside pre").is_visible(), "the configuration fills pages"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert not table.is_visible()


def test_figures_beside_the_markdown_open_by_themselves(browser, report):
    page = browser.new_page(color_scheme="dark")
    for path in sorted((report.parent / "figures").glob("*.svg")):
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.tagName") == "svg", path.name
        assert page.evaluate("getComputedStyle(document.documentElement).color") == "rgb(231, 232, 234)"
    page.close()
