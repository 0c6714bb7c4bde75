"""The page for everyone: keyboard, screen readers, colours, small screens; and what the policy forbids."""
import json
import sys

from selenium.webdriver.common.keys import Keys

from browser import PHONE, last_request, run_checks


def works_by_keyboard_only(page):
    page.press("hello")
    page.chord(Keys.SHIFT, Keys.ENTER)
    page.press("there", Keys.ENTER)
    page.idle()
    assert page.texts("article.user .text") == ["hello\nthere"]
    for key, check in (
        ("l", "document.activeElement.closest('#conversations')"),
        ("m", "document.activeElement.id === 'message'"),
        ("e", "document.activeElement.closest('article')"),
    ):
        page.chord(Keys.ALT, key)
        page.wait(check)
    page.press(" more", Keys.ENTER)
    page.idle()
    page.chord(Keys.ALT, "r")
    page.idle()
    assert last_request(page)["messages"][-1]["content"] == "hello\nthere more" and len(page.server.requests) == 3
    for key, dialog in (("s", "settings"), ("k", "shortcuts")):
        page.chord(Keys.ALT, key)
        page.wait(f"document.querySelector('#{dialog}').open")
        page.press(Keys.ESCAPE)
        page.wait(f"!document.querySelector('#{dialog}').open")
    page.chord(Keys.ALT, "n")
    page.wait("state.current.messages.length === 0 && document.activeElement.id === 'message'")
    page.press("slow", Keys.ENTER)
    page.wait("document.querySelector('article.assistant .text').textContent.includes('word1')")
    page.press(Keys.ESCAPE)
    page.idle()


def everything_has_a_name_and_a_visible_focus(page):
    page.send("reply ```c\\nx\\n```")
    page.chord(Keys.ALT, "s")
    nameless = page.run(
        """return [...document.querySelectorAll("button, input:not([hidden]), textarea, summary, meter")].filter(node =>
        !(node.textContent.trim() || node.ariaLabel || node.labels?.length || node.getAttribute("aria-labelledby"))).map(node => node.outerHTML)"""
    )
    assert nameless == [], nameless
    page.press(Keys.ESCAPE)
    seen = set()
    for _ in range(30):
        page.press(Keys.TAB)
        seen.add(page.value("(document.activeElement.id || document.activeElement.textContent)"))
        outline = page.value("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none" or page.value("document.activeElement === document.body"), seen
    assert {"new", "theme", "Rename", "Regenerate", "message", "export-all"} <= seen, seen


def announces_beginnings_and_ends_only(page):
    page.run(
        """window.said = []; new MutationObserver(() => said.push(byId("announcement").textContent))
        .observe(byId("announcement"), { childList: true });"""
    )
    page.send("a message of many words that comes in many pieces")
    assert page.value("said") == ["The model is writing.", "The reply is complete."]
    assert page.all("#messages[aria-live], article[aria-live]") == []


def colours_contrast(page):
    """At least 4.5 for text and 3 for the outline of fields, light and dark (WCAG AA)."""
    ratios = """
        const channel = value => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
        const probe = document.body.appendChild(document.createElement("i"));
        const luminance = name => { probe.className = ""; probe.style.color = `var(--${name})`;
            const [r, g, b] = getComputedStyle(probe).color.match(/[\\d.]+/g).map(Number); return .2126 * channel(r) + .7152 * channel(g) + .0722 * channel(b); };
        const ratio = (a, b) => { const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p); return (x + .05) / (y + .05); };
        const found = arguments[0].map(([a, b]) => ratio(a, b)); probe.remove(); return found;"""
    pairs = [[text, back] for text in ("text", "quiet") for back in ("page", "panel", "raised")]
    pairs += [["accent", "page"], ["on-accent", "accent"], ["danger", "danger-back"], ["field-line", "page"]]
    for scheme in ("light", "dark"):
        page.emulate(scheme)
        for pair, ratio in zip(pairs, page.run(ratios, pairs)):
            assert ratio >= (3 if pair[0] == "field-line" else 4.5), (scheme, pair, ratio)


def light_and_dark(page):
    back = "getComputedStyle(document.body).backgroundColor"
    light = page.value(back)
    page.emulate("dark")
    dark = page.value(back)
    assert light != dark
    page.click("Colours: system")
    assert page.value(back) == light
    page.click("Colours: light")
    page.reload()
    page.emulate("light")
    assert page.value(back) == dark and page.has_button("Colours: dark")


def fits_a_phone(page):
    page.size(PHONE)
    page.send(
        "reply "
        + json.dumps(
            "word " * 50 + "x" * 300 + "\n\n```\n" + "code " * 60 + "\n```\n\n|" + "column|" * 20 + "\n|" + "-|" * 20
        )
    )
    assert page.value("document.documentElement.scrollWidth") <= PHONE[0]
    assert (
        page.value(
            "Math.max(...[...document.querySelectorAll('article *')].filter(n => !n.closest('pre, .wide')).map(n => n.getBoundingClientRect().right))"
        )
        <= PHONE[0]
    )
    assert not page.one("#new").is_displayed()
    page.click("Menu")
    page.wait("document.querySelector('#sidebar').getBoundingClientRect().left === 0")
    assert page.one("#list-button").get_attribute("aria-expanded") == "true"
    page.click("New conversation")
    assert not page.one("#new").is_displayed() and page.one("#list-button").get_attribute("aria-expanded") == "false"


def policy_is_in_force(page):
    """The checks above would see a violation: here is one."""
    page.run("document.body.setAttribute('style', 'color: red')")
    assert any("Content Security Policy" in entry for entry in page.log())
    assert page.run(
        "try { document.body.innerHTML = '<i>x</i>'; return false } catch { return true }"
    ), "a string became HTML"
    page.log()


def stays_small(page):
    size = page.value("performance.getEntriesByType('navigation')[0].decodedBodySize")
    assert size < 60_000, size
    assert page.value("performance.getEntriesByType('resource').every(entry => entry.name.startsWith(location.origin))")


sys.exit(
    run_checks(
        "access",
        [
            works_by_keyboard_only,
            everything_has_a_name_and_a_visible_focus,
            announces_beginnings_and_ends_only,
            colours_contrast,
            light_and_dark,
            fits_a_phone,
            policy_is_in_force,
            stays_small,
        ],
    )
)
