"""Reports in headless Chromium.

usage: check.py FOLDER [PICTURES]

FOLDER holds run.html, hostile.html, many.html, empty.html and comparison.html; with PICTURES, pages are
also drawn there. Says every finding and ends with 1 when there is one.
"""

import os
import shutil
import sys
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

FOLDER = Path(sys.argv[1]).resolve()
PICTURES = Path(sys.argv[2]) if len(sys.argv) > 2 else None
# A reader should wait no more than two seconds for 10,000 pairs; how long it took is printed. A machine
# that builds beside the test is slower, so only what no machine should need is a finding.
SECONDS = 15.0

findings = []


def check(ok, what):
    if not ok:
        findings.append(what)
        print("FAILED:", what)


class Opened:
    """A page of the folder with everything that it complained of or asked for."""

    def __init__(self, browser, name, **options):
        self.name = name
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        self.page = self.context.new_page()
        self.requests, self.complaints = [], []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", self.dialog)
        self.page.on(
            "console",
            lambda line: line.type in ("error", "warning") and self.complaints.append(line.text),
        )
        self.url = (FOLDER / f"{name}.html").as_uri()
        self.started = time.monotonic()
        self.page.goto(self.url)

    def dialog(self, dialog):
        self.complaints.append(f"a script ran: {dialog.message}")
        dialog.dismiss()

    def close(self):
        self.page.wait_for_timeout(50)
        check(not self.complaints, f"{self.name}: complaints {self.complaints}")
        asked = [url for url in self.requests if url.split("#")[0] != self.url]
        check(not asked, f"{self.name}: requests {asked}")
        self.context.close()

    def until(self, what):
        """Waits for a condition of the page; its policy forbids Playwright's own way to."""
        ends = time.monotonic() + 10
        while not self.page.evaluate(what):
            if time.monotonic() > ends:
                return check(False, f"{self.name}: never {what}")
            self.page.wait_for_timeout(5)

    def told(self, how):
        """Waits for a line above the list that matches."""
        self.until(f"{how}.test(document.querySelector('#count').textContent)")

    def count(self):
        """The numbers in the line above the list: shown, all, wrong."""
        words = self.page.locator("#count").inner_text().replace(",", "").split()
        return [int(word) for word in words if word.isdigit()]


OVERLAPS = """() => [...document.querySelectorAll("figure > svg")].flatMap((svg) => {
  const texts = [...svg.querySelectorAll("text")].map((text) => [text.textContent.trim(), text.getBoundingClientRect()]);
  const found = [];
  texts.forEach(([a, one], i) => texts.slice(i + 1).forEach(([b, other]) => {
    const width = Math.min(one.right, other.right) - Math.max(one.left, other.left);
    const height = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
    if (width > 1 && height > 3) found.push(svg.closest("figure").querySelector(".figure-title").textContent + ": " + a + " / " + b);
  }));
  const frame = svg.getBoundingClientRect();
  for (const [text, box] of texts)
    if (box.left < frame.left - 2 || box.right > frame.right + 2 || box.top < frame.top - 2 || box.bottom > frame.bottom + 2)
      found.push("outside its figure: " + text);
  return found;
})"""

# Classes that the markup uses and no rule of the style sheet knows.
UNSTYLED = """() => {
  const rules = [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules]);
  const css = rules.map((rule) => rule.cssText).join(" ");
  const used = new Set([...document.querySelectorAll("[class]")].flatMap((one) => [...one.classList]));
  const data = new Set(["items-chunk", "lines", "points"]);
  return [...used].filter((name) => !data.has(name) && !new RegExp("\\\\." + name + "\\\\b").test(css));
}"""

UNNAMED = """() => {
  const named = (one) => one.getAttribute("aria-label") || one.getAttribute("aria-labelledby") || (one.labels && one.labels.length);
  const found = [];
  for (const one of document.querySelectorAll("input, select, svg[role=img], [role=listbox], [role=region], nav"))
    if (!named(one)) found.push(one.outerHTML.slice(0, 80));
  for (const table of document.querySelectorAll("table"))
    if (!table.caption || !table.caption.textContent.trim()) found.push("a table without caption");
  for (const head of document.querySelectorAll("th")) if (!head.scope) found.push("th without scope " + head.textContent);
  return found;
}"""

