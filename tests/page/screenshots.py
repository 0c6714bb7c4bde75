"""Pictures of the page for the documents: docs/page-light.png, -dark, -phone and -tokens. Usage: screenshots.py [FOLDER]"""
import json
import pathlib
import shutil
import subprocess
import sys

from browser import PHONE, WIDE, Page

REPLY = """The median is the **middle value** of a sorted list, so one outlier does not move it:

```c
static double median(const double *sorted, size_t n) {
    return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}
```

| values | mean | median |
|---|--:|--:|
| 1, 2, 3 | 2 | 2 |
| 1, 2, 300 | 101 | 2 |

- Sort first: `median` expects sorted values.
- For *n* = 0 there is no median; check before the call.
"""


def question(text, reply):
    """Sends a question whose scripted reply is hidden from the picture."""
    page.send("reply " + json.dumps(reply))
    page.run(
        "state.current.messages.at(-2).content = arguments[0]; state.current.title = arguments[1]; showConversation({ toEnd: true })",
        text,
        text[:60],
    )


def picture(name):
    path = folder / f"page-{name}.png"
    page.driver.save_screenshot(str(path))
    if shutil.which("pngquant"):
        subprocess.run(["pngquant", "--force", "--output", str(path), "64", str(path)], check=True)


folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parents[2] / "docs"
page = Page()
page.fresh()
question("Name three prime numbers.", "2, 3 and 5.")
page.click("New conversation")
question("Why use the median, and how do I compute it in C?", REPLY)
picture("light")
page.emulate("dark")
picture("dark")
page.size(PHONE)
page.run("byId('scroller').scrollTop = 0")
picture("phone")
page.emulate("light")
page.size(WIDE)
page.run("state.settings.probabilities = true")
page.click("New conversation")
question(
    "What is a median?",
    "The median is the value in the middle of a sorted list: half of the values are smaller, half are larger.",
)
page.click("Tokens")
page.all(".tokens span")[4].click()
picture("tokens")
page.close()
