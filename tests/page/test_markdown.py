"""The page's Markdown: what it renders, what it must not, and the time that hostile text takes."""
import sys

from browser import run_checks

SHAPES = [  # Markdown, the structure expected
    ("one\ntwo\n\nthree", "p(one\ntwo) p(three)"),
    ("# One\n### Three", "h3(One) h5(Three)"),
    ("a *b* **c** ***d*** ~~e~~ _f_ __g__", "p(a em(b) strong(c) strong(em(d)) del(e) em(f) strong(g))"),
    ("**a *b***", "p(strong(a em(b)))"),
    ("snake_case_name 2 * 3 * 4", "p(snake_case_name 2 * 3 * 4)"),
    ("**open *ended", "p(**open *ended)"),
    ("**a *b** c", "p(strong(a *b) c)"),
    ("`a` ``b`c`` `*d*` `e", "p(code(a) code(b`c) code(*d*) `e)"),
    (r"\*a\* \<b\> \q", r"p(*a* <b> \q)"),
    ("- a\n- b\n  - c\n\n  d\n- e", "ul(li(p(a)) li(p(b) ul(li(p(c))) p(d)) li(p(e)))"),
    ("3. a\n4) b", "ol(li(p(a))) ol(li(p(b)))"),
    ("1. a\n\n   ```sh\n   x\n   ```\n2. b", "ol(li(p(a) div(div(span(sh) button(Copy)) pre(code(x)))) li(p(b)))"),
    ("> a\n> > b\n\nc", "blockquote(p(a) blockquote(p(b))) p(c)"),
    ("a\n***\nb", "p(a) hr() p(b)"),
    ("```c\nint x;\n<b>\n```\nz", "div(div(span(c) button(Copy)) pre(code(int x;\n<b>))) p(z)"),
    ("````md\n```js\n1\n```\n````", "div(div(span(md) button(Copy)) pre(code(```js\n1\n```)))"),
    ("```\nunfinished", "div(div(span() button(Copy)) pre(code(unfinished)))"),
    (
        "| a | b |\n|---|--:|\n| 1 | `x` |\n| 2 |",
        "div(table(thead(tr(th(a) th(b))) tbody(tr(td(1) td(code(x))) tr(td(2)))))",
    ),
    ("a | b\nc", "p(a | b\nc)"),
    ('[a *b*](https://x.org/y_(z) "t")', "p(a(a em(b)))"),
    ("see https://x.org/a_b, (http://y.org).", "p(see a(https://x.org/a_b), (a(http://y.org)).)"),
    ("![cat](https://x.org/cat.png)", "p(a(cat))"),
    ("", ""),
]

INJECTIONS = [
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "<svg onload=alert(1)>",
    "**<iframe src=//x>**",
    "[a](javascript:alert(1))",
    "[a](JaVaScRiPt:alert(1))",
    "[a](\tjavascript:alert(1))",
    "[a](data:text/html,<script>alert(1)</script>)",
    "[a](vbscript:x)",
    "[a](//x.org)",
    "[a](/v1/models)",
    "![a](javascript:alert(1))",
    "<a href='javascript:alert(1)'>a</a>",
    "[<img src=x onerror=alert(1)>](https://x.org)",
    "```<img src=x onerror=alert(1)>\n<script>\n```",
    "| <img src=x> |\n|---|\n| <b>x</b> |",
    "&lt;script&gt; &#60;img&#62;",
    '[a](https://x.org" onclick="alert(1))',
    "<https://x.org/<script>>",
    "# <script>alert(1)</script>",
]

SIZE = 200_000
HOSTILE = [
    "*",
    "_",
    "`",
    "[",
    "]",
    "~",
    ">",
    "#",
    "|",
    "-",
    "\\",
    "!",
    "(",
    " ",
    "\n",
    "**a ",
    "*a _b ",
    "[a](",
    "![",
    "[a](b",
    "`a``b",
    "> ",
    "- ",
    "- a\n",
    "1. ",
    "  - a\n",
    "|a",
    "|-",
    "|a|\n|-|\n",
    "```\n",
    "a\n\n",
    "~~~a\n\n",
    "http://",
    "https://x.",
    "http://a.)",
    "<a ",
    "a*",
    "***a",
    "_a_",
    "> - ",
    ">\n",
    " \n",
    "\t",
    "* * *x",
    "- - -x",
    "1.\n\n",
    "[a](http://x(",
    "é*",
    "\U0001F600_",
]
# Runs of backticks of ever other lengths, none of which closes another.
RUNS_OF_BACKTICKS = "`a".join("`" * n for n in range(440))