EMPTY_FIGURES = """() => [...document.querySelectorAll("figure")].filter((figure) => {
  const svg = figure.querySelector(":scope > svg");
  const box = svg && svg.getBoundingClientRect();
  return !svg || box.width < 50 || box.height < 20 || svg.querySelectorAll("circle, rect, polygon, polyline").length === 0;
}).map((figure) => figure.textContent.slice(0, 60))"""


def structure(opened):
    page, name = opened.page, opened.name
    for what, script in [
        ("labels overlap", OVERLAPS),
        ("classes without style", UNSTYLED),
        ("without a name", UNNAMED),
        ("empty figures", EMPTY_FIGURES),
    ]:
        found = page.evaluate(script)
        check(not found, f"{name}: {what}: {found[:8]}")
    page.set_viewport_size({"width": 360, "height": 800})
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    check(wide <= 0, f"{name}: at 360 pixels the page is {wide} too wide")
    page.set_viewport_size({"width": 1280, "height": 900})


def browsing(opened):
    page = opened.page
    rows, pair = page.locator("#rows .row"), page.locator("#pair")
    shown, of, wrong = opened.count()
    check(shown == of == 130, f"all pairs are listed, not {shown} of {of}")
    check("Score: 7" in pair.inner_text() and pair.locator("article").count() == 2, "a pair is open")
    check(pair.locator(".critiques li").count() == 8, "critiques stand in two columns")
    check(pair.locator(".critiques strong").first.inner_text().startswith(("reward +", "reward −")), "with their rewards")
    check(rows.first.locator(".verdict.wrong").count() == 1, "the most wrong pair stands first")

    page.select_option("#show", "wrong")
    check(opened.count()[0] == wrong == opened.count()[2], "only pairs ranked wrong")
    page.select_option("#show", "right")
    check(opened.count()[0] == of - wrong, "only pairs ranked right")
    page.select_option("#show", "divided")
    divided = opened.count()[0]
    check(0 < divided < of, f"disagreeing critiques: {divided}")
    page.select_option("#show", "all")

    page.select_option("#domain", label="math")
    check(opened.count()[0] == 43, f"43 pairs of math, not {opened.count()}")
    page.select_option("#domain", "")
    # What one contestant has right and another has not, both ways.
    options = page.locator("#versus option").all_inner_texts()
    won = next(text for text in options if text.startswith("only critic-rm m=4") and "scalar" in text)
    page.select_option("#versus", label=won)
    check(0 < opened.count()[0] < of, f"{won}: {opened.count()}")
    check(opened.count()[2] == 0, "of these none is wrong")
    page.select_option("#versus", "")

    page.select_option("#order", "wide")
    margins = [float(text.replace("−", "-")) for text in rows.locator(".row-margin").all_inner_texts()]
    sizes = [abs(margin) for margin in margins]
    check(sizes == sorted(sizes, reverse=True), f"largest margins first: {margins}")

    page.fill("#query", "wedding ENDS")
    opened.told("/no pair/")
    check(pair.inner_text().strip() == "", "no pair is open where none is left")
    page.fill("#query", "WEDDING polite")
    opened.told("/^3/")
    check(opened.count()[0] == 32, f"32 pairs ask about the wedding, not {opened.count()}")
    check(pair.locator("mark").count() >= 2, "what was searched is marked")
    page.fill("#query", "pair-00007")
    opened.told("/^1 /")
    check("pair-00007" in pair.locator("h3").inner_text(), "a pair is found by its id")
    page.fill("#query", "")
    opened.told("/^130/")

    page.select_option("#order", "data")
    page.focus("#pairs")
    for key in ["ArrowDown", "ArrowDown", "ArrowUp"]:
        page.keyboard.press(key)
    check("pair-00001" in pair.locator("h3").inner_text(), "arrow keys choose a pair")
    check(page.url.endswith("#pair=pair-00001"), f"the address names the pair: {page.url}")
    page.keyboard.press("End")
    check("pair-00129" in pair.locator("h3").inner_text(), "End goes to the last pair")
    chosen = page.get_attribute("#pairs", "aria-activedescendant")
    check(page.locator(f"#{chosen}[aria-selected=true]").count() == 1, "a screen reader is told which")
    page.keyboard.press("Enter")
    check(page.evaluate("document.activeElement.id") == "pair", "Enter reads the pair")
    page.goto(opened.url + "#pair=pair-00064")
    page.reload()
    check("pair-00064" in page.locator("#pair h3").inner_text(), "an address opens its pair")