# Renders a text into a detached element and gives its structure; an element is written as name(content).
SHAPE = """
    const root = document.createElement("div");
    renderMarkdown(root, arguments[0]);
    const shape = node => node.nodeType === 3 ? node.data : `${node.localName}(${[...node.childNodes].map(shape).join("")})`;
    return [...root.children].map(shape).join(" ");
"""


def squeeze(shape):
    return shape.replace(") ", ")").replace(" (", "(")


def structure(page):
    for text, expected in SHAPES:
        actual = page.run(SHAPE, text)
        assert squeeze(actual) == squeeze(expected), f"{text!r}: {actual!r}, not {expected!r}"


def injections(page):
    allowed = set(
        "p em strong del code pre div span button a ul ol li h3 h4 h5 h6 blockquote table thead tbody tr th td hr".split()
    )
    page.run("window.onerrorRan = 0; window.alert = () => { window.onerrorRan++; }")
    for text in INJECTIONS:
        nodes = page.run(
            """
            const root = document.createElement("div");
            document.body.append(root);
            renderMarkdown(root, arguments[0]);
            const nodes = [...root.querySelectorAll("*")].map(node => [node.localName, ...[...node.attributes].map(a => a.name + "=" + a.value)]);
            root.remove();
            return nodes;""",
            text,
        )
        for name, *attributes in nodes:
            assert name in allowed, f"{text!r} made <{name}>"
            for attribute in attributes:
                key, _, value = attribute.partition("=")
                assert key in ("href", "rel", "target", "class", "type", "start"), f"{text!r} made {attribute!r}"
                assert key != "href" or value.startswith("https://x.org"), f"{text!r} links to {value!r}"
    assert page.value("window.onerrorRan") == 0


def links_are_isolated(page):
    link = page.run(
        """const root = document.createElement("div"); renderMarkdown(root, "[a](https://x.org)");
        const a = root.querySelector("a"); return [a.href, a.rel, a.target];"""
    )
    assert link == ["https://x.org/", "noopener noreferrer", "_blank"], link


def hostile_text_takes_linear_time(page):
    page.run(
        """window.timeOf = text => { const root = document.createElement("div"), start = performance.now();
        renderMarkdown(root, text); return performance.now() - start; }"""
    )
    texts = (
        [(piece * SIZE)[:SIZE] for piece in HOSTILE]
        + [("a " + piece * SIZE)[:SIZE] + "x" for piece in HOSTILE]
        + [RUNS_OF_BACKTICKS]
    )
    times = {text[:12]: page.run("return timeOf(arguments[0])", text) for text in texts}
    worst = max(times, key=times.get)
    assert times[worst] < 10000, f"200 KB of {worst!r} took {times[worst]:.0f} ms"
    print(f"# slowest 200 KB: {worst!r}, {times[worst]:.0f} ms")


def pieces_give_the_same_as_the_whole(page):
    """A text rendered as it grows ends as the text rendered at once, and finished blocks stay the same elements."""
    text = "\n\n".join(text for text, _ in SHAPES)
    same, kept = page.run(
        """
        const text = arguments[0], whole = document.createElement("div"), grown = document.createElement("div");
        renderMarkdown(whole, text);
        renderMarkdown(grown, text.slice(0, 20));
        const first = grown.firstChild;
        for (let end = 20; end <= text.length; end++) renderMarkdown(grown, text.slice(0, end));
        const shape = node => node.nodeType === 3 ? node.data : `${node.localName}(${[...node.childNodes].map(shape).join("")})`;
        return [shape(whole) === shape(grown), first === grown.firstChild];""",
        text,
    )
    assert same and kept, (same, kept)


sys.exit(
    run_checks(
        "markdown",
        [structure, injections, links_are_isolated, hostile_text_takes_linear_time, pieces_give_the_same_as_the_whole],
    )
)