def keyboard(opened):
    page = opened.page
    page.keyboard.press("Tab")
    check(page.evaluate("document.activeElement.className") == "skip", "the first stop skips to the content")
    check(page.locator(".skip").is_visible(), "and is seen")
    seen = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.id"))
    for control in ["query", "show", "domain", "order", "pairs", "pair"]:
        check(control in seen, f"the keyboard reaches {control}")


def many(opened):
    page = opened.page
    opened.until("document.querySelectorAll('#pair article').length === 2")
    seconds = time.monotonic() - opened.started
    print(f"10,000 pairs are open after {seconds:.2f} s, {(FOLDER / 'many.html').stat().st_size / 1e6:.1f} MB")
    check(seconds < SECONDS, f"10,000 pairs took {seconds:.2f} s")
    check(opened.count()[:2] == [10_000, 10_000], f"all are listed: {opened.count()}")
    check(page.locator("#rows .row").count() < 60, "only what is seen is drawn")
    for what, act, done in [
        ("a filter", lambda: page.select_option("#show", "wrong"), "/^[1-9],/"),
        ("the first search", lambda: page.fill("#query", "pair-09999"), "/^(1|no) /"),
        ("the next search", lambda: page.fill("#query", "wedding"), "/^[0-9,]{3}/"),
    ]:
        started = time.monotonic()
        act()
        opened.told(done)
        seconds = time.monotonic() - started
        print(f"{what} over 10,000 pairs: {seconds:.2f} s")
        check(seconds < SECONDS, f"{what} took {seconds:.2f} s")
    page.evaluate("document.querySelector('#pairs').scrollTop = 1e6")
    page.wait_for_timeout(100)
    check(page.locator("#rows .row").count() > 0, "the end of the list is drawn")


def pictures(browser, name):
    if PICTURES is None:
        return
    PICTURES.mkdir(parents=True, exist_ok=True)
    looks = {
        "light": {},
        "dark": {"color_scheme": "dark"},
        "narrow": {"viewport": {"width": 390, "height": 844}},
    }
    for look, options in looks.items():
        opened = Opened(browser, name, **options)
        opened.page.screenshot(path=PICTURES / f"{name}-{look}.png", full_page=True)
        opened.close()
    opened = Opened(browser, name)
    opened.page.pdf(path=PICTURES / f"{name}.pdf", format="A4", print_background=False)
    opened.close()


def main():
    chromium = os.environ.get("CRITIC_RM_CHROMIUM") or next(
        filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None
    )
    if chromium is None:
        sys.exit("no Chromium: install it (apt-get install chromium) or name it in CRITIC_RM_CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name in ["run", "empty", "hostile", "comparison"]:
            opened = Opened(browser, name)
            structure(opened)
            if name == "run":
                browsing(opened)
            if name in ("hostile", "comparison"):
                check(opened.page.locator("#pair article").count() == 2, f"{name}: a pair is open")
            opened.close()
            pictures(browser, name)
        opened = Opened(browser, "run")
        keyboard(opened)
        opened.close()
        opened = Opened(browser, "hostile")
        for text in ["<script>alert(1)</script>", "onerror=alert(1)", "U+202E"]:
            check(text in opened.page.locator("#pair").inner_text(), f"{text} is shown as text")
        opened.page.fill("#query", "<script> .*(")
        opened.page.wait_for_timeout(400)
        opened.close()
        opened = Opened(browser, "many")
        many(opened)
        opened.close()
        opened = Opened(browser, "run", java_script_enabled=False)
        check(opened.page.locator("noscript p").count() > 0, "without scripts the page says so")
        check(not opened.page.locator("#browser").is_visible(), "and shows no controls")
        opened.close()
        browser.close()
    print(f"{len(findings)} findings")
    sys.exit(bool(findings))


main()
